//! From what a person calls a restore point to the one point that it means.

use uuid::Uuid;

use crate::point::Details;
use crate::source::Owner;

/// A restore point as the commands list it, with what this module needs of it.
pub trait Named {
    /// The point's id in hexadecimal.
    fn point_id(&self) -> String;
    /// Its VM's id.
    fn vm_id(&self) -> Uuid;
    /// Its VM's name at that time.
    fn vm_name(&self) -> &str;
    /// When it was begun, seconds since 1970.
    fn time(&self) -> u64;
    /// Its place among the points of its VM: larger for a later one, whatever clocks said.
    fn rank(&self) -> u64;
}

/// What a person may call a restore point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PointRef {
    /// An id, or the beginning of one.
    Id(String),
    /// The newest point of a VM, given by name or id.
    Latest(String),
    /// The newest point of a VM that is not younger than this many seconds since 1970.
    Before(String, u64),
}

impl PointRef {
    /// Reads `VM@latest`, `VM@TIME` or an id's beginning. VM names may hold `@`: the last one
    /// divides. `time` turns the text of a TIME into seconds since 1970.
    ///
    /// # Errors
    /// The part that makes no sense, in words.
    pub fn parse(text: &str, time: impl FnOnce(&str) -> Option<u64>) -> Result<Self, String> {
        match text.rsplit_once('@') {
            Some(("", _)) => Err(format!("“{text}” names no VM before the “@”")),
            Some((vm, "latest")) => Ok(Self::Latest(vm.to_owned())),
            Some((vm, when)) => time(when)
                .map(|seconds| Self::Before(vm.to_owned(), seconds))
                .ok_or_else(|| format!("“{when}” is neither “latest” nor a time")),
            None if !text.is_empty() && text.chars().all(|c| c.is_ascii_hexdigit()) => {
                Ok(Self::Id(text.to_ascii_lowercase()))
            }
            None => Err(format!(
                "“{text}” is neither the beginning of an id nor VM@latest nor VM@TIME"
            )),
        }
    }
}

/// Why no one point was meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// Nothing matches.
    #[error("there is no such restore point: {0}")]
    None(String),
    /// The one that is meant is there and cannot be read.
    #[error("restore point {id} is there, but cannot be read: {why}")]
    Unreadable {
        /// Its id.
        id: String,
        /// Why not.
        why: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// Nothing that can be read matches, and there is more.
    #[error(
        "no restore point that can be read is of {vm}; the vault has {unreadable} that cannot be read"
    )]
    NoneReadable {
        /// What was given.
        vm: String,
        /// How many cannot be read.
        unreadable: usize,
    },
    /// The VM has points, but none that old.
    #[error("{0} has no restore point from that time or before")]
    TooEarly(String),
    /// The beginning of several ids.
    #[error("{prefix} is the beginning of {} ids: {}", ids.len(), ids.join(", "))]
    AmbiguousId {
        /// What was given.
        prefix: String,
        /// A few of the ids.
        ids: Vec<String>,
    },
    /// Several VMs have that name.
    #[error("{} VMs are named {name}: {}", ids.len(), ids.join(", "))]
    AmbiguousVm {
        /// What was given.
        name: String,
        /// Their ids.
        ids: Vec<String>,
    },
}

impl FindError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::None(_) | Self::TooEarly(_) => "`hyperkeep points` lists what there is",
            Self::Unreadable { hint, .. } => hint,
            Self::NoneReadable { .. } => "`hyperkeep points` tells which ones, and why",
            Self::AmbiguousId { .. } => "give more of the id",
            Self::AmbiguousVm { .. } => "give the VM's id in place of its name, as in ID@latest",
        }
    }
}

/// Finds the one point that is meant.
///
/// # Errors
/// When it is none or more than one. Two VMs with one name are never guessed apart.
pub fn find<'a, P: Named>(points: &'a [P], wanted: &PointRef) -> Result<&'a P, FindError> {
    let (vm, limit) = match wanted {
        PointRef::Id(prefix) => {
            let hits: Vec<&P> = points
                .iter()
                .filter(|point| point.point_id().starts_with(prefix.as_str()))
                .collect();
            return match hits.as_slice() {
                [] => Err(FindError::None(prefix.clone())),
                [one] => Ok(one),
                several => Err(FindError::AmbiguousId {
                    prefix: prefix.clone(),
                    ids: several.iter().map(|p| p.point_id()).collect(),
                }),
            };
        }
        PointRef::Latest(vm) => (vm, u64::MAX),
        PointRef::Before(vm, limit) => (vm, *limit),
    };
    let of_vm = of_vm(points, vm)?;
    of_vm
        .into_iter()
        .filter(|point| point.time() <= limit)
        .max_by_key(|point| (point.rank(), point.point_id()))
        .ok_or_else(|| FindError::TooEarly(vm.clone()))
}

/// Why no one checkpoint was meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Nothing matches.
    #[error("{vm} has no checkpoint “{wanted}” in this restore point")]
    None {
        /// The VM's name.
        vm: String,
        /// What was given.
        wanted: String,
    },
    /// Several checkpoints have that name.
    #[error("{} checkpoints are named “{name}”: {}", ids.len(), ids.join(", "))]
    Ambiguous {
        /// What was given.
        name: String,
        /// Their ids.
        ids: Vec<String>,
    },
}

impl CheckpointError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::None { .. } => "`hyperkeep ls POINT` lists the checkpoints",
            Self::Ambiguous { .. } => "give the checkpoint's id in place of its name",
        }
    }
}

/// Finds the one checkpoint that is meant, by its name or id.
///
/// # Errors
/// When it is none or more than one.
pub fn find_checkpoint(details: &Details, wanted: &str) -> Result<Owner, CheckpointError> {
    let all = &details.checkpoints;
    let exact = all.iter().filter(|c| c.name == wanted);
    let loose = all
        .iter()
        .filter(|c| c.name.to_lowercase() == wanted.to_lowercase());
    let by_id = Uuid::try_parse(wanted).ok();
    let by_id = all.iter().filter(|c| by_id == Some(c.id));
    // An id first: somebody may have named a checkpoint after another one's id.
    let ways: [Vec<Uuid>; 3] = [
        by_id.map(|c| c.id).collect(),
        exact.map(|c| c.id).collect(),
        loose.map(|c| c.id).collect(),
    ];
    match ways.iter().find(|ids| !ids.is_empty()).map(Vec::as_slice) {
        None => Err(CheckpointError::None {
            vm: details.vm_name.clone(),
            wanted: wanted.to_owned(),
        }),
        Some([id]) => Ok(Owner::Checkpoint(*id)),
        Some(several) => Err(CheckpointError::Ambiguous {
            name: wanted.to_owned(),
            ids: several.iter().map(Uuid::to_string).collect(),
        }),
    }
}

fn of_vm<'a, P: Named>(points: &'a [P], vm: &str) -> Result<Vec<&'a P>, FindError> {
    if let Ok(id) = Uuid::try_parse(vm) {
        let hits: Vec<&P> = points.iter().filter(|point| point.vm_id() == id).collect();
        if !hits.is_empty() {
            return Ok(hits);
        }
    }
    let same = |a: &str, b: &str| a.to_lowercase() == b.to_lowercase();
    let mut hits: Vec<&P> = points
        .iter()
        .filter(|point| point.vm_name() == vm)
        .collect();
    if hits.is_empty() {
        hits = points
            .iter()
            .filter(|point| same(point.vm_name(), vm))
            .collect();
    }
    let mut ids: Vec<Uuid> = hits.iter().map(|point| point.vm_id()).collect();
    ids.sort_unstable();
    ids.dedup();
    match ids.as_slice() {
        [] => Err(FindError::None(vm.to_owned())),
        // All of the VM's points, also those from when it had another name.
        [id] => Ok(points.iter().filter(|point| point.vm_id() == *id).collect()),
        several => Err(FindError::AmbiguousVm {
            name: vm.to_owned(),
            ids: several.iter().map(Uuid::to_string).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct P(&'static str, u128, &'static str, u64, u64);

    impl Named for P {
        fn point_id(&self) -> String {
            self.0.to_owned()
        }
        fn vm_id(&self) -> Uuid {
            Uuid::from_u128(self.1)
        }
        fn vm_name(&self) -> &str {
            self.2
        }
        fn time(&self) -> u64 {
            self.3
        }
        fn rank(&self) -> u64 {
            self.4
        }
    }

    const POINTS: [P; 7] = [
        P("aa01", 1, "web", 100, 1),
        P("aa02", 1, "Web", 200, 2),
        P("bb01", 2, "a@b 数", 150, 1),
        P("cc01", 3, "twin", 10, 1),
        P("cc02", 4, "twin", 20, 1),
        // The later one of one second, and by a clock that was set back.
        P("dd09", 5, "quick", 70, 1),
        P("dd01", 5, "quick", 60, 2),
    ];

    fn found(text: &str) -> Result<&'static str, FindError> {
        let wanted = PointRef::parse(text, |time| time.parse().ok()).unwrap();
        find(&POINTS, &wanted).map(|point| point.0)
    }

    #[test]
    fn ids_names_and_times() {
        assert_eq!(found("aa02"), Ok("aa02"));
        assert_eq!(found("BB"), Ok("bb01"));
        assert_eq!(found("a@b 数@latest"), Ok("bb01"));
        assert_eq!(found("web@100"), Ok("aa01"));
        assert_eq!(found("quick@latest"), Ok("dd01"));
        assert_eq!(found("quick@65"), Ok("dd01"));
        assert_eq!(found("web@99"), Err(FindError::TooEarly("web".into())));
        let id = Uuid::from_u128(4).to_string();
        assert_eq!(found(&format!("{id}@latest")), Ok("cc02"));
    }

    #[test]
    fn a_renamed_vm_is_found_by_each_name_it_had() {
        assert_eq!(found("web@latest"), Ok("aa02"));
        assert_eq!(found("WEB@latest"), Ok("aa02"), "no exact match: any case");
    }

    #[test]
    fn what_is_ambiguous_is_never_guessed() {
        assert!(matches!(found("aa"), Err(FindError::AmbiguousId { ids, .. }) if ids.len() == 2));
        assert!(
            matches!(found("twin@latest"), Err(FindError::AmbiguousVm { ids, .. }) if ids.len() == 2)
        );
        assert!(matches!(found("nobody@latest"), Err(FindError::None(_))));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "web", "@latest", "web@", "web@yesterday", "xyz"] {
            assert!(PointRef::parse(text, |t| t.parse().ok()).is_err(), "{text}");
        }
    }
}
