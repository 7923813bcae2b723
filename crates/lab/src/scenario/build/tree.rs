//! Trees of checkpoints, grown as a host would: write, freeze, go back, go on.

use uuid::Uuid;

use super::super::file::{CheckpointKindSpec, CheckpointSpec, VmSpec, WriteSpec};
use super::BuildError;
use crate::state::{CheckpointKind, CheckpointWish, Consistency, Host, Power};

/// Grows the tree of a VM that has none, and writes what its guest wrote since.
pub(super) fn build(host: &mut Host, vm: Uuid, spec: &VmSpec) -> Result<(), BuildError> {
    if spec.checkpoints.len() > 1 {
        return Err(BuildError::Vm {
            vm: spec.name.clone(),
            problem: "only one checkpoint can be the first",
        });
    }
    let bad = |why: String| BuildError::Checkpoint {
        vm: spec.name.clone(),
        why,
    };
    let known = host
        .vm(vm)
        .ok_or_else(|| bad("there is no VM".to_owned()))?;
    let (power, saved) = (known.power, known.settings.saved);
    let mut now = None;
    grow(host, vm, None, &spec.checkpoints, &mut now).map_err(bad)?;
    if let Some(now) = now {
        let at = host.now();
        host.apply(vm, now, at).map_err(|f| bad(f.text))?;
    }
    run(host, vm);
    write(host, vm, &spec.writes).map_err(bad)?;
    if let Some(known) = host.vm_mut(vm) {
        known.power = power;
        known.settings.saved = saved;
        // Going back and forth was only how the tree was made.
        known.last_applied = now;
    }
    host.clear_up(vm).map_err(|f| bad(f.text))
}

fn grow(
    host: &mut Host,
    vm: Uuid,
    parent: Option<Uuid>,
    specs: &[CheckpointSpec],
    now: &mut Option<Uuid>,
) -> Result<(), String> {
    for spec in specs {
        let at = host.now();
        let here = host.vm(vm).and_then(|vm| vm.parent);
        if let Some(parent) = parent.filter(|parent| Some(*parent) != here) {
            host.apply(vm, parent, at).map_err(|f| f.text)?;
        }
        run(host, vm);
        write(host, vm, &spec.writes)?;
        let wish = CheckpointWish {
            kind: kind(spec.kind),
            consistency: Consistency::Crash,
            memory: spec.memory && spec.kind == CheckpointKindSpec::User,
            ignore_unfreezable: true,
        };
        let made = host.freeze(vm, wish, at).map_err(|f| f.text)?;
        if !spec.name.is_empty() {
            let renamed = host.modify(made, Some(&spec.name), None);
            renamed.map_err(|_| format!("{:?} is no name", spec.name))?;
        }
        if spec.now && now.replace(made).is_some() {
            return Err("only one can be now".to_owned());
        }
        grow(host, vm, Some(made), &spec.checkpoints, now)?;
    }
    Ok(())
}

pub(super) fn kind(spec: CheckpointKindSpec) -> CheckpointKind {
    match spec {
        CheckpointKindSpec::User => CheckpointKind::User,
        CheckpointKindSpec::Recovery => CheckpointKind::Recovery,
        CheckpointKindSpec::Replica => CheckpointKind::Replica,
    }
}

fn run(host: &mut Host, vm: Uuid) {
    if let Some(vm) = host.vm_mut(vm) {
        vm.power = Power::Running;
        vm.settings.saved = None;
    }
}

fn write(host: &mut Host, vm: Uuid, writes: &[WriteSpec]) -> Result<(), String> {
    for spec in writes {
        let data = content(spec);
        let done = host.guest_writes(vm, spec.drive, spec.offset, &data);
        done.map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// The bytes of a write: zeros for 0, else noise (Xorshift).
pub(super) fn content(spec: &WriteSpec) -> Vec<u8> {
    let mut state = u64::from(spec.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let byte = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..spec.length).map(byte).collect()
}
