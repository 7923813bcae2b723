//! Finding files below a folder.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::finding::{Code, Finding, Severity};
use crate::source::RelPath;
use crate::source::folder::open::is_image;

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
    /// It lies in another folder, in which parents are looked for: nothing but what a disk of the
    /// source stands on is taken from there.
    pub(crate) lent: bool,
}

/// All files below `root`, ascending by path, with findings about what could not be looked into.
///
/// Symbolic links to files are followed; links to folders are not, so that nothing is met twice
/// and no loop has to be detected. One that leads out of `root` is a finding, and so is a disk's
/// name that leads nowhere. What is neither file nor folder (pipes, devices, sockets) is
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
        let mut found = Vec::new();
        for entry in entries {
            if found.len() > MAX_FILES {
                break;
            }
            match entry {
                Ok(entry) => found.push(entry),
                Err(error) => {
                    findings.push(unreadable(&folder, &error.to_string()));
                    break;
                }
            }
        }
        if found.len() > MAX_FILES {
            findings.push(unreadable(&folder, "it holds more than a million files"));
            return (files, findings);
        }
        let names: Vec<OsString> = found.iter().map(fs::DirEntry::file_name).collect();
        for (entry, name) in found.iter().zip(safe_names(&names)) {
            let path = entry.path();
            let mut parts: Vec<String> = parts.clone();
            parts.push(name);
            let kind = entry.file_type();
            if kind.as_ref().is_ok_and(|kind| kind.is_dir()) {
                if parts.len() < MAX_DEPTH {
                    folders.push_back((path, parts));
                } else {
                    findings.push(unreadable(&path, "nested too deep"));
                }
                continue;
            }
            // Follows a link.
            let meta = fs::metadata(&path);
            if !meta.as_ref().is_ok_and(|meta| meta.is_file()) {
                if kind.is_ok_and(|kind| kind.is_symlink()) {
                    findings.extend(bad_link(root, &path, &meta));
                }
                continue;
            }
            if files.len() >= MAX_FILES {
                findings.push(unreadable(root, "it holds more than a million files"));
                return (files, findings);
            }
            if let Ok(rel) = RelPath::new(parts.join("/")) {
                files.push(FoundFile {
                    path,
                    rel,
                    lent: false,
                });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    (files, findings)
}

/// The names of one folder as components of a [`RelPath`], in the same order: what could lead
/// elsewhere on some system is replaced. No two are the same, however the folder was listed: a
/// name that is fine stays, and one that is not gets a number if need be.
pub(crate) fn safe_names(names: &[OsString]) -> Vec<String> {
    let mut safe: Vec<String> = names
        .iter()
        .map(|name| safe_name(&name.to_string_lossy()))
        .collect();
    let (fine, mut changed): (Vec<usize>, Vec<usize>) =
        (0..names.len()).partition(|i| names[*i].to_str() == Some(&safe[*i]));
    let mut taken: HashSet<String> = fine.into_iter().map(|i| safe[i].clone()).collect();
    changed.sort_by_key(|i| &names[*i]);
    // Where to go on counting: a folder may hold a million names that are tamed alike.
    let mut counted: HashMap<String, u64> = HashMap::new();
    for i in changed {
        let (stem, ending) = match safe[i].rfind('.') {
            Some(at) if at > 0 => safe[i].split_at(at),
            _ => (safe[i].as_str(), ""),
        };
        let next = counted.entry(safe[i].clone()).or_insert(1);
        let name = loop {
            let name = match *next {
                1 => safe[i].clone(),
                number => format!("{stem} ({number}){ending}"),
            };
            *next += 1;
            if taken.insert(name.clone()) {
                break name;
            }
        };
        safe[i] = name;
    }
    safe
}

/// Never empty, `.` or `..`, and without separators.
fn safe_name(name: &str) -> String {
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

/// What is not backed up because a link is not followed or cannot be.
fn bad_link(root: &Path, path: &Path, meta: &io::Result<fs::Metadata>) -> Option<Finding> {
    match meta {
        Ok(meta) if meta.is_dir() => {
            let inside = fs::canonicalize(path).is_ok_and(|real| real.starts_with(root));
            (!inside).then(|| {
                unreadable(path, "it is a link to a folder elsewhere")
                    .hint("what lies in it is not backed up: give that folder as a source as well")
            })
        }
        Err(error) if is_image(path) => Some(
            Finding::new(
                Code::DiskMissing,
                Severity::Partial,
                path.display().to_string(),
                format!("is a link that cannot be followed, and is not backed up: {error}"),
            )
            .hint("bring back the disk that it leads to, or remove the link"),
        ),
        _ => None,
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
            std::os::unix::fs::symlink("nowhere", dir.path().join("dangling")).unwrap();
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

    #[cfg(unix)]
    #[test]
    fn what_lies_behind_a_link_that_is_not_followed_is_not_forgotten() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        symlink(elsewhere.path(), dir.path().join("b")).unwrap();
        symlink("nowhere", dir.path().join("a.vhdx")).unwrap();
        let (files, findings) = walk(&dir.path().canonicalize().unwrap());
        assert!(files.is_empty());
        let mut codes: Vec<_> = findings
            .iter()
            .map(|f| (f.code.as_str(), f.severity))
            .collect();
        codes.sort_unstable();
        assert_eq!(
            codes,
            [
                ("disk-missing", Severity::Partial),
                ("file-unreadable", Severity::Partial)
            ]
        );
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

    #[test]
    fn tamed_names_do_not_collide_however_the_folder_is_listed() {
        let expected = [
            ("a:b.vhdx", "a_b (3).vhdx"),
            ("a_b.vhdx", "a_b.vhdx"),
            ("a_b (2).vhdx", "a_b (2).vhdx"),
            ("a\\b.vhdx", "a_b (4).vhdx"),
            ("c:d", "c_d"),
            ("c\\d", "c_d (2)"),
        ];
        for turn in 0..expected.len() {
            let mut listed = expected;
            listed.rotate_left(turn);
            let names = listed.map(|(name, _)| OsString::from(name));
            assert_eq!(safe_names(&names), listed.map(|(_, safe)| safe));
        }
    }

    /// Counting each of them from the start would take minutes.
    #[test]
    fn very_many_names_that_are_tamed_alike_are_numbered() {
        let name = |n: u32| -> String {
            let mark = |bit: u32| if n >> bit & 1 == 0 { ':' } else { '\\' };
            (0..16).map(mark).collect()
        };
        let names: Vec<OsString> = (0..1 << 16).map(|n| name(n).into()).collect();
        let safe = safe_names(&names);
        assert_eq!(safe.iter().collect::<HashSet<_>>().len(), names.len());
        assert_eq!(safe[0], "_".repeat(16));
        assert_eq!(safe[names.len() - 1], format!("{} (65536)", "_".repeat(16)));
    }

    #[cfg(unix)]
    #[test]
    fn files_of_nearly_one_name_are_two() {
        use std::os::unix::ffi::OsStrExt;
        let dir = tempfile::tempdir().unwrap();
        for folder in ["f:g", "f_g"] {
            let folder = dir.path().join(folder);
            fs::create_dir(&folder).unwrap();
            for name in [&b"a:b.vhdx"[..], b"a_b.vhdx", b"\xff.vhdx", b"\xfe.vhdx"] {
                fs::write(folder.join(std::ffi::OsStr::from_bytes(name)), b"").unwrap();
            }
        }
        let (files, findings) = walk(dir.path());
        assert_eq!(findings, []);
        let names: HashSet<&str> = files.iter().map(|f| f.rel.as_str()).collect();
        assert_eq!((files.len(), names.len()), (8, 8), "{names:?}");
    }
}
