//! `restore`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use engine::restore::WindowsFolder;

use crate::address::PointAddress;
use crate::args::{FilesArgs, HostArgs, VmArgs, VolumeKeyArgs};

/// `restore …`
#[derive(Debug, Subcommand)]
pub(crate) enum RestoreCommand {
    /// Restore disks as files
    Disks(DisksArgs),
    /// Keep what a restore made of disks or of a VM, and give up what was there before
    Confirm(Box<KeptArgs>),
    /// Put disks, or a VM, back to what they were before a restore
    Undo(Box<UndoArgs>),
    /// List the restores of VMs that can be confirmed or undone
    Kept(KeptListArgs),
    /// Restore files and folders of the guest, out of any checkpoint
    Files(FilesArgs),
    /// Restore everything in the folder layout that Hyper-V's import accepts
    Folder(Box<FolderArgs>),
    /// Restore a VM to a Hyper-V host: tell first what that comes to
    Vm(Box<VmArgs>),
}

/// `restore disks`
#[derive(Debug, Args)]
#[command(after_help = "\
Every layer becomes a file of its own, and chains of checkpoints stay chains, unless --flatten or
another --format asks for one file a disk. A file appears under its name only when all of it is
there and on the medium. Nothing is overwritten unless --overwrite says so, and then in one step by
the whole new file: whatever fails before, the old one stays. A restore that was killed or stopped
goes on where it was when the same command is given again. Nothing is begun for which the target has
no room.

With --in-place the disks that are in DIR are changed to what the restore point holds, at the cost of
what differs. Their VM must be off. All of a disk file that is overwritten is kept in a file beside it,
until `restore confirm` gives it up or `restore undo` puts it back. Killed at any moment, the same
command finishes it and `restore undo` puts it back; do not start the VM before one of both. A disk on
which a checkpoint made since stands is refused, and then none is changed.

Examples:
  hyperkeep --vault /srv/vault restore disks 'web server@latest' --to /srv/restored
  hyperkeep --vault /srv/vault restore disks 5f3a9c --to . --flatten --format raw
  hyperkeep --vault /srv/vault restore disks 5f3a9c --to . --checkpoint 'before the update'
  hyperkeep --vault /srv/vault restore disks 5f3a9c --to . --disk data.vhdx --disk logs.vhdx
  hyperkeep --vault /srv/vault restore disks 5f3a9c --to /srv/lab --overwrite older
  hyperkeep --vault /srv/vault restore disks 5f3a9c --to /srv/restored --allow-damaged
  hyperkeep --vault /srv/vault restore disks 5f3a9c --to . --allow-damaged --volume-key d0p3=key.txt
  hyperkeep --vault /srv/vault restore disks 5f3a9c --to /mnt/hv01-e/VMs/web --in-place
  hyperkeep restore undo /mnt/hv01-e/VMs/web")]
pub(crate) struct DisksArgs {
    /// The restore point: the beginning of its id, VM@latest, or VM@TIME
    #[arg(value_name = "POINT")]
    pub(crate) point: PointAddress,

    /// The folder to restore into; it is made if it is missing. With --in-place the one that has the disks
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,

    /// Change the disks that are there, where they differ, instead of making new files
    #[arg(long, conflicts_with_all = ["format", "flatten", "overwrite"])]
    pub(crate) in_place: bool,

    /// The format of the restored disks (default: that of each disk)
    #[arg(long, value_enum)]
    pub(crate) format: Option<DiskFormatArg>,

    /// One file for each disk, without checkpoints
    #[arg(long)]
    pub(crate) flatten: bool,

    /// The disks as they were at this checkpoint
    #[arg(long, value_name = "NAME|ID")]
    pub(crate) checkpoint: Option<String>,

    /// Only disks with this name or path in the point; may be repeated
    #[arg(long, value_name = "DISK")]
    pub(crate) disk: Vec<String>,

    /// What happens to a file that is where a disk is to go (default: ask on a terminal, else never)
    #[arg(long, value_enum, value_name = "WHEN")]
    pub(crate) overwrite: Option<OverwriteArg>,

    /// Restore disks of which something is lost in the vault all the same: what cannot be read is zeros,
    /// the outcome is partial, and DISK.damage.json beside each such disk says where, and which files of
    /// the guest are affected; those of an encrypted volume with its --volume-key
    #[arg(long, conflicts_with = "in_place")]
    pub(crate) allow_damaged: bool,

    #[command(flatten)]
    pub(crate) keys: VolumeKeyArgs,

    /// Write nothing: read all of it from the vault, and tell what would be written
    #[arg(long)]
    pub(crate) simulate: bool,
}

/// `restore undo`
#[derive(Debug, Args)]
pub(crate) struct UndoArgs {
    #[command(flatten)]
    pub(crate) kept: KeptArgs,

    /// No host has the VM that was restored any more: bring back what it replaced all the same
    #[arg(long, requires = "vm")]
    pub(crate) gone: bool,
}

/// `restore confirm`, and most of `restore undo`
#[derive(Debug, Args)]
#[command(after_help = "\
What a disk was before it was changed in place is in a file beside it, whose name ends in
.hyperkeep-undo. `restore undo` puts it back to the byte, even where a kill left the disk half changed.
It is refused for a disk that was written to since, as by its VM: the two would be mixed.
`restore confirm` removes the file, and is refused where the change did not come to its end.

Of a VM that `restore vm --replace` took off its host, the configuration is put aside there. With --vm
and --host `restore undo` takes the restored VM off and brings that one back; the restored one must be
off, and its files stay. `restore confirm` removes what was put aside; the old disks stay. Of a VM whose
disks `restore vm --in-place` brought back, both do with its disks as above, and need --map.

Examples:
  hyperkeep restore confirm /mnt/hv01-e/VMs/web
  hyperkeep restore undo /mnt/hv01-e/VMs/web/data.vhdx
  hyperkeep --vault /srv/vault restore undo --vm 'web server' --host winrm://backup@hv01")]
pub(crate) struct KeptArgs {
    /// A disk file, or a folder for all disks in it of which something is kept
    #[arg(value_name = "DISK|DIR", required_unless_present = "vm")]
    pub(crate) paths: Vec<PathBuf>,

    /// A VM that was restored: the beginning of the id that its restore told, or its name
    #[arg(
        long,
        value_name = "ID|NAME",
        requires = "host",
        conflicts_with = "paths"
    )]
    pub(crate) vm: Option<String>,

    /// The host of that VM: `winrm://USER@HOST[:PORT]`, `winrm+http://…`, or the name of a host in --hosts
    #[arg(long, value_name = "HOST", requires = "vm")]
    pub(crate) host: Option<String>,

    #[command(flatten)]
    pub(crate) reach: HostArgs,
}

/// `restore kept`
#[derive(Debug, Args)]
#[command(after_help = "\
No host is asked, and no vault is opened.

Examples:
  hyperkeep restore kept
  hyperkeep restore kept --json")]
pub(crate) struct KeptListArgs {
    /// Where this installation keeps its id and the journals of what it does to hosts
    #[arg(
        long,
        value_name = "DIR",
        env = "HYPERKEEP_STATE",
        hide_env_values = true
    )]
    pub(crate) state: Option<PathBuf>,
}

/// What happens to a file that is where a disk is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OverwriteArg {
    /// It stays, and the disk is not restored
    Never,
    /// It stays, and the disk is restored beside it under a free name
    Rename,
    /// It is replaced if it was last written to before the restore point was made
    Older,
    /// You are asked, file by file, before anything is written
    Ask,
    /// It is replaced
    Always,
}

/// A format to restore into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DiskFormatArg {
    /// VHDX; a fixed one stays fixed
    Vhdx,
    /// VHDX with all of the disk allocated
    VhdxFixed,
    /// VHD, up to 2040 GiB; a fixed one stays fixed
    Vhd,
    /// VHD with all of the disk allocated, up to 2040 GiB
    VhdFixed,
    /// The disk's bytes, sparse where the file system can
    Raw,
    /// QCOW2 of version 3, for QEMU and what is built on it
    Qcow2,
}

/// `restore folder`
#[derive(Debug, Args)]
#[command(after_help = "\
DIR, which must be empty or not there, gets the folders Virtual Machines, Snapshots and Virtual
Hard Disks as Hyper-V exports them: import it with Import-VM or the Hyper-V Manager. No host is
needed to restore it.

A VM's configuration names its disks by their full paths. With --windows-path those are the paths
that the restored disks will have. Without it (but on Windows) they are the ones that the disks had
when they were backed up; the restore says so in a note. Whether an import then prefers the disks
at those paths is not known: on a host that still has the original, import only what was restored
with --windows-path, or the restored VM may get the original's disks.

Examples:
  hyperkeep --vault /srv/vault restore folder 'web server@latest' --to /srv/restored
  hyperkeep --vault /srv/vault restore folder 'web server@latest' --to /mnt/hv01-e/Restored/web \\
      --windows-path 'E:\\Restored\\web' --compare winrm://backup@hv01")]
pub(crate) struct FolderArgs {
    /// The restore point: the beginning of its id, VM@latest, or VM@TIME
    #[arg(value_name = "POINT")]
    pub(crate) point: PointAddress,

    /// The folder to restore into, empty or missing: a VM is never mixed with what is there
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,

    /// Where DIR will lie when Hyper-V imports it, as a full path of that host: `E:\Restored\VM` or
    /// `\\server\share\VM`, in quotes so that the shell keeps its backslashes. Configurations then
    /// name the disks there (default: on Windows DIR; elsewhere they keep the paths that they had)
    #[arg(long, value_name = "PATH")]
    pub(crate) windows_path: Option<WindowsFolder>,

    /// The host that will import it: tell first what it is set to otherwise than the point's host was,
    /// such as switches that it does not have. Nothing is changed there
    #[arg(long, value_name = "HOST")]
    pub(crate) compare: Option<String>,

    #[command(flatten)]
    pub(crate) reach: HostArgs,
}
