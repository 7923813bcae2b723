//! `browse`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use crate::address::PointAddress;
use crate::args::{OutArgs, VolumeKeyArgs};

/// `browse`
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("where").args(["to", "tar", "zip"])),
    after_help = "\
On a terminal a screen shows the guest: the VM as it was backed up and its checkpoints, their volumes,
folders and files. The keys are at its bottom; `?` explains them. What is marked is restored where --to,
--tar or --zip say, or where you say when you are asked. Nothing is staged or mounted.

With --script, or when standard input is not a terminal, commands are read instead, one on a line; the
command `help` explains them. Words are divided by spaces; 'such quotes' keep a word as it is, \"these\" too,
but for \\\" and \\\\ in them; \\ keeps the character behind it; # begins a remark. Bytes of names that are no
text are written %XX, as `ls` shows them. The first command that fails ends the script.

Examples:
  hyperkeep --vault /srv/vault browse 'web server@latest'
  hyperkeep --vault /srv/vault browse 5f3a9c --checkpoint 'before the update' --zip ann.zip
  echo \"mark '/d0p2/Users/ann/My Documents'
  done to /srv/restored\" | hyperkeep --vault /srv/vault browse 5f3a9c"
)]
pub(crate) struct BrowseArgs {
    /// The restore point: the beginning of its id, VM@latest, or VM@TIME
    #[arg(value_name = "POINT")]
    pub(crate) point: PointAddress,

    /// Begin at this checkpoint
    #[arg(long, value_name = "NAME|ID")]
    pub(crate) checkpoint: Option<String>,

    /// Read commands from this file (`-` for standard input)
    #[arg(long, value_name = "FILE")]
    pub(crate) script: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) out: OutArgs,

    #[command(flatten)]
    pub(crate) keys: VolumeKeyArgs,
}
