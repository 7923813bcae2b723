//! Where a host's paths are found among shares.

use hyperv::files::{BadHostPath, HostPath};

/// A path below a share of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) server: String,
    pub(crate) share: String,
    /// With backslashes; empty for the share itself.
    pub(crate) path: String,
}

/// Folders of a host with the shares that they are found in.
///
/// Without rules, `C:\VMs` is found in the share `C$` of the host, as on each Windows server, and
/// `\\HOST\share` where it says. Rules come first; of several that a path lies in, the longest
/// counts. Paths on other servers than the host and those that rules name are found only when the
/// server is allowed: what a host says must not make us show an account to a server of its choice.
#[derive(Clone, Debug)]
pub struct ShareMap {
    host: String,
    rules: Vec<(HostPath, HostPath)>,
    allowed: Vec<String>,
}

/// A rule or a host that does not make sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadShareMap {
    /// It is no path.
    #[error(transparent)]
    Path(#[from] BadHostPath),
    /// It names no share.
    #[error("{0} names no share: write it as \\\\server\\share")]
    NoShare(String),
    /// It is no name of a server.
    #[error("{0:?} is no name of a server")]
    NoServer(String),
}

impl ShareMap {
    /// The administrative shares of a host, given by its name or address.
    ///
    /// # Errors
    /// [`BadShareMap::NoServer`].
    pub fn new(host: &str) -> Result<Self, BadShareMap> {
        let host = server_name(host)?;
        Ok(Self {
            host,
            rules: Vec::new(),
            allowed: Vec::new(),
        })
    }

    /// The same with a folder of the host found in a share or a folder of one; it replaces an
    /// earlier rule for the same folder.
    ///
    /// # Errors
    /// [`BadShareMap::NoShare`].
    pub fn with(mut self, folder: HostPath, at: HostPath) -> Result<Self, BadShareMap> {
        if share_of(&at).is_none() {
            return Err(BadShareMap::NoShare(at.to_string()));
        }
        self.rules.retain(|(known, _)| *known != folder);
        self.rules.push((folder, at));
        Ok(self)
    }

    /// The same with another server whose shares may be used with the account.
    ///
    /// # Errors
    /// [`BadShareMap::NoServer`].
    pub fn allow(mut self, server: &str) -> Result<Self, BadShareMap> {
        self.allowed.push(server_name(server)?);
        Ok(self)
    }

    /// The host, as it was given.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Where a path is found; `None` when nothing says so.
    pub(crate) fn find(&self, path: &HostPath) -> Option<Place> {
        let fitting = self.rules.iter().filter_map(|(folder, at)| {
            let rest = path.below(folder)?;
            Some((at, rest))
        });
        // The longest rule leaves the shortest rest.
        if let Some((at, rest)) = fitting.min_by_key(|(_, rest)| rest.len()) {
            let (server, share) = share_of(at)?;
            let names: Vec<&str> = at.names().iter().chain(rest).map(String::as_str).collect();
            return Some(place(server, share, &names));
        }
        let names: Vec<&str> = path.names().iter().map(String::as_str).collect();
        if let Some((server, share)) = share_of(path) {
            let known = |name: &String| name.eq_ignore_ascii_case(&server);
            let allowed = known(&self.host) || self.allowed.iter().any(known);
            return allowed.then(|| place(server, share, &names));
        }
        let drive = drive_of(path)?;
        Some(place(self.host.clone(), format!("{drive}$"), &names))
    }
}

fn place(server: String, share: String, names: &[&str]) -> Place {
    Place {
        server,
        share,
        path: names.join("\\"),
    }
}

fn server_name(text: &str) -> Result<String, BadShareMap> {
    let text = text.trim_start_matches('[').trim_end_matches(']');
    let bad = |c: char| c.is_control() || c.is_whitespace() || r#"<>"/\|?*%"#.contains(c);
    if text.is_empty() || text.contains(bad) || text.chars().count() > 255 {
        return Err(BadShareMap::NoServer(text.chars().take(80).collect()));
    }
    Ok(text.to_owned())
}

/// The root that a path begins with, as the host spells it.
fn root_of(path: &HostPath) -> String {
    let mut root = path.clone();
    while let Some(parent) = root.parent() {
        root = parent;
    }
    root.to_string()
}

fn share_of(path: &HostPath) -> Option<(String, String)> {
    let root = root_of(path);
    let rest = root
        .strip_prefix(r"\\")
        .filter(|rest| !rest.starts_with('?'))?;
    let (server, share) = rest.trim_end_matches('\\').split_once('\\')?;
    Some((server.to_owned(), share.to_owned()))
}

fn drive_of(path: &HostPath) -> Option<char> {
    let root = root_of(path);
    let mut chars = root.chars();
    let letter = chars.next()?;
    (chars.as_str() == ":\\").then_some(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> HostPath {
        HostPath::parse(text).unwrap()
    }

    fn found(map: &ShareMap, text: &str) -> Option<String> {
        let place = map.find(&host(text))?;
        Some(format!("{}|{}|{}", place.server, place.share, place.path))
    }

    #[test]
    fn drives_are_administrative_shares_of_the_host() {
        let map = ShareMap::new("hv1").unwrap();
        for (path, at) in [
            (r"C:\VMs\a b.vhdx", r"hv1|C$|VMs\a b.vhdx"),
            (r"d:/x", "hv1|D$|x"),
            (r"C:\", "hv1|C$|"),
            (
                r"C:\ClusterStorage\Volume1\x",
                r"hv1|C$|ClusterStorage\Volume1\x",
            ),
            (r"\\HV1\vms\x", r"HV1|vms|x"),
        ] {
            assert_eq!(found(&map, path).as_deref(), Some(at), "{path}");
        }
    }

    #[test]
    fn an_account_is_shown_to_no_server_that_was_not_allowed() {
        let map = ShareMap::new("hv1").unwrap();
        assert_eq!(found(&map, r"\\nas\vms\x"), None);
        assert_eq!(found(&map, r"\\hv1.evil.example\vms\x"), None);
        let map = map.allow("NAS").unwrap();
        assert_eq!(found(&map, r"\\nas\vms\x").as_deref(), Some("nas|vms|x"));
        let volume = r"\\?\Volume{83f8638b-8dca-4152-9eda-2ca8b33039b4}\a";
        assert_eq!(found(&map, volume), None);
        let map = map.with(host(volume), host(r"\\hv1\vol\b")).unwrap();
        assert_eq!(found(&map, volume).as_deref(), Some("hv1|vol|b"));
    }

    #[test]
    fn the_longest_rule_counts() {
        let map = ShareMap::new("hv1").unwrap();
        let map = map.with(host(r"C:\"), host(r"\\a\c")).unwrap();
        let map = map.with(host(r"C:\VMs"), host(r"\\b\vms\deep")).unwrap();
        let map = map.with(host(r"\\nas\x"), host(r"\\nas2\x")).unwrap();
        assert_eq!(found(&map, r"C:\vms\d").as_deref(), Some(r"b|vms|deep\d"));
        assert_eq!(found(&map, r"C:\VMs2\d").as_deref(), Some(r"a|c|VMs2\d"));
        assert_eq!(found(&map, r"\\NAS\X\d").as_deref(), Some("nas2|x|d"));
        assert_eq!(found(&map, r"E:\d").as_deref(), Some("hv1|E$|d"));
        assert!(map.with(host(r"C:\a"), host(r"D:\b")).is_err());
    }

    #[test]
    fn hosts_are_names_or_addresses() {
        for good in ["hv1", "hv1.example.org", "10.0.0.1", "[fe80::1]", "fe80::1"] {
            assert!(ShareMap::new(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", r"a\b", "a/b", "a?"] {
            assert!(ShareMap::new(bad).is_err(), "{bad}");
        }
    }
}
