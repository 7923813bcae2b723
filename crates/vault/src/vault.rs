//! A vault: made, opened, and the door to everything in it.

use std::sync::Arc;

use store::Store;
use vault_format::description::{Cutter as CutterSizes, Description};
use vault_format::map::DEFAULT_SEGMENT;
use vault_format::{
    Access, Argon2Cost, Lock, MAX_DOCUMENT_LEN, NodeId, ObjectName, RecoveryCode, Unlock, VaultId,
    VaultKeys,
};

use crate::cutter::{Cutter, PAGE};
use crate::env::Env;
use crate::error::{Error, Result, Warning};
use crate::index::Index;
use crate::keys;
use crate::lru::Lru;
use crate::objects::Objects;
use crate::packs::Packs;
use crate::reader::{ChunkCache, DiskReader};
use crate::tree::Nodes;

/// Bytes of chunks that readers keep.
const CHUNK_CACHE: usize = 64 << 20;

/// Choices for a new vault.
#[derive(Debug, Clone)]
pub struct InitOptions<'a> {
    /// Opens the vault, beside the recovery code.
    pub passphrase: Option<&'a [u8]>,
    /// How much work the passphrase takes.
    pub cost: Argon2Cost,
    /// How disks are cut.
    pub cutter: CutterSizes,
    /// Segment size of disk maps.
    pub segment: u32,
    /// What the first writer is called: the host's name, say.
    pub writer: &'a str,
}

impl Default for InitOptions<'_> {
    fn default() -> Self {
        Self {
            passphrase: None,
            cost: Argon2Cost::default(),
            cutter: CutterSizes::default(),
            segment: DEFAULT_SEGMENT,
            writer: "",
        }
    }
}

/// An open vault. Cheap to clone and shared by threads.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    objects: Objects,
    keys: Arc<VaultKeys>,
    env: Env,
    description: Description,
    packs: Arc<Packs>,
    index: Arc<Index>,
    nodes: Arc<Nodes>,
    chunks: Arc<ChunkCache>,
}

impl Vault {
    /// Makes a vault in an empty store and opens it. The recovery code opens it too; it exists
    /// nowhere else and must be shown to a person once.
    ///
    /// # Errors
    /// When the store already holds a vault, or objects of one.
    pub fn init(
        store: Arc<dyn Store>,
        options: &InitOptions<'_>,
        env: Env,
    ) -> Result<(Self, RecoveryCode)> {
        let objects = Objects::new(store, env.clock.clone());
        if objects.stat(&ObjectName::Description)?.is_some() {
            return Err(Error::invalid(
                "there already is a vault: open it, or choose another place",
            ));
        }
        for folder in ["packs/", "points/"] {
            if !objects.list(folder)?.is_empty() {
                return Err(Error::invalid(format!(
                    "the store has objects in {folder} but no vault.json: restore that file, or \
                     choose another place"
                )));
            }
        }
        let keys = VaultKeys::generate(&mut env.entropy());
        let code = RecoveryCode::random(&mut env.entropy());
        let description = Description {
            segment: options.segment,
            cutter: options.cutter.clone(),
            ..Description::new(&keys, env.now_ms())
        };
        cutter(&description, &keys)?;
        let bytes = description
            .encode(&keys)
            .map_err(Error::object(ObjectName::Description))?;
        keys::add(
            &objects,
            &env,
            &keys,
            Lock::Recovery(&code),
            Some("recovery code"),
        )?;
        if let Some(passphrase) = options.passphrase {
            let lock = Lock::Passphrase(passphrase, options.cost);
            keys::add(&objects, &env, &keys, lock, None)?;
        }
        if let Some(writer) = keys.writer() {
            keys::certify(&objects, &env, &keys, writer, options.writer)?;
        }
        // The description makes it a vault; should two race for it, the other's slots name a
        // vault that does not exist, and are passed over.
        objects
            .store()
            .put_new(&ObjectName::Description.to_string(), &bytes)?;
        Ok((Self::with_keys(objects, keys, description, env)?, code))
    }

    /// Opens a vault.
    ///
    /// # Errors
    /// [`Error::NoVault`]; [`Error::WrongSecret`]; and when the vault requires features that
    /// this program does not know, by their names.
    pub fn open(store: Arc<dyn Store>, secret: Unlock<'_>, env: Env) -> Result<Self> {
        let objects = Objects::new(store, env.clock.clone());
        let name = ObjectName::Description;
        let bytes = match objects.get(&name, MAX_DOCUMENT_LEN as u64) {
            Err(Error::Store(e)) if e.is_not_found() => return Err(Error::NoVault),
            bytes => bytes?,
        };
        let claimed = Description::decode(&bytes).map_err(Error::object(name))?;
        let keys = keys::unlock(&objects, claimed.vault, secret)?;
        let description = Description::verify(&keys, &bytes).map_err(Error::object(name))?;
        Self::with_keys(objects, keys, description, env)
    }

    fn with_keys(
        objects: Objects,
        keys: VaultKeys,
        description: Description,
        env: Env,
    ) -> Result<Self> {
        let keys = Arc::new(keys);
        let packs = Arc::new(Packs::new(objects.clone(), keys.clone()));
        let index = Arc::new(Index::open(
            objects.clone(),
            keys.clone(),
            env.clone(),
            packs.clone(),
        )?);
        let nodes = Arc::new(Nodes::new(
            index.clone(),
            packs.clone(),
            description.segment,
        ));
        Ok(Self(Arc::new(Inner {
            objects,
            keys,
            env,
            description,
            packs,
            index,
            nodes,
            chunks: Arc::new(Lru::new(CHUNK_CACHE)),
        })))
    }

    /// The vault's id: a commitment to its keys. Who remembers it notices an exchanged vault.
    pub fn id(&self) -> VaultId {
        self.0.keys.vault()
    }

    /// What the secret that opened the vault allows.
    pub fn access(&self) -> Access {
        self.0.keys.access()
    }

    /// What `vault.json` says.
    pub fn description(&self) -> &Description {
        &self.0.description
    }

    /// The surroundings that the vault was opened with.
    pub fn env(&self) -> &Env {
        &self.0.env
    }

    /// The store.
    pub fn store(&self) -> &dyn Store {
        self.0.objects.store()
    }

    /// What went wrong without harm since the last call.
    pub fn take_warnings(&self) -> Vec<Warning> {
        self.0.index.take_warnings()
    }

    /// Number of chunks and nodes that the index knows; those in several runs count as often.
    pub fn chunks(&self) -> u64 {
        self.0.index.count()
    }

    /// Opens a disk or file by the root of its map.
    pub fn disk(&self, root: &NodeId) -> Result<DiskReader> {
        // The root may be newer than what the index was read from.
        self.0.index.expect_news();
        DiskReader::open(
            self.0.nodes.clone(),
            self.0.index.clone(),
            self.0.packs.clone(),
            self.0.chunks.clone(),
            root,
        )
    }

    pub(crate) fn objects(&self) -> &Objects {
        &self.0.objects
    }

    pub(crate) fn keys(&self) -> &Arc<VaultKeys> {
        &self.0.keys
    }

    pub(crate) fn index(&self) -> &Arc<Index> {
        &self.0.index
    }

    pub(crate) fn nodes(&self) -> &Arc<Nodes> {
        &self.0.nodes
    }

    pub(crate) fn cutter(&self) -> Result<Cutter> {
        cutter(&self.0.description, &self.0.keys)
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vault({})", self.id())
    }
}

fn cutter(description: &Description, keys: &VaultKeys) -> Result<Cutter> {
    let sizes = &description.cutter;
    let fits = sizes.check(description.segment);
    fits.map_err(Error::object(ObjectName::Description))?;
    let mut seed = [0; 8];
    seed.copy_from_slice(&keys.cutter_seed().expose()[..8]);
    Some(u64::from_le_bytes(seed))
        .filter(|_| sizes.page as usize == PAGE)
        .and_then(|seed| Cutter::new(seed, sizes.min, sizes.average, sizes.max))
        .ok_or_else(|| Error::invalid(format!("this program cannot cut disks by {sizes:?}")))
}
