//! Key slots: the vault's keys, wrapped for one holder.
//!
//! A slot opens with a passphrase (through Argon2id), with a [recovery
//! code](crate::recovery::RecoveryCode) (which is random enough for HKDF), or with a
//! [recipient's](crate::recipient) X25519 key (through HPKE). What it holds decides what its
//! holder can do ([`Access`]). Slots are JSON documents; everything in the envelope, known or
//! not, is associated data of the sealed keys, so no part of one slot can be put on another.
//!
//! Opening recomputes the vault id from the keys: a slot whose keys do not belong to the vault
//! that it names is refused, whoever made it. `docs/format/keys.md` has the tables.

use zeroize::Zeroizing;

use crate::crypto::{Sealer, hkdf, unwrap, wrap};
use crate::document::Document;
use crate::entropy::{Entropy, random};
use crate::error::{Error, Result};
use crate::id::{SlotId, VaultId};
use crate::keys::{Access, VaultKeys, WriterKey};
use crate::recipient::{RecipientPublic, RecipientSecret};
use crate::recovery::RecoveryCode;
use crate::secret::Secret;

mod cost;

pub use cost::Argon2Cost;

const WHAT: &str = "key slot";
const KEYS_LEN: usize = 2 + 6 * 32;
const HAS_DATA_PRIVATE: u8 = 1;
const HAS_WRITER: u8 = 2;
const RECIPIENT_INFO: &[u8] = b"hyperkeep/v1 slot recipient";
/// Longest passphrase, in bytes.
pub const MAX_PASSPHRASE_LEN: usize = 4096;
/// Longest label, in bytes.
pub const MAX_LABEL_LEN: usize = 256;

/// What opens a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Holder {
    /// A passphrase.
    Passphrase,
    /// A recovery code.
    Recovery,
    /// A recipient's private key.
    Recipient,
}

impl Holder {
    /// The word stored for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passphrase => "passphrase",
            Self::Recovery => "recovery",
            Self::Recipient => "recipient",
        }
    }

    fn secret_name(self) -> &'static str {
        match self {
            Self::Passphrase => "passphrase",
            Self::Recovery => "recovery code",
            Self::Recipient => "recipient key",
        }
    }
}

/// What a new slot is to be locked with.
#[derive(Clone, Copy)]
pub enum Lock<'a> {
    /// A passphrase: its UTF-8 bytes exactly as given, 1 to [`MAX_PASSPHRASE_LEN`] of them.
    Passphrase(&'a [u8], Argon2Cost),
    /// A recovery code.
    Recovery(&'a RecoveryCode),
    /// A recipient, of whom only the public key is needed.
    Recipient(&'a RecipientPublic),
}

/// What a slot is to be opened with.
#[derive(Clone, Copy)]
pub enum Unlock<'a> {
    /// A passphrase.
    Passphrase(&'a [u8]),
    /// A recovery code.
    Recovery(&'a RecoveryCode),
    /// A recipient's private key.
    Recipient(&'a RecipientSecret),
}

impl Unlock<'_> {
    /// The kind of slot that this can open.
    pub fn holder(&self) -> Holder {
        match self {
            Self::Passphrase(_) => Holder::Passphrase,
            Self::Recovery(_) => Holder::Recovery,
            Self::Recipient(_) => Holder::Recipient,
        }
    }
}

/// A slot as it is stored, still locked. What it says is not proven before it opens.
pub struct Slot {
    /// Its id, which is also its name.
    pub id: SlotId,
    /// The vault that it says it belongs to.
    pub vault: VaultId,
    /// What opens it.
    pub holder: Holder,
    /// What its holder can do.
    pub access: Access,
    /// When it was made, in milliseconds since 1970-01-01 UTC, by its maker's clock.
    pub created: u64,
    /// What its maker called it; readable without a key.
    pub label: Option<String>,
    /// For whom it is, if it is a recipient's.
    pub recipient: Option<RecipientPublic>,
    lock: StoredLock,
    sealed: Vec<u8>,
    envelope: Vec<u8>,
}

enum StoredLock {
    Passphrase { salt: [u8; 32], cost: Argon2Cost },
    Recovery { salt: [u8; 32] },
    Recipient,
}

/// Makes a slot that holds `keys`, all of them: pass
/// [`without_private`](VaultKeys::without_private) keys for a holder that may only write.
///
/// Returns the slot's id and bytes.
///
/// # Errors
/// When the label, the passphrase or the cost is out of range.
pub fn seal_slot(
    keys: &VaultKeys,
    lock: Lock<'_>,
    label: Option<&str>,
    created: u64,
    rng: &mut dyn Entropy,
) -> Result<(SlotId, Vec<u8>)> {
    if label.is_some_and(|label| label.len() > MAX_LABEL_LEN) {
        return Err(Error::invalid(
            WHAT,
            format!("a label longer than {MAX_LABEL_LEN} bytes"),
        ));
    }
    let id = SlotId::random(rng);
    let salt: [u8; 32] = random(rng);
    let mut document = Document::new(WHAT, "key-slot");
    document.set("vault", keys.vault().to_string());
    document.set("slot", id.to_string());
    document.set("access", keys.access().name());
    document.set("created", created);
    if let Some(label) = label {
        document.set("label", label);
    }
    let plain = pack_keys(keys);
    let seal = |document: &mut Document, key: Secret| -> Result<Vec<u8>> {
        let mut sealed = plain.to_vec();
        Sealer::new(&key, &document.proven_text("sealed")?).seal(0, &mut sealed);
        Ok(sealed)
    };
    let sealed = match lock {
        Lock::Passphrase(passphrase, cost) => {
            document.set("holder", Holder::Passphrase.name());
            document.set_bytes("salt", &salt);
            document.set("argon2id", cost.to_value());
            let key = passphrase_key(passphrase, &salt, cost)?;
            seal(&mut document, key)?
        }
        Lock::Recovery(code) => {
            document.set("holder", Holder::Recovery.name());
            document.set_bytes("salt", &salt);
            seal(&mut document, recovery_key(code, &salt))?
        }
        Lock::Recipient(recipient) => {
            document.set("holder", Holder::Recipient.name());
            document.set("recipient", recipient.to_string());
            let aad = document.proven_text("sealed")?;
            wrap(&recipient.0, RECIPIENT_INFO, &aad, &plain, rng)?
        }
    };
    document.set_bytes("sealed", &sealed);
    Ok((id, document.to_bytes()))
}

fn passphrase_key(passphrase: &[u8], salt: &[u8; 32], cost: Argon2Cost) -> Result<Secret> {
    if passphrase.is_empty() || passphrase.len() > MAX_PASSPHRASE_LEN {
        return Err(Error::Typed {
            what: "passphrase",
            why: format!("it must have 1 to {MAX_PASSPHRASE_LEN} bytes"),
        });
    }
    let stretched = cost.stretch(passphrase, salt)?;
    Ok(crate::crypto::derive(
        &stretched,
        salt,
        &[b"hyperkeep/v1 slot passphrase"],
    ))
}

fn recovery_key(code: &RecoveryCode, salt: &[u8; 32]) -> Secret {
    let mut key = Secret::new([0; 32]);
    hkdf(
        code.bytes(),
        salt,
        &[b"hyperkeep/v1 slot recovery"],
        key.expose_mut(),
    );
    key
}

/// The keys in the fixed layout that a slot seals.
fn pack_keys(keys: &VaultKeys) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(KEYS_LEN));
    let writer = keys.writer().map(WriterKey::seed);
    let flags = if keys.data_private.is_some() {
        HAS_DATA_PRIVATE
    } else {
        0
    } | if writer.is_some() { HAS_WRITER } else { 0 };
    out.extend_from_slice(&[1, flags]);
    out.extend_from_slice(keys.id.expose());
    out.extend_from_slice(keys.map.expose());
    out.extend_from_slice(&keys.data_public);
    out.extend_from_slice(&keys.authority_public);
    for optional in [keys.data_private.as_ref(), writer] {
        out.extend_from_slice(optional.map_or(&[0; 32], |secret| secret.expose()));
    }
    out
}

/// Reads what [`pack_keys`] wrote. Public to the crate's fuzz target.
pub(crate) fn unpack_keys(plain: &[u8]) -> Result<VaultKeys> {
    let mut cursor = crate::bytes::Cursor::new("sealed keys", plain);
    let (version, flags) = (cursor.u8()?, cursor.u8()?);
    if version != 1 || flags & !(HAS_DATA_PRIVATE | HAS_WRITER) != 0 {
        return Err(Error::damaged(
            "sealed keys",
            format!("layout {version} with flags {flags:#04x}, which this program does not know"),
        ));
    }
    let id = Secret::new(cursor.array()?);
    let map = Secret::new(cursor.array()?);
    let (data_public, authority_public): ([u8; 32], [u8; 32]) = (cursor.array()?, cursor.array()?);
    let data_private = Secret::new(cursor.array()?);
    let writer = Secret::new(cursor.array()?);
    cursor.end()?;
    let writer = (flags & HAS_WRITER != 0).then(|| WriterKey::from_seed(writer));
    if flags & HAS_DATA_PRIVATE == 0 {
        return Ok(VaultKeys::write_only(
            id,
            map,
            data_public,
            authority_public,
            writer,
        ));
    }
    let keys = VaultKeys::full(id, map, data_private, writer);
    if keys.data_public != data_public || keys.authority_public != authority_public {
        return Err(Error::damaged(
            "sealed keys",
            "public and private halves do not belong together",
        ));
    }
    Ok(keys)
}

impl Slot {
    /// Reads a slot's envelope.
    ///
    /// # Errors
    /// When it is no slot, of a later version, requires unknown features, or demands more of
    /// Argon2id than is sane.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let document = Document::parse(WHAT, "key-slot", &[], bytes)?;
        let unknown = |name: &str| -> Result<Error> {
            Ok(Error::UnknownFeature {
                object: WHAT,
                names: vec![format!("{name} {:?}", document.text(name)?)],
            })
        };
        let access = match document.text("access")? {
            "write" => Access::Write,
            "full" => Access::Full,
            _ => return Err(unknown("access")?),
        };
        let mut recipient = None;
        let (holder, lock) = match document.text("holder")? {
            "passphrase" => {
                let cost = Argon2Cost::from_value(document.get("argon2id")?)?;
                let lock = StoredLock::Passphrase {
                    salt: document.array("salt")?,
                    cost,
                };
                (Holder::Passphrase, lock)
            }
            "recovery" => (
                Holder::Recovery,
                StoredLock::Recovery {
                    salt: document.array("salt")?,
                },
            ),
            "recipient" => {
                recipient = Some(document.parsed("recipient")?);
                (Holder::Recipient, StoredLock::Recipient)
            }
            _ => return Err(unknown("holder")?),
        };
        Ok(Self {
            id: document.parsed("slot")?,
            vault: document.parsed("vault")?,
            holder,
            access,
            created: document.integer("created")?,
            label: document
                .has("label")
                .then(|| document.text("label").map(str::to_owned))
                .transpose()?,
            recipient,
            lock,
            sealed: document.bytes("sealed")?,
            envelope: document.proven_text("sealed")?,
        })
    }

    /// Opens the slot.
    ///
    /// # Errors
    /// [`Error::WrongSecret`] when the secret is another one, or the slot was changed (the two
    /// cannot be told apart).
    pub fn open(&self, with: Unlock<'_>) -> Result<VaultKeys> {
        let wrong = Error::WrongSecret {
            holder: with.holder().secret_name(),
        };
        let open = |key: &Secret| -> Result<Zeroizing<Vec<u8>>> {
            Sealer::new(key, &self.envelope)
                .open(WHAT, 0, &self.sealed)
                .map(Zeroizing::new)
        };
        let plain = match (&self.lock, with) {
            (StoredLock::Passphrase { salt, cost }, Unlock::Passphrase(passphrase)) => {
                open(&passphrase_key(passphrase, salt, *cost)?)
            }
            (StoredLock::Recovery { salt }, Unlock::Recovery(code)) => {
                open(&recovery_key(code, salt))
            }
            (StoredLock::Recipient, Unlock::Recipient(secret)) => unwrap(
                secret.secret(),
                WHAT,
                RECIPIENT_INFO,
                &self.envelope,
                &self.sealed,
            ),
            _ => return Err(wrong),
        }
        .map_err(|_| wrong)?;
        let keys = unpack_keys(&plain)?;
        if keys.vault() != self.vault {
            return Err(Error::damaged(
                WHAT,
                "its keys are not those of the vault that it names",
            ));
        }
        if keys.access() != self.access {
            return Err(Error::damaged(
                WHAT,
                "its keys allow something else than it says",
            ));
        }
        Ok(keys)
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot")
            .field("id", &self.id)
            .field("holder", &self.holder)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
