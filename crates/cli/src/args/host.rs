//! How a Hyper-V host is reached, for every command that speaks to one.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Deserialize;

use super::SelectionArgs;

/// What there is to say about a host beside its address.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Options for winrm://USER@HOST")]
pub(crate) struct HostArgs {
    /// Read the account's password from this file; else HYPERKEEP_HOST_PASSWORD_FILE,
    /// HYPERKEEP_HOST_PASSWORD, the system's keyring (`secret set HOST`), or a question on the terminal
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,

    /// How to log on [default: negotiate]
    #[arg(long, value_name = "HOW", value_enum)]
    pub(crate) auth: Option<AuthArg>,

    /// The Kerberos key distribution centre, HOST or HOST:PORT
    #[arg(long, value_name = "HOST")]
    pub(crate) kdc: Option<String>,

    /// Trust the certificate with this SHA-256 and no other
    #[arg(long, value_name = "SHA256", conflicts_with = "ca")]
    pub(crate) pin: Option<String>,

    /// Trust the authorities in this PEM file instead of the system's
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,

    /// Where a folder of the host is found here, as 'C:\VMs=/mnt/vms'; may be given several times,
    /// and the longest folder counts
    #[arg(long, value_name = "FOLDER=HERE")]
    pub(crate) map: Vec<String>,

    /// How files without --map are read from the host's shares, over SMB 3.1.1 with the same account,
    /// which logs on by NTLM [default: encrypted; off with Kerberos, or with a port that is not
    /// WinRM's own]
    #[arg(long, value_name = "HOW", value_enum)]
    pub(crate) smb: Option<SmbArg>,

    /// Where a folder of the host is found among shares, as 'C:\VMs=\\files\vms'; without it C:\ is
    /// the share C$ of the host. May be given several times, and the longest folder counts
    #[arg(long, value_name = "FOLDER=SHARE")]
    pub(crate) share: Vec<String>,

    /// Another server whose shares the host's VMs lie on, and which may see the account
    #[arg(long, value_name = "NAME")]
    pub(crate) file_server: Vec<String>,

    /// The port of SMB [default: 445]
    #[arg(long, value_name = "PORT")]
    pub(crate) smb_port: Option<u16>,

    /// The file that says of hosts by their names what these options say
    /// [default: hyperkeep/hosts.toml where configuration is kept]
    #[arg(
        long,
        value_name = "FILE",
        env = "HYPERKEEP_HOSTS",
        hide_env_values = true
    )]
    pub(crate) hosts: Option<PathBuf>,

    /// Where this installation keeps its id and the journals of what it does to hosts
    #[arg(
        long,
        value_name = "DIR",
        env = "HYPERKEEP_STATE",
        hide_env_values = true
    )]
    pub(crate) state: Option<PathBuf>,

    /// The programs around a backup that the file names; only a backup has them.
    #[arg(skip)]
    pub(crate) hooks: Option<PathBuf>,
}

/// Whether a host stands for its cluster.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct ClusterArgs {
    /// The host is a node of a failover cluster, and all of its nodes are meant; a cluster's own name
    /// needs no such word. Nodes are found by their names, in --hosts or beside the cluster
    #[arg(long)]
    pub(crate) cluster: bool,
}

/// How shares are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SmbArg {
    /// Encrypted, or not at all
    #[default]
    Encrypted,
    /// Signed, and encrypted where the server can
    Signed,
    /// Not at all: --map names all folders
    Off,
}

/// How to log on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AuthArg {
    /// Kerberos if --kdc names a centre, otherwise NTLM
    #[default]
    Negotiate,
    /// NTLMv2
    Ntlm,
    /// Kerberos; the host must be given by its name
    Kerberos,
    /// The password itself, over TLS only; for accounts of the host
    Basic,
}

/// `vms`
#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is changed on the host. What is told is a prediction: how consistent a backup of each VM
would be and why, and in which way it would be read. With a vault, its last restore point as well, and how
whole that is.

Examples:
  hyperkeep vms winrm://backup@hv01.example.org
  hyperkeep vms winrm://backup@hv01 --pin 4f…2a --json
  hyperkeep vms winrm://backup@hv02 --describe hv02.json
  hyperkeep --vault /srv/vault vms 'winrm+http://EXAMPLE\\backup@hv01'")]
pub(crate) struct VmsArgs {
    /// `winrm://USER@HOST[:PORT]`, or `winrm+http://` for messages encrypted by NTLM or Kerberos; or
    /// the name of a host in --hosts
    #[arg(value_name = "HOST")]
    pub(crate) host: String,

    /// Show each condition of an online backup for each VM: met, not met, or not to be told
    #[arg(long)]
    pub(crate) conditions: bool,

    /// Write a description of the host into a new file, by which restores to it can be planned without
    /// it: `restore vm --description FILE`
    #[arg(long, value_name = "FILE", conflicts_with = "cluster")]
    pub(crate) describe: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) selection: SelectionArgs,

    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,

    #[command(flatten)]
    pub(crate) reach: HostArgs,
}

/// `estimate`
#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is changed on the host, and no checkpoint is taken. A host tells what changed on the disks of
VMs that are off; of those that run, most likely not, and then it is told how earlier backups went,
which a vault remembers. What nothing tells is not known. It is one host that is asked: of a cluster,
name the nodes one after the other.

Examples:
  hyperkeep --vault /srv/vault estimate winrm://backup@hv01.example.org
  hyperkeep --vault /srv/vault estimate hv01 --vm 'web*' --exclude '*/swap*.vhdx' --json")]
pub(crate) struct EstimateArgs {
    /// `winrm://USER@HOST[:PORT]`, or `winrm+http://` for messages encrypted by NTLM or Kerberos; or
    /// the name of a host in --hosts
    #[arg(value_name = "HOST")]
    pub(crate) host: String,

    #[command(flatten)]
    pub(crate) selection: SelectionArgs,

    #[command(flatten)]
    pub(crate) reach: HostArgs,
}

/// `doctor`
#[derive(Debug, Args)]
#[command(after_help = "\
With a vault, what a killed run that backed up into it has left on the host is removed, as the next
backup would do first; what is not ours is told and never touched. Without one nothing is changed. Of a
cluster each node is looked at by itself.

Examples:
  hyperkeep doctor winrm://backup@hv01.example.org
  hyperkeep --vault /srv/vault doctor winrm://backup@hv01 --map 'D:\\VMs=/mnt/vms'
  hyperkeep doctor winrm://Administrator@hv01 --set-up 'HV01\\backup' > set-up.ps1")]
pub(crate) struct DoctorArgs {
    /// `winrm://USER@HOST[:PORT]`, or `winrm+http://` for messages encrypted by NTLM or Kerberos; or
    /// the name of a host in --hosts
    #[arg(value_name = "HOST")]
    pub(crate) host: String,

    /// Print a PowerShell script instead, which gives this account of the host or its domain the
    /// least rights that will do: read it, and run it on the host
    #[arg(long, value_name = "ACCOUNT", conflicts_with = "cluster")]
    pub(crate) set_up: Option<String>,

    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,

    #[command(flatten)]
    pub(crate) reach: HostArgs,
}

/// `lab`
#[derive(Debug, Args)]
#[command(after_help = "\
A simulated Hyper-V host with real disk files, to try backups where there is no Windows. It prints the
address of each of its hosts on a line of its own and goes on until it is stopped. It protects
nothing: its passwords are for the lab only.

Examples:
  hyperkeep lab docs/hyperv/lab-scenario.json /tmp/lab
  hyperkeep lab scenario.json /tmp/lab 127.0.0.1:0
  hyperkeep lab scenario.json /tmp/lab --keep-frozen /tmp/frozen")]
pub(crate) struct LabArgs {
    /// A JSON file that describes the host: see docs/hyperv/lab-scenario.md
    #[arg(value_name = "SCENARIO")]
    pub(crate) scenario: PathBuf,

    /// Where the host's files lie or are made
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: PathBuf,

    /// Where to listen; port 0 takes any that is free
    #[arg(value_name = "ADDRESS", default_value = "127.0.0.1:5985")]
    pub(crate) address: std::net::SocketAddr,

    /// Take from standard input what is to go wrong, a mishap of a scenario on each line
    #[arg(long)]
    pub(crate) orders: bool,

    /// Where to keep a copy of what each checkpoint for a backup froze, to compare what is restored
    /// with it: the disks' files, in a folder of the VM's id and a number that begins with 1
    #[arg(long, value_name = "DIR")]
    pub(crate) keep_frozen: Option<PathBuf>,
}
