//! `backup`.

use std::path::PathBuf;

use clap::{ArgMatches, Args, FromArgMatches, ValueEnum};

use super::given::GivenArgs;
use crate::args::{ClusterArgs, HostArgs};

/// `backup`
#[derive(Debug, Args)]
#[command(after_help = "\
Each VM ends with one of: ok, warning (all data is safe), partial (something is not covered),
failed, skipped, cancelled. One VM's failure does not stop the others; the exit code tells the
worst. A backup that was interrupted is simply run again: what is stored is not stored twice.

Examples:
  hyperkeep backup folder:/srv/exports
  hyperkeep backup folder:/srv/exports --vm 'web*' --exclude '*-test'
  hyperkeep backup winrm://backup@hv01 --exclude '*/swap*.vhdx' --exclude 'replica/*'
  hyperkeep backup folder:/images/db.vhdx --changed-ranges changed.txt
  hyperkeep backup winrm://backup@hv01.example.org --map 'D:\\VMs=/mnt/vms'
  hyperkeep backup winrm://backup@hv01 --vm db --memory --staging 'D:\\Staging'
  hyperkeep backup winrm://backup@hv01 winrm://backup@replica01 --side prefer-replica
  hyperkeep backup winrm://backup@cluster1 --map 'C:\\ClusterStorage=/mnt/csv'
  hyperkeep backup 'winrm://EXAMPLE\\backup@hv01' --pin 4f…2a --map 'C:\\ClusterStorage=/mnt/csv'")]
pub(crate) struct BackupArgs {
    // First of all: the others take what was given away when they are made of it.
    #[command(flatten)]
    pub(crate) given: GivenArgs,

    /// Where the VMs are: `folder:DIR` (exported or copied VMs, disks) or `folder:DISK`; or a
    /// Hyper-V host, `winrm://USER@HOST[:PORT]`, or `winrm+http://` for messages encrypted by NTLM
    /// or Kerberos, or its name in --hosts
    ///
    /// Of several hosts, one VM that is on both sides of a replication is backed up once
    #[arg(value_name = "SOURCE", required = true)]
    pub(crate) source: Vec<String>,

    #[command(flatten)]
    pub(crate) selection: SelectionArgs,

    /// How to reach the data of VMs on a host
    #[arg(long, value_enum, default_value_t = ModeArg::Auto)]
    pub(crate) mode: ModeArg,

    /// How much to read; whatever it is, every restore point is complete
    #[arg(long, value_enum, default_value_t = LevelArg::Auto)]
    pub(crate) level: LevelArg,

    /// For `folder:DISK`: what changed since its last restore point, as lines of `OFFSET LENGTH`
    /// in bytes. A range that is missing is a change that is not saved, unless --audit finds it
    #[arg(long, value_name = "FILE")]
    pub(crate) changed_ranges: Option<PathBuf>,

    /// A folder in which the parents of the source's disks are looked for as well, such as that of the
    /// masters; nothing else in it is backed up. May be given several times
    #[arg(long, value_name = "DIR")]
    pub(crate) parents: Vec<PathBuf>,

    /// How much of what is said to be unchanged is read again and compared, in percent of what
    /// changed (at least 1 MiB of a disk); 0 compares nothing. A difference is a warning, and the
    /// disk is read in full
    #[arg(long, value_name = "PERCENT", default_value_t = 5, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) audit: u8,

    /// Compare as much more of each disk as it takes for all of it to be compared within so many
    /// backups. Each reads at least that share of the disk, however little has changed
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10000))]
    pub(crate) audit_runs: Option<u32>,

    /// How consistent the VMs of a host have to be
    #[arg(long, value_name = "HOW", value_enum, default_value_t)]
    pub(crate) consistency: ConsistencyArg,

    /// What the guests' applications take the backup for
    #[arg(long, value_name = "KIND", value_enum, default_value_t)]
    pub(crate) guest_backup: GuestBackupArg,

    /// Percent of a host's volume, and at least 4 GiB, that have to be free where a VM's disks are;
    /// a backup that finds less is given up, and so is an export of its memory. 0 looks at nothing
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) floor: u8,

    /// Suspend a VM's replication while its checkpoint is taken, and let it go on right after; for
    /// copies that are never idle long enough
    #[arg(long)]
    pub(crate) suspend_replication: bool,

    /// Save VMs that run with their memory: each is exported by its host into --staging, read from
    /// there in full, and the export is removed. That takes room for a whole copy of the VM on the
    /// host; of a VM for which there is none, the restore point has no memory and is partial
    #[arg(long, requires = "staging")]
    pub(crate) memory: bool,

    /// For --memory: a folder that is there on the host, as the host spells it, on a volume of its
    /// own; it has to be reached like the folders of the VMs
    #[arg(long, value_name = "FOLDER", requires = "memory")]
    pub(crate) staging: Option<String>,

    /// How many VMs to back up at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) parallel: u8,

    #[command(flatten)]
    pub(crate) pacing: PacingArgs,

    /// A file that names programs to run here around the backup of each VM: before it, when the VM
    /// holds still, and after it; with time limits and what their exit codes mean
    #[arg(long, value_name = "FILE")]
    pub(crate) hooks: Option<PathBuf>,

    /// Where a VM is backed up that several hosts have, as it is replicated between them
    #[arg(long, value_name = "WHICH", value_enum, default_value_t)]
    pub(crate) side: SideArg,

    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,

    #[command(flatten)]
    pub(crate) host: HostArgs,
}

/// Which side of a replication.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum SideArg {
    /// Where it runs: its guest can take part
    #[default]
    PreferPrimary,
    /// The copy, unless it is behind; as after a power cut
    PreferReplica,
}

/// How much is done at once with a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub(crate) struct PacingArgs {
    /// How many disks of a host to read at once, of all VMs together; fewer while the host is slow to
    /// answer [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) disks_per_host: Option<u8>,

    /// How many of them on one volume of the host, or of its cluster [default: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) disks_per_volume: Option<u8>,

    /// Seconds between the ends of two checkpoints on one volume of a host: the host merges after each
    /// [default: 5]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u16).range(0..=3600))]
    pub(crate) stagger: Option<u16>,

    /// Give a VM's backup up when somebody starts the VM meanwhile, or the host waits to start it; its
    /// turn comes again
    #[arg(long)]
    pub(crate) release_on_start: bool,
}

/// How consistent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ConsistencyArg {
    /// The guest takes part, or there is no backup of the VM
    RequireApplication,
    /// The guest takes part if it can; that one which runs did not is a warning
    #[default]
    PreferApplication,
    /// As after a power cut; the guest is not asked
    Crash,
}

/// What a guest's applications take the backup for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum GuestBackupArg {
    /// A copy beside other backups
    #[default]
    Copy,
    /// A full backup: databases cut their logs
    Full,
}

/// How to reach the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModeArg {
    /// The best possible for each VM
    Auto,
    /// Changed blocks from the host's own tracking
    Cbt,
    /// A checkpoint for the time of the backup
    Standard,
    /// The VM with its checkpoints as it is
    AllCheckpoints,
}

/// How much to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LevelArg {
    /// As little as is safe
    Auto,
    /// Everything
    Full,
    /// What changed since the last point
    Incremental,
    /// The same, told relative to the last full point
    Differential,
}

/// `--vm` and `--exclude` in the order in which they were given, since the last match decides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SelectionArgs(pub(crate) Vec<(engine::select::Rule, String)>);

#[derive(Args)]
#[command(next_help_heading = None)]
struct Patterns {
    /// Only VMs whose name or id matches; `*`, `?`, `[…]`, `{a,b}`, without regard to case. With a
    /// slash only those disks of them, by place or file: 'web/SCSI 0:1', '*/page.vhdx'; and with a
    /// kind (vm, replica, disk) before it only such VMs: 'replica/*'. The last of all --vm and
    /// --exclude that matches decides
    #[arg(long = "vm", value_name = "PATTERN")]
    vm: Vec<String>,
    /// No VMs, or disks, that match in the same way; a disk that is left out is not read, and the
    /// restore point says so
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
}

impl FromArgMatches for SelectionArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut rules = Vec::new();
        for (id, rule) in [
            ("vm", engine::select::Rule::Include),
            ("exclude", engine::select::Rule::Exclude),
        ] {
            let indices = matches.indices_of(id).into_iter().flatten();
            let values = matches.get_many::<String>(id).into_iter().flatten();
            rules.extend(
                indices
                    .zip(values)
                    .map(|(at, text)| (at, rule, text.clone())),
            );
        }
        rules.sort_by_key(|(at, ..)| *at);
        Ok(Self(
            rules
                .into_iter()
                .map(|(_, rule, text)| (rule, text))
                .collect(),
        ))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for SelectionArgs {
    fn augment_args(cmd: clap::Command) -> clap::Command {
        Patterns::augment_args(cmd)
    }

    fn augment_args_for_update(cmd: clap::Command) -> clap::Command {
        Patterns::augment_args_for_update(cmd)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use engine::select::Rule::{Exclude, Include};

    use crate::args::{Cli, Command};

    #[test]
    fn patterns_keep_their_order() {
        let line = "hyperkeep backup --exclude a folder:x --vm b --vm=c --exclude d";
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        let Command::Backup(args) = cli.command else {
            panic!("{cli:?}");
        };
        let expected = [
            (Exclude, "a"),
            (Include, "b"),
            (Include, "c"),
            (Exclude, "d"),
        ];
        assert_eq!(
            args.selection.0,
            expected.map(|(rule, text)| (rule, text.to_owned()))
        );
    }
}
