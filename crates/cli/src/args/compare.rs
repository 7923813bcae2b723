//! `diff` and `verify`.

use clap::Args;

use crate::address::PointAddress;
use crate::args::VolumeKeyArgs;

/// `diff`
#[derive(Debug, Args)]
#[command(after_help = "\
The first POINT is the earlier moment, the second the later one; both are of one VM. Told is what was added,
removed, renamed and changed of the guest's files, and what of it: contents, times, mode… Of the disks only
the tables of files are read, and contents only where the restore points' maps of the disks differ.

--checkpoint may be given twice: the first is of the first POINT, the second of the second one. So one POINT
given twice, with one --checkpoint, tells what changed since that checkpoint.

Examples:
  hyperkeep --vault /srv/vault diff 'web server@2026-11-01' 'web server@latest'
  hyperkeep --vault /srv/vault diff 5f3a9c 77b201 /d0p2/etc
  hyperkeep --vault /srv/vault diff 5f3a9c 5f3a9c --checkpoint 'before the update'")]
pub(crate) struct DiffArgs {
    /// The earlier restore point: the beginning of its id, VM@latest, or VM@TIME
    #[arg(value_name = "POINT")]
    pub(crate) before: PointAddress,

    /// The later one
    #[arg(value_name = "POINT")]
    pub(crate) after: PointAddress,

    /// Only what is in this volume, folder or file
    #[arg(value_name = "VOLUME/PATH")]
    pub(crate) path: Option<String>,

    /// As it was at this checkpoint
    #[arg(long, value_name = "NAME|ID")]
    pub(crate) checkpoint: Vec<String>,

    /// Read and compare the contents of all files
    #[arg(long)]
    pub(crate) thorough: bool,

    #[command(flatten)]
    pub(crate) keys: VolumeKeyArgs,
}

/// `verify`
#[derive(Debug, Args)]
#[command(after_help = "\
Of each volume of the guest, in each restore point of the VM up to the one that is named: whether its file
system was clean, needs its journal replayed, is dirty (in use without one, or in need of its guest's check)
or hibernated, or is damaged; and since which point; also as it was at each checkpoint. What is not proven by
it, and what is encrypted or not read, is named; --volume-key opens what is encrypted. Files are not read,
and neither is most of the disks: `check --read-data` reads all that is stored.

Examples:
  hyperkeep --vault /srv/vault verify 'web server'
  hyperkeep --vault /srv/vault verify 'web server' --volume-key d0p3=passphrase.txt
  hyperkeep --vault /srv/vault verify 5f3a9c --json")]
pub(crate) struct VerifyArgs {
    /// A VM by its name or id, or a restore point: the beginning of its id, VM@latest, or VM@TIME
    #[arg(value_name = "VM|POINT")]
    pub(crate) what: String,

    #[command(flatten)]
    pub(crate) keys: VolumeKeyArgs,
}
