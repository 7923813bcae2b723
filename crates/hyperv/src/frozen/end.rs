//! The end of a VM's holding still.

use std::sync::Arc;

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
    /// What went wrong at the end; nothing of it makes the restore point worse.
    pub problems: Vec<String>,
    /// Why the disks are less consistent than was told before, if they are.
    pub less: Option<String>,
    /// The disks that the host merges now.
    pub resting: Vec<Resting>,
}

/// A VM whose frozen state has ended and of which nobody knows yet whether there will be a restore
/// point: the old token is good, and what will be needed for a new one is there.
pub struct Closed {
    control: Arc<Control>,
    now: Now,
    layers: Vec<TokenLayer>,
    old: Option<Token>,
    /// The new reference point, if there is one.
    point: Option<ReferencePoint>,
    kept: Kept,
}

impl Frozen {
    /// Ends the frozen state when all was read, before there is a restore point. In
    /// [`Mode::Cbt`] the host tells only now how consistent it takes the disks to be:
    /// [`Closed::less`].
    pub fn close(self) -> Closed {
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
        let asked = checkpoint.asked;
        let ended = match mode {
            Mode::Standard => checkpoint.destroy().map(|()| None),
            Mode::Cbt => checkpoint.convert().map(Some),
        };
        let point = ended.unwrap_or_else(|error| {
            kept.problems.push(error.to_string());
            None
        });
        kept.less = point.as_ref().and_then(|point| contradicts(point, asked));
        Closed {
            control,
            now,
            layers,
            old,
            point,
            kept,
        }
    }

    /// Ends the frozen state after the restore point is durable.
    pub fn keep(self) -> Kept {
        self.close().keep()
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

impl Closed {
    /// Why the disks are less consistent than was told before, if they are.
    pub fn less(&self) -> Option<&str> {
        self.kept.less.as_deref()
    }

    /// Advances the state of change tracking after the restore point is durable.
    pub fn keep(self) -> Kept {
        let Self {
            control,
            now,
            layers,
            old,
            point,
            mut kept,
        } = self;
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

    /// Goes back when there is no restore point after all: the old token stays good, and nobody
    /// will ask by the new reference point.
    pub fn abandon(self) -> Kept {
        let Self {
            control,
            now,
            point,
            mut kept,
            ..
        } = self;
        if let Some(point) = point
            && let Err(error) = destroy_old(&control, now.vm, &point.instance_id)
        {
            // The journal has it.
            kept.problems.push(error.to_string());
        }
        kept.problems.extend(control.take_notes());
        kept
    }
}

/// `ConsistencyLevel` of a reference point whose disks are crash-consistent.
const CRASH: u16 = 2;

/// The host's word on what was achieved comes with the reference point, and may be another.
fn contradicts(point: &ReferencePoint, asked: Consistency) -> Option<String> {
    let less = asked == Consistency::Application && point.consistency == Some(CRASH);
    less.then(|| {
        "the host took the checkpoint that was asked for, and says in the end that it is only \
         crash-consistent"
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
        uptime: now.uptime,
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
