//! `points`, `show` and `ls`.

use std::path::PathBuf;

use clap::Args;

use crate::address::PointAddress;
use crate::args::{HostArgs, VolumeKeyArgs};

/// `points`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hyperkeep --vault /srv/vault points
  hyperkeep --vault /srv/vault points --vm 'web*'
  hyperkeep --vault /srv/vault points --json")]
pub(crate) struct PointsArgs {
    /// Only of VMs whose name or id matches
    #[arg(long, value_name = "PATTERN")]
    pub(crate) vm: Vec<String>,
}

/// `show`
#[derive(Debug, Args)]
#[command(after_help = "\
POINT is the beginning of a restore point's id; or VM@latest; or VM@TIME, the newest point at or
before that time: 2026-11-22 (the whole day), 2026-11-22T18:00 (both UTC), or
2026-11-22T18:00:00+01:00. VM is a name or an id.

Examples:
  hyperkeep --vault /srv/vault show 'web server@latest'
  hyperkeep --vault /srv/vault show 5f3a9c
  hyperkeep --vault /srv/vault show 5f3a9c --volume-key d0p3=passphrase.txt
  hyperkeep --vault /srv/vault show 5f3a9c --compare winrm://backup@hv02")]
pub(crate) struct ShowArgs {
    /// The restore point
    #[arg(value_name = "POINT")]
    pub(crate) point: PointAddress,

    /// Tell what this host is set to otherwise than the point's host was: switches, default paths,
    /// pools, replication. Nothing is changed there
    #[arg(long, value_name = "HOST")]
    pub(crate) compare: Option<String>,

    #[command(flatten)]
    pub(crate) reach: HostArgs,

    #[command(flatten)]
    pub(crate) keys: VolumeKeyArgs,
}

/// `ls`
#[derive(Debug, Args)]
#[command(after_help = "\
A folder is looked at as it is, without a vault and without Hyper-V. Where neither the
configuration nor the disks tell in which order checkpoints were taken, it says so.

Examples:
  hyperkeep ls folder:/srv/exports
  hyperkeep --vault /srv/vault ls 'web server@latest'
  hyperkeep --vault /srv/vault ls '5f3a9c:Virtual Hard Disks'
  hyperkeep --vault /srv/vault ls 5f3a9c:/                  # the guest's volumes
  hyperkeep --vault /srv/vault ls 5f3a9c:/d0p2/Users --checkpoint 'before the update'
  hyperkeep --vault /srv/vault ls 5f3a9c:/vg-root/etc --volume-key d0p3=passphrase.txt")]
pub(crate) struct LsArgs {
    /// `POINT`, `POINT:PATH`, `POINT:/VOLUME/PATH` of the guest, or `folder:DIR`
    #[arg(value_name = "WHAT")]
    pub(crate) what: String,

    /// For `POINT:/…`: as it was at this checkpoint
    #[arg(long, value_name = "NAME|ID")]
    pub(crate) checkpoint: Option<String>,

    /// For `folder:DIR`: a folder in which the parents of its disks are looked for as well. May be
    /// given several times
    #[arg(long, value_name = "DIR")]
    pub(crate) parents: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) keys: VolumeKeyArgs,
}
