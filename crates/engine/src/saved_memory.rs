//! Whether a VM and each of its checkpoints hold saved memory: told by the files that are there to
//! be saved, of whatever source.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use vmconfig::model::SavedState;
use vmconfig::vmrs;

use crate::source::{FileRole, FrozenFile, FrozenView, Owner};

/// Whether an owner has saved memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedMemory {
    /// The VM or a checkpoint.
    pub owner: Owner,
    /// Whether it has.
    pub saved: bool,
}

/// What is known of the VM and its checkpoints, going by those files of `view` that are `there`.
/// Of whom it cannot be told, there is nothing in the list.
pub(crate) fn saved_memory(view: &FrozenView, there: impl Fn(usize) -> bool) -> Vec<SavedMemory> {
    let mut told = BTreeMap::<&Owner, vmconfig::SavedMemory>::new();
    for (index, file) in view.files.iter().enumerate() {
        let memory = told.entry(&file.owner).or_default();
        match file.role {
            FileRole::RuntimeState | FileRole::SavedMemory if !there(index) => memory.runtime(None),
            FileRole::RuntimeState if is_runtime(file) => {
                memory.runtime(vmrs::has_memory(&Bytes(file)).ok());
            }
            FileRole::RuntimeState | FileRole::SavedMemory => match file.data.len() {
                Ok(len) => memory.file(len),
                Err(_) => memory.runtime(None),
            },
            FileRole::Configuration | FileRole::GuestState | FileRole::Other => {}
        }
    }
    let configs = view.checkpoints.iter();
    let configs = configs.map(|c| (Owner::Checkpoint(c.id), c.config.as_ref()));
    std::iter::once((Owner::Vm, view.config.as_ref()))
        .chain(configs)
        .filter_map(|(owner, config)| {
            let memory = told.get(&owner).copied().unwrap_or_default();
            let state = config.and_then(|config| config.get("saved_state"));
            let state = state.and_then(|state| SavedState::deserialize(state).ok());
            let saved = memory.verdict(state.as_ref())?;
            Some(SavedMemory { owner, saved })
        })
        .collect()
}

/// A `.vmrs`, whatever its name: device state of older versions is of the same role and no container.
fn is_runtime(file: &FrozenFile) -> bool {
    let ending = file.path.file_name().rsplit_once('.');
    ending.is_some_and(|(_, ending)| ending.eq_ignore_ascii_case("vmrs"))
}

/// A file as `vmconfig` reads it.
struct Bytes<'a>(&'a FrozenFile);

impl vmconfig::ReadAt for Bytes<'_> {
    fn len(&self) -> std::io::Result<u64> {
        self.0.data.len()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.0.data.read_exact_at(buf, offset)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use uuid::Uuid;
    use vmconfig::VmConfig;

    use super::*;
    use crate::source::{Checkpoint, CheckpointParent, Consistency, RelPath};

    const CHECKPOINTS: u128 = 3;

    fn checkpoint(number: u128) -> Owner {
        Owner::Checkpoint(Uuid::from_u128(number))
    }

    fn view(files: Vec<(&str, FileRole, Owner, Vec<u8>)>) -> FrozenView {
        let frozen = |(path, role, owner, data)| FrozenFile {
            path: RelPath::new(path).unwrap(),
            role,
            owner,
            data: Arc::new(data) as Arc<dyn disk::ReadAt>,
        };
        FrozenView {
            id: Uuid::nil(),
            name: String::new(),
            mode: String::new(),
            mode_reason: None,
            consistency: Consistency::Offline,
            config: Some(json!({"saved_state": {"memory_file": r"D:\elsewhere.bin"}})),
            files: files.into_iter().map(frozen).collect(),
            layers: vec![],
            uses: vec![],
            checkpoints: (1..=CHECKPOINTS)
                .map(|number| Checkpoint {
                    id: Uuid::from_u128(number),
                    name: String::new(),
                    time: None,
                    parent: CheckpointParent::Root,
                    config: Some(json!({"saved_state": null})),
                })
                .collect(),
            current: None,
            missing: vec![],
            findings: vec![],
            not_covered: vec![],
        }
    }

    fn told(view: &FrozenView, there: impl Fn(usize) -> bool) -> Vec<Option<bool>> {
        let list = saved_memory(view, there);
        let of = |owner: Owner| list.iter().find(|m| m.owner == owner).map(|m| m.saved);
        let checkpoints = (1..=CHECKPOINTS).map(|number| of(checkpoint(number)));
        std::iter::once(of(Owner::Vm)).chain(checkpoints).collect()
    }

    #[test]
    fn each_owner_by_its_own_files() {
        let state = |saved| testkit::vm::runtime_state(&VmConfig::default(), saved);
        let view = view(vec![
            ("a.vmrs", FileRole::RuntimeState, Owner::Vm, state(false)),
            ("b.VMRS", FileRole::RuntimeState, checkpoint(1), state(true)),
            ("c.vsv", FileRole::RuntimeState, checkpoint(2), vec![1]),
            (
                "d.vmrs",
                FileRole::RuntimeState,
                checkpoint(3),
                vec![1; 9000],
            ),
        ]);
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(told(&view, |_| true), [no, yes, yes, None]);
        assert_eq!(told(&view, |file| file != 1), [no, None, yes, None]);
    }

    #[test]
    fn without_files_the_configuration_may_speak_of_memory_elsewhere() {
        let nothing = view(vec![]);
        let no = Some(false);
        assert_eq!(told(&nothing, |_| true), [None, no, no, no]);
        let memory = |len| ("a.bin", FileRole::SavedMemory, Owner::Vm, vec![0; len]);
        assert_eq!(told(&view(vec![memory(1)]), |_| true)[0], Some(true));
        assert_eq!(told(&view(vec![memory(0)]), |_| true)[0], None);
    }
}
