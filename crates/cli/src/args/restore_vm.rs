//! `restore vm`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};

use crate::address::PointAddress;
use crate::args::HostArgs;

/// `restore vm`
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("target").required(true).args(["host", "description"])))]
#[command(group(ArgGroup::new("what").args(["plan", "script", "yes"])))]
#[command(after_help = "\
Unless you say otherwise the VM becomes a copy that harms nothing: beside what is there, with a new
id and new addresses, connected to no switch, and off. With --replace it takes the place of the VM
of its id, on the switches and with the addresses that it had. Disks are written to folders in which
no VM has anything, also then; the VM that is replaced is turned off and taken off the host when they
are, and its disks stay. Until `restore confirm --vm` or `restore undo --vm` what is needed to bring it
back is kept, and `restore kept` lists that.

With --in-place the VM that is there stays, and its disks become what the restore point holds: it is
turned off, what differs is written into its disk files, and with --start it is started. What was there
is kept beside the files until `restore confirm --vm` or `restore undo --vm`. Its next backup reads
everything. Killed at any moment, the same command finishes it; do not start the VM before. --plan tells
what differs if the VM is off and its folders are mapped.

Disks and configuration are written through folders of the host that are mounted here (--map); then
the host makes a VM of them, and it is compared with the plan. What was written is removed again if
there is no VM in the end. You see the plan first and are asked, or say --yes.

The plan tells what is made, stopped, renamed and connected, and everything that is in the
way. It needs no host: a description of one will do, which `hyperkeep vms HOST --describe FILE`
writes.

Examples:
  hyperkeep --vault /srv/vault restore vm 'web server@latest' --host winrm://backup@hv01 --plan
  hyperkeep --vault /srv/vault restore vm 'web server@latest' --host winrm://backup@hv01 \\
      --map 'D:\\VMs=/mnt/hv01-vms' --name 'web test' --start
  hyperkeep --vault /srv/vault restore vm 5f3a9c --description hv02.json --plan --json \\
      --name 'web test' --switch LAN='Test LAN' --switch Backup=
  hyperkeep --vault /srv/vault restore vm 5f3a9c --host hv01 --in-place --start
  hyperkeep --vault /srv/vault restore vm 5f3a9c --host hv01 --plan --replace
  hyperkeep --vault /srv/vault restore vm 5f3a9c --description hv02.json --script > make-web.ps1")]
pub(crate) struct VmArgs {
    /// The restore point: the beginning of its id, VM@latest, or VM@TIME
    #[arg(value_name = "POINT")]
    pub(crate) point: PointAddress,

    /// The host: `winrm://USER@HOST[:PORT]`, `winrm+http://…`, or the name of a host in --hosts
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,

    /// The description of a host that `vms --describe` wrote: only a plan or a script is made for it
    #[arg(long, value_name = "FILE")]
    pub(crate) description: Option<PathBuf>,

    /// Tell what would be done and what is in the way, and do nothing
    #[arg(long)]
    pub(crate) plan: bool,

    /// Print a PowerShell script instead that makes the VM anew on the host from restored disks: read
    /// it, and run it there
    #[arg(long, conflicts_with_all = ["replace", "keep_id"])]
    pub(crate) script: bool,

    /// Carry the plan out without asking; without it you are asked on the terminal
    #[arg(long)]
    pub(crate) yes: bool,

    #[command(flatten)]
    pub(crate) wanted: VmWantedArgs,

    #[command(flatten)]
    pub(crate) reach: HostArgs,
}

/// What the VM shall be.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "What the VM shall be")]
pub(crate) struct VmWantedArgs {
    /// Bring the disks of the VM of its id back where they are, at the cost of what differs, and change
    /// nothing else of it
    #[arg(long, conflicts_with_all = [
        "replace", "keep_id", "name", "folder", "disk_folder", "checkpoint_folder", "switch", "keep_mac",
        "saved_state", "flatten", "define", "remove_checkpoints", "script",
    ])]
    pub(crate) in_place: bool,

    /// In place of the VM of its id, which is taken off the host when all disks are written; that one's
    /// disks stay
    #[arg(long)]
    pub(crate) replace: bool,

    /// With the id of the VM that was backed up, not a new one
    #[arg(long)]
    pub(crate) keep_id: bool,

    /// Under this name
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// In this folder of the host (default: one of its name below the host's own for VMs)
    #[arg(long, value_name = "PATH")]
    pub(crate) folder: Option<String>,

    /// The files of a disk in this folder of the host, as 'SCSI 0:1=E:\Fast'; may be given several
    /// times (default: Virtual Hard Disks below the VM's folder)
    #[arg(long, value_name = "PLACE=PATH")]
    pub(crate) disk_folder: Vec<String>,

    /// Its checkpoints in this folder of the host
    #[arg(long, value_name = "PATH")]
    pub(crate) checkpoint_folder: Option<String>,

    /// `same`: on switches of the same name, or else id; `none`: on none; OLD=NEW: on another one, or
    /// with OLD= on none, and others as `same`; may be given several times (default: none, and with
    /// --replace the same)
    #[arg(long, value_name = "same|none|OLD=NEW")]
    pub(crate) switch: Vec<String>,

    /// With the addresses that its adapters had, as with --replace
    #[arg(long)]
    pub(crate) keep_mac: bool,

    /// What becomes of saved memory, its checkpoints' too
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    pub(crate) saved_state: SavedStateArg,

    /// Without checkpoints, one file for each disk
    #[arg(long)]
    pub(crate) flatten: bool,

    /// Made anew from what is known of it, and not by its configuration
    #[arg(long)]
    pub(crate) define: bool,

    /// Start it in the end
    #[arg(long)]
    pub(crate) start: bool,

    /// The VM that is replaced may have checkpoints, which go with it; they come back with `restore undo`
    #[arg(long, requires = "replace")]
    pub(crate) remove_checkpoints: bool,

    /// With --replace or --in-place: the VM that is there may be replicated, and its replication is removed
    /// on its host before anything else is done; `restore undo` does not bring it back
    #[arg(long)]
    pub(crate) remove_replication: bool,
}

/// What becomes of saved memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum SavedStateArg {
    /// Kept on the host that it was made on; that of checkpoints is kept everywhere
    #[default]
    Auto,
    /// Kept
    Keep,
    /// Dropped, with that of checkpoints: the VM starts as after a power cut
    Discard,
}
