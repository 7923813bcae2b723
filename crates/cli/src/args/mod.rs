//! The command line: what there is to say, in the words in which `--help` explains it.

mod backup;
mod browse;
mod compare;
mod given;
mod guest;
mod host;
mod keys;
mod point;
mod restore;
mod restore_vm;
mod secret;
mod volume_key;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

pub(crate) use backup::{
    BackupArgs, ConsistencyArg, GuestBackupArg, LevelArg, ModeArg, PacingArgs, SelectionArgs,
    SideArg,
};
pub(crate) use browse::BrowseArgs;
pub(crate) use compare::{DiffArgs, VerifyArgs};
pub(crate) use given::SourceKind;
pub(crate) use guest::{FilesArgs, FindArgs, OutArgs};
pub(crate) use host::{
    AuthArg, ClusterArgs, DoctorArgs, EstimateArgs, HostArgs, LabArgs, SmbArg, VmsArgs,
};
pub(crate) use keys::{
    AddPassphraseArgs, AddRecoveryCodeArgs, ChangePassphraseArgs, KeysCommand, RemoveArgs,
};
pub(crate) use point::{LsArgs, PointsArgs, ShowArgs};
pub(crate) use restore::{
    DiskFormatArg, DisksArgs, FolderArgs, KeptArgs, KeptListArgs, OverwriteArg, RestoreCommand,
    UndoArgs,
};
pub(crate) use restore_vm::{SavedStateArg, VmArgs, VmWantedArgs};
pub(crate) use secret::{SecretCommand, WhichSecretArgs};
pub(crate) use volume_key::{VolumeKeyArg, VolumeKeyArgs};

/// Backup and restore of Hyper-V virtual machines.
#[derive(Debug, Parser)]
#[command(
    name = "hyperkeep",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = "\
Examples:
  hyperkeep init /srv/vault
  hyperkeep --vault /srv/vault backup folder:/srv/exports
  hyperkeep --vault /srv/vault backup winrm://backup@hv01 --map 'D:\\VMs=/mnt/vms'
  hyperkeep --vault /srv/vault points
  hyperkeep --vault /srv/vault restore disks 'web server@latest' --to /srv/restored

Exit codes:
  0 ok   1 failed   2 bad usage   3 warning   4 partial   5 skipped   6 cancelled"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// Reads a command line, and from the surroundings what it leaves out.
    pub(crate) fn read(
        line: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> Result<Self, clap::Error> {
        let mut command = Self::command();
        let matches = command.try_get_matches_from_mut(line)?;
        let mut cli = Self::from_arg_matches(&matches).map_err(|e| e.format(&mut command))?;
        let said = matches
            .subcommand()
            .map_or(&matches, |(_, matches)| matches);
        cli.global.vault_by_env = said.value_source("vault") == Some(ValueSource::EnvVariable);
        Ok(cli)
    }
}

/// What every command understands.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The vault: a folder
    #[arg(
        long,
        global = true,
        value_name = "VAULT",
        env = "HYPERKEEP_VAULT",
        hide_env_values = true
    )]
    pub(crate) vault: Option<String>,

    /// Whether the vault was not named on the command line but by HYPERKEEP_VAULT.
    #[arg(skip)]
    pub(crate) vault_by_env: bool,

    /// Read the passphrase from this file (`-` for standard input); else HYPERKEEP_PASSPHRASE_FILE,
    /// HYPERKEEP_PASSPHRASE, the system's keyring (`secret set`), or a question on the terminal
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        conflicts_with = "recovery_code_file"
    )]
    pub(crate) passphrase_file: Option<PathBuf>,

    /// Open the vault with the recovery code in this file (`-` for standard input)
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) recovery_code_file: Option<PathBuf>,

    /// Print one JSON object on standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// No progress and no remarks on standard error; errors still are
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,

    /// Where the vault's index is kept between runs; may be deleted at any time
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "HYPERKEEP_CACHE_DIR",
        hide_env_values = true
    )]
    pub(crate) cache_dir: Option<PathBuf>,

    /// Number of worker threads (default: one for each core); backup and restore use at most 8, for
    /// which their memory suffices
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,

    /// How hard to compress what is stored
    #[arg(
        long,
        global = true,
        value_name = "HOW",
        value_enum,
        default_value_t = CompressionArg::Default
    )]
    pub(crate) compression: CompressionArg,
}

/// How hard to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompressionArg {
    /// A little less work, about 2 % larger
    Fast,
    /// The usual choice
    Default,
    /// More work, about 1 % smaller
    Small,
}

/// The commands, in the order in which people meet them.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a vault and print its recovery code, once
    Init(InitArgs),
    /// Back up virtual machines into the vault
    Backup(BackupArgs),
    /// List the VMs of a Hyper-V host, and what a backup of each would be
    Vms(VmsArgs),
    /// Say what the next backup of a Hyper-V host would read and store, and how long it would take
    Estimate(EstimateArgs),
    /// Say what can be done with a Hyper-V host and what is in the way, and put right what is left there
    Doctor(DoctorArgs),
    /// List restore points
    Points(PointsArgs),
    /// Show what a restore point holds, how consistent it is, and what is not covered
    Show(ShowArgs),
    /// List VMs, disks, checkpoints and files of a restore point or of a folder
    Ls(LsArgs),
    /// Find files of the guest in a restore point, by their names
    Find(FindArgs),
    /// Say what changed of the guest's files between two restore points or checkpoints
    Diff(DiffArgs),
    /// Say how consistent the guest's volumes are in restore points, and since when
    Verify(VerifyArgs),
    /// Go through the files of the guest in a restore point, mark some and restore them
    Browse(BrowseArgs),
    /// Restore from a restore point
    #[command(subcommand)]
    Restore(RestoreCommand),
    /// Check the vault: that everything that restore points need is there and unharmed
    Check(CheckArgs),
    /// Manage what opens the vault
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Keep secrets in the system's keyring
    #[command(subcommand)]
    Secret(SecretCommand),
    /// Run a simulated Hyper-V host, to try backups against
    Lab(LabArgs),
    /// Write the manual pages into a folder
    Man(ManArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
}

/// `init`
#[derive(Debug, Args)]
#[command(after_help = "\
The recovery code opens the vault when the passphrase is lost. It is printed this once, on a one-page
recovery sheet, and kept nowhere. Without the passphrase and the recovery code nobody can read the vault again.

Examples:
  hyperkeep init /srv/vault
  hyperkeep init /srv/vault --passphrase-file secret.txt --sheet recovery-sheet.txt
  hyperkeep init /srv/vault --chunk-average 32        # less space, a larger index")]
pub(crate) struct InitArgs {
    /// Where to create it: a folder that does not exist or is empty (default: --vault or
    /// HYPERKEEP_VAULT)
    #[arg(value_name = "VAULT")]
    pub(crate) location: Option<String>,

    /// Write the one-page recovery sheet, recovery code included, into this file instead of printing it
    #[arg(long, value_name = "FILE")]
    pub(crate) sheet: Option<PathBuf>,

    /// Mean size of the pieces that disks are cut into, in KiB; it cannot be changed later
    #[arg(long, value_name = "KIB", value_enum, default_value_t = ChunkAverage::Kib64)]
    pub(crate) chunk_average: ChunkAverage,
}

/// Mean chunk size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ChunkAverage {
    /// The usual choice
    #[value(name = "64")]
    Kib64,
    /// Less space for data, twice the index
    #[value(name = "32")]
    Kib32,
}

/// `check`
#[derive(Debug, Args)]
#[command(after_help = "\
Without options the index, the disk maps and the presence of every pack are checked; with
--read-data every stored byte is read and authenticated as well.

Examples:
  hyperkeep --vault /srv/vault check
  hyperkeep --vault /srv/vault check --read-data")]
pub(crate) struct CheckArgs {
    /// Read and authenticate every stored byte
    #[arg(long)]
    pub(crate) read_data: bool,
}

/// `man`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hyperkeep man /usr/local/share/man/man1")]
pub(crate) struct ManArgs {
    /// An existing folder
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
}

/// `completions`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hyperkeep completions bash > /etc/bash_completion.d/hyperkeep
  hyperkeep completions powershell >> $PROFILE")]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definitions_hold_together() {
        Cli::command().debug_assert();
    }

    /// Everybody who asks for help gets an example, whichever command it is.
    #[test]
    fn every_command_has_an_example() {
        fn visit(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            if command.get_subcommands().next().is_none() {
                let help = command.get_after_help().map(ToString::to_string);
                assert!(
                    help.is_some_and(|help| help.contains("Examples:\n  hyperkeep ")),
                    "{path}"
                );
            }
            for sub in command.get_subcommands() {
                visit(sub, &path);
            }
        }
        visit(&Cli::command(), "");
    }

    /// A secret on the command line is seen by everybody on the machine and kept in histories.
    #[test]
    fn no_option_takes_a_secret() {
        fn visit(command: &clap::Command) {
            for arg in command.get_arguments() {
                let name = arg.get_id().as_str();
                let secret = ["passphrase", "recovery_code", "password"]
                    .iter()
                    .any(|word| name.contains(word));
                assert!(!secret || name.ends_with("_file"), "{name}");
            }
            command.get_subcommands().for_each(visit);
        }
        visit(&Cli::command());
    }
}
