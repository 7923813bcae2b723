//! A folder on a Windows host, as configurations name it.
//!
//! It need not exist, and this need not be Windows: a restore says with it where the restored files
//! will lie. So it must be right by its form alone: a full path, of names that Windows can hold.

use std::fmt;
use std::str::FromStr;

use crate::names::safe_name;

/// A folder on a Windows host by its full path, such as `E:\Restored\VM`, `\\server\share\VM` or
/// `\\?\Volume{…}\VM`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowsFolder(String);

/// What is no full path of a folder on a Windows host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "“{0}” is not the full path of a folder on Windows, such as E:\\Restored\\VM or \
     \\\\server\\share\\VM"
)]
pub struct NotAFolder(String);

impl WindowsFolder {
    /// What lies in it under a name, or under a path with `\`.
    pub fn join(&self, below: &str) -> String {
        format!(r"{}\{below}", self.0)
    }
}

/// As people and configurations write it; `\` ends it only where Windows wants that: `E:\`.
impl fmt::Display for WindowsFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)?;
        let names = self.0.trim_start_matches(r"\\?\");
        match names.contains('\\') {
            true => Ok(()),
            false => f.write_str(r"\"),
        }
    }
}

impl FromStr for WindowsFolder {
    type Err = NotAFolder;

    fn from_str(text: &str) -> Result<Self, NotAFolder> {
        folder(text).ok_or_else(|| NotAFolder(text.to_owned()))
    }
}

fn folder(text: &str) -> Option<WindowsFolder> {
    let path = text.replace('/', r"\");
    let (root, below) = root(&path)?;
    let below = below.strip_suffix('\\').unwrap_or(below);
    let mut folder = root;
    for name in below.split('\\').filter(|_| !below.is_empty()) {
        if !is_name(name) {
            return None;
        }
        folder.push('\\');
        folder.push_str(name);
    }
    Some(WindowsFolder(folder))
}

/// Where a path begins, without `\` at the end, and its rest. The prefix that switches parsing off
/// (`\\?\`) goes, except where only it leads to the volume.
fn root(path: &str) -> Option<(String, &str)> {
    let verbatim = path.strip_prefix(r"\\?\");
    if let Some((volume, below)) = verbatim.and_then(|rest| rest.split_once('\\'))
        && let Some(id) = volume.strip_prefix("Volume{")
        && is_name(volume)
        && id.ends_with('}')
    {
        return Some((format!(r"\\?\{volume}"), below));
    }
    let share = match verbatim {
        Some(rest) => rest.strip_prefix(r"UNC\"),
        None => path.strip_prefix(r"\\"),
    };
    if let Some((server, rest)) = share.and_then(|share| share.split_once('\\')) {
        let (share, below) = rest.split_once('\\').unwrap_or((rest, ""));
        let named = is_name(server) && is_name(share);
        return named.then(|| (format!(r"\\{server}\{share}"), below));
    }
    let (drive, below) = verbatim.unwrap_or(path).split_once('\\')?;
    let letter = drive.strip_suffix(':')?;
    let is_drive = letter.len() == 1 && letter.chars().all(|c| c.is_ascii_alphabetic());
    is_drive.then(|| (drive.to_owned(), below))
}

fn is_name(name: &str) -> bool {
    safe_name(name, usize::MAX) == name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_paths_are_folders() {
        for (text, shown, disk) in [
            (r"E:\Restored\VM", r"E:\Restored\VM", r"E:\Restored\VM\x"),
            ("e:/Restored/VM/", r"e:\Restored\VM", r"e:\Restored\VM\x"),
            (r"E:\", r"E:\", r"E:\x"),
            (r"\\?\D:\Näme 数", r"D:\Näme 数", r"D:\Näme 数\x"),
            (r"\\nas\vms", r"\\nas\vms", r"\\nas\vms\x"),
            (r"\\nas\vms\a\", r"\\nas\vms\a", r"\\nas\vms\a\x"),
            (r"\\?\UNC\nas\vms\a", r"\\nas\vms\a", r"\\nas\vms\a\x"),
            (
                r"\\?\Volume{ab}\a",
                r"\\?\Volume{ab}\a",
                r"\\?\Volume{ab}\a\x",
            ),
            (r"\\?\Volume{ab}\", r"\\?\Volume{ab}\", r"\\?\Volume{ab}\x"),
        ] {
            let folder: WindowsFolder = text.parse().unwrap();
            assert_eq!(
                (folder.to_string().as_str(), folder.join("x").as_str()),
                (shown, disk)
            );
            assert_eq!(
                shown.parse(),
                Ok(folder),
                "what is shown is the same folder"
            );
        }
    }

    /// Each of these would name disks somewhere else than was meant.
    #[test]
    fn what_leads_elsewhere_is_refused() {
        for text in [
            "",
            "VM",
            r"Restored\VM",
            r"\Restored\VM",
            "/srv/restored",
            // What a shell leaves of a path that was not quoted.
            "E:RestoredVM",
            "E:",
            r"1:\VM",
            r"EE:\VM",
            r"E:\a\..\b",
            r"E:\.",
            r"E:\a\\b",
            r"E:\a?",
            r"E:\a.",
            r"E:\nul",
            "E:\\a\nb",
            r"\\nas",
            r"\\nas\",
            r"\\\vms",
            r"\\.\PhysicalDrive0",
            r"\\?\GLOBALROOT\Device",
            r"\\?\Volume{ab}",
        ] {
            let error = text.parse::<WindowsFolder>().unwrap_err();
            assert!(error.to_string().contains(r"E:\Restored\VM"), "{text}");
        }
    }
}
