//! How volumes fared through the points of a VM, also as they were at its checkpoints.

use serde::Serialize;

use super::{Evidence, Verdict, VolumeEvidence};
use crate::source::Owner;

/// A volume through the points of a VM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Course {
    /// Its name in the newest point that has it.
    pub volume: String,
    /// Where its disk is attached.
    pub slot: String,
    /// The name of the checkpoint as it was at which; nothing for the VM as it was backed up.
    pub checkpoint: Option<String>,
    /// How it was found in the newest point that has it.
    pub verdict: Verdict,
    /// The oldest point from which on it was found so without a break.
    pub since: String,
    /// When that was taken, in seconds since 1970.
    pub since_taken: u64,
    /// The newest point in which it was found clean, or in need of a replay and nothing worse.
    pub last_good: Option<String>,
    /// When that was taken.
    pub last_good_taken: Option<u64>,
}

/// One point for [`courses`].
#[derive(Clone, Copy)]
pub struct Stage<'a> {
    /// Its id.
    pub point: &'a str,
    /// When it was taken.
    pub taken: u64,
    /// What is known of its volumes.
    pub evidence: &'a [Evidence],
}

/// How each volume of a VM and of its checkpoints fared through points in their order. A volume is known by whose it
/// is, where its disk is attached, and what of the disk it is.
pub fn courses(stages: &[Stage<'_>]) -> Vec<Course> {
    let mut all: Vec<((Owner, String), Course)> = Vec::new();
    for stage in stages {
        let told = stage.evidence.iter();
        let told = told.flat_map(|one| one.volumes.iter().map(move |volume| (one, volume)));
        for (of, volume) in told {
            let key = (of.owner.clone(), key(volume));
            let now = Course {
                volume: volume.volume.clone(),
                slot: volume.slot.clone(),
                checkpoint: of.checkpoint.clone(),
                verdict: volume.verdict,
                since: stage.point.to_owned(),
                since_taken: stage.taken,
                last_good: None,
                last_good_taken: None,
            };
            let at = match all.iter().position(|(known, _)| *known == key) {
                Some(at) => at,
                None => {
                    all.push((key, now.clone()));
                    all.len() - 1
                }
            };
            let Some((_, course)) = all.get_mut(at) else {
                continue;
            };
            if course.verdict != now.verdict {
                (course.since, course.since_taken) = (now.since, now.since_taken);
            }
            (course.volume, course.verdict) = (now.volume, now.verdict);
            course.checkpoint = now.checkpoint;
            if matches!(volume.verdict, Verdict::Clean | Verdict::NeedsReplay) {
                course.last_good = Some(stage.point.to_owned());
                course.last_good_taken = Some(stage.taken);
            }
        }
    }
    all.into_iter().map(|(_, course)| course).collect()
}

/// A disk's number counts only where it is attached nowhere.
fn key(volume: &VolumeEvidence) -> String {
    let numbered = volume.volume.strip_prefix('d');
    let rest = numbered.map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    match rest {
        Some(rest) if !volume.slot.is_empty() && (rest.is_empty() || rest.starts_with('p')) => {
            format!("{} {rest}", volume.slot)
        }
        _ => format!(" {}", volume.volume),
    }
}
