//! Finding files below a folder.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

use crate::finding::{Code, Finding, Severity};
use crate::source::RelPath;

/// Folders deeper than this are not entered.
const MAX_DEPTH: usize = 64;
/// More files than this are not a folder of VMs.
const MAX_FILES: usize = 1 << 20;

/// A file below the folder.
#[derive(Debug, Clone)]
pub(crate) struct FoundFile {
    /// Where the host has it.
    pub(crate) path: PathBuf,
    /// Where it is relative to the folder, made safe to create elsewhere.
    pub(crate) rel: RelPath,
}

/// All files below `root`, ascending by path, with findings about what could not be looked into.
///
/// Symbolic links to files are followed; links to folders are not, so that nothing is met twice
/// and no loop has to be detected. What is neither file nor folder (pipes, devices, sockets) is
/// left out: opening one may wait forever.
pub(crate) fn walk(root: &Path) -> (Vec<FoundFile>, Vec<Finding>) {
    let mut files = Vec::new();
    let mut findings = Vec::new();
    let mut folders = VecDeque::from([(root.to_path_buf(), Vec::new())]);
    while let Some((folder, parts)) = folders.pop_front() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                findings.push(unreadable(&folder, &error.to_string()));
                continue;
            }
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    findings.push(unreadable(&folder, &error.to_string()));
                    break;
                }
            };
            let path = entry.path();
            let mut parts: Vec<String> = parts.clone();
            parts.push(safe_name(&entry.file_name().to_string_lossy()));
            let kind = entry.file_type();
            if kind.as_ref().is_ok_and(|kind| kind.is_dir()) {
                if parts.len() < MAX_DEPTH {
                    folders.push_back((path, parts));
                } else {
                    findings.push(unreadable(&path, "nested too deep"));
                }
                continue;
            }
            // Follows a link. One that leads nowhere is no file.
            if !fs::metadata(&path).is_ok_and(|meta| meta.is_file()) {
                continue;
            }
            if files.len() >= MAX_FILES {
                findings.push(unreadable(root, "it holds more than a million files"));
                return (files, findings);
            }
            if let Ok(rel) = RelPath::new(parts.join("/")) {
                files.push(FoundFile { path, rel });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    (files, findings)
}

/// A file name as a component of a [`RelPath`]: what could lead elsewhere on some system is
/// replaced. Never empty, `.` or `..`.
pub(crate) fn safe_name(name: &str) -> String {
    let name: String = name
        .chars()
        .map(|c| {
            if matches!(c, '/' | '\\' | ':' | '\0') {
                '_'
            } else {
                c
            }
        })
        .collect();
    match name.as_str() {
        "" | "." | ".." => "_".to_owned(),
        _ => name,
    }
}

fn unreadable(path: &Path, why: &str) -> Finding {
    Finding::new(
        Code::FileUnreadable,
        Severity::Partial,
        path.display().to_string(),
        format!("this folder was not looked into: {why}"),
    )
    .hint("what lies in it is not backed up")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_found_once_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let long = "n".repeat(200);
        for path in [
            "a.vhdx",
            "VM “数” & 💾/disk 1.vhdx",
            &format!("{long}/{long}/x.vhdx"),
        ] {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"").unwrap();
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(dir.path(), dir.path().join("loop")).unwrap();
            std::os::unix::fs::symlink("nowhere", dir.path().join("dangling.vhdx")).unwrap();
        }
        let (files, findings) = walk(dir.path());
        assert_eq!(findings, []);
        let mut found: Vec<&str> = files.iter().map(|f| f.rel.as_str()).collect();
        found.sort_unstable();
        let deep = format!("{long}/{long}/x.vhdx");
        let mut expected = ["a.vhdx", "VM “数” & 💾/disk 1.vhdx", &deep];
        expected.sort_unstable();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_folder_that_is_not_there_is_a_finding() {
        let (files, findings) = walk(Path::new("/nowhere/at/all"));
        assert!(files.is_empty());
        assert_eq!(findings[0].severity, Severity::Partial);
    }

    #[test]
    fn names_that_could_lead_elsewhere_are_tamed() {
        for (name, safe) in [
            ("a:b\\c", "a_b_c"),
            ("..", "_"),
            ("", "_"),
            ("数 💾", "数 💾"),
        ] {
            assert_eq!(safe_name(name), safe);
            assert!(RelPath::new(safe_name(name)).is_ok());
        }
    }
}
