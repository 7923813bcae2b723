//! `secret`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `secret …`
#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Put a secret into the system's keyring, for backups that nobody types it for
    #[command(after_help = "\
On Linux it is the kernel's keyring of the user: it is gone when the machine starts again, and when it
was not used for some days (/proc/sys/kernel/keys/persistent_keyring_expiry, in seconds). On Windows it is the
Credential Manager of the account. Files and variables that are given count before it.

Examples:
  hyperkeep --vault /srv/vault secret set
  hyperkeep --vault /srv/vault secret set --from passphrase.txt
  hyperkeep secret set winrm://backup@hv01.example.org")]
    Set(SetSecretArgs),
    /// Tell where a secret would come from; it is not shown
    #[command(after_help = "\
Examples:
  hyperkeep --vault /srv/vault secret show
  hyperkeep secret show winrm://backup@hv01.example.org")]
    Show(WhichSecretArgs),
    /// Remove a secret from the system's keyring
    #[command(after_help = "\
Examples:
  hyperkeep --vault /srv/vault secret remove
  hyperkeep secret remove winrm://backup@hv01.example.org")]
    Remove(WhichSecretArgs),
}

/// Which secret.
#[derive(Debug, Args)]
pub(crate) struct WhichSecretArgs {
    /// The host whose account's password it is, as in `backup`; without one it is the passphrase of
    /// --vault
    #[arg(value_name = "HOST")]
    pub(crate) host: Option<String>,

    /// The file that names hosts [default: hyperkeep/hosts.toml where configuration is kept]
    #[arg(
        long,
        value_name = "FILE",
        env = "HYPERKEEP_HOSTS",
        hide_env_values = true
    )]
    pub(crate) hosts: Option<PathBuf>,
}

/// `secret set`
#[derive(Debug, Args)]
pub(crate) struct SetSecretArgs {
    #[command(flatten)]
    pub(crate) which: WhichSecretArgs,

    /// Read it from this file (`-` for standard input) instead of asking for it
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
}
