//! Where each disk of a restore goes, how large it will be, and what is there already: all of it known
//! before anything is written.

use std::path::Path;
use std::sync::Arc;

use disk::layer::{ParentPath, PathKind};
use vault::Losses;
use vmconfig::WindowsFolder;
use vmconfig::names::Names;

use crate::pipeline::Stop;
use crate::restore::contents::Contents;
use crate::restore::disks::{RestoredFile, restored};
use crate::restore::existing::Spot;
use crate::restore::journal::Journal;
use crate::restore::plan::{DiskFile, DisksPlan, Holds, free_name};
use crate::restore::room::{Room, Size};
use crate::restore::target::TargetError;
use crate::restore::to::DisksTo;
use crate::restore::{Opened, Task};

/// All that decides what is written: the same again goes on with it.
pub(crate) fn told(task: &Task<'_>, point: &Opened, plan: &DisksPlan) -> String {
    format!("{}\n{}\n{:?}", task.vault.id(), point.id, plan.files)
}

/// Where a file of the plan goes, or that it is there.
pub(crate) enum Planned {
    At(Spot),
    Whole(RestoredFile),
}

type Spots = [Result<Planned, TargetError>];

/// Where each file of the plan goes.
pub(crate) fn spots(
    point: &Opened,
    plan: &DisksPlan,
    to: &DisksTo<'_>,
    journal: Option<&Journal>,
) -> Vec<Result<Planned, TargetError>> {
    let mut names = Names::default();
    for file in &plan.files {
        free_name(&mut names, &file.name);
    }
    let mut spot = |(number, file): (usize, &DiskFile)| {
        if let Some(whole) = journal.and_then(|journal| journal.whole(number)) {
            let path = whole.path(to.folder);
            let (data, became) = (whole.data(), whole.became());
            return Ok(Planned::Whole(restored(&path, data, became, data)));
        }
        let (folder, name) = (to.folder, &file.name);
        let spot = to.existing.spot(folder, name, &mut names, point.taken);
        spot.map(Planned::At)
    };
    plan.files.iter().enumerate().map(&mut spot).collect()
}

/// Somebody asked to stop.
pub(crate) struct Stopped;

/// How large each file will be that is to be made; none of one of which that cannot be told, since it
/// cannot be made either.
pub(crate) fn sizes(
    task: &Task<'_>,
    point: &Opened,
    plan: &DisksPlan,
    spots: &Spots,
    to: &DisksTo<'_>,
) -> Result<Vec<Option<Size>>, Stopped> {
    // What is lost is told when it is read.
    let losses = to.damaged.map(|_| Arc::<Losses>::default());
    let mut sizes = Vec::with_capacity(plan.files.len());
    for (file, spot) in plan.files.iter().zip(spots) {
        let size = match spot {
            Ok(Planned::At(_)) => {
                let (_, paths) = parent_of(file, spots, to.windows);
                let contents = Contents::open(task, point, file, paths, losses.as_ref());
                let size = contents.map(|contents| Size::of(&contents, task.cancel));
                match size {
                    Ok(Err(Stop::Cancelled)) => return Err(Stopped),
                    Ok(size) => size.ok(),
                    Err(_) => None,
                }
            }
            Ok(Planned::Whole(_)) | Err(_) => None,
        };
        sizes.push(size);
    }
    Ok(sizes)
}

/// What these files need of the target, and what it has.
pub(crate) fn room(
    to: &DisksTo<'_>,
    journal: Option<&Journal>,
    sizes: &[Option<Size>],
) -> Result<Room, TargetError> {
    let missing = |(number, size): (usize, &Option<Size>)| {
        let there = journal.map(|journal| journal.temp(number));
        let there = there.and_then(|temp| temp.symlink_metadata().ok());
        size.map_or(0, |size| size.missing(there.as_ref()))
    };
    let needed = sizes.iter().enumerate().map(missing);
    let needed = needed.fold(0, u64::saturating_add);
    let fail = |e| TargetError::io(to.folder, "asking how much is free", e);
    Ok(Room {
        needed,
        free: hostfile::free(to.folder).map_err(fail)?,
    })
}

/// The name of a layer's parent, and where the layer says that it is.
pub(crate) fn parent_of(
    file: &DiskFile,
    spots: &Spots,
    windows: Option<&WindowsFolder>,
) -> (Option<String>, Option<Vec<ParentPath>>) {
    let parent = match file.holds {
        Holds::Layer { parent, .. } => parent.and_then(|parent| spots.get(parent)),
        Holds::Chain { .. } => None,
    };
    let parent = parent.map(|parent| match parent {
        Ok(Planned::At(spot)) => spot.path.as_path(),
        Ok(Planned::Whole(done)) => Path::new(&done.path),
        Err(error) => error.path(),
    });
    let name = parent.and_then(Path::file_name);
    let name = name.map(|name| name.to_string_lossy().into_owned());
    let paths = name.as_deref().zip(parent).map(|(name, path)| {
        let told = windows.map(|windows| windows.join(name));
        parent_paths(name, told.or_else(|| here(path)))
    });
    (name, paths)
}

/// A file's full path, where this is Windows and it means something to Hyper-V.
fn here(path: &Path) -> Option<String> {
    let absolute = cfg!(windows).then(|| std::path::absolute(path).ok())?;
    absolute.map(|path| path.display().to_string())
}

/// Where the parent is, as the child shall say it: beside the child, and on a Windows host where
/// that is known.
pub(crate) fn parent_paths(name: &str, on_windows: Option<String>) -> Vec<ParentPath> {
    let path = |kind, path| ParentPath { kind, path };
    let beside = path(PathKind::Relative, format!(".\\{name}"));
    let absolute = on_windows.map(|full| path(PathKind::Absolute, full));
    std::iter::once(beside).chain(absolute).collect()
}
