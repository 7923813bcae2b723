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

/// What was odd about the host's answers.
pub(super) fn inventory(found: &[inventory::Finding], object: Option<&str>) -> Vec<Finding> {
    let object = object.unwrap_or("the host");
    found
        .iter()
        .map(|finding| Finding::note(Code::HostNote, object, finding.to_string()))
        .collect()
}
