//! Bringing one disk file back.

use std::path::Path;
use std::sync::Arc;

use disk::{BlockRead, ByteRange, ByteRanges, Chain, Content, DiskWrite, Format, LayerInfo};
use vault_format::{Entropy, random};

use super::compare::{Compared, PointDisk, compare};
use super::image::Image;
use super::kept::Kept;
use super::undo::{Begun, State, Undo, UndoError};
use super::{
    Became, Before, RollbackDisk, RollbackError, RolledBack, folder_of, open_undo, undo_error,
    undo_path,
};
use crate::pipeline::Stop;
use crate::restore::disks::begin;
use crate::restore::layer::open_chain;
use crate::restore::target::{NewFile, TargetError};
use crate::restore::write::Run;
use crate::restore::{Opened, Task};

/// What is read and written at once.
const PIECE: u64 = 1 << 20;
/// What an image's own structures may take of the undo file, beside the disk's bytes.
const STRUCTURES: u64 = 8 << 20;

type Kept_ = Kept<Arc<std::fs::File>, std::fs::File>;

/// A disk that may be rolled back, or was.
pub(super) struct Ready {
    image: Image,
    point: PointDisk,
    disk: RollbackDisk,
    begun: Begun,
    /// An earlier run has begun.
    undo: Option<Undo<std::fs::File>>,
    /// What a first look has found.
    first: Option<Compared>,
}

impl Ready {
    pub(super) fn open(
        task: &Task<'_>,
        point: &Opened,
        disk: &RollbackDisk,
    ) -> Result<Self, RollbackError> {
        let details = &point.details;
        let vault = |e: String| RollbackError::Vault(e);
        let image = Image::open(&disk.file)?;
        let chain = open_chain(task.vault, details, &point.layer_roots, disk.top)
            .map_err(|e| vault(e.to_string()))?;
        let alone = match *details.chain(disk.top) {
            [only] => match point.layer_roots.get(only) {
                Some(root) => Some(task.vault.disk(root).map_err(|e| vault(e.to_string()))?),
                None => None,
            },
            _ => None,
        };
        let path = details
            .layers
            .get(disk.top)
            .map(|layer| layer.path.as_str());
        let begun = Begun {
            file: image.id()?,
            vault: task.vault.id().to_string(),
            point: point.id.clone(),
            disk: path.unwrap_or_default().to_owned(),
        };
        let undo = open_undo(&undo_path(&disk.file))?;
        match &undo {
            Some(undo) => match undo.state() {
                State::Undoing => return Err(RollbackError::Undoing),
                State::Done(stamp) => {
                    let now = image.stamp().map_err(RollbackError::Image)?;
                    if !undo.begun.wants(&begun) || now != stamp {
                        return Err(RollbackError::Unconfirmed);
                    }
                }
                State::Under if !undo.begun.file.same(&begun.file) => {
                    return Err(RollbackError::Replaced);
                }
                State::Under if !undo.begun.wants(&begun) => {
                    return Err(RollbackError::Unconfirmed);
                }
                // Whoever began has judged it: much may have happened to it since.
                State::Under => image.judge(&image.disk()?, details, disk.top)?,
            },
            None => image.judge(&image.disk()?, details, disk.top)?,
        }
        Ok(Self {
            image,
            point: PointDisk { chain, alone },
            disk: disk.clone(),
            begun,
            undo,
            first: None,
        })
    }

    /// Compares it as far as one comparison goes.
    pub(super) fn look(
        &mut self,
        task: &Task<'_>,
        point: &Opened,
    ) -> Result<(), Stop<RollbackError>> {
        if let Some(State::Done(_)) = self.undo.as_ref().map(Undo::state) {
            return Ok(());
        }
        let len = self.point.chain.len();
        let meter = begin(task, &point.details, &self.name(), len);
        let disk = self.image.disk().map_err(Stop::Failed)?;
        if disk.len() != len {
            return Err(Stop::Failed(RollbackError::Length(disk.len(), len)));
        }
        self.first = Some(compare(task.run(&meter), &self.point, &disk, 0)?);
        Ok(())
    }

    /// Bytes beside its file that it will take as far as was looked. Of one that an earlier run has begun no
    /// less than what is still to be kept.
    pub(super) fn needs(&self) -> Result<u64, RollbackError> {
        match &self.first {
            Some(found) if self.undo.is_some() => Ok(found.differing.total()),
            Some(found) if !found.differing.is_empty() => {
                let disk = self.image.disk()?;
                Ok(needs(&found.differing, &self.image.info(&disk)?))
            }
            _ => Ok(0),
        }
    }

    fn name(&self) -> String {
        let name = self.disk.file.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    pub(super) fn file(&self) -> &Path {
        &self.disk.file
    }

    pub(super) fn top(&self) -> usize {
        self.disk.top
    }

    fn rolled_back(&self, became: Became, changed: u64) -> RolledBack {
        let undo = undo_path(&self.disk.file);
        let is_kept = matches!(became, Became::Now | Became::Before);
        RolledBack {
            path: self.disk.file.display().to_string(),
            became,
            changed,
            undo: is_kept.then(|| undo.display().to_string()),
        }
    }

    /// Brings it back.
    pub(super) fn roll_back(
        mut self,
        task: &Task<'_>,
        point: &Opened,
        mut before: Option<&mut Before<'_>>,
        rng: &mut dyn Entropy,
    ) -> Result<RolledBack, Stop<RollbackError>> {
        if let Some(State::Done(_)) = self.undo.as_ref().map(Undo::state) {
            return Ok(self.rolled_back(Became::Before, 0));
        }
        let len = self.point.chain.len();
        let meter = begin(task, &point.details, &self.name(), len);
        let run = task.run(&meter);
        let earlier = self.undo.is_some();
        let mut kept = self.undo.take().map(|undo| self.keeping(undo));
        let (mut from, mut changed) = (0, 0);
        loop {
            let disk = self.image.disk().map_err(Stop::Failed)?;
            let info = self.image.info(&disk).map_err(Stop::Failed)?;
            if disk.len() != len {
                return Err(Stop::Failed(RollbackError::Length(disk.len(), len)));
            }
            let found = match self.first.take() {
                Some(found) => {
                    meter.add(found.end);
                    found
                }
                None => compare(run, &self.point, &disk, from)?,
            };
            drop(disk);
            changed += found.differing.total();
            // What a kill left is brought into order even where no byte of the disk differs.
            let dirty = matches!(&info.format, Format::Vhdx(vhdx) if vhdx.dirty_log) && earlier;
            if (!found.differing.is_empty() || dirty)
                && let Some(before) = before.as_deref_mut()
            {
                before().map_err(|why| Stop::Failed(RollbackError::NotReady(why)))?;
                if kept.is_none() {
                    self.room(&found.differing, &info).map_err(Stop::Failed)?;
                    kept = Some(self.begin(rng).map_err(Stop::Failed)?);
                }
                if let Some(kept) = &kept {
                    let writer = self.image.writer(&info, Arc::clone(kept), rng);
                    self.write(run, writer.map_err(Stop::Failed)?, &found.differing)?;
                    let now = self.image.disk().map_err(Stop::Failed)?;
                    self.verify(&now, &found.differing)?;
                }
            }
            from = found.end;
            if from >= len {
                break;
            }
        }
        let became = match (&kept, before.is_none()) {
            (_, true) if changed > 0 => Became::Would,
            (Some(_), true) => Became::Would,
            (Some(kept), false) => {
                let stamp = self.image.settle().map_err(image)?;
                kept.note_done(stamp)
                    .map_err(|e| self.undo_failed(e.into()))?;
                Became::Now
            }
            (None, _) => Became::Same,
        };
        Ok(self.rolled_back(became, changed))
    }

    fn undo_failed(&self, why: UndoError) -> Stop<RollbackError> {
        Stop::Failed(undo_error(&undo_path(&self.disk.file), &why))
    }

    fn keeping(&self, undo: Undo<std::fs::File>) -> Arc<Kept_> {
        Arc::new(Kept::new(Arc::clone(&self.image.file), undo))
    }

    /// Whether what will be overwritten can be kept, and a file that grows can grow by as much.
    fn room(&self, differing: &ByteRanges, info: &LayerInfo) -> Result<(), RollbackError> {
        let needed = needs(differing, info);
        match hostfile::free(folder_of(&self.disk.file)).map_err(RollbackError::Image)? {
            Some(free) if free < needed => Err(RollbackError::Full { needed, free }),
            _ => Ok(()),
        }
    }

    /// Makes the undo file. It appears whole, so that one without a beginning is damaged.
    fn begin(&self, rng: &mut dyn Entropy) -> Result<Arc<Kept_>, RollbackError> {
        let path = undo_path(&self.disk.file);
        let made = |error: TargetError| RollbackError::Undo {
            path: path.clone(),
            why: error.to_string(),
        };
        let new = NewFile::create(&path).map_err(made)?;
        Undo::begin(new.file(), random(rng), &self.begun)
            .map_err(|error| undo_error(&path, &error.into()))?;
        new.place().map_err(made)?;
        let undo = open_undo(&path)?.ok_or(RollbackError::Nothing)?;
        Ok(self.keeping(undo))
    }

    fn write(
        &self,
        run: Run<'_>,
        mut writer: Box<dyn DiskWrite>,
        ranges: &ByteRanges,
    ) -> Result<(), Stop<RollbackError>> {
        let mut buf = Vec::new();
        for range in ranges.iter() {
            for extent in self
                .point
                .chain
                .extents(range)
                .map_err(RollbackError::vault)?
            {
                if extent.content != Content::Data {
                    writer
                        .write_zeros(extent.range)
                        .map_err(RollbackError::disk)?;
                    continue;
                }
                for piece in pieces(extent.range) {
                    if run.cancel.is_cancelled() {
                        return Err(Stop::Cancelled);
                    }
                    buf.resize(piece.len() as usize, 0);
                    let read = self.point.chain.read_at(piece.start, &mut buf);
                    read.map_err(RollbackError::vault)?;
                    writer
                        .write_at(piece.start, &buf)
                        .map_err(RollbackError::disk)?;
                }
            }
        }
        writer.finish().map_err(RollbackError::disk)
    }

    /// Reads what was written.
    fn verify(&self, now: &Chain, ranges: &ByteRanges) -> Result<(), Stop<RollbackError>> {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for piece in ranges.iter().flat_map(pieces) {
            let len = piece.len() as usize;
            ours.resize(len, 0);
            theirs.resize(len, 0);
            now.read_at(piece.start, &mut ours)
                .map_err(RollbackError::disk)?;
            let read = self.point.chain.read_at(piece.start, &mut theirs);
            read.map_err(RollbackError::vault)?;
            if ours != theirs {
                return Err(Stop::Failed(RollbackError::Differs(piece.start)));
            }
        }
        Ok(())
    }
}

fn image(error: std::io::Error) -> Stop<RollbackError> {
    Stop::Failed(RollbackError::Image(error))
}

fn pieces(range: ByteRange) -> impl Iterator<Item = ByteRange> {
    disk::block::windows(range.len(), PIECE)
        .map(move |part| ByteRange::new(range.start + part.start, range.start + part.end))
}

/// What keeping these ranges takes, and what a file that grows may grow by.
fn needs(differing: &ByteRanges, info: &LayerInfo) -> u64 {
    let grows = matches!(&info.format, Format::Vhdx(vhdx) if !vhdx.fixed);
    let total = differing.total();
    let growth = if grows { total } else { 0 };
    total.saturating_add(growth).saturating_add(STRUCTURES)
}
