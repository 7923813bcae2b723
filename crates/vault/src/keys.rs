//! Who can open the vault: key slots, and the writers that the vault knows.

use vault_format::{
    Access, Lock, MAX_DOCUMENT_LEN, ObjectName, RecoveryCode, Slot, SlotId, Unlock, VaultKeys,
    Writer, WriterKey, seal_slot,
};

use crate::env::Env;
use crate::error::{Error, Result};
use crate::objects::Objects;
use crate::vault::Vault;

/// Opens the first slot that the secret fits.
pub(crate) fn unlock(
    objects: &Objects,
    vault: vault_format::VaultId,
    secret: Unlock<'_>,
) -> Result<VaultKeys> {
    let mut unreadable = None;
    for (name, _) in objects.list("keys/")? {
        let ObjectName::Slot(id) = name else { continue };
        let slot = match read(objects, id) {
            Ok(slot) => slot,
            // A slot that this program does not understand, or that is far too large for one,
            // must not keep others from opening; nor one that was removed just now.
            Err(Error::Store(store::Error::NotFound { .. })) => continue,
            Err(e @ Error::Store(store::Error::TooLarge { .. })) => {
                unreadable = Some(e);
                continue;
            }
            Err(e @ Error::Store(_)) => return Err(e),
            Err(e) => {
                unreadable = Some(e);
                continue;
            }
        };
        if slot.holder != secret.holder() || slot.vault != vault {
            continue;
        }
        match slot.open(secret) {
            Ok(keys) => return Ok(keys),
            Err(vault_format::Error::WrongSecret { .. }) => {}
            Err(e) => unreadable = Some(Error::object(name)(e)),
        }
    }
    Err(unreadable.unwrap_or(Error::WrongSecret {
        holder: secret.holder().name(),
    }))
}

fn read(objects: &Objects, id: SlotId) -> Result<Slot> {
    let name = ObjectName::Slot(id);
    let bytes = objects.get(&name, MAX_DOCUMENT_LEN as u64)?;
    Slot::decode(&bytes).map_err(Error::object(name))
}

/// Stores a slot for `keys`.
pub(crate) fn add(
    objects: &Objects,
    env: &Env,
    keys: &VaultKeys,
    lock: Lock<'_>,
    label: Option<&str>,
) -> Result<SlotId> {
    let (id, bytes) = seal_slot(keys, lock, label, env.now_ms(), &mut env.entropy())
        .map_err(Error::object("new key slot"))?;
    objects.put(&ObjectName::Slot(id), &bytes)?;
    Ok(id)
}

/// Certifies the writer that `keys` hold and stores the certificate.
pub(crate) fn certify(
    objects: &Objects,
    env: &Env,
    authority: &VaultKeys,
    writer: &WriterKey,
    label: &str,
) -> Result<()> {
    let certificate = Writer {
        public: writer.public(),
        label: label.to_owned(),
        created: env.now_ms(),
    };
    let bytes = certificate
        .certify(authority, &mut env.entropy())
        .map_err(Error::object("new writer certificate"))?;
    objects.put(&ObjectName::Writer(certificate.id()), &bytes)
}

impl Vault {
    /// All key slots, readable or not.
    pub fn slots(&self) -> Result<Vec<(SlotId, Result<Slot>)>> {
        let mut slots = Vec::new();
        for (name, _) in self.objects().list("keys/")? {
            if let ObjectName::Slot(id) = name {
                slots.push((id, read(self.objects(), id)));
            }
        }
        Ok(slots)
    }

    /// Adds a slot. With [`Access::Write`] its holder can back up, and read nothing but maps; it
    /// gets a writer of its own, whose certificate carries the label. Needs full access.
    pub fn add_slot(&self, lock: Lock<'_>, access: Access, label: Option<&str>) -> Result<SlotId> {
        if self.keys().access() != Access::Full {
            return Err(Error::invalid(
                "adding a key slot needs a slot with full access: open the vault with one",
            ));
        }
        let writer = WriterKey::generate(&mut self.env().entropy());
        certify(
            self.objects(),
            self.env(),
            self.keys(),
            &writer,
            label.unwrap_or_default(),
        )?;
        let keys = match access {
            Access::Full => self.keys().with_writer(Some(writer)),
            Access::Write => self.keys().without_private(Some(writer)),
        };
        add(self.objects(), self.env(), &keys, lock, label)
    }

    /// Adds a recovery code with full access. It exists nowhere else and must be shown to a person
    /// once. Needs full access.
    pub fn add_recovery_code(&self, label: Option<&str>) -> Result<(SlotId, RecoveryCode)> {
        let code = RecoveryCode::random(&mut self.env().entropy());
        let slot = self.add_slot(Lock::Recovery(&code), Access::Full, label)?;
        Ok((slot, code))
    }

    /// Removes a slot. The last slot with full access stays, since nobody could read the vault
    /// without it.
    ///
    /// Whoever had the slot's secret may have kept the keys: removing a slot keeps honest people
    /// out. After a leak, copy into a new vault.
    pub fn remove_slot(&self, id: SlotId) -> Result<()> {
        let slots = self.slots()?;
        if !slots.iter().any(|(slot, _)| *slot == id) {
            return Err(Error::invalid(format!("the vault has no key slot {id}")));
        }
        let other_full = slots.iter().any(|(other, slot)| {
            let usable = slot
                .as_ref()
                .is_ok_and(|slot| slot.access == Access::Full && slot.vault == self.keys().vault());
            *other != id && usable
        });
        if !other_full {
            return Err(Error::invalid(format!(
                "key slot {id} is the last one with full access: add another one first"
            )));
        }
        self.objects().delete(&ObjectName::Slot(id))
    }

    /// Replaces a slot by one with another secret for the same keys: the change of a passphrase.
    /// The new slot is durable before the old one goes.
    pub fn replace_slot(&self, old: SlotId, secret: Unlock<'_>, lock: Lock<'_>) -> Result<SlotId> {
        let slot = read(self.objects(), old)?;
        let keys = slot
            .open(secret)
            .map_err(Error::object(ObjectName::Slot(old)))?;
        if keys.vault() != self.keys().vault() {
            return Err(Error::invalid(format!(
                "key slot {old} belongs to another vault"
            )));
        }
        let new = add(
            self.objects(),
            self.env(),
            &keys,
            lock,
            slot.label.as_deref(),
        )?;
        self.objects().delete(&ObjectName::Slot(old))?;
        Ok(new)
    }
}
