//! Whether a VM, or one of its checkpoints, has saved memory: what its files tell together.

use crate::model::SavedState;

/// Gathers what the state files of one configuration tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SavedMemory {
    found: bool,
    unknown: bool,
    told: bool,
}

impl SavedMemory {
    /// There is a file of saved memory or device state as older versions write it (`.bin`,
    /// `.vsv`), with this length. While a VM runs, Hyper-V keeps empty ones.
    pub fn file(&mut self, len: u64) {
        self.found |= len > 0;
    }

    /// There is a runtime state file, and [`vmrs::has_memory`](crate::vmrs::has_memory) says this
    /// of it; `None` for one that cannot be read.
    pub fn runtime(&mut self, has_memory: Option<bool>) {
        self.told = true;
        match has_memory {
            Some(has) => self.found |= has,
            None => self.unknown = true,
        }
    }

    /// Whether there is saved memory; `None` if that cannot be told, because a file cannot be read
    /// or the configuration names files that are not there.
    pub fn verdict(self, configured: Option<&SavedState>) -> Option<bool> {
        let named = |state: &SavedState| {
            let files = [&state.state_file, &state.memory_file];
            files.into_iter().flatten().any(|path| !path.is_empty())
        };
        match self {
            _ if self.found => Some(true),
            _ if self.unknown => None,
            _ if self.told => Some(false),
            _ if configured.is_some_and(named) => None,
            _ => Some(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(files: &[u64], runtime: &[Option<bool>], named: Option<&str>) -> Option<bool> {
        let mut memory = SavedMemory::default();
        files.iter().for_each(|len| memory.file(*len));
        runtime.iter().for_each(|told| memory.runtime(*told));
        let state = SavedState {
            state_file: named.map(str::to_owned),
            memory_file: None,
        };
        memory.verdict(Some(&state))
    }

    #[test]
    fn one_file_with_memory_is_enough_and_no_word_is_no_answer() {
        assert_eq!(SavedMemory::default().verdict(None), Some(false));
        assert_eq!(verdict(&[], &[], None), Some(false));
        assert_eq!(verdict(&[], &[], Some("")), Some(false));
        assert_eq!(verdict(&[], &[], Some(r"D:\x.vsv")), None);
        assert_eq!(
            verdict(&[0], &[Some(false)], Some(r"D:\x.vsv")),
            Some(false)
        );
        assert_eq!(verdict(&[0, 1], &[None], None), Some(true));
        assert_eq!(verdict(&[], &[Some(false), None], None), None);
        assert_eq!(verdict(&[], &[None, Some(true)], None), Some(true));
    }
}
