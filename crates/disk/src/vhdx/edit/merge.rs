//! Merging a differencing file into its parent.
//!
//! Afterwards the parent holds what the child's chain showed, and the child can be deleted. The
//! order of steps keeps every crash harmless:
//!
//! 1. The child's parent locator names two identities: the parent's present one, and the one that
//!    the parent will have while it is being written (`parent_linkage2` exists for this).
//! 2. The parent takes the second identity and then, range by range, what the child stores. The
//!    child still has all of it, so the chain reads the same at every moment, and the merge can be
//!    started again at any time.
//! 3. Once all of it is durable, the parent takes the *child's* identity: its content is now the
//!    content that this GUID names, and the child's own children accept it as it is, once their
//!    paths point to it ([`VhdxEditor::set_parent`]). The child is then refused by the parent, as
//!    it should be: nothing is left that needs it.

use crate::block::{BlockRead, windows};
use crate::error::{Error, Result};
use crate::extent::Content;
use crate::io::WriteAt;
use crate::layer::{Layer, ParentLink};
use crate::vhdx::edit::{Announced, EditIds, VhdxEditor};
use crate::vhdx::image::{VhdxImage, identity};

/// What is read at once.
const PIECE: u64 = 1 << 20;

/// How much of the disk is looked at before the parent is synced.
const WINDOW: u64 = 256 << 20;

/// New GUIDs for a merge.
#[derive(Debug, Clone, Copy)]
pub struct MergeIds {
    /// For writing the child's locator. Its `data_write_guid` is not used.
    pub child: EditIds,
    /// For writing the parent; its `data_write_guid` names it until the merge is complete.
    pub parent: EditIds,
}

/// What a merge did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merged {
    /// The parent holds everything now.
    Now,
    /// An earlier merge had already finished.
    Before,
}

/// Merges `child` into `parent`, or finishes a merge that a crash interrupted.
///
/// Neither file may be used by anyone else meanwhile; other children of the parent lose it.
///
/// Both disks must have one size. A child may have been enlarged, and [`Chain`](crate::Chain) reads
/// it as the reference says: beyond its parent's end there are zeros. Such a pair is refused here
/// and stays readable as it is: the parent would have to grow first, with its size, its BAT
/// (perhaps in another place) and whatever its last block holds behind the old end changing in one
/// step, and no source tells whether Hyper-V merges such a pair at all. A child that is smaller than
/// its parent would cut off what others may still find there.
///
/// # Errors
/// [`Error::Invalid`] when the child does not name this parent, or the two disks differ in size or
/// sectors; otherwise as for opening and writing. After an error of I/O the merge can be repeated.
pub fn merge<P: WriteAt, C: WriteAt>(parent: P, child: C, ids: &MergeIds) -> Result<Merged> {
    let (link, geometry, child_id) = {
        let image = VhdxImage::open(&child)?;
        let Some(link) = image.info().parent.clone() else {
            return Err(Error::Invalid("a file without a parent to merge".into()));
        };
        let id = image.info().identity().unwrap_or_default();
        (link, image.geometry(), id)
    };
    let parent_id = identity(&parent)?;
    if parent_id == child_id {
        return Ok(Merged::Before);
    }
    if !link.accepts(Some(parent_id)) {
        return Err(Error::Invalid(format!(
            "the child names the parent {:?}, this one is {parent_id}",
            link.identities
        )));
    }
    let below = VhdxImage::open(&parent)?.geometry();
    if (below.len, below.logical_sector) != (geometry.len, geometry.logical_sector) {
        return Err(Error::Invalid(format!(
            "the child's disk has {} bytes in sectors of {}, the parent's {} in sectors of {}",
            geometry.len, geometry.logical_sector, below.len, below.logical_sector
        )));
    }

    let mut editor = VhdxEditor::open(&child, ids.child)?;
    editor.set_parent(&ParentLink {
        identities: vec![parent_id, ids.parent.data_write_guid],
        ..link
    })?;
    editor.close()?;

    let mut target = VhdxEditor::open(parent, ids.parent)?;
    target.announce(Announced::Data)?;
    copy(&VhdxImage::open(&child)?, &mut target)?;
    target.close_naming(Some(child_id))?;
    Ok(Merged::Now)
}

fn copy<P: WriteAt>(source: &impl BlockRead, target: &mut VhdxEditor<P>) -> Result<()> {
    let mut bytes = vec![0; PIECE as usize];
    for window in windows(source.len(), WINDOW) {
        for extent in source.extents(window)? {
            match extent.content {
                Content::Hole => {}
                Content::Zero => target.write_zeros(extent.range)?,
                Content::Data => {
                    let mut at = extent.range.start;
                    while at < extent.range.end {
                        // On whole pieces, so that whole blocks of the parent are written whole.
                        let end = extent.range.end.min((at / PIECE + 1) * PIECE);
                        let part = &mut bytes[..(end - at) as usize];
                        source.read_at(at, part)?;
                        target.write_at(at, part)?;
                        at = end;
                    }
                }
            }
        }
    }
    target.sync()
}
