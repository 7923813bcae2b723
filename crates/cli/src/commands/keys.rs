//! `keys`.

use vault::{Access, Argon2Cost, Lock, SlotId, Unlock, Vault};

use crate::args::{
    AddPassphraseArgs, AddRecoveryCodeArgs, ChangePassphraseArgs, Global, KeysCommand, RemoveArgs,
};
use crate::commands::keys_documents::{
    ChangeDocument, RecoveryCodeDocument, SlotLine, SlotsDocument,
};
use crate::failure::{Exit, Failure, Result};
use crate::secret::Secret;
use crate::sheet::{Sheet, check_target};
use crate::ui::Ui;
use crate::{apart, open, secret};

/// Runs one of the commands.
pub(crate) fn run(global: &Global, command: &KeysCommand, ui: Ui) -> Result<Exit> {
    let location = open::location(global)?;
    let keys = Keys {
        global,
        location,
        ui,
    };
    match command {
        KeysCommand::List => keys.list(),
        KeysCommand::AddPassphrase(args) => keys.add_passphrase(args),
        KeysCommand::ChangePassphrase(args) => keys.change_passphrase(args),
        KeysCommand::AddRecoveryCode(args) => keys.add_recovery_code(args),
        KeysCommand::Remove(args) => keys.remove(args),
    }
}

struct Keys<'a> {
    global: &'a Global,
    location: &'a str,
    ui: Ui,
}

impl Keys<'_> {
    fn vault(&self) -> Result<Vault> {
        open::vault(self.global, self.ui)
    }

    fn fail(&self, error: vault::Error) -> Failure {
        open::vault_failure(error, self.location)
    }

    fn list(&self) -> Result<Exit> {
        let vault = self.vault()?;
        let slots = vault.slots().map_err(|e| self.fail(e))?;
        self.ui.print(&SlotsDocument {
            vault: vault.id().to_string(),
            slots: slots
                .into_iter()
                .map(|(id, slot)| SlotLine::new(id, slot, vault.id()))
                .collect(),
        })
    }

    fn add_passphrase(&self, args: &AddPassphraseArgs) -> Result<Exit> {
        let vault = self.vault()?;
        let new = secret::fresh(args.new.new_passphrase_file.as_deref())?;
        let access = if args.write_only {
            Access::Write
        } else {
            Access::Full
        };
        let lock = Lock::Passphrase(new.as_bytes(), Argon2Cost::default());
        let slot = vault
            .add_slot(lock, access, args.label.as_deref())
            .map_err(|e| self.fail(e))?;
        self.ui.print(&ChangeDocument {
            added: Some(slot.to_string()),
            removed: None,
        })
    }

    fn change_passphrase(&self, args: &ChangePassphraseArgs) -> Result<Exit> {
        let old = secret::existing(self.global)?;
        let Some(passphrase) = old.passphrase() else {
            return Err(Failure::usage(
                "changing the passphrase needs the one that is to be replaced",
            )
            .hint(
                "if it is lost: `keys add-passphrase` with --recovery-code-file, then \
                 `keys remove` the old slot",
            ));
        };
        let vault = open::vault_with(self.global, &old, self.ui)?;
        let unlock = Unlock::Passphrase(passphrase.as_bytes());
        let slot = self.slot_of(&vault, unlock)?;
        let new = secret::fresh(args.new.new_passphrase_file.as_deref())?;
        let lock = Lock::Passphrase(new.as_bytes(), Argon2Cost::default());
        let added = vault
            .replace_slot(slot, unlock, lock)
            .map_err(|e| self.fail(e))?;
        if matches!(old, Secret::Kept(_)) {
            self.ui.note(
                "note: the system's keyring still has the old passphrase: `hyperkeep secret set` puts \
                 the new one there",
            );
        }
        self.ui.print(&ChangeDocument {
            added: Some(added.to_string()),
            removed: Some(slot.to_string()),
        })
    }

    /// The slot that the secret opens.
    fn slot_of(&self, vault: &Vault, unlock: Unlock<'_>) -> Result<SlotId> {
        let slots = vault.slots().map_err(|e| self.fail(e))?;
        let opens = |slot: &vault::Slot| {
            slot.vault == vault.id() && slot.holder == unlock.holder() && slot.open(unlock).is_ok()
        };
        slots
            .into_iter()
            .find(|(_, slot)| slot.as_ref().is_ok_and(opens))
            .map(|(id, _)| id)
            .ok_or_else(|| {
                Failure::new("the key slot that opened the vault is gone")
                    .hint("somebody changed the keys meanwhile: see `hyperkeep keys list`")
            })
    }

    fn add_recovery_code(&self, args: &AddRecoveryCodeArgs) -> Result<Exit> {
        if let Some(sheet) = &args.sheet {
            apart::target(self.location, sheet)?;
        }
        check_target(args.sheet.as_deref())?;
        let vault = self.vault()?;
        let label = Some("recovery code");
        let (slot, code) = vault.add_recovery_code(label).map_err(|e| self.fail(e))?;
        let code = code.to_text();
        let mut document = RecoveryCodeDocument {
            added: slot.to_string(),
            recovery_code: code.to_string(),
            sheet: args.sheet.as_ref().map(|path| path.display().to_string()),
        };
        let Some(path) = &args.sheet else {
            return self.ui.print(&document);
        };
        let written = made(&vault, slot)
            .map_err(|e| self.fail(e))
            .and_then(|made| {
                let sheet = Sheet {
                    location: &open::from_anywhere(self.location),
                    vault: &vault.id().to_string(),
                    made,
                    code: &code,
                };
                sheet.write_to(path)
            });
        match written {
            Ok(()) => self.ui.print(&document),
            // The code is valid now: it must be shown whatever becomes of the sheet.
            Err(failure) => {
                document.sheet = None;
                self.ui.print_beside(&document, &failure)
            }
        }
    }

    fn remove(&self, args: &RemoveArgs) -> Result<Exit> {
        let vault = self.vault()?;
        let wanted = args.slot.to_ascii_lowercase();
        let slots = vault.slots().map_err(|e| self.fail(e))?;
        let matching: Vec<SlotId> = slots
            .iter()
            .map(|(id, _)| *id)
            .filter(|id| !wanted.is_empty() && id.to_string().starts_with(&wanted))
            .collect();
        let [slot] = matching.as_slice() else {
            let what = if matching.is_empty() {
                "no key slot has an id"
            } else {
                "several key slots have ids"
            };
            let message = format!("{what} that begins with “{}”", args.slot);
            return Err(Failure::new(message).hint("list them with `hyperkeep keys list`"));
        };
        vault.remove_slot(*slot).map_err(|e| self.fail(e))?;
        self.ui.print(&ChangeDocument {
            added: None,
            removed: Some(slot.to_string()),
        })
    }
}

/// When a slot was made.
fn made(vault: &Vault, slot: SlotId) -> vault::Result<u64> {
    let slots = vault.slots()?;
    let slot = slots.into_iter().find(|(id, _)| *id == slot);
    slot.map_or(Ok(0), |(_, slot)| slot.map(|slot| slot.created))
}
