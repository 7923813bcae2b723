//! What this installation keeps between runs: its id, and journals of what is done to hosts.
//!
//! ```text
//! STATE/installation                  whose checkpoints are ours
//! STATE/hosts/HOST_PORT_VAULT/lock    held by the run that is at work
//! STATE/hosts/HOST_PORT_VAULT/*.journal
//! STATE/hosts/HOST_PORT_VAULT/*.kept  restores that can be confirmed or undone
//! ```
//!
//! The journal of a host and a vault is of one run at a time: a second one is refused, since what
//! the first leaves in its journal is not left behind but under way.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use engine::source::hyperv::Neighbour;
use hyperv::checkpoint::Mark;
use uuid::Uuid;

use super::HostAddress;
use super::kept::{KeptVm, kept_below};
use crate::args::HostArgs;
use crate::failure::{Failure, OnPath, Result};

const HINT: &str = "see that the folder of --state can be written and has room";

/// The folder of this installation.
pub(crate) struct State {
    folder: PathBuf,
    installation: Uuid,
}

/// A host and a vault that are this run's until it ends.
pub(crate) struct Claim {
    /// Whose checkpoints they are.
    pub(crate) mark: Mark,
    /// The folder of its journals.
    pub(crate) journals: PathBuf,
    /// The journals of other hosts and vaults.
    pub(crate) neighbours: Vec<Neighbour>,
    _lock: File,
}

impl State {
    /// Opens the folder, and makes it with an id at the first time.
    pub(crate) fn open(args: &HostArgs) -> Result<Self> {
        let folder = match args.state.clone().or_else(usual) {
            Some(folder) => folder,
            None => {
                return Err(Failure::new("there is no folder to keep journals in")
                    .hint("name one: --state DIR or HYPERKEEP_STATE"));
            }
        };
        fs::create_dir_all(&folder).on_path("making the state folder", &folder, HINT)?;
        let installation = installation(&folder)?;
        Ok(Self {
            folder,
            installation,
        })
    }

    /// The installation's id, if it has one. Nothing is made.
    pub(crate) fn known(args: &HostArgs) -> Result<Option<Uuid>> {
        let folder = args.state.clone().or_else(usual);
        let there = folder.filter(|folder| folder.join("installation").is_file());
        there.map(|folder| installation(&folder)).transpose()
    }

    /// All restores that can be confirmed or undone. Nothing is made.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub(crate) fn kept(args: &HostArgs) -> Result<Vec<KeptVm>> {
        match args.state.clone().or_else(usual) {
            Some(folder) => kept_below(&folder.join("hosts")),
            None => Ok(Vec::new()),
        }
    }

    /// Takes a host and a vault for this run.
    ///
    /// # Errors
    /// When another run has them.
    pub(crate) fn claim(&self, address: &HostAddress, vault: &str) -> Result<Claim> {
        self.try_claim(address, vault)?.ok_or_else(|| {
            Failure::new(format!(
                "another run is backing up {address} into this vault"
            ))
            .hint("wait for it to end")
        })
    }

    /// Takes a host and a vault for this run; `None` when another run has them.
    pub(crate) fn try_claim(&self, address: &HostAddress, vault: &str) -> Result<Option<Claim>> {
        let hosts = self.folder.join("hosts");
        let vault = vault.get(..16).unwrap_or(vault);
        let journals = hosts.join(format!("{}_{vault}", address.folder_name()));
        fs::create_dir_all(&journals).on_path("making the folder of journals", &journals, HINT)?;
        let path = journals.join("lock");
        let lock = open(&path)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error).on_path("locking", &path, HINT),
        }
        let mut neighbours = Vec::new();
        let ending = format!("_{vault}");
        let entries = fs::read_dir(&hosts).on_path("reading the state folder", &hosts, HINT)?;
        for entry in entries {
            let folder = entry
                .on_path("reading the state folder", &hosts, HINT)?
                .path();
            if folder != journals && folder.is_dir() {
                let name = folder.file_name().and_then(OsStr::to_str);
                neighbours.push(Neighbour {
                    same_vault: name.is_some_and(|name| name.ends_with(&ending)),
                    folder,
                });
            }
        }
        Ok(Some(Claim {
            mark: Mark {
                installation: self.installation,
                run: random()?,
            },
            journals,
            neighbours,
            _lock: lock,
        }))
    }
}

/// The id of the installation that a folder is of; it is made at the first time.
fn installation(folder: &Path) -> Result<Uuid> {
    let path = folder.join("installation");
    let guard = folder.join("lock");
    // Of two first runs, one makes it.
    let lock = open(&guard)?;
    lock.lock().on_path("locking", &guard, HINT)?;
    match fs::read_to_string(&path) {
        Ok(text) => Uuid::try_parse(text.trim()).map_err(|error| {
            Failure::new(format!("{}: {error}", path.display())).hint(
                "put the file back: by its id the program knows which checkpoints are its own",
            )
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let id = random()?;
            let making = folder.join("installation.new");
            let write = || {
                let mut file = File::create(&making)?;
                writeln!(file, "{id}")?;
                file.sync_all()?;
                fs::rename(&making, &path)
            };
            write().on_path("keeping the installation's id", &path, HINT)?;
            Ok(id)
        }
        Err(error) => Err(error).on_path("reading the installation's id", &path, HINT),
    }
}

fn open(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .on_path("opening", path, HINT)
}

fn random() -> Result<Uuid> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        Failure::new(format!("asking for random numbers: {error}"))
            .hint("the operating system gives none: nothing can be done without them")
    })?;
    Ok(uuid::Builder::from_random_bytes(bytes).into_uuid())
}

/// Of the whole machine, since backups run under accounts of their own.
#[cfg(windows)]
fn usual() -> Option<PathBuf> {
    let data = std::env::var_os("ProgramData").filter(|data| !data.is_empty())?;
    Some(PathBuf::from(data).join("Hyperkeep"))
}

#[cfg(not(windows))]
fn usual() -> Option<PathBuf> {
    use etcetera::BaseStrategy as _;
    let base = etcetera::choose_base_strategy().ok()?;
    Some(base.state_dir()?.join("hyperkeep"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(folder: &Path) -> State {
        let args = HostArgs {
            state: Some(folder.to_owned()),
            ..HostArgs::default()
        };
        State::open(&args).unwrap()
    }

    #[test]
    fn an_installation_keeps_its_id_and_a_run_its_host() {
        let folder = tempfile::tempdir().unwrap();
        let host: HostAddress = "winrm://a@hv01".parse().unwrap();
        let (one, other) = (state(folder.path()), state(folder.path()));
        let claim = one.claim(&host, "0123456789abcdef0123").unwrap();
        assert!(claim.neighbours.is_empty());
        assert!(other.claim(&host, "0123456789abcdef0123").is_err());
        let second = other.claim(&host, "fedcba98765432100123").unwrap();
        let neighbour = |folder: &Path, same_vault| Neighbour {
            folder: folder.to_owned(),
            same_vault,
        };
        assert_eq!(second.neighbours, [neighbour(&claim.journals, false)]);
        let by_address: HostAddress = "winrm://a@192.0.2.1".parse().unwrap();
        let third = other.claim(&by_address, "fedcba98765432100123").unwrap();
        assert!(
            third
                .neighbours
                .contains(&neighbour(&claim.journals, false))
        );
        assert!(
            third
                .neighbours
                .contains(&neighbour(&second.journals, true))
        );
        assert_eq!(claim.mark.installation, second.mark.installation);
        assert_ne!(claim.mark.run, second.mark.run);
        drop(claim);
        one.claim(&host, "0123456789abcdef0123").unwrap();
        fs::write(folder.path().join("installation"), "what").unwrap();
        let args = HostArgs {
            state: Some(folder.path().to_owned()),
            ..HostArgs::default()
        };
        assert!(State::open(&args).is_err(), "no id is made up");
    }
}
