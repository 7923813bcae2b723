//! `keys`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `keys …`
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// List the key slots
    #[command(after_help = "Examples:\n  hyperkeep --vault /srv/vault keys list")]
    List,
    /// Add a passphrase
    AddPassphrase(AddPassphraseArgs),
    /// Replace the passphrase that opens the vault by another
    ChangePassphrase(ChangePassphraseArgs),
    /// Add a recovery code and print it, once
    #[command(after_help = "\
Examples:
  hyperkeep --vault /srv/vault keys add-recovery-code
  hyperkeep --vault /srv/vault keys add-recovery-code --sheet recovery-sheet.txt")]
    AddRecoveryCode(AddRecoveryCodeArgs),
    /// Remove a key slot
    Remove(RemoveArgs),
}

/// Where the new passphrase comes from.
#[derive(Debug, Clone, Args)]
pub(crate) struct NewPassphrase {
    /// Read the new passphrase from this file (`-` for standard input); else
    /// HYPERKEEP_NEW_PASSPHRASE_FILE or a question on the terminal
    #[arg(long, value_name = "FILE")]
    pub(crate) new_passphrase_file: Option<PathBuf>,
}

/// `keys add-passphrase`
#[derive(Debug, Args)]
#[command(after_help = "\
With --write-only the holder can make backups but cannot read any data of any restore point: the
choice for the machine that runs backups.

Examples:
  hyperkeep --vault /srv/vault keys add-passphrase --label 'second admin'
  hyperkeep --vault /srv/vault keys add-passphrase --write-only --label hv01 \\
      --new-passphrase-file hv01.secret")]
pub(crate) struct AddPassphraseArgs {
    #[command(flatten)]
    pub(crate) new: NewPassphrase,

    /// What to call the slot; it can be read without a key
    #[arg(long, value_name = "TEXT")]
    pub(crate) label: Option<String>,

    /// Its holder can back up, and cannot restore
    #[arg(long)]
    pub(crate) write_only: bool,
}

/// `keys change-passphrase`
#[derive(Debug, Args)]
#[command(after_help = "\
Whoever knew the old passphrase may have kept the keys: after a leak, copy what matters into a
new vault.

Examples:
  hyperkeep --vault /srv/vault keys change-passphrase
  hyperkeep --vault /srv/vault keys change-passphrase --new-passphrase-file new.txt")]
pub(crate) struct ChangePassphraseArgs {
    #[command(flatten)]
    pub(crate) new: NewPassphrase,
}

/// `keys add-recovery-code`
#[derive(Debug, Args)]
pub(crate) struct AddRecoveryCodeArgs {
    /// Write the one-page recovery sheet, recovery code included, into this file
    #[arg(long, value_name = "FILE")]
    pub(crate) sheet: Option<PathBuf>,
}

/// `keys remove`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hyperkeep --vault /srv/vault keys list
  hyperkeep --vault /srv/vault keys remove 3c5e")]
pub(crate) struct RemoveArgs {
    /// The beginning of the slot's id, as `keys list` shows it
    #[arg(value_name = "SLOT")]
    pub(crate) slot: String,
}
