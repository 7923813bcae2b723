//! What a guest state file (`.vmgs`) says about itself, told beside its bytes, which are saved as
//! they are whatever it is.
//!
//! Whoever restores a VM wants to know what goes with this file: a virtual TPM whose state is in it
//! opens only with the guardian's keys, and what is encrypted only for who has that key. Firmware
//! variables alone are in every such file and are not worth a word.

use vmconfig::vmgs::{self, Error, Vmgs};

use crate::finding::{Code, Finding};
use crate::source::folder::machines::ConfigFile;

/// What there is to say about the file at `path`; `None` when it is sound and holds no secrets.
///
/// Always a note: nothing here makes a backup less than it is.
pub(crate) fn describe(path: &str, file: &impl disk::ReadAt) -> Option<Finding> {
    let told = match vmgs::read(&ConfigFile(file)) {
        Ok(found) => contents(&found)?,
        Err(Error::Io(error)) => format!("the guest state cannot be looked into: {error}"),
        Err(error) => format!(
            "the guest state cannot be understood ({error}); its bytes are saved as they are"
        ),
    };
    Some(Finding::note(Code::GuestState, path, told))
}

fn contents(found: &Vmgs) -> Option<String> {
    let mut told = Vec::new();
    if found.encrypted {
        told.push("is encrypted: a restored VM needs the same key");
    }
    match (found.tpm_state, found.key_protector) {
        (Some(true), Some(true)) => told.push("holds virtual TPM state and its key protector"),
        (Some(true), _) => told.push("holds virtual TPM state"),
        (_, Some(true)) => told.push("holds a key protector"),
        (Some(false), Some(false)) => {}
        _ => told.push("has no readable file table: what it holds cannot be told"),
    }
    if !found.vhd_footer {
        told.push("lacks the footer at its end: it may have been cut short");
    }
    (!told.is_empty()).then(|| format!("the guest state {}", told.join("; it ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Severity;

    fn told(file: Vec<u8>) -> Option<String> {
        let finding = describe("vm.vmgs", &file)?;
        assert_eq!(finding.object, "vm.vmgs");
        assert_eq!(
            (finding.code, finding.severity),
            (Code::GuestState, Severity::Info)
        );
        Some(finding.message)
    }

    #[test]
    fn what_a_restore_needs_to_know_is_told_and_nothing_else() {
        assert_eq!(told(testkit::vm::vmgs(false)), None);
        assert_eq!(
            told(testkit::vm::vmgs(true)).unwrap(),
            "the guest state holds virtual TPM state and its key protector"
        );
        let mut cut = testkit::vm::vmgs(true);
        cut.truncate(8192);
        assert_eq!(
            told(cut).unwrap(),
            "the guest state has no readable file table: what it holds cannot be told; it lacks \
             the footer at its end: it may have been cut short"
        );
        let unknown = told(vec![0; 9000]).unwrap();
        assert!(unknown.contains("neither header"), "{unknown}");
        assert!(unknown.ends_with("its bytes are saved as they are"));
    }

    #[test]
    fn encryption_is_told() {
        let found = Vmgs {
            version: 0x0003_0000,
            encrypted: true,
            tpm_state: Some(false),
            key_protector: Some(false),
            vhd_footer: true,
        };
        assert_eq!(
            contents(&found).unwrap(),
            "the guest state is encrypted: a restored VM needs the same key"
        );
    }
}
