//! The way to a host's files: folders that are mapped first, and then the host's shares.

use std::sync::Arc;

use cim::http::Credentials;
use cim::job::Pace;
use hyperv::files::{
    FileError, FileProblem, FrozenFile, HostEntry, HostFiles, HostPath, MappedFiles, PathMap,
};
use sharefiles::{Encryption, Settings, ShareFiles, ShareMap};

use super::HostAddress;
use super::connect::by_kerberos;
use crate::args::{HostArgs, SmbArg};
use crate::failure::{Failure, Result};

/// Where hosts listen for WinRM.
const WINRM_PORTS: [u16; 2] = [5985, 5986];
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
        let smb = smb(address, args)?;
        if smb == SmbArg::Off && args.map.is_empty() {
            return Err(Failure::usage(format!(
                "{address}: nothing says how its files are reached"
            ))
            .hint(r"mount its disks here and map them: --map 'C:\VMs=/mnt/vms'"));
        }
        let map = path_map(args)?;
        let encryption = match smb {
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

/// The way to folders that can be written to.
///
/// # Errors
/// When there is none: shares are only read.
pub(crate) fn mapped(address: &HostAddress, args: &HostArgs) -> Result<MappedFiles> {
    if args.map.is_empty() {
        let why = format!("{address}: nothing says where its folders can be written to");
        return Err(Failure::usage(why).hint(
            r"shares are only read: mount the folder that the VM goes to here, and map it: --map 'D:\VMs=/mnt/vms'",
        ));
    }
    mapped_if_any(args)
}

/// The same where perhaps nothing is written.
pub(crate) fn mapped_if_any(args: &HostArgs) -> Result<MappedFiles> {
    Ok(MappedFiles::new(path_map(args)?))
}

fn path_map(args: &HostArgs) -> Result<PathMap> {
    args.map.iter().try_fold(PathMap::new(), |map, rule| {
        let (folder, here) = mapping(rule)?;
        Ok(map.with(folder, here))
    })
}

/// How shares are read. Where showing the account to the server of shares is more than showing it to
/// the host, only if somebody says so: whoever answers is shown something to guess the password by.
fn smb(address: &HostAddress, args: &HostArgs) -> Result<SmbArg> {
    let port = address.endpoint.port();
    let why = if by_kerberos(args) {
        "the account shows itself by Kerberos, and shares are logged on to by NTLM".to_owned()
    } else if !WINRM_PORTS.contains(&port) && args.smb_port.is_none() {
        format!("behind the port {port} there may be another machine than the one with the shares")
    } else {
        return Ok(args.smb.unwrap_or_default());
    };
    let only_mapped = !args.map.is_empty()
        && args.share.is_empty()
        && args.file_server.is_empty()
        && args.smb_port.is_none();
    match args.smb {
        Some(smb) => Ok(smb),
        None if only_mapped => Ok(SmbArg::Off),
        None => Err(Failure::usage(format!("{address}: {why}")).hint(
            r"say --smb encrypted if that is what you want, or mount its disks here and map them: --map 'C:\VMs=/mnt/vms'",
        )),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::AuthArg;

    #[test]
    fn an_account_is_shown_to_shares_only_as_it_was_said() {
        let folder = tempfile::tempdir().unwrap();
        let map = vec![format!(r"C:\VMs={}", folder.path().display())];
        let share = vec![r"C:\VMs=\\files\vms".to_owned()];
        let plain = HostArgs::default();
        let kerberos = HostArgs {
            auth: Some(AuthArg::Kerberos),
            kdc: Some("dc".to_owned()),
            ..HostArgs::default()
        };
        // That it is Kerberos follows from this alone.
        let centre = HostArgs {
            kdc: Some("dc".to_owned()),
            ..HostArgs::default()
        };
        let read = |address: &str, args: &HostArgs| {
            let address = address.parse().unwrap();
            Reach::read(&address, args).map(|reach| reach.shares.is_some())
        };
        let (usual, forwarded) = ("winrm://a@h", "winrm://a@gateway:15986");
        assert_eq!(read(usual, &plain).ok(), Some(true));
        for (address, args) in [(usual, &kerberos), (usual, &centre), (forwarded, &plain)] {
            let refused = read(address, args).unwrap_err();
            assert!(refused.hint.unwrap().contains("--smb encrypted"));
            let with = |change: fn(&mut HostArgs, &[Vec<String>; 2])| {
                let mut args = args.clone();
                change(&mut args, &[map.clone(), share.clone()]);
                read(address, &args)
            };
            // All that is needed is mapped: then nobody else is asked.
            let mapped = with(|args, [map, _]| args.map.clone_from(map));
            assert_eq!(mapped.ok(), Some(false));
            let shared = with(|args, [_, share]| args.share.clone_from(share));
            assert!(shared.is_err());
            let said = with(|args, _| args.smb = Some(SmbArg::Encrypted));
            assert_eq!(said.ok(), Some(true));
        }
        let named = HostArgs {
            smb_port: Some(10445),
            ..HostArgs::default()
        };
        assert_eq!(read(forwarded, &named).ok(), Some(true));
    }
}
