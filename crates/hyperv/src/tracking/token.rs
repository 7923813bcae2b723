//! What is kept from one backup to the next, and when it may be relied on.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Power, Uptime};
use crate::files::HostPath;
use crate::ids;
use crate::inventory::ReferencePoint;

/// State of change tracking that belongs to a restore point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The installation whose reference point it is.
    pub installation: Uuid,
    /// The VM.
    pub vm: Uuid,
    /// The reference point; none when changes are not tracked.
    pub reference_point: Option<String>,
    /// The checkpoint that had been applied last before the disks were frozen.
    pub last_applied: Applied,
    /// The VM's checkpoints while the disks were frozen; `None` when they were not the same before
    /// and after.
    pub checkpoints: Option<Vec<String>>,
    /// Since when the host ran; `None` when it did not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime: Option<Uptime>,
    /// The disks.
    pub disks: Vec<TokenDisk>,
    /// The image files, each alone, where the whole tree of checkpoints was read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<TokenLayer>,
}

/// An image file of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenLayer {
    /// The file.
    pub path: String,
    /// What names its content, where its format has that.
    pub content: Option<Uuid>,
    /// What names its bytes, where its format has that.
    #[serde(default)]
    pub file: Option<Uuid>,
    /// The size of its disk in bytes.
    pub len: u64,
    /// The disk that it was the topmost layer of, by the host's name for the place.
    pub top_of: Option<String>,
}

/// The checkpoint that was applied last (`Msvm_LastAppliedSnapshot`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "applied", content = "checkpoint", rename_all = "kebab-case")]
pub enum Applied {
    /// None ever was, or it is gone.
    None,
    /// This one.
    Of(String),
    /// The host does not tell.
    #[default]
    Untold,
}

impl Applied {
    /// Whether it is surely the same one. It may have been applied once more.
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::Of(one), Self::Of(other)) => ids::fold(one) == ids::fold(other),
            _ => false,
        }
    }
}

/// A disk of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenDisk {
    /// The host's name for its place.
    pub place: String,
    /// The disk's id, which stays the same along a chain; a VHD has none.
    pub disk_id: Option<Uuid>,
    /// Its size in bytes.
    pub len: u64,
    /// The files that it was made up of, youngest first.
    pub files: Vec<String>,
    /// The id of change tracking; `None` for a disk that is not tracked.
    pub tracking_id: Option<String>,
}

/// How a VM is now, under its new checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Now {
    /// This installation.
    pub installation: Uuid,
    /// The VM.
    pub vm: Uuid,
    /// The checkpoint that had been applied last before the disks were frozen, and after.
    pub last_applied: [Applied; 2],
    /// The VM's checkpoints while the disks were frozen; `None` when they were not the same before
    /// and after.
    pub checkpoints: Option<Vec<String>>,
    /// Since when the host runs; `None` when it does not tell.
    pub uptime: Option<Uptime>,
    /// How it has run since the token.
    pub power: Power,
    /// The frozen disks.
    pub disks: Vec<NowDisk>,
}

/// A frozen disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NowDisk {
    /// The host's name for its place.
    pub place: String,
    /// The disk's id.
    pub disk_id: Option<Uuid>,
    /// Its size in bytes.
    pub len: u64,
    /// The files that it is made up of, youngest first.
    pub files: Vec<String>,
}

/// How a disk is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The host may be asked what changed since this id.
    Ask {
        /// The id of change tracking.
        since: String,
    },
    /// It is read in full.
    Full(Doubt),
}

/// Why a disk is read in full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "doubt", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Doubt {
    /// There is no token: the first backup, or one whose token was not kept.
    NoToken,
    /// The token is of another installation or another VM.
    OtherMachine,
    /// The token's reference point is not there any more.
    NoReferencePoint,
    /// A checkpoint was applied since: whether tracking knows of that is not documented.
    Applied,
    /// The host lost its power since: whether tracking outlives that with all changes is not documented.
    PowerCut,
    /// The host does not tell whether it has.
    PowerUntold,
    /// The disk was not there.
    NewDisk,
    /// Another disk is in its place, or the disk has no id.
    OtherDisk,
    /// Several disks are told to be in this place.
    Ambiguous,
    /// It has another size.
    Resized {
        /// Its size then.
        was: u64,
    },
    /// Its file is in another folder: moved by the host it is tracked on, copied by hand it is not.
    Moved {
        /// The file then.
        was: String,
    },
    /// The file that it was written to then is not among its files now: a checkpoint was applied
    /// or removed since, and nothing tells which.
    Replaced {
        /// The file then.
        was: String,
    },
    /// It was not tracked.
    NotTracked,
    /// The reference point has another id for it than it had.
    OtherTracking,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoToken => f.write_str("there is nothing to compare with"),
            Self::OtherMachine => f.write_str("what was kept is of another installation or VM"),
            Self::NoReferencePoint => f.write_str("the last reference point is gone"),
            Self::Applied => f.write_str("a checkpoint was applied since"),
            Self::PowerCut => f.write_str("the host lost its power since"),
            Self::PowerUntold => {
                f.write_str("the host does not tell whether it has lost its power since")
            }
            Self::NewDisk => f.write_str("the disk is new"),
            Self::OtherDisk => f.write_str("another disk is in its place"),
            Self::Ambiguous => f.write_str("several disks are told to be in this place"),
            Self::Resized { was } => write!(f, "the disk had {was} bytes"),
            Self::Moved { was } => write!(f, "the disk's file was in another folder: {was}"),
            Self::Replaced { was } => write!(
                f,
                "a checkpoint was applied or removed since, and with it {was}"
            ),
            Self::NotTracked => f.write_str("the disk was not tracked"),
            Self::OtherTracking => f.write_str("the host's tracking of the disk began anew"),
        }
    }
}

/// Decides for each disk of `now`, in its order. `points` are the VM's reference points.
pub fn decide(token: Option<&Token>, points: &[ReferencePoint], now: &Now) -> Vec<Decision> {
    let machine = machine(token, points, now);
    let decide = |disk: &NowDisk| match &machine {
        Err(doubt) => Decision::Full(doubt.clone()),
        Ok((token, point)) => match self::disk(token, point, now, disk) {
            Ok(since) => Decision::Ask { since },
            Err(doubt) => Decision::Full(doubt),
        },
    };
    now.disks.iter().map(decide).collect()
}

/// What holds for all disks of a VM, or for none.
fn machine<'a>(
    token: Option<&'a Token>,
    points: &'a [ReferencePoint],
    now: &Now,
) -> Result<(&'a Token, &'a ReferencePoint), Doubt> {
    let token = token.ok_or(Doubt::NoToken)?;
    if token.vm != now.vm || token.installation != now.installation {
        return Err(Doubt::OtherMachine);
    }
    let id = token.reference_point.as_ref();
    let same = |point: &&ReferencePoint| point.vm == now.vm && Some(&point.instance_id) == id;
    let point = points.iter().find(same).ok_or(Doubt::NoReferencePoint)?;
    if !now
        .last_applied
        .iter()
        .all(|now| token.last_applied.is(now))
    {
        return Err(Doubt::Applied);
    }
    match now.power {
        Power::Steady => Ok((token, point)),
        Power::Cut => Err(Doubt::PowerCut),
        Power::Untold => Err(Doubt::PowerUntold),
    }
}

fn disk(token: &Token, point: &ReferencePoint, now: &Now, disk: &NowDisk) -> Result<String, Doubt> {
    let place = ids::place(&disk.place).ok_or(Doubt::Ambiguous)?;
    let here = |other: &str| ids::place(other).as_deref() == Some(&place);
    if now.disks.iter().filter(|other| here(&other.place)).count() != 1 {
        return Err(Doubt::Ambiguous);
    }
    let mut then = token.disks.iter().filter(|other| here(&other.place));
    let was = then.next().ok_or(Doubt::NewDisk)?;
    if then.next().is_some() {
        return Err(Doubt::Ambiguous);
    }
    if was.disk_id.is_none() || was.disk_id != disk.disk_id {
        return Err(Doubt::OtherDisk);
    }
    if was.len != disk.len {
        return Err(Doubt::Resized { was: was.len });
    }
    same_files(
        was,
        disk,
        token.checkpoints.is_some() && token.checkpoints == now.checkpoints,
    )?;
    let since = was
        .tracking_id
        .as_deref()
        .filter(|id| !id.trim().is_empty());
    let since = since.ok_or(Doubt::NotTracked)?;
    if point.tracking_of(&disk.place) != Some(since) {
        return Err(Doubt::OtherTracking);
    }
    Ok(since.to_owned())
}

/// Whether the disk of now goes on from the disk of then. The host may tell that one and the same
/// checkpoint was applied last although it was applied once more; but applying one throws away the
/// file that was written to, and the disk goes on in another.
fn same_files(was: &TokenDisk, now: &NowDisk, same_checkpoints: bool) -> Result<(), Doubt> {
    let (Some(then), Some(leaf)) = (was.files.first(), now.files.first()) else {
        return Err(Doubt::OtherDisk);
    };
    let has = |files: &[String], file: &str| files.iter().any(|f| same_file(f, file));
    if folder(then) != folder(leaf) {
        let was = then.clone();
        return Err(Doubt::Moved { was });
    }
    // Written on, or kept by a checkpoint since; or merged, when the last backup's merge was late.
    if has(&now.files, then) || (same_checkpoints && has(&was.files, leaf)) {
        return Ok(());
    }
    let was = then.clone();
    Err(Doubt::Replaced { was })
}

fn same_file(one: &str, other: &str) -> bool {
    match (HostPath::parse(one), HostPath::parse(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

fn folder(file: &str) -> Option<HostPath> {
    HostPath::parse(file).ok()?.parent()
}
