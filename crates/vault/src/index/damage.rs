//! Packs that are there and are not what they were.
//!
//! A reader that meets one takes another copy of the chunk if there is one. New backups lean on
//! nothing in such a pack, so what they read is stored again. Which packs these are is noted in
//! the cache folder, until a check of all data finds them well, or gone.

use std::collections::BTreeSet;

use vault_format::ObjectHash;

use super::Index;
use crate::error::{Error, Warning, pack_name};

impl Index {
    /// Takes over what earlier processes have noted.
    pub(super) fn remember_damage(&self) {
        let Some(folder) = &self.folder else { return };
        match folder.damaged_packs() {
            Ok(packs) if packs.is_empty() => {}
            Ok(packs) => {
                self.warn(Warning::DamagedPacks {
                    packs: packs.len() as u64,
                });
                self.write().damaged = packs;
            }
            Err(e) => self.without_cache(&e),
        }
    }

    /// A chunk of the pack could not be opened.
    pub(super) fn doubt(&self, pack: ObjectHash, e: &Error) {
        let all = {
            let mut state = self.write();
            if !state.damaged.insert(pack) {
                return;
            }
            state.damaged.clone()
        };
        self.warn(Warning::PackDamaged {
            object: pack_name(pack),
            why: e.to_string(),
        });
        self.note(&all);
    }

    /// All packs were read, and these are damaged: no more and no fewer.
    pub(crate) fn judge(&self, damaged: BTreeSet<ObjectHash>) {
        {
            let mut state = self.write();
            if state.damaged == damaged {
                return;
            }
            state.damaged.clone_from(&damaged);
            state.unreadable.clear();
        }
        self.note(&damaged);
    }

    fn note(&self, damaged: &BTreeSet<ObjectHash>) {
        let noted = match &self.folder {
            Some(folder) if !folder.has_given_up() => {
                let noted = folder.note_damaged(damaged, &mut self.env.entropy());
                noted.map_err(|e| e.to_string())
            }
            _ => Err("there is no local cache".to_owned()),
        };
        if let Err(why) = noted
            && !damaged.is_empty()
        {
            self.warn(Warning::DamageForgotten { why });
        }
    }
}
