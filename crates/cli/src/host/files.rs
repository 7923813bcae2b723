//! The way to a host's files: folders that are mapped first, and then the host's shares.

use std::sync::Arc;

use cim::http::Credentials;
use cim::job::Pace;
use hyperv::files::{
    FileError, FileProblem, FrozenFile, HostEntry, HostFiles, HostPath, MappedFiles, PathMap,
};
use sharefiles::{Encryption, Settings, ShareFiles, ShareMap};

use super::HostAddress;
use crate::args::{HostArgs, SmbArg};
use crate::failure::{Failure, Result};

/// Where servers listen for SMB.
const SMB_PORT: u16 = 445;

/// What the command line says about where a host's files are found.
pub(crate) struct Reach {
    map: PathMap,
    /// Whether some folders are elsewhere than in the host's own shares.
    ruled: bool,
    shares: Option<(ShareMap, Encryption, u16)>,
}

impl Reach {
    /// Reads it. Nobody is asked for anything here.
    ///
    /// # Errors
    /// When nothing is left to find files by: a backup without disks is none.
    pub(crate) fn read(address: &HostAddress, args: &HostArgs) -> Result<Self> {
        if args.smb == Some(SmbArg::Off) && args.map.is_empty() {
            return Err(Failure::usage(format!(
                "{address}: nothing says how its files are reached"
            ))
            .hint(r"mount its disks here and map them: --map 'C:\VMs=/mnt/vms'"));
        }
        let map = args.map.iter().try_fold(PathMap::new(), |map, rule| {
            let (folder, here) = mapping(rule)?;
            Ok::<_, Failure>(map.with(folder, here))
        })?;
        let encryption = match args.smb.unwrap_or_default() {
            SmbArg::Encrypted => Some(Encryption::Required),
            SmbArg::Signed => Some(Encryption::Preferred),
            SmbArg::Off => None,
        };
        let shares = match encryption {
            Some(encryption) => Some((
                shares(address, args)?,
                encryption,
                args.smb_port.unwrap_or(SMB_PORT),
            )),
            None => None,
        };
        Ok(Self {
            map,
            ruled: !(args.map.is_empty() && args.share.is_empty()),
            shares,
        })
    }

    /// The way itself, with the account for shares.
    ///
    /// # Errors
    /// When all files are in shares, and those are not to be had: nothing was begun then.
    pub(crate) fn files(
        self,
        credentials: Credentials,
        pace: Arc<dyn Pace + Send + Sync>,
    ) -> Result<Arc<dyn HostFiles>> {
        let mapped = MappedFiles::new(self.map);
        let Some((map, encryption, port)) = self.shares else {
            return Ok(Arc::new(mapped));
        };
        let mut settings = Settings::new(credentials);
        settings.encryption = encryption;
        settings.port = port;
        settings.pace = pace;
        let shared = ShareFiles::new(map, settings);
        if !self.ruled {
            shared.log_on().map_err(|error| {
                Failure::new(format!("{error}")).hint(
                    r"let the host's shares be read over SMB, or mount its disks here and map them: --map 'C:\VMs=/mnt/vms'",
                )
            })?;
        }
        Ok(Arc::new(MappedThenShared { mapped, shared }))
    }
}

/// Files found by mappings, and those without one among shares.
struct MappedThenShared {
    mapped: MappedFiles,
    shared: ShareFiles,
}

impl MappedThenShared {
    fn first<T>(
        &self,
        what: impl Fn(&dyn HostFiles) -> std::result::Result<T, FileError>,
    ) -> std::result::Result<T, FileError> {
        match what(&self.mapped) {
            Err(error) if error.problem == FileProblem::Unmapped => what(&self.shared),
            found => found,
        }
    }
}

impl HostFiles for MappedThenShared {
    fn open(&self, path: &HostPath) -> std::result::Result<Arc<FrozenFile>, FileError> {
        self.first(|files| files.open(path))
    }

    fn len(&self, path: &HostPath) -> std::result::Result<u64, FileError> {
        self.first(|files| files.len(path))
    }

    fn list(&self, folder: &HostPath) -> std::result::Result<Vec<HostEntry>, FileError> {
        self.first(|files| files.list(folder))
    }
}

fn shares(address: &HostAddress, args: &HostArgs) -> Result<ShareMap> {
    let host = address.endpoint.host();
    let bad = |error: sharefiles::BadShareMap| {
        Failure::usage(error).hint("give names of servers, and shares as \\\\SERVER\\SHARE")
    };
    let map = ShareMap::new(host).map_err(bad)?;
    let map = args
        .file_server
        .iter()
        .try_fold(map, |map, server| map.allow(server).map_err(bad))?;
    args.share.iter().try_fold(map, |map, rule| {
        let bad_path = |why: String| {
            Failure::usage(format!("--share {rule}: {why}"))
                .hint(r"write FOLDER=SHARE: 'C:\VMs=\\files\vms'")
        };
        let (folder, at) = rule
            .split_once('=')
            .ok_or_else(|| bad_path("it says not where the folder is found".to_owned()))?;
        let parse = |text| HostPath::parse(text).map_err(|error| bad_path(error.to_string()));
        map.with(parse(folder)?, parse(at)?).map_err(bad)
    })
}

/// A folder of the host and where it is found here.
fn mapping(rule: &str) -> Result<(HostPath, &str)> {
    let bad = |why: String| {
        Failure::usage(format!("--map {rule}: {why}")).hint(r"write FOLDER=HERE: 'C:\VMs=/mnt/vms'")
    };
    let (folder, here) = rule
        .split_once('=')
        .ok_or_else(|| bad("it says not where the folder is found here".to_owned()))?;
    if here.is_empty() {
        return Err(bad("it says not where the folder is found here".to_owned()));
    }
    let folder = HostPath::parse(folder).map_err(|error| bad(error.to_string()))?;
    // What is not there now would look like a host without disks.
    if !std::path::Path::new(here).is_dir() {
        return Err(
            Failure::new(format!("{here}: is not a folder that is there"))
                .hint("mount the host's disk or share there, or see to --map"),
        );
    }
    Ok((folder, here))
}
