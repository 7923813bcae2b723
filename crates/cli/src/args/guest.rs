//! `find` and `restore files`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use crate::address::PointAddress;
use crate::args::VolumeKeyArgs;

/// `find`
#[derive(Debug, Args)]
#[command(after_help = "\
PATTERN is a name with * and ?, which is looked for in all folders of all volumes, or a path with them
as `ls POINT:/` shows it: ? stands for any character, * for any number of them, ** for any number of
folders; [ab] for one of these, {one,other} for either. To name one of these signs itself, put it in
brackets: [*], [?], [[], [{], [}]. Nothing is restored or mounted for it.

Examples:
  hyperkeep --vault /srv/vault find 'web server@latest' '*.docx'
  hyperkeep --vault /srv/vault find 5f3a9c '/d0p2/Users/*/Desktop/**'
  hyperkeep --vault /srv/vault find 5f3a9c 'report [[]1].pdf'        # report [1].pdf
  hyperkeep --vault /srv/vault find 5f3a9c 'hosts' --checkpoint 'before the update'
  hyperkeep --vault /srv/vault find 5f3a9c '*.key' --volume-key d0p3=passphrase.txt")]
pub(crate) struct FindArgs {
    /// The restore point: the beginning of its id, VM@latest, or VM@TIME
    #[arg(value_name = "POINT")]
    pub(crate) point: PointAddress,

    /// What to find
    #[arg(value_name = "PATTERN", required = true)]
    pub(crate) patterns: Vec<String>,

    /// As it was at this checkpoint
    #[arg(long, value_name = "NAME|ID")]
    pub(crate) checkpoint: Option<String>,

    #[command(flatten)]
    pub(crate) keys: VolumeKeyArgs,
}

/// `restore files`
#[derive(Debug, Args)]
#[command(after_help = "\
PATH is a file or folder as `ls POINT:/` shows it, or a pattern of such: /VOLUME/folder/*.txt, with the
signs that `find --help` tells of; to name one of these itself, put it in brackets: [*], [?], [[], [{], [}].
A folder is restored with all that is in it. Below DIR, and in the archive, each has its whole path with
the volume. Nothing is staged or mounted, no rights of an administrator are needed, and nothing is
overwritten. What the target does not keep is told. A folder of Unix keeps owners, modes, times, links and
extended attributes, with the rights for it; alternate streams of up to 64 KiB become extended attributes
user.NAME there and in a tar archive, and security descriptors are kept on NTFS mounted by ntfs-3g alone. A
folder of Windows keeps streams and times, and neither security descriptors nor hidden, system and read-only.
A zip archive keeps less than a tar archive does. A volume that was in use is read through its journal, as
after a power cut, and that is told too. A volume encrypted by LUKS or BitLocker is opened by its
--volume-key.

Examples:
  hyperkeep --vault /srv/vault restore files 'web server@latest' /d0p2/Users/ann --to /srv/restored
  hyperkeep --vault /srv/vault restore files 5f3a9c '/d0p1/etc/**/*.conf' --tar - | tar tv
  hyperkeep --vault /srv/vault restore files 5f3a9c /d0p2/Users/ann/Documents --zip ann.zip
  hyperkeep --vault /srv/vault restore files 5f3a9c /d0p2/Data --to . --checkpoint 'before the update'
  hyperkeep --vault /srv/vault restore files 5f3a9c /d0p2/Data --to . --volume-key d0p2")]
#[command(group(ArgGroup::new("where").args(["to", "tar", "zip"]).required(true)))]
pub(crate) struct FilesArgs {
    /// The restore point: the beginning of its id, VM@latest, or VM@TIME
    #[arg(value_name = "POINT")]
    pub(crate) point: PointAddress,

    /// What to restore
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<String>,

    #[command(flatten)]
    pub(crate) out: OutArgs,

    /// As they were at this checkpoint
    #[arg(long, value_name = "NAME|ID")]
    pub(crate) checkpoint: Option<String>,

    #[command(flatten)]
    pub(crate) keys: VolumeKeyArgs,
}

/// Where files go.
#[derive(Debug, Args)]
#[group(skip)]
pub(crate) struct OutArgs {
    /// The folder to restore into; it is made if it is missing
    #[arg(long, value_name = "DIR")]
    pub(crate) to: Option<PathBuf>,

    /// Write a tar archive instead (`-` for standard output)
    #[arg(long, value_name = "FILE")]
    pub(crate) tar: Option<PathBuf>,

    /// Write a zip archive instead (`-` for standard output)
    #[arg(long, value_name = "FILE")]
    pub(crate) zip: Option<PathBuf>,
}
