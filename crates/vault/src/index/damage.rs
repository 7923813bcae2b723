//! Packs that are there and are not what they were.
//!
//! A reader that meets one takes another copy of the chunk if there is one. New backups lean on
//! nothing in such a pack, so what they read is stored again. Which packs these are is noted in
//! the cache folder, until a check of all data finds them well, or gone.

use std::collections::{BTreeSet, HashSet};

use vault_format::{ObjectHash, ObjectName};

use super::Index;
use crate::error::{Error, Result, Warning, pack_name};

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

    /// All that can be read was read: `well` are the packs in which everything is right, `damaged`
    /// those in which something is not. A doubt about another pack, of which less is known, stays
    /// as long as the pack does.
    ///
    /// # Errors
    /// When the store cannot be asked whether a pack is gone.
    pub(crate) fn judge(
        &self,
        well: &HashSet<ObjectHash>,
        damaged: &BTreeSet<ObjectHash>,
    ) -> Result<()> {
        let mut settled = well.clone();
        let doubts = self.read().damaged.clone();
        for pack in doubts.difference(damaged) {
            if !well.contains(pack) && self.objects.stat(&ObjectName::Pack(*pack))?.is_none() {
                settled.insert(*pack);
            }
        }
        let (before, all) = {
            let mut state = self.write();
            let before = state.damaged.clone();
            state.damaged.retain(|pack| !settled.contains(pack));
            state.damaged.extend(damaged);
            state.unreadable.retain(|(_, pack)| !settled.contains(pack));
            (before, state.damaged.clone())
        };
        if before != all {
            self.note(&all);
        }
        Ok(())
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
