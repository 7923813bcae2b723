//! Packs that are there and are not what they were.
//!
//! A reader that meets one takes another copy of the chunk if there is one. New backups lean on
//! nothing in such a pack, so what they read is stored again. Which packs these are is marked in
//! the cache folder, until a check of all data finds them well, or gone: nothing else takes a mark
//! away, and no process those of packs that another one met meanwhile.

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
        if !self.write().damaged.insert(pack) {
            return;
        }
        self.warn(Warning::PackDamaged {
            object: pack_name(pack),
            why: e.to_string(),
        });
        self.mark([&pack]);
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
        let mut doubts = self.read().damaged.clone();
        if let Some(folder) = &self.folder {
            // What cannot be read stays as it is.
            doubts.extend(folder.damaged_packs().unwrap_or_default());
        }
        let mut settled = well.clone();
        for pack in doubts.difference(damaged) {
            if !well.contains(pack) && self.objects.stat(&ObjectName::Pack(*pack))?.is_none() {
                settled.insert(*pack);
            }
        }
        {
            let mut state = self.write();
            state.damaged.extend(damaged);
            state.damaged.retain(|pack| !settled.contains(pack));
            state.unreadable.retain(|(_, pack)| !settled.contains(pack));
        }
        if let Some(folder) = &self.folder {
            for pack in doubts.iter().filter(|pack| settled.contains(pack)) {
                // With its mark the pack goes on being shunned, which costs space and no bytes.
                let _ = folder.clear_damaged(pack);
            }
        }
        self.mark(damaged);
        Ok(())
    }

    /// Marks packs as damaged, or tells that they are not.
    fn mark<'a>(&self, packs: impl IntoIterator<Item = &'a ObjectHash>) {
        let mut packs = packs.into_iter();
        let marked = match &self.folder {
            Some(folder) if !folder.has_given_up() => packs
                .try_for_each(|pack| folder.mark_damaged(pack))
                .map_err(|e| e.to_string()),
            _ if packs.next().is_none() => Ok(()),
            _ => Err("there is no local cache".to_owned()),
        };
        if let Err(why) = marked {
            self.warn(Warning::DamageForgotten { why });
        }
    }
}
