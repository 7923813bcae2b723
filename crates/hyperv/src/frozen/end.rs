//! The end of a VM's holding still.

use uuid::Uuid;

use super::{Frozen, Resting, Tree};
use crate::checkpoint::{
    CheckpointError, Consistency, destroy_reference_point, reference_points, still_here,
};
use crate::control::Control;
use crate::ids;
use crate::inventory::ReferencePoint;
use crate::journal::Call;
use crate::preflight::Mode;
use crate::tracking::{Now, NowDisk, Token, TokenDisk, TokenLayer};

/// What is left after a VM was saved.
#[derive(Debug, Default)]
pub struct Kept {
    /// To be kept with the restore point; without it the next backup reads in full.
    pub token: Option<Token>,
    /// What went wrong at the end; nothing of it makes the restore point worse, unless it says so.
    pub problems: Vec<String>,
    /// The disks that the host merges now.
    pub resting: Vec<Resting>,
}

impl Frozen {
    /// Ends the frozen state after the restore point is durable.
    pub fn keep(self) -> Kept {
        let now = self.now();
        let mut kept = Kept {
            resting: self.resting(),
            ..Kept::default()
        };
        let Self {
            control,
            checkpoint,
            mode,
            old,
            disks,
            files,
            tree,
            opened,
            ..
        } = self;
        let layers = tree.as_ref().map(Tree::token_layers).unwrap_or_default();
        // Closed before the checkpoint ends, or the host could not merge.
        drop((disks, files, tree, opened));
        let point = match mode {
            Mode::Standard => {
                let gone = checkpoint.destroy();
                kept.problems
                    .extend(gone.err().map(|error| error.to_string()));
                None
            }
            Mode::Cbt => {
                let asked = checkpoint.asked;
                let point = match checkpoint.convert() {
                    Ok(point) => Some(point),
                    Err(error) => {
                        kept.problems.push(error.to_string());
                        None
                    }
                };
                kept.problems
                    .extend(point.as_ref().and_then(|point| contradicts(point, asked)));
                point
            }
        };
        // Last of all: until here it might have been needed. Without a new one the newest restore
        // point has none, and nobody would ask by the old one again.
        let new = point.as_ref().map(|point| point.instance_id.as_str());
        if let Some(old) = old.and_then(|old| own_point(old, &now, new))
            && let Err(error) = destroy_old(&control, now.vm, &old)
        {
            kept.problems.push(error.to_string());
            // The journal has forgotten it since a token named it, and none will any more.
            let reference_point = old;
            control.seen_undone(now.vm, Call::DestroyReferencePoint { reference_point });
        }
        if point.is_some() || !layers.is_empty() {
            kept.token = Some(token(now, layers, point.as_ref()));
        }
        kept.problems.extend(control.take_notes());
        kept
    }

    /// Ends the frozen state when there is no restore point: the old token stays good.
    ///
    /// # Errors
    /// When the checkpoint could not be removed.
    pub fn abandon(self) -> Result<(), CheckpointError> {
        let Self {
            checkpoint,
            disks,
            files,
            tree,
            opened,
            ..
        } = self;
        drop((disks, files, tree, opened));
        checkpoint.destroy()
    }
}

/// `ConsistencyLevel` of a reference point whose disks are crash-consistent.
const CRASH: u16 = 2;

/// The host's word on what was achieved comes after the restore point, and may be another.
fn contradicts(point: &ReferencePoint, asked: Consistency) -> Option<String> {
    let less = asked == Consistency::Application && point.consistency == Some(CRASH);
    less.then(|| {
        "the host took the checkpoint that was asked for, and says now that it is only \
         crash-consistent: so is the restore point"
            .to_owned()
    })
}

fn token(now: Now, layers: Vec<TokenLayer>, point: Option<&ReferencePoint>) -> Token {
    let tracked = |disk: NowDisk| TokenDisk {
        tracking_id: point
            .and_then(|point| point.tracking_of(&disk.place))
            .map(str::to_owned),
        place: disk.place,
        disk_id: disk.disk_id,
        len: disk.len,
        files: disk.files,
    };
    let [last_applied, _] = now.last_applied;
    Token {
        installation: now.installation,
        vm: now.vm,
        reference_point: point.map(|point| point.instance_id.clone()),
        last_applied,
        checkpoints: now.checkpoints,
        disks: now.disks.into_iter().map(tracked).collect(),
        layers,
    }
}

/// The old reference point, if it is surely ours and not the new one.
fn own_point(old: Token, now: &Now, new: Option<&str>) -> Option<String> {
    let ours = old.installation == now.installation && old.vm == now.vm;
    let id = old.reference_point.filter(|_| ours)?;
    (new.map(ids::fold) != Some(ids::fold(&id))).then_some(id)
}

fn destroy_old(control: &Control, vm: Uuid, id: &str) -> Result<(), CheckpointError> {
    let points = reference_points(control.session(), vm)?;
    let same = |point: &ReferencePoint| ids::fold(&point.instance_id) == ids::fold(id);
    match points.iter().any(same) {
        true => destroy_reference_point(control, vm, id),
        false => Ok(still_here(control.session(), vm)?),
    }
}
