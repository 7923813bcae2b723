//! Whether a checkpoint comes of a call whose answer was lost.
//!
//! Between the call that takes a checkpoint and the note of its job, nothing but the host knows of
//! it. A checkpoint is taken for the one that the call made if all of this holds, and is otherwise
//! left alone:
//!
//! - it is a recovery checkpoint and the only one that was not there before the call;
//! - by the host's own clock it was made when the call was, or so soon after it as guests need to
//!   settle;
//! - it bears the name that hosts give, and has borne it for longer than any backup program needs
//!   to give its own.
//!
//! So to be mistaken for ours, a checkpoint would have to be made by a program that names none of
//! its own, of the same VM, within the same minutes, while our own call never reached the host.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::checkpoint::{Mark, SeenCheckpoint};
use crate::journal::{Call, Intent};

/// Clocks are told to the second by some properties.
const BEFORE: SignedDuration = SignedDuration::from_secs(2);
/// How long after the call the host may have made it.
const AFTER: SignedDuration = SignedDuration::from_secs(300);
/// After which time a program that gives names has given one.
const NAMED_BY: SignedDuration = SignedDuration::from_secs(120);

/// Whether a checkpoint is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tie {
    /// It is.
    Ours,
    /// That can be told after this time.
    Wait(Duration),
    /// Nothing tells that it is.
    No(&'static str),
}

/// Whether `seen`, a recovery checkpoint that was not there before the call, is what it made.
/// `new` is the number of such checkpoints.
pub(super) fn tie(
    intent: &Intent,
    seen: &SeenCheckpoint,
    new: usize,
    now: Option<Timestamp>,
) -> Tie {
    let Call::CreateCheckpoint {
        vm_name,
        clock_ahead,
        ..
    } = &intent.call
    else {
        return Tie::No("the call makes none");
    };
    if new != 1 {
        return Tie::No("there are several of them");
    }
    let called = clock_ahead.and_then(|ahead| {
        let ahead = SignedDuration::from_millis(ahead);
        intent.at.checked_add(ahead).ok()
    });
    let (Some(called), Some(created), Some(now)) = (called, seen.created, now) else {
        return Tie::No("the host did not tell the times");
    };
    let late = created.duration_since(called);
    if late < -BEFORE || late > AFTER {
        return Tie::No("it was made at another time");
    }
    let name = vm_name.as_deref().filter(|name| !name.is_empty());
    let Some(name) = name else {
        return Tie::No("the VM's name then is not known");
    };
    if !seen.name.starts_with(name) || Mark::is_anyones(&seen.name) {
        return Tie::No("somebody has given it a name");
    }
    let age = now.duration_since(created);
    match (NAMED_BY - age).try_into() {
        // Its age is below nothing when a clock was set back.
        Ok(wait) if age >= SignedDuration::ZERO && wait > Duration::ZERO => Tie::Wait(wait),
        Err(_) | Ok(Duration::ZERO) => Tie::Ours,
        Ok(_) => Tie::No("it is made later than now"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Called at 10 000 by the host's clock, which is 3 000 s ahead.
    fn intent() -> Intent {
        Intent {
            vm: Uuid::nil(),
            at: at(7_000),
            call: Call::CreateCheckpoint {
                name: "Hyperkeep".to_owned(),
                before: Vec::new(),
                vm_name: Some("web".to_owned()),
                clock_ahead: Some(3_000_000),
            },
        }
    }

    fn seen(name: &str, created: i64) -> SeenCheckpoint {
        SeenCheckpoint {
            instance_id: "Microsoft:A".to_owned(),
            name: name.to_owned(),
            recovery: true,
            user: false,
            created: Some(at(created)),
        }
    }

    #[test]
    fn only_the_time_of_the_call_will_do() {
        let tie = |created, now| tie(&intent(), &seen("web - (1)", created), 1, Some(at(now)));
        for created in [9_998, 10_000, 10_300] {
            assert_eq!(tie(created, created + 120), Tie::Ours, "{created}");
            let soon = Tie::Wait(Duration::from_secs(119));
            assert_eq!(tie(created, created + 1), soon, "{created}");
            assert!(matches!(tie(created, created - 1), Tie::No(_)), "{created}");
        }
        for created in [0, 7_000, 9_997, 10_301, 90_000] {
            assert!(matches!(tie(created, 100_000), Tie::No(_)), "{created}");
        }
    }

    #[test]
    fn what_is_not_told_speaks_against_it() {
        let now = Some(at(20_000));
        let ours = seen("web - (1)", 10_000);
        assert_eq!(tie(&intent(), &ours, 1, now), Tie::Ours);
        assert!(matches!(tie(&intent(), &ours, 1, None), Tie::No(_)));
        assert!(matches!(tie(&intent(), &ours, 2, now), Tie::No(_)));
        for name in ["", "we", "Web - (1)", "Nightly", "Hyperkeep web"] {
            let named = seen(name, 10_000);
            assert!(
                matches!(tie(&intent(), &named, 1, now), Tie::No(_)),
                "{name}"
            );
        }
        let mut untimed = ours.clone();
        untimed.created = None;
        assert!(matches!(tie(&intent(), &untimed, 1, now), Tie::No(_)));
        for (vm_name, clock_ahead) in [
            (None, Some(3_000_000)),
            (Some(String::new()), Some(3_000_000)),
            (Some("web".to_owned()), None),
            (Some("web".to_owned()), Some(i64::MAX)),
        ] {
            let call = Call::CreateCheckpoint {
                name: String::new(),
                before: Vec::new(),
                vm_name,
                clock_ahead,
            };
            let intent = Intent { call, ..intent() };
            assert!(
                matches!(tie(&intent, &ours, 1, now), Tie::No(_)),
                "{intent:?}"
            );
        }
    }
}
