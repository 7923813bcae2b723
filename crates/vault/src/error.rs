//! What can go wrong with a vault, to which object, and what to do about it.

use std::sync::Arc;

use vault_format::{ChunkId, ObjectHash};

/// Shorthand used throughout the crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a vault did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),

    /// An object of the vault is not what it should be.
    #[error("{object}: {source}")]
    Object {
        /// The object's name in the store, or what was to be made.
        object: String,
        /// What is wrong with it.
        source: vault_format::Error,
    },

    /// An object's bytes do not have the hash in its name.
    #[error(
        "{object} does not hold the bytes that its name tells: it is damaged; put a good copy of it \
         in its place; if there is none, move it out of the vault (keep it), and new backups store \
         again what their sources still have of it"
    )]
    WrongHash {
        /// The object.
        object: String,
    },

    /// A chunk that something refers to is in no pack.
    #[error(
        "chunk {id} is in no pack of the vault: a pack is missing; run `check` to see what is \
         affected"
    )]
    ChunkMissing {
        /// The chunk, or the node of a disk map.
        id: ChunkId,
    },

    /// A chunk's stored bytes are not the chunk.
    #[error("{object}: damaged at chunk {id}: {why}; run `check --read-data` to see all of it")]
    ChunkDamaged {
        /// The pack.
        object: String,
        /// The chunk, or the node of a disk map.
        id: ChunkId,
        /// What is wrong.
        why: String,
    },

    /// A disk map contradicts itself or its disk.
    #[error("disk map: {why}; run `check` to see what is affected")]
    Map {
        /// The value and the rule that it breaks.
        why: String,
    },

    /// The folder is no vault.
    #[error("this is no vault: it has no vault.json; check the location, or make one with `init`")]
    NoVault,

    /// Nothing opens the vault with this secret.
    #[error("no key slot of the vault opens with this {holder}: check it, or use another one")]
    WrongSecret {
        /// The kind of secret.
        holder: &'static str,
    },

    /// The restore point is not there.
    #[error("the vault has no restore point {id}: list them with `points`")]
    NoSuchPoint {
        /// What was asked for.
        id: String,
    },

    /// A pack that the session leans on went away or changed before the point was complete.
    #[error(
        "{object} vanished or changed while this backup leaned on it; no restore point was \
         made; run the backup again, which stores again what was lost"
    )]
    PackVanished {
        /// The pack.
        object: String,
    },

    /// A collection marks packs for removal, and this program does not know how to live with it.
    #[error(
        "{object} marks packs for removal: a newer hyperkeep collects this vault; use that one"
    )]
    Retiring {
        /// The marker.
        object: String,
    },

    /// An earlier error ended the session.
    #[error("the session has failed: {0}")]
    Session(Arc<Error>),

    /// The caller's own source failed.
    #[error("cannot read the source: {0}")]
    Source(Box<dyn std::error::Error + Send + Sync>),

    /// The caller asked for something impossible.
    #[error("invalid request: {0}")]
    Invalid(String),
}

impl Error {
    /// Adds the object's name to what the format says about its bytes.
    pub(crate) fn object(name: impl ToString) -> impl FnOnce(vault_format::Error) -> Self {
        move |source| Self::Object {
            object: name.to_string(),
            source,
        }
    }

    pub(crate) fn map(why: impl Into<String>) -> Self {
        Self::Map { why: why.into() }
    }

    pub(crate) fn invalid(why: impl Into<String>) -> Self {
        Self::Invalid(why.into())
    }

    /// Wraps what the caller's source said.
    pub fn source(e: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Source(e.into())
    }
}

/// Something that did not stop the work and that someone should know about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// An index run could not be used; what it told was read from the packs.
    #[error("{object} could not be used ({why}); its contents were read from the packs again")]
    IndexRun {
        /// The run.
        object: String,
        /// What was wrong with it.
        why: String,
    },

    /// Small index runs could not be merged.
    #[error(
        "index runs could not be merged ({why}); nothing is lost, but opening the vault gets slower"
    )]
    IndexMerge {
        /// What went wrong.
        why: String,
    },

    /// A pack that the index names is not in the store, or has another size.
    #[error(
        "{object} is missing or has another size than the index tells; what it held will be stored again"
    )]
    PackLost {
        /// The pack.
        object: String,
    },

    /// A pack could not be read; it was left behind by a writer that died, or is damaged.
    #[error("{object} cannot be used: {why}; run `check`")]
    PackUnreadable {
        /// The pack.
        object: String,
        /// What is wrong with it.
        why: String,
    },

    /// Packs that a writer left behind were taken over.
    #[error("{packs} packs of unfinished sessions were taken over")]
    Adopted {
        /// How many.
        packs: u64,
    },

    /// The local cache folder cannot be used, or not any more.
    #[error(
        "the local cache in {path} cannot be used ({why}); going on without it, which is slower and \
         takes 48 bytes of memory for each chunk of the vault: mend the folder, or choose another one"
    )]
    NoCache {
        /// The folder.
        path: String,
        /// The operating system's answer.
        why: String,
    },

    /// A pack holds other bytes than were stored.
    #[error(
        "{object} is damaged ({why}); another copy was used if there is one, and new backups lean \
         on nothing in it; run `check --read-data`"
    )]
    PackDamaged {
        /// The pack.
        object: String,
        /// What was wrong with it.
        why: String,
    },

    /// The local cache remembers packs that were found damaged.
    #[error(
        "packs that were found damaged earlier: {packs}; new backups lean on nothing in them, and \
         store again what they read; `check --read-data` looks at them again"
    )]
    DamagedPacks {
        /// How many.
        packs: u64,
    },

    /// Which packs are damaged could not be noted for later backups.
    #[error(
        "which packs are damaged cannot be remembered ({why}): later backups lean on them unless \
         they are moved out of the vault (keep them)"
    )]
    DamageForgotten {
        /// Why not.
        why: String,
    },

    /// A local cache file could not be used and was made again.
    #[error("the local cache file {path} was made again: {why}")]
    Cache {
        /// The file.
        path: String,
        /// What was wrong with it.
        why: String,
    },

    /// An object that no restore point needs cannot be used.
    #[error("{object} cannot be used: {why}; no restore point depends on it")]
    Unusable {
        /// The object.
        object: String,
        /// What is wrong with it.
        why: String,
    },

    /// A restore point in the listing could not be read.
    #[error("{object} is not readable as a restore point: {why}")]
    PointUnreadable {
        /// The object.
        object: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Warning {
    /// Whether something in the vault is lost or damaged, though the work could be done.
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::PackLost { .. }
                | Self::PackDamaged { .. }
                | Self::PackUnreadable { .. }
                | Self::DamagedPacks { .. }
                | Self::DamageForgotten { .. }
        )
    }
}

pub(crate) fn pack_name(hash: ObjectHash) -> String {
    vault_format::ObjectName::Pack(hash).to_string()
}
