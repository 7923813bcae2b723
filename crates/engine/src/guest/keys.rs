//! What is told of keys for encrypted volumes.

use guestfs::Error;
use guestfs::volumes::{Keys, Volume};

use crate::finding::{Code, Finding, Severity};

/// Of a volume that is not there.
const NOWHERE: &str = "a key was given for it, and there is no such volume";

/// What to do about a volume that is shut, if that is why it is not read.
pub fn hint(volume: &str, error: &Error) -> Option<String> {
    let what = match error {
        Error::Locked { .. } => "give what opens it",
        Error::WrongKey(_) => "give another key",
        _ => return None,
    };
    Some(format!("{what}: --volume-key {volume}=FILE"))
}

/// Whether a finding is of a key for a volume that is not there.
pub(super) fn is_nowhere(finding: &Finding) -> bool {
    finding.message == NOWHERE
}

/// That none of several moments has a volume for which a key was given.
pub(super) fn nowhere(volume: &str) -> Finding {
    Finding::new(Code::GuestVolumes, Severity::Partial, volume, NOWHERE)
        .hint("`hyperkeep ls POINT:/` lists the volumes")
}

/// Keys that have not opened what they were given for.
pub(super) fn told(volumes: &[Volume], keys: &Keys) -> Vec<Finding> {
    let told = |name: &str| {
        let partial = |why: String, hint: String| {
            Finding::new(Code::GuestVolumes, Severity::Partial, name, why).hint(hint)
        };
        let Some(volume) = volumes.iter().find(|volume| volume.name == name) else {
            return Some(nowhere(name));
        };
        if let Some(error) = volume.refused() {
            let hint = hint(name, error);
            let hint =
                hint.unwrap_or_else(|| "restore the disk, and unlock it in the guest".into());
            return Some(partial(error.to_string(), hint));
        }
        let why = "a key was given for it, and it is not encrypted";
        let needless = volume.encrypted.is_none();
        needless.then(|| Finding::note(Code::GuestVolumes, name, why))
    };
    keys.volumes().filter_map(told).collect()
}
