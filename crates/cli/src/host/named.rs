//! Hosts by name: what would otherwise stand on every command line, in a file.
//!
//! ```toml
//! [hosts.hv01]
//! address = "winrm://backup@hv01.example.org"
//! password-file = "hv01.password"
//! pin = "4f…2a"
//! map = ['D:\VMs=/mnt/vms']
//! ```
//!
//! What the command line says counts instead of what the file says. Paths are relative to the
//! file's folder. A member that is not known is an error: a misspelt pin must not trust anybody.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::HostAddress;
use crate::args::{AuthArg, HostArgs, SmbArg};
use crate::failure::{Failure, OnPath, Result};

/// No list of hosts is longer.
const MOST_BYTES: u64 = 1 << 20;

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hosts {
    #[serde(default)]
    hosts: BTreeMap<String, Named>,
}

/// What it says of a host, in the words of the command line.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Named {
    address: String,
    password_file: Option<PathBuf>,
    auth: Option<AuthArg>,
    kdc: Option<String>,
    pin: Option<String>,
    ca: Option<PathBuf>,
    #[serde(default)]
    map: Vec<String>,
    smb: Option<SmbArg>,
    #[serde(default)]
    share: Vec<String>,
    #[serde(default)]
    file_server: Vec<String>,
    smb_port: Option<u16>,
    state: Option<PathBuf>,
    hooks: Option<PathBuf>,
}

/// Whether a source may be a host's name: every other kind of source has a colon.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains([':', '/', '\\'])
}

/// The host that a text means, by its address or by its name in the file, and how it is reached.
///
/// # Errors
/// When it means none.
pub(crate) fn find(text: &str, args: &HostArgs) -> Result<(HostAddress, HostArgs)> {
    const HINT: &str = "write winrm://USER@HOST[:PORT] or winrm+http://USER@HOST[:PORT]";
    let address = |text: &str| {
        let address: std::result::Result<HostAddress, _> = text.parse();
        address.map_err(|error| Failure::usage(error).hint(HINT))
    };
    if !is_name(text) {
        return Ok((address(text)?, args.clone()));
    }
    let Some(path) = args.hosts.clone().or_else(usual) else {
        return Err(Failure::usage(format!("“{text}” is no host")).hint(HINT));
    };
    let Some(hosts) = read(&path, args.hosts.is_some())? else {
        return Err(Failure::usage(format!(
            "“{text}” is no host, and there is no file {} that could name it",
            path.display()
        ))
        .hint(HINT));
    };
    let Some(named) = hosts.hosts.get(text) else {
        let names: Vec<&str> = hosts.hosts.keys().map(String::as_str).collect();
        return Err(Failure::usage(format!(
            "{}: does not name “{text}”; it names: {}",
            path.display(),
            names.join(", ")
        ))
        .hint(HINT));
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    Ok((address(&named.address)?, merge(args, named, folder)))
}

/// What the file says of a node of a cluster, if it names it; names of hosts may have a domain.
///
/// # Errors
/// When there is a file that is not understood.
pub(crate) fn look_up(node: &str, args: &HostArgs) -> Result<Option<(HostAddress, HostArgs)>> {
    let Some(path) = args.hosts.clone().or_else(usual) else {
        return Ok(None);
    };
    let Some(hosts) = read(&path, args.hosts.is_some())? else {
        return Ok(None);
    };
    let mut names = hosts.hosts.keys();
    match names.find(|name| hyperv::same_host(name, node)) {
        Some(name) => find(name, args).map(Some),
        None => Ok(None),
    }
}

/// The command line first.
fn merge(args: &HostArgs, named: &Named, folder: &Path) -> HostArgs {
    let beside = |path: &Option<PathBuf>| path.as_ref().map(|path| folder.join(path));
    let list = |given: &Vec<String>, named: &Vec<String>| match given.is_empty() {
        true => named.clone(),
        false => given.clone(),
    };
    // Either of the two says whom to trust, so they are replaced together.
    let trusts = args.pin.is_some() || args.ca.is_some();
    HostArgs {
        password_file: args
            .password_file
            .clone()
            .or_else(|| beside(&named.password_file)),
        auth: args.auth.or(named.auth),
        kdc: args.kdc.clone().or_else(|| named.kdc.clone()),
        pin: match trusts {
            true => args.pin.clone(),
            false => named.pin.clone(),
        },
        ca: match trusts {
            true => args.ca.clone(),
            false => beside(&named.ca),
        },
        map: list(&args.map, &named.map),
        smb: args.smb.or(named.smb),
        share: list(&args.share, &named.share),
        file_server: list(&args.file_server, &named.file_server),
        smb_port: args.smb_port.or(named.smb_port),
        state: args.state.clone().or_else(|| beside(&named.state)),
        hooks: beside(&named.hooks),
        hosts: args.hosts.clone(),
    }
}

/// Reads the file. `None` when there is none where one usually is.
fn read(path: &Path, asked_for: bool) -> Result<Option<Hosts>> {
    const HINT: &str = "see --hosts and HYPERKEEP_HOSTS: a file that you may read";
    let file = match fs::File::open(path) {
        Err(error) if !asked_for && error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.on_path("reading the hosts", path, HINT)?,
    };
    let mut text = String::new();
    file.take(MOST_BYTES + 1)
        .read_to_string(&mut text)
        .on_path("reading the hosts", path, HINT)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(Failure::new(format!("{}: is too long", path.display())).hint(HINT));
    }
    let hosts: Hosts = toml::from_str(&text).map_err(|error| {
        Failure::usage(format!(
            "{}: {}",
            path.display(),
            error.to_string().trim_end()
        ))
        .hint("members have the names of the options, without dashes before them")
    })?;
    for (name, named) in &hosts.hosts {
        let wrong = |what: &str| {
            Failure::usage(format!("{}: {name}: {what}", path.display()))
                .hint("see docs/hyperv/backup.md for the file's members")
        };
        if !is_name(name) {
            return Err(wrong("a name has no colon and no slash"));
        }
        if named.pin.is_some() && named.ca.is_some() {
            return Err(wrong("either `pin` or `ca` says whom to trust"));
        }
    }
    Ok(Some(hosts))
}

#[cfg(windows)]
fn usual() -> Option<PathBuf> {
    let data = std::env::var_os("ProgramData").filter(|data| !data.is_empty())?;
    Some(PathBuf::from(data).join("Hyperkeep").join("hosts.toml"))
}

#[cfg(not(windows))]
fn usual() -> Option<PathBuf> {
    use etcetera::BaseStrategy as _;
    let base = etcetera::choose_base_strategy().ok()?;
    Some(base.config_dir().join("hyperkeep").join("hosts.toml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> (tempfile::TempDir, HostArgs) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts.toml");
        fs::write(&path, text).unwrap();
        let args = HostArgs {
            hosts: Some(path),
            ..HostArgs::default()
        };
        (folder, args)
    }

    #[test]
    fn a_name_stands_for_all_that_the_file_says_and_the_command_line_counts() {
        let (folder, mut args) = with(
            "[hosts.hv01]\naddress = 'winrm://a@hv01'\npassword-file = 'secret'\nca = 'ca.pem'\n\
             auth = 'basic'\nmap = ['C:\\VMs=/mnt/a', 'D:\\=/mnt/d']\nsmb = 'off'\nsmb-port = 1445\nhooks = 'around.toml'\n",
        );
        let (address, found) = find("hv01", &args).unwrap();
        assert_eq!(address.to_string(), "winrm://hv01:5986");
        assert_eq!(found.password_file, Some(folder.path().join("secret")));
        assert_eq!(found.ca, Some(folder.path().join("ca.pem")));
        assert_eq!(found.hooks, Some(folder.path().join("around.toml")));
        assert_eq!(
            (found.auth, found.smb),
            (Some(AuthArg::Basic), Some(SmbArg::Off))
        );
        assert_eq!((found.map.len(), found.smb_port), (2, Some(1445)));

        args.pin = Some("00".repeat(32));
        args.map = vec!["E:\\=/mnt/e".to_owned()];
        args.smb = Some(SmbArg::Signed);
        let (_, found) = find("hv01", &args).unwrap();
        assert_eq!((&found.pin, &found.ca), (&args.pin, &None));
        assert_eq!((&found.map, found.smb), (&args.map, Some(SmbArg::Signed)));
        // An address needs no file.
        let (address, found) = find("winrm://b@other", &args).unwrap();
        assert_eq!((address.user.as_str(), found.smb_port), ("b", None));
    }

    #[test]
    fn what_is_not_understood_trusts_nobody() {
        let host = "[hosts.hv01]\naddress = 'winrm://a@hv01'\n";
        for (bad, part) in [
            ("pim = '00'\n", "pim"),
            ("password = 'x'\n", "password"),
            ("pin = '00'\nca = 'ca.pem'\n", "either"),
            ("auth = 'none'\n", "none"),
            ("[hosts.'a:b']\naddress = 'winrm://a@b'\n", "colon"),
        ] {
            let (_folder, args) = with(&format!("{host}{bad}"));
            let error = find("hv01", &args).unwrap_err();
            assert!(
                error.causes().0.contains(part),
                "{bad}: {:?}",
                error.causes()
            );
            assert!(error.hint.is_some());
        }
        let (_folder, args) = with(host);
        let error = find("hv02", &args).unwrap_err();
        assert!(error.causes().0.contains("hv01"), "{:?}", error.causes());
    }
}
