//! A folder with a vault, a source and a place to restore to; and the program.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::start::Start as _;

/// What one run answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Answer {
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The document, of a run with `--json`: one line and nothing else.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.out.lines().count(), 1, "{self:?}");
        let document = serde_json::from_str(&self.out);
        let document = document.unwrap_or_else(|e| panic!("{e}: {self:?}"));
        advised(&document);
        document
    }

    /// With this exit code. Whatever the error, it comes with advice.
    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        let error = self.err.lines().any(|line| line.starts_with("error: "));
        let hint = self.err.lines().any(|line| line.starts_with("hint: "));
        assert!(hint || !error, "an error without a hint: {self:#?}");
        self
    }
}

/// Each finding that somebody should act on says how.
fn advised(document: &Value) {
    match document {
        Value::Array(items) => items.iter().for_each(advised),
        Value::Object(members) => {
            let severity = members.get("severity").and_then(Value::as_str);
            if severity.is_some_and(|severity| severity != "info") {
                assert!(members["hint"].is_string(), "{document:#}");
            }
            members.values().for_each(advised);
        }
        _ => {}
    }
}

pub(crate) struct Bench {
    dir: tempfile::TempDir,
}

pub(crate) const PASSPHRASE: &str = "correct horse ü 数 💾";

impl Bench {
    /// With a vault.
    pub(crate) fn new() -> Self {
        let bench = Self::bare();
        bench.run(&["init"]).ends(0);
        bench
    }

    /// Without one.
    pub(crate) fn bare() -> Self {
        let bench = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        fs::write(bench.path("passphrase"), format!("{PASSPHRASE}\n")).unwrap();
        fs::create_dir(bench.path("source")).unwrap();
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The program with everything that it needs from its surroundings, and nothing of ours.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hyperkeep"));
        self.surround(&mut command);
        command.args(args);
        command
    }

    /// Sets what the program takes from its surroundings.
    pub(crate) fn surround(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HYPERKEEP_") {
                command.env_remove(name);
            }
        }
        command
            .env("HYPERKEEP_VAULT", self.path("vault"))
            .env("HYPERKEEP_PASSPHRASE_FILE", self.path("passphrase"))
            .env("HYPERKEEP_CACHE_DIR", self.path("cache"))
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
    }

    pub(crate) fn run(&self, args: &[&str]) -> Answer {
        self.command(args).answer()
    }

    /// Backs up the source; the document.
    pub(crate) fn backup(&self, code: i32) -> Value {
        self.run(&["backup", "folder:source", "--json"])
            .ends(code)
            .json()
    }

    /// A raw disk in the source.
    pub(crate) fn disk(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path("source").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Restores the disks of a point into a new folder; the folder.
    pub(crate) fn restore(&self, point: &str, more: &[&str]) -> PathBuf {
        let count = fs::read_dir(self.dir.path()).unwrap().count();
        let to = self.path(&format!("restored {count}"));
        let mut args = vec!["restore", "disks", "--to", to.to_str().unwrap()];
        args.extend(more);
        // A name may begin with a dash.
        args.extend(["--", point]);
        self.run(&args).ends(0);
        to
    }
}

/// Bytes of all files below a folder. Files may come and go meanwhile.
pub(crate) fn bytes_below(folder: &Path) -> u64 {
    files_below(folder)
        .iter()
        .map(|file| fs::metadata(file).map_or(0, |meta| meta.len()))
        .sum()
}

/// All files below a folder.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let Ok(path) = entry.map(|entry| entry.path()) else {
                continue;
            };
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The VM with this name in a `backup` document.
pub(crate) fn vm<'a>(document: &'a Value, name: &str) -> &'a Value {
    let vms = document["vms"].as_array().unwrap();
    vms.iter()
        .find(|vm| vm["name"] == name)
        .unwrap_or_else(|| panic!("no VM {name} in {document:#}"))
}

/// Overwrites bytes of a file.
pub(crate) fn patch(file: &Path, offset: u64, bytes: &[u8]) {
    let mut file = fs::File::options().write(true).open(file).unwrap();
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.write_all(bytes).unwrap();
}
