//! What is kept of VMs that restores have changed on their hosts, until that is confirmed or undone.
//!
//! ```text
//! STATE/hosts/HOST_PORT_VAULT/RUN.kept
//! ```
//!
//! One file for each restore, named by its run, beside the journals of the host and the vault. It is
//! written whole and durably before a VM is another one than before, and removed when that is confirmed
//! or undone, or did not come about. Who has no [`Claim`](super::Claim) of the host only reads.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use engine::restore::vm::Undo;
use engine::source::hyperv::OnReturn;
use hyperv::files::HostPath;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::failure::{Failure, OnPath as _, Result};

const ENDING: &str = "kept";
/// The version of the form that is written.
const VERSION: u32 = 1;
/// No restore has as much to keep.
const MOST: u64 = 16 << 20;
const HINT: &str = "see that the folder of --state can be read and written and has room";

/// A restore that is neither confirmed nor undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptVm {
    /// The version of this form.
    pub(crate) version: u32,
    /// The run that did it.
    pub(crate) id: Uuid,
    /// The host, as it was named.
    pub(crate) host: String,
    /// The vault's id.
    pub(crate) vault: String,
    /// The restore point.
    pub(crate) point: String,
    /// The VM's name.
    pub(crate) name: String,
    /// When that was.
    pub(crate) at: Timestamp,
    /// What was done, and what is needed to undo it.
    pub(crate) done: Done,
}

/// What a restore has done to a VM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "done", rename_all = "kebab-case")]
pub(crate) enum Done {
    /// Its disks were brought back where they are.
    RolledBack {
        /// Its id.
        vm: Uuid,
        /// Its disks, as the host spells them. What they were is beside them.
        disks: Vec<String>,
        /// How far that has come.
        stage: Stage,
        /// Those of which something is kept, when that has come to its end.
        changed: Vec<String>,
    },
    /// It took the place of another one.
    Replaced {
        /// By what that one comes back.
        undo: Undo,
        /// Its disks, which nobody has meanwhile.
        disks: Vec<String>,
        /// The folder that its configuration was in.
        was: Option<String>,
        /// Whether what was put aside is being given up.
        #[serde(default)]
        confirming: bool,
    },
}

/// How far a rollback has come that is neither confirmed nor undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Stage {
    /// Disks may be part old and part new.
    Writing,
    /// All are as the restore point has them.
    Written,
    /// All were, and somebody has used the VM before that was over.
    Used,
    /// What they were is being given up.
    Confirming,
    /// They are being put back.
    Undoing,
}

impl KeptVm {
    /// What is to be kept of a restore that was done now.
    pub(crate) fn new(
        id: Uuid,
        (host, vault, point): (&str, &str, &str),
        name: &str,
        done: Done,
    ) -> Self {
        Self {
            version: VERSION,
            id,
            host: host.to_owned(),
            vault: vault.to_owned(),
            point: point.to_owned(),
            name: name.to_owned(),
            at: Timestamp::now(),
            done,
        }
    }

    /// Where it is kept in a folder of journals.
    pub(crate) fn path(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.{ENDING}", self.id.simple()))
    }

    /// Writes it, whole and durably.
    ///
    /// # Errors
    /// When it is not there then.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let path = self.path(folder);
        let making = path.with_extension("kept-new");
        let write = || {
            let mut file = File::create(&making)?;
            serde_json::to_writer_pretty(&mut file, self)?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            fs::rename(&making, &path)?;
            sync(folder)
        };
        write().on_path("keeping what is needed to undo the restore", &path, HINT)
    }

    /// Removes it: nothing is to be confirmed or undone any more.
    ///
    /// # Errors
    /// When it is there still.
    pub(crate) fn remove(&self, folder: &Path) -> Result<()> {
        let path = self.path(folder);
        let removed = match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
        removed
            .and_then(|()| sync(folder))
            .on_path("removing", &path, HINT)
    }

    /// Notes how far a rollback has come.
    ///
    /// # Errors
    /// As of [`write`](Self::write).
    pub(crate) fn reach(&mut self, folder: &Path, to: Stage) -> Result<()> {
        match &mut self.done {
            Done::RolledBack { stage, .. } => *stage = to,
            Done::Replaced { .. } => return Ok(()),
        }
        self.write(folder)
    }

    /// Removes what is kept of a restore that is ended: the VM that is there now has its configuration in
    /// `now`. What an earlier restore has kept of the one that was replaced is told that.
    ///
    /// # Errors
    /// When it is there still, or the earlier one could not be told.
    pub(crate) fn end(&self, folder: &Path, now: &str) -> Result<()> {
        if let Done::Replaced { undo, was, .. } = &self.done
            && let Some(was) = was
        {
            moved(folder, undo.vm, (was, now))?;
        }
        self.remove(folder)
    }
}

/// What is kept of restores whose VM had its configuration in one folder is told that it is in another one
/// now.
///
/// # Errors
/// When one of them could not be told.
pub(crate) fn moved(folder: &Path, vm: Uuid, (was, now): (&str, &str)) -> Result<()> {
    for mut kept in kept_in(folder)? {
        if let Done::Replaced { undo, .. } = &mut kept.done
            && undo.vm == vm
            && same_folder(&undo.folder, was)
        {
            now.clone_into(&mut undo.folder);
            kept.write(folder)?;
        }
    }
    Ok(())
}

/// What is to be told to a source when it finds a VM back on its host.
pub(crate) fn on_return() -> OnReturn {
    OnReturn::new(|folder, returned| {
        let told = || -> Result<()> {
            if let Some(was) = &returned.was {
                moved(folder, returned.vm, (was, &returned.folder))?;
            }
            // The replacement itself did not come about.
            for kept in kept_in(folder)? {
                let Done::Replaced { undo, .. } = &kept.done else {
                    continue;
                };
                let aside = undo.aside.as_ref().filter(|_| undo.vm == returned.vm);
                if aside.is_some_and(|aside| same_folder(&aside.folder, &returned.folder)) {
                    kept.remove(folder)?;
                }
            }
            Ok(())
        };
        told().map_err(|failure| format!("{:#}", failure.error))
    })
}

/// All that is kept in a folder of journals, the oldest first.
///
/// # Errors
/// When something of it cannot be read: it may be the one that is meant.
pub(crate) fn kept_in(folder: &Path) -> Result<Vec<KeptVm>> {
    let entries = fs::read_dir(folder).on_path("reading", folder, HINT)?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.on_path("reading", folder, HINT)?.path();
        if path.extension() == Some(OsStr::new(ENDING)) {
            found.push(read(&path)?);
        }
    }
    found.sort_by_key(|one: &KeptVm| (one.at, one.id));
    Ok(found)
}

/// All that an installation keeps, host by host.
///
/// # Errors
/// As of [`kept_in`].
pub(super) fn kept_below(hosts: &Path) -> Result<Vec<KeptVm>> {
    let entries = match fs::read_dir(hosts) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.on_path("reading", hosts, HINT)?,
    };
    let mut folders = Vec::new();
    for entry in entries {
        folders.push(entry.on_path("reading", hosts, HINT)?.path());
    }
    folders.sort();
    let mut found = Vec::new();
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        found.extend(kept_in(folder)?);
    }
    Ok(found)
}

/// The one that a text means: by the beginning of its id, or by the name of its VM.
///
/// # Errors
/// When it means none, or several.
pub(crate) fn meant(all: Vec<KeptVm>, text: &str) -> Result<KeptVm> {
    let word = text.to_ascii_lowercase().replace('-', "");
    let is_meant = |one: &KeptVm| {
        one.name == text || (word.len() >= 4 && one.id.simple().to_string().starts_with(&word))
    };
    let mut found: Vec<KeptVm> = all.into_iter().filter(is_meant).collect();
    let hint = "`hyperkeep restore kept` lists what can be confirmed or undone";
    match (found.pop(), found.len()) {
        (Some(one), 0) => Ok(one),
        (None, _) => Err(Failure::new(format!(
            "nothing is kept of a restore of {text} to this host out of this vault"
        ))
        .hint(hint)),
        (Some(_), others) => Err(Failure::new(format!(
            "{text} means {} restores of which something is kept",
            others + 1
        ))
        .hint("name one by its id: `hyperkeep restore kept` lists them; undo the newest first")),
    }
}

fn same_folder(one: &str, other: &str) -> bool {
    match (HostPath::parse(one), HostPath::parse(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

fn read(path: &Path) -> Result<KeptVm> {
    let odd = |why: String| {
        Failure::new(format!("{}: {why}", path.display()))
            .hint("keep the file: with it a VM can be brought back by hand")
    };
    let file = File::open(path).on_path("reading", path, HINT)?;
    let mut text = String::new();
    let read = file.take(MOST).read_to_string(&mut text);
    read.on_path("reading", path, HINT)?;
    let kept: KeptVm = serde_json::from_str(&text).map_err(|error| odd(error.to_string()))?;
    match kept.version {
        VERSION => Ok(kept),
        other => Err(odd(format!("it is of version {other}, which is not known"))),
    }
}

/// Makes names in a folder durable.
#[cfg(unix)]
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The file system's journal does it.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "as elsewhere")]
fn sync(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(id: u128, name: &str) -> KeptVm {
        let undo = Undo {
            vm: Uuid::from_u128(7),
            folder: r"D:\VMs\web (restored)".to_owned(),
            aside: None,
        };
        let disks = vec![r"D:\VMs\web\a.vhdx".to_owned()];
        let was = Some(r"D:\VMs\web".to_owned());
        let done = Done::Replaced {
            undo,
            disks,
            was,
            confirming: false,
        };
        KeptVm::new(Uuid::from_u128(id), ("hv01", "v", "p"), name, done)
    }

    #[test]
    fn what_is_kept_is_found_by_its_id_or_its_vm_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (kept(0xab12 << 112, "web"), kept(0xab13 << 112, "web"));
        one.write(folder.path()).unwrap();
        other.write(folder.path()).unwrap();
        fs::write(folder.path().join("x.journal"), "no JSON").unwrap();
        let all = || kept_in(folder.path()).unwrap();
        assert_eq!(all().len(), 2);
        assert_eq!(meant(all(), "AB12").unwrap(), one);
        for vague in ["web", "ab1", "ab", "", "db"] {
            assert!(meant(all(), vague).is_err(), "{vague}");
        }
        one.remove(folder.path()).unwrap();
        assert_eq!(meant(all(), "web").unwrap(), other);
        fs::write(other.path(folder.path()), "{}").unwrap();
        assert!(kept_in(folder.path()).is_err(), "it may be the one");
    }

    /// What was replaced by a restore, and is back in another folder, can still be undone itself.
    #[test]
    fn an_earlier_restore_is_told_where_its_vm_is_now() {
        let folder = tempfile::tempdir().unwrap();
        let (first, mut second) = (kept(1, "web"), kept(2, "web"));
        let Done::Replaced { undo, was, .. } = &mut second.done else {
            unreachable!()
        };
        (*was, undo.folder) = (Some(undo.folder.to_lowercase()), r"D:\VMs\web 2".to_owned());
        first.write(folder.path()).unwrap();
        second.write(folder.path()).unwrap();
        second
            .end(folder.path(), r"D:\VMs\web 2 (replaced)")
            .unwrap();
        let [left] = &kept_in(folder.path()).unwrap()[..] else {
            panic!("one is left");
        };
        let Done::Replaced { undo, .. } = &left.done else {
            unreachable!()
        };
        assert_eq!(
            (left.id, undo.folder.as_str()),
            (first.id, r"D:\VMs\web 2 (replaced)")
        );
    }
}
