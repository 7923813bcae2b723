//! What was found on a host, as findings of a backup.

use hyperv::inventory;
use hyperv::preflight::{self, Weight};

use crate::finding::{Code, Finding, Severity};
use crate::source::VmRef;

/// What preflight found. What no backup has is partial; all else is worth knowing.
pub(super) fn preflight(found: &[preflight::Finding], vm: &VmRef) -> Vec<Finding> {
    let tell = |finding: &preflight::Finding| {
        let message = finding.to_string();
        if finding.weight() == Weight::NotCovered {
            let hint = finding.hint().unwrap_or("back it up inside the guest");
            return Finding::new(
                Code::NotCovered,
                Severity::Partial,
                vm.name.clone(),
                message,
            )
            .hint(hint);
        }
        let note = Finding::note(Code::HostNote, vm.name.clone(), message);
        match finding.hint() {
            Some(hint) => note.hint(hint),
            None => note,
        }
    };
    found.iter().map(tell).collect()
}

/// That a guest was not asked to settle though that was wanted, instead of the mere notes of why.
pub(super) fn unasked(found: &mut Vec<Finding>, why: &[preflight::Finding], vm: &VmRef) {
    let reasons: Vec<String> = why.iter().map(ToString::to_string).collect();
    if reasons.is_empty() {
        return;
    }
    found.retain(|known| known.code != Code::HostNote || !reasons.contains(&known.message));
    let hint = why.iter().find_map(|finding| finding.hint());
    let hint = hint.unwrap_or("see to the guest's backup service");
    found.push(
        Finding::new(
            Code::LessConsistent,
            Severity::Warning,
            vm.name.clone(),
            format!(
                "the guest was not asked to settle, and the disks are as after a power cut: {}",
                reasons.join("; ")
            ),
        )
        .hint(format!(
            "{hint}; where no guest can do better, --consistency crash says that it will do"
        )),
    );
}

/// What was odd about a host's answers, with what that means for backups of its VMs.
pub fn inventory(found: &[inventory::Finding], object: Option<&str>) -> Vec<Finding> {
    let object = object.unwrap_or("the host");
    let tell = |finding: &inventory::Finding| {
        use inventory::Finding as F;
        let (severity, hint) = match finding {
            F::NoMachines => (
                Severity::Warning,
                "see to the account's groups: `hyperkeep doctor HOST --set-up ACCOUNT` tells how",
            ),
            F::UnknownRole { .. } => (
                Severity::Warning,
                "compare the cluster's VMs with those that were backed up: one that no node tells of \
                 is not missed, and one that moves is not followed",
            ),
            F::DuplicateMachine { .. } => (
                Severity::Partial,
                "only one of the two is backed up: import the other one again with a new id",
            ),
            F::NoMachine { .. } | F::StrayDisk { .. } | F::More { .. } => (
                Severity::Partial,
                "what there is may be more than what was backed up: run it again, and if it stays \
                 so, see what the account may see on the host",
            ),
            _ => return Finding::note(Code::HostNote, object, finding.to_string()),
        };
        let code = match severity {
            Severity::Partial => Code::NotCovered,
            _ => Code::HostNote,
        };
        Finding::new(code, severity, object, finding.to_string()).hint(hint)
    };
    found.iter().map(tell).collect()
}

/// The same of what a restore point is made of: what was not told or understood is not in it.
pub(super) fn saved(found: &[inventory::Finding], object: &str) -> Vec<Finding> {
    let tell = |finding: &inventory::Finding| {
        use inventory::Finding as F;
        match finding {
            F::NotTold { .. }
            | F::Unreadable { .. }
            | F::NoSettings
            | F::NoDevices { .. }
            | F::TooManyDrives => vec![
                Finding::new(
                    Code::NotCovered,
                    Severity::Partial,
                    object,
                    finding.to_string(),
                )
                .hint(
                    "the restore point has all else; run the backup again, and if it stays so, see \
                     to the VM's settings and to what the account may see on the host",
                ),
            ],
            other => inventory(std::slice::from_ref(other), Some(object)),
        }
    };
    found.iter().flat_map(tell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_was_not_asked_is_a_warning_in_place_of_a_note() {
        let id = uuid::Uuid::from_u128(1);
        let vm = VmRef {
            key: "a".to_owned(),
            id,
            name: "a".to_owned(),
            kind: Default::default(),
        };
        let why = [preflight::Finding::BackupServiceOff];
        let all = [why[0].clone(), preflight::Finding::GuestUnknown];
        let mut found = preflight(&all, &vm);
        unasked(&mut found, &[], &vm);
        assert_eq!(found.len(), 2);
        unasked(&mut found, &why, &vm);
        let told: Vec<_> = found.iter().map(|one| (one.code, one.severity)).collect();
        let note = (Code::HostNote, Severity::Info);
        assert_eq!(told, [note, (Code::LessConsistent, Severity::Warning)]);
        assert!(found[1].message.contains(&why[0].to_string()));
    }

    #[test]
    fn what_is_missing_makes_a_restore_point_partial_and_what_is_odd_does_not() {
        let not_told = inventory::Finding::NotTold {
            what: "the key protector of the virtual TPM".to_owned(),
            why: "no".to_owned(),
        };
        let left_out = inventory::Finding::LeftOut {
            checkpoint: "C".to_owned(),
            why: "it is none that people made".to_owned(),
        };
        let drive = inventory::Finding::UnplacedDrive {
            drive: "D".to_owned(),
        };
        let more = inventory::Finding::More { count: 3 };
        let all = [
            not_told,
            left_out,
            drive,
            more,
            inventory::Finding::NoMachines,
        ];
        let severities = |found: &[Finding]| -> Vec<Severity> {
            found.iter().map(|finding| finding.severity).collect()
        };
        use Severity::{Info, Partial, Warning};
        assert_eq!(
            severities(&saved(&all, "vm")),
            [Partial, Info, Info, Partial, Warning]
        );
        // Of the host as a whole, what it does not tell need not be anything that is saved.
        assert_eq!(
            severities(&inventory(&all, None)),
            [Info, Info, Info, Partial, Warning]
        );
    }
}
