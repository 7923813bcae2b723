//! Disks of a VM that were brought back in place, put back to what they were, or agreed to.
//!
//! - Before the first is ended all are judged; and whoever calls has noted by then which end it is, so that
//!   a kill in between leaves the same end to be made, and never the other one.

use std::path::Path;
use std::{fs, io};

use hyperv::files::HostPath;
use hyperv::import::Rollback;
use uuid::Uuid;
use vault_format::Entropy;

use super::in_place_folder::{HereFile, are_the_hosts};
use crate::restore::rollback::{RollbackError, give_up, may_confirm, may_undo, undo, undo_path};
use crate::source::SourceError;
use crate::source::hyperv::HostSource;

/// Notes that the end has begun, before it does: an error keeps it from that.
pub type Noted<'n> = dyn FnMut() -> Result<(), String> + 'n;

fn failed(file: &Path, error: &RollbackError) -> SourceError {
    SourceError::new(file.display().to_string(), error.to_string(), error.hint())
}

fn not_noted(vm: Uuid, why: String) -> SourceError {
    SourceError::new(
        format!("VM {vm}"),
        why,
        "see to that, and give the same command again",
    )
}

fn proven(
    source: &HostSource,
    disks: &[HereFile],
    rng: &mut dyn Entropy,
) -> Result<(), SourceError> {
    let spelled: Vec<String> = disks.iter().map(|disk| disk.path.to_string()).collect();
    let pairs = spelled.iter().zip(disks);
    let pairs = pairs.map(|(path, disk)| (path.as_str(), disk.file.as_path()));
    are_the_hosts(source, pairs, rng)
}

/// The disks of which something is kept. Of one that was ended before a kill the name may be left.
fn kept(disks: &[HereFile]) -> Result<Vec<&HereFile>, SourceError> {
    let mut found = Vec::new();
    for disk in disks {
        let path = undo_path(&disk.file);
        let there = match path.symlink_metadata() {
            Ok(about) if about.is_file() && about.len() == 0 => {
                fs::remove_file(&path).map(|()| false)
            }
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        };
        let there = there.map_err(|error| {
            let hint = "see whether it can be read and removed";
            SourceError::new(path.display().to_string(), error.to_string(), hint)
        })?;
        if there {
            found.push(disk);
        }
    }
    Ok(found)
}

/// Gives up what the disks of a VM were before [`roll_back_vm`](super::roll_back_vm). What the host says of
/// the run that had brought them back is settled.
///
/// # Errors
/// When one of them has not come to its end: then nothing is given up. When one cannot be removed: then the
/// same again goes on.
pub fn confirm_in_place(
    source: &HostSource,
    vm: Uuid,
    (disks, which): (&[HereFile], &Confirmed<'_>),
    noted: &mut Noted<'_>,
    rng: &mut dyn Entropy,
) -> Result<Vec<String>, SourceError> {
    proven(source, disks, rng)?;
    let kept = kept(disks)?;
    if let Confirmed::All(all) = which {
        none_is_lost(&kept, all)?;
    }
    for disk in &kept {
        let is_gone = disk.file.symlink_metadata().is_err();
        if matches!(which, Confirmed::Whatever)
            || (is_gone && !source.has_file(&disk.path.to_string())?)
        {
            continue;
        }
        may_confirm(&disk.file).map_err(|error| failed(&disk.file, &error))?;
    }
    noted().map_err(|why| not_noted(vm, why))?;
    for disk in kept {
        give_up(&disk.file).map_err(|error| failed(&disk.file, &error))?;
    }
    Ok(source.settle_rollbacks(vm))
}

/// What is given up.
#[derive(Debug, Clone, Copy)]
pub enum Confirmed<'a> {
    /// What is kept of disks that are wholly brought back.
    Brought,
    /// The same, if something is kept of each of these.
    All(&'a [String]),
    /// Whatever is kept: the disks are to stay what they are.
    Whatever,
}

fn none_is_lost(kept: &[&HereFile], all: &[String]) -> Result<(), SourceError> {
    let is_kept = |path: &String| kept.iter().any(|disk| is_it(disk, path));
    match all.iter().find(|path| !is_kept(path)) {
        None => Ok(()),
        Some(lost) => Err(SourceError::new(
            lost.clone(),
            "what was kept of it is gone: the others alone would make disks of different moments",
            "put its undo file back; `restore confirm --vm` keeps what is there",
        )),
    }
}

/// Puts the disks of a VM back to what they were before [`roll_back_vm`](super::roll_back_vm). It must be
/// off, and stays so. `all` are those, as the host spells them, of which something has to be kept.
///
/// # Errors
/// When something was written to one of them since, it is no disk of the VM any more, or what was kept of
/// one is gone: then none is changed. When it did not come to its end: then the journal keeps it, and the
/// same again finishes it.
pub fn undo_in_place(
    source: &HostSource,
    vm: Uuid,
    (disks, all): (&[HereFile], &[String]),
    noted: &mut Noted<'_>,
    rng: &mut dyn Entropy,
) -> Result<(), SourceError> {
    proven(source, disks, rng)?;
    let kept = kept(disks)?;
    none_is_lost(&kept, all)?;
    if kept.is_empty() {
        // Nothing was written, or all is put back.
        noted().map_err(|why| not_noted(vm, why))?;
        source.settle_rollbacks(vm);
        return Ok(());
    }
    let rollback = source.begin_rollback(vm, false, false)?;
    let ready = may_put_back(&rollback, &kept).and_then(|()| {
        source.forget_changes(vm, &rollback)?;
        noted().map_err(|why| not_noted(vm, why))
    });
    if let Err(mut error) = ready {
        // It was off, and nothing was written.
        if let Err(off) = rollback.abandon(false) {
            error.message = format!("{}; {off}", error.message);
        }
        return Err(error);
    }
    for disk in kept {
        undo(&disk.file).map_err(|error| failed(&disk.file, &error))?;
    }
    let ended = rollback.finish(false).map_err(|error| {
        SourceError::new(
            format!("VM {vm}"),
            format!("its disks were put back, and it was not seen that nobody used the VM meanwhile: {error}"),
            "look at the VM on its host",
        )
    });
    ended.map(drop)
}

fn is_it(disk: &HereFile, path: &str) -> bool {
    HostPath::parse(path).is_ok_and(|path| path == disk.path)
}

/// Looks whether all of them may be put back.
fn may_put_back(rollback: &Rollback, kept: &[&HereFile]) -> Result<(), SourceError> {
    for disk in kept {
        if !rollback.disks.iter().any(|own| is_it(disk, &own.path)) {
            return Err(SourceError::new(
                disk.file.display().to_string(),
                "it is no disk of the VM any more",
                "attach it again, or put it back alone: `restore undo` with its file",
            ));
        }
        may_undo(&disk.file).map_err(|error| failed(&disk.file, &error))?;
    }
    Ok(())
}
