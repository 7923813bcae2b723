//! What to do about an error.
//!
//! What happened is in an error's text; what somebody can do about it is here, by its kind.

use cim::job::JobFailure;
use cim::wsman::FaultKind;
use cim::{CimError, CimProblem, Hresult, TransportProblem};

use crate::checkpoint::CheckpointError;
use crate::control::{ChangeError, NotDone};
use crate::files::{FileError, FileProblem};
use crate::frozen::FreezeError;
use crate::journal::JournalError;
use crate::memory::ExportError;
use crate::replication::SuspendError;

/// An error that says what to do about it.
pub trait Hint {
    /// What to do about it.
    fn hint(&self) -> &'static str;
}

const RIGHTS: &str =
    "see that the account is in Hyper-V Administrators or Administrators on the host";
const AGAIN: &str = "run it again";
const JOURNAL: &str = "the journal keeps it: the next run looks at the host and puts it right";
const EVENTS: &str = "see the host's event log Microsoft-Windows-Hyper-V-VMMS-Admin";
const REACH: &str = "see that the host is up and reached by WinRM: winrm quickconfig";

impl Hint for CimError {
    fn hint(&self) -> &'static str {
        match &*self.problem {
            CimProblem::Fault(fault) => match fault.kind() {
                FaultKind::AccessDenied => RIGHTS,
                FaultKind::NotFound => {
                    "it is gone, or on another node of the cluster: run it again"
                }
                FaultKind::NoClass => "the host's version does not have it",
                FaultKind::NoNamespace => "see that Hyper-V is installed on the host",
                FaultKind::TimedOut
                | FaultKind::ContextLost
                | FaultKind::Quota
                | FaultKind::Unavailable => {
                    "the host is busy or its service restarts: run it again"
                }
                FaultKind::TooLarge => "raise MaxEnvelopeSizekb of WinRM on the host",
                _ => EVENTS,
            },
            CimProblem::Transport(error) => match &error.problem {
                TransportProblem::Certificate { .. } => {
                    "compare the fingerprint with the host's own, and pin it"
                }
                TransportProblem::Unauthorized { .. } | TransportProblem::Security(_) => {
                    "see the account's name, its password, and the ways to log on that WinRM allows"
                }
                _ => REACH,
            },
            CimProblem::Reply(_) | CimProblem::Property(_) | CimProblem::Enumeration(_) => {
                "run it again; if it stays so, report it with the host's version"
            }
            _ => "report it with the host's version",
        }
    }
}

impl Hint for JobFailure {
    fn hint(&self) -> &'static str {
        match self.code {
            Some(Hresult(0x8007_052f | 0x8007_0569)) => {
                "give NT VIRTUAL MACHINE\\Virtual Machines the right to log on as a service: a \
                 group policy may have taken it"
            }
            Some(Hresult(0x8007_0005)) => {
                "give NT VIRTUAL MACHINE\\<VM id> full control of the VM's folder"
            }
            Some(Hresult(0x8007_0020)) => {
                "another program has the VM's files open: exclude them from virus scanners"
            }
            Some(Hresult(0x8007_0070)) => "make room on the host's volume",
            Some(Hresult(0x8004_23f0..=0x8004_23ff)) => {
                "see the guest's event log: one of its writers does not settle"
            }
            _ => EVENTS,
        }
    }
}

impl Hint for NotDone {
    fn hint(&self) -> &'static str {
        match self {
            Self::Refused(32769) => RIGHTS,
            Self::Refused(1 | 32770) => "the host's version, or the VM's, cannot do this",
            Self::Refused(32771 | 32774 | 32775 | 32777) => {
                "something else is at work on the VM: run it again later"
            }
            Self::Refused(32778) => "the host has no memory left",
            Self::Refused(_) => EVENTS,
            Self::Failed(failure) => failure.hint(),
            Self::Cancelled(_) => AGAIN,
            Self::NotCalled(error) => error.hint(),
        }
    }
}

impl Hint for JournalError {
    fn hint(&self) -> &'static str {
        "see that the journal's folder is there, can be written, and has room"
    }
}

impl Hint for ChangeError {
    fn hint(&self) -> &'static str {
        match self {
            Self::Journal(error) => error.hint(),
            Self::NotDone { why, .. } => why.hint(),
            Self::Unknown { .. } => JOURNAL,
        }
    }
}

impl Hint for CheckpointError {
    fn hint(&self) -> &'static str {
        match self {
            Self::Host(error) => error.hint(),
            Self::Change(error) => error.hint(),
            Self::Occupied(_) => {
                "wait for the other backup; if there is none, remove the checkpoint on the host: \
                 Get-VMSnapshot -SnapshotType Recovery | Remove-VMSnapshot"
            }
            Self::Busy(_) | Self::Conflict(_) => "wait until the host is done with the VM",
            Self::NoService { .. } => "see that Hyper-V's service (vmms) runs on the host",
            Self::Unwritable(_) => "report it with the host's version",
            Self::StillThere(_) => JOURNAL,
            Self::NoReferencePoint(_) => "the next backup reads in full; nothing needs to be done",
        }
    }
}

impl Hint for ExportError {
    fn hint(&self) -> &'static str {
        match self {
            Self::Host(error) => error.hint(),
            Self::Change(error) => error.hint(),
            Self::File(error) => error.hint(),
            Self::NotRunning => "back it up without exporting its memory",
            Self::BadFolder(_) => "name a folder of the host as the host spells it: D:\\Staging",
            Self::Exists(_) => "see whose it is, and remove it on the host",
            Self::SizeUnknown(_) | Self::RoomUnknown(_) => {
                "name a staging folder on a volume of the host's own, or leave the memory out"
            }
            Self::NoRoom { .. } => {
                "memory needs room for a whole copy of the VM: make room, name a staging folder on \
                 another volume, or leave the memory out"
            }
            Self::Ended(_) => {
                "make room on the host's volume, name a staging folder on another one, or lower the \
                 floor"
            }
            Self::SameName(_) => "leave the memory out, or rename one of the files",
            Self::Changed | Self::NoMemory => AGAIN,
            Self::Unwritable(_) => "report it with the host's version",
            Self::StillThere(_) | Self::Elsewhere { .. } => JOURNAL,
        }
    }
}

impl Hint for SuspendError {
    fn hint(&self) -> &'static str {
        match self {
            Self::Host(error) => error.hint(),
            Self::Change(error) => error.hint(),
            Self::NotReplicated => "leave its replication alone: it has none",
            Self::NotGoingOn { .. } => "see to the VM's replication on the host",
            Self::Unchanged(_) => JOURNAL,
            Self::Unwritable(_) => "report it with the host's version",
        }
    }
}

impl Hint for FreezeError {
    fn hint(&self) -> &'static str {
        match self {
            Self::Checkpoint(error) => error.hint(),
            Self::Host(error) => error.hint(),
            Self::DisksUnknown(_) | Self::NotConsistent(_) => AGAIN,
        }
    }
}

impl Hint for FileError {
    fn hint(&self) -> &'static str {
        match &self.problem {
            FileProblem::Unmapped | FileProblem::Escapes => {
                "map its folder, as in C:\\ClusterStorage=/mnt/csv"
            }
            FileProblem::NotFound => "see that the mapped folder is mounted, and the right one",
            FileProblem::Not(_) | FileProblem::Ambiguous(_) | FileProblem::TooMany(_) => {
                "see to the folder on the host"
            }
            FileProblem::Changed { .. }
            | FileProblem::Rewritten
            | FileProblem::MayBeMerged
            | FileProblem::Unwatched(_) => {
                "see that nothing but Hyper-V writes to the VM's files, and run it again"
            }
            FileProblem::NotFrozen => {
                "stop the VMs that use it while it is backed up, or back it up inside a guest"
            }
            FileProblem::NotSavedAnyMore => {
                "back up again: what the VM has in memory now is only in a backup with --memory"
            }
            FileProblem::InUse(_) => "exclude the VM's files from virus scanners",
            FileProblem::Denied(_) => "give the account the right to read the VM's files",
            FileProblem::Replaced(_) => "back up again: the file is read from its beginning then",
            FileProblem::Refused(_) => "see to the account, and to the server's settings for SMB",
            FileProblem::Io(_) => "see to the share and its server, or the disk that it is on",
        }
    }
}
