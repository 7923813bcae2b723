//! Paths as a host spells them.
//!
//! A host's path is text from outside. It becomes one of three roots (a drive, a share, a volume)
//! and proper names below it, or it is refused: nothing leads upwards, names no stream of a file
//! and no device, and means another file than it says.

use std::fmt;

/// Characters that a path may have; Windows' own limit.
const MOST_CHARS: usize = 32_767;
/// UTF-16 units that a name may have.
const MOST_UNITS: usize = 255;

/// A file or folder of a host. Compared without regard to case, as the host does.
#[derive(Clone, Debug)]
pub struct HostPath {
    root: Root,
    names: Vec<String>,
}

#[derive(Clone, Debug)]
enum Root {
    Drive(char),
    Share { server: String, share: String },
    Volume(String),
}

/// Text that is no path of a host that is accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not accepted as a path of the host: {problem}")]
pub struct BadHostPath {
    /// The text, shortened.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl HostPath {
    /// Reads a whole path: `C:\dir\file`, `\\server\share\file`, `\\?\Volume{…}\file`, with or
    /// without `\\?\`, with slashes of either kind.
    pub fn parse(text: &str) -> Result<Self, BadHostPath> {
        parse(text).map_err(|problem| BadHostPath {
            text: text.chars().take(200).collect(),
            problem,
        })
    }

    /// The names below the root.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The last name; `None` for a root.
    pub fn name(&self) -> Option<&str> {
        self.names.last().map(String::as_str)
    }

    /// The folder that it is in; `None` for a root.
    pub fn parent(&self) -> Option<Self> {
        let (_, names) = self.names.split_last()?;
        Some(Self {
            root: self.root.clone(),
            names: names.to_vec(),
        })
    }

    /// A file or folder in this folder.
    pub fn join(&self, name: &str) -> Result<Self, BadHostPath> {
        let mut joined = self.clone();
        match proper(name) {
            Ok(()) => joined.names.push(name.to_owned()),
            Err(problem) => {
                let text = name.chars().take(200).collect();
                return Err(BadHostPath { text, problem });
            }
        }
        Ok(joined)
    }

    /// What follows a folder in this path; `None` when it does not lie in it.
    pub fn below(&self, folder: &Self) -> Option<&[String]> {
        if self.root.key() != folder.root.key() {
            return None;
        }
        let (start, rest) = self.names.split_at_checked(folder.names.len())?;
        let same = |(a, b): (&String, &String)| fold(a) == fold(b);
        start.iter().zip(&folder.names).all(same).then_some(rest)
    }

    /// The same with forward slashes, which other systems' paths are taken apart at as well.
    pub(super) fn slashed(&self) -> String {
        self.to_string().replace('\\', "/")
    }

    fn key(&self) -> (String, Vec<String>) {
        (
            self.root.key(),
            self.names.iter().map(|name| fold(name)).collect(),
        )
    }
}

fn parse(text: &str) -> Result<HostPath, &'static str> {
    if text.chars().nth(MOST_CHARS).is_some() {
        return Err("it is too long");
    }
    let text = text.replace('/', "\\");
    let long = text.strip_prefix(r"\\?\");
    let plain = long.unwrap_or(&text);
    let unc = match long {
        Some(rest) => strip(rest, r"UNC\"),
        None => text.strip_prefix(r"\\"),
    };
    let (root, rest) = if let Some(rest) = unc {
        let mut parts = rest.splitn(3, '\\');
        let mut part = || parts.next().filter(|part| proper(part).is_ok());
        let server = part().ok_or("the server has no proper name")?;
        let share = part().ok_or("the share has no proper name")?;
        // `\\.\` and what is like it are devices.
        if server == "?" || server == "." {
            return Err("it names a device");
        }
        let (server, share) = (server.to_owned(), share.to_owned());
        (Root::Share { server, share }, parts.next().unwrap_or(""))
    } else if let Some(rest) = strip(plain, "Volume{") {
        let (id, rest) = rest
            .split_once('}')
            .ok_or("the volume has no proper name")?;
        crate::ids::guid(id).ok_or("the volume has no proper name")?;
        let rest = match rest {
            "" => "",
            rest => rest
                .strip_prefix('\\')
                .ok_or("the volume has no proper name")?,
        };
        (Root::Volume(id.to_owned()), rest)
    } else {
        let mut chars = plain.chars();
        let letter = chars.next().filter(char::is_ascii_alphabetic);
        let letter = letter.ok_or("it begins with neither a drive nor a share")?;
        let rest = chars.as_str().strip_prefix(':');
        let rest = rest.ok_or("it begins with neither a drive nor a share")?;
        let rest = rest
            .strip_prefix('\\')
            .ok_or("it is relative to a folder of the drive")?;
        (Root::Drive(letter.to_ascii_uppercase()), rest)
    };
    let mut names = Vec::new();
    for name in rest.split('\\').filter(|name| !matches!(*name, "" | ".")) {
        proper(name)?;
        names.push(name.to_owned());
    }
    Ok(HostPath { root, names })
}

/// The rest behind a beginning in any case.
fn strip<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(start.len())?;
    head.eq_ignore_ascii_case(start).then_some(rest)
}

fn proper(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("a name is empty");
    }
    if name == ".." || name == "." {
        return Err("it leads out of its folder");
    }
    if name.encode_utf16().count() > MOST_UNITS {
        return Err("a name is too long");
    }
    if name
        .chars()
        .any(|c| c.is_control() || r#"<>:"/\|?*"#.contains(c))
    {
        return Err("a name has characters that names do not have");
    }
    if name.ends_with(['.', ' ']) {
        // The host would take it for the name without them.
        return Err("a name ends with a dot or a space");
    }
    Ok(())
}

fn fold(name: &str) -> String {
    name.to_lowercase()
}

impl Root {
    fn key(&self) -> String {
        fold(&self.to_string())
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drive(letter) => write!(f, "{letter}:\\"),
            Self::Share { server, share } => write!(f, "\\\\{server}\\{share}\\"),
            Self::Volume(id) => write!(f, "\\\\?\\Volume{{{id}}}\\"),
        }
    }
}

/// The path as Windows spells it.
impl fmt::Display for HostPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.root, self.names.join("\\"))
    }
}

impl std::str::FromStr for HostPath {
    type Err = BadHostPath;

    fn from_str(text: &str) -> Result<Self, BadHostPath> {
        Self::parse(text)
    }
}

impl PartialEq for HostPath {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for HostPath {}

impl std::hash::Hash for HostPath {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> HostPath {
        HostPath::parse(text).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn every_spelling_of_a_file_is_the_same_file() {
        for (a, b) in [
            (r"C:\VMs\a.vhdx", r"c:/vms//A.VHDX"),
            (r"C:\VMs\a.vhdx", r"\\?\C:\VMs\.\a.vhdx"),
            (r"\\nas\vms\a", r"\\?\UNC\NAS\VMS\A"),
            (r"\\nas\vms\a", "//nas/vms/a"),
            (r"C:\", r"\\?\c:\"),
            (
                r"\\?\Volume{83f8638b-8dca-4152-9eda-2ca8b33039b4}\a",
                r"Volume{83F8638B-8DCA-4152-9EDA-2CA8B33039B4}\A",
            ),
        ] {
            assert_eq!(read(a), read(b), "{a} {b}");
        }
        assert_ne!(read(r"C:\a"), read(r"D:\a"));
        assert_ne!(read(r"\\c\a"), read(r"C:\a"));
        assert_eq!(read("c:/VMs/x").to_string(), r"C:\VMs\x");
        assert_eq!(read(r"\\?\unc\nas\vms\x").to_string(), r"\\nas\vms\x");
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        for text in [
            "",
            "a",
            r"\a",
            "C:",
            "C:a",
            r"C:\..\x",
            r"C:\a\..\b",
            "C:/a/../../b",
            r"C:\a\..",
            r"\\nas",
            r"\\nas\",
            r"\\\share",
            r"\\.\PhysicalDrive0",
            r"\\?\GLOBALROOT\Device\x",
            r"\\..\share\x",
            r"\\nas\..\x",
            r"C:\file:stream",
            r"C:\a*",
            "C:\\a\0b",
            r"C:\a. \b",
            r"C:\a.",
            r"\\?\Volume{x}\a",
            r"\\?\Volume{83f8638b-8dca-4152-9eda-2ca8b33039b4}a",
            "é:\\a",
            r"\\?\",
            r"\\?\UNC\",
            r"\\?\UNC\nas",
        ] {
            assert!(HostPath::parse(text).is_err(), "{text}");
        }
        assert!(HostPath::parse(&format!("C:\\{}", "a".repeat(256))).is_err());
        assert!(HostPath::parse(&format!("C:\\{}", "a\\".repeat(20_000))).is_err());
    }

    #[test]
    fn below_goes_by_whole_names() {
        let csv = read(r"C:\ClusterStorage\Volume1");
        let rest = |text| read(text).below(&csv).map(<[String]>::to_vec);
        assert_eq!(
            rest(r"c:\CLUSTERSTORAGE\volume1\A\b"),
            Some(vec!["A".to_owned(), "b".to_owned()])
        );
        assert_eq!(rest(r"C:\ClusterStorage\Volume1"), Some(vec![]));
        assert_eq!(rest(r"C:\ClusterStorage\Volume10\A"), None);
        assert_eq!(rest(r"C:\ClusterStorage"), None);
        let file = csv.join("x.vhdx").unwrap();
        assert_eq!(
            (file.name(), file.parent()),
            (Some("x.vhdx"), Some(csv.clone()))
        );
        for bad in ["..", "a\\b", "", "a/b"] {
            assert!(csv.join(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        /// Whatever is accepted is spelled so that it is accepted again, as the same.
        #[test]
        fn spelling_is_stable(text in r"(\\\\\?\\|\\\\|)(C:|n|UNC|Volume\{)?[\\/.:a-cé ]{0,12}") {
            if let Ok(path) = HostPath::parse(&text) {
                prop_assert_eq!(&HostPath::parse(&path.to_string()).unwrap(), &path);
                prop_assert_eq!(&HostPath::parse(&path.slashed()).unwrap(), &path);
                for name in path.names() {
                    prop_assert!(!name.contains(['\\', '/', ':']) && name != ".." && !name.is_empty());
                }
            }
        }
    }
}
