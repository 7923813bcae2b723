//! What an import gets wrong of checkpoints, where a rule says so. No real host is known for it: a
//! client is to notice when one does.

use uuid::Uuid;

use super::vm::Vm;

/// What of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportLoses {
    /// The VM goes on from the first checkpoint.
    Current,
    /// All others were made after the first checkpoint.
    Parents,
    /// Two that nothing was made after have each other's names.
    Names,
    /// None has saved memory.
    Memory,
}

impl ImportLoses {
    /// Of a VM that was imported.
    pub(super) fn of(self, vm: &mut Vm) {
        let mut all = vm.checkpoints.iter();
        let first = all.find(|c| c.parent.is_none());
        let first = first.map(|c| c.settings.id);
        match self {
            Self::Current => vm.parent = first,
            Self::Parents => {
                for checkpoint in &mut vm.checkpoints {
                    checkpoint.parent = first.filter(|first| *first != checkpoint.settings.id);
                }
            }
            Self::Names => {
                let parents: Vec<Option<Uuid>> = vm.checkpoints.iter().map(|c| c.parent).collect();
                let mut leaves = vm
                    .checkpoints
                    .iter_mut()
                    .map(|c| &mut c.settings)
                    .filter(|settings| !parents.contains(&Some(settings.id)));
                if let (Some(one), Some(other)) = (leaves.next(), leaves.next()) {
                    std::mem::swap(&mut one.name, &mut other.name);
                }
            }
            Self::Memory => {
                for checkpoint in &mut vm.checkpoints {
                    checkpoint.settings.saved = None;
                }
            }
        }
    }
}
