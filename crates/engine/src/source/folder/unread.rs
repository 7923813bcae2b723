//! Disks in formats that this version does not read: told, never passed over in silence.
//!
//! They are known by the endings of their names. What else may lie beside VMs, readmes and logs and
//! installation media, is nobody's disk and not worth a word.

use std::path::Path;

use crate::finding::{Code, Finding, Severity};
use crate::source::folder::machines::Machines;
use crate::source::folder::open::extension;
use crate::source::folder::walk::FoundFile;

const VHD_SET: &str = "a VHD set";

/// Endings, and what a file with one of them is.
const KINDS: [(&[&str], &str); 7] = [
    (&["vmdk"], "a VMware disk"),
    (&["vdi"], "a VirtualBox disk"),
    (&["qcow2", "qcow", "qed"], "a QEMU disk"),
    (&["hds", "hdd"], "a Parallels disk"),
    (&["vhds", "avhds"], VHD_SET),
    (&["ova"], "a virtual appliance"),
    (&["e01", "ex01"], "an EnCase image"),
];

fn kind(path: &Path) -> Option<&'static str> {
    let ending = extension(path)?;
    let mut kinds = KINDS.iter();
    kinds
        .find(|(endings, _)| endings.contains(&ending.as_str()))
        .map(|(_, kind)| *kind)
}

/// Why a file that a configuration names as a disk is not backed up, although it is there.
pub(crate) fn why(path: &Path) -> String {
    match kind(path) {
        Some(kind) => format!("it is {kind}, which this version does not read"),
        None => "its name does not end like that of a disk that this version reads".to_owned(),
    }
}

/// What to do about it.
pub(crate) fn hint(path: &Path) -> &'static str {
    match kind(path) {
        Some(VHD_SET) => "back up what is on it inside a guest that uses it",
        Some(_) => "convert it to VHDX and back that up, or save the file in another way",
        None => "rename it if it is a VHDX, a VHD or raw; else save it in another way",
    }
}

/// Tells of disks among `files` that no VM has. Those that one has are told with it.
pub(crate) fn strays(files: &[FoundFile], machines: &Machines) -> impl Iterator<Item = Finding> {
    files.iter().filter_map(|file| {
        let kind = kind(&file.path).filter(|_| !machines.names(file))?;
        let finding = Finding::new(
            Code::NotCovered,
            Severity::Warning,
            file.path.display().to_string(),
            format!("is {kind}, which this version does not read, and is not backed up"),
        );
        Some(finding.hint(hint(&file.path)))
    })
}

/// Tells of one that was given by itself: its file is saved, which is not the disk.
pub(crate) fn given(path: &Path) -> Option<Finding> {
    let kind = kind(path)?;
    let finding = Finding::new(
        Code::NotCovered,
        Severity::Warning,
        path.display().to_string(),
        format!(
            "is {kind}, which this version does not read: saved is the file, not the disk in it"
        ),
    );
    Some(finding.hint("restore it in its own format, for the program that it is of"))
}
