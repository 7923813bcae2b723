//! How people name a restore point: the beginning of its id, `VM@latest`, or `VM@TIME`.
//!
//! VM names may hold `@` and `:`, and times hold `:` too. So a text is split at the last `@` after
//! which all that follows is a moment; for `POINT:PATH` at the first `@` after which a moment
//! stands alone or before a `:`.

use std::fmt;
use std::str::FromStr;

use engine::find::PointRef;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// A restore point as somebody named it; whether there is such a point is not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PointAddress {
    /// The beginning of an id, in lower case.
    Id(String),
    /// A point of a VM, which is named or given by its id.
    Of {
        /// The VM's name or id.
        vm: String,
        /// Which of its points.
        moment: Moment,
    },
}

/// Which of a VM's points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The newest.
    Latest,
    /// The newest that is not after this time.
    At(Timestamp),
}

/// A text that names no restore point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AddressError(String);

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "“{}” is neither the beginning of a restore point's id nor VM@latest nor VM@TIME",
            self.0
        )
    }
}

impl std::error::Error for AddressError {}

impl FromStr for PointAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let of = text.rmatch_indices('@').find_map(|(at, _)| {
            let moment = moment(&text[at + 1..])?;
            of(&text[..at], moment)
        });
        of.or_else(|| id(text))
            .ok_or_else(|| AddressError(text.to_owned()))
    }
}

impl PointAddress {
    /// As the engine looks for it.
    pub(crate) fn wanted(&self) -> PointRef {
        match self {
            Self::Id(prefix) => PointRef::Id(prefix.clone()),
            Self::Of { vm, moment } => match moment {
                Moment::Latest => PointRef::Latest(vm.clone()),
                // Before 1970 there are no points; and 0 is before all of them.
                Moment::At(time) => {
                    PointRef::Before(vm.clone(), u64::try_from(time.as_second()).unwrap_or(0))
                }
            },
        }
    }

    /// Splits `POINT` or `POINT:PATH`. An empty path is no path.
    pub(crate) fn with_path(text: &str) -> Result<(Self, Option<String>), AddressError> {
        let path = |path: &str| (!path.is_empty()).then(|| path.to_owned());
        for (at, _) in text.match_indices('@') {
            let rest = &text[at + 1..];
            let ends = rest.match_indices(':').map(|(end, _)| end);
            // The longest first, since a time has `:` in it.
            for end in ends
                .chain([rest.len()])
                .collect::<Vec<_>>()
                .into_iter()
                .rev()
            {
                let found = moment(&rest[..end]).and_then(|moment| of(&text[..at], moment));
                if let Some(address) = found {
                    return Ok((address, path(rest[end..].trim_start_matches(':'))));
                }
            }
        }
        let (point, rest) = text.split_once(':').unwrap_or((text, ""));
        Ok((point.parse()?, path(rest)))
    }
}

fn of(vm: &str, moment: Moment) -> Option<PointAddress> {
    (!vm.is_empty()).then(|| PointAddress::Of {
        vm: vm.to_owned(),
        moment,
    })
}

fn id(text: &str) -> Option<PointAddress> {
    let hex = !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    hex.then(|| PointAddress::Id(text.to_ascii_lowercase()))
}

/// `latest`, an RFC 3339 time, or a date and perhaps a time in UTC. What leaves something out
/// means the end of it: a day is meant with all its points.
fn moment(text: &str) -> Option<Moment> {
    if text.eq_ignore_ascii_case("latest") {
        return Some(Moment::Latest);
    }
    // `jiff` takes more spellings than people should have to expect here.
    let plain = |c: char| c.is_ascii_digit() || "-:.+tTzZ ".contains(c);
    if !text.starts_with(|c: char| c.is_ascii_digit()) || !text.chars().all(plain) {
        return None;
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(Moment::At(time));
    }
    let (date, time) = match text.split_once(['T', 't', ' ']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    // 2026-11-22 and nothing shorter or looser.
    if date.len() != 10 {
        return None;
    }
    let date: Date = date.parse().ok()?;
    let end = match time {
        None => date.tomorrow().ok()?.to_datetime(Time::midnight()),
        Some(time) => {
            let unit = match time.len() {
                5 => 1.minute(),
                8 => 1.second(),
                _ => return None,
            };
            let time: Time = time.parse().ok()?;
            let start: DateTime = date.to_datetime(time);
            start.checked_add(unit).ok()?
        }
    };
    let end = TimeZone::UTC.to_timestamp(end).ok()?;
    end.checked_sub(1.millisecond()).ok().map(Moment::At)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> PointAddress {
        text.parse().unwrap()
    }

    fn vm(name: &str, time: &str) -> PointAddress {
        PointAddress::Of {
            vm: name.to_owned(),
            moment: match time {
                "latest" => Moment::Latest,
                time => Moment::At(time.parse().unwrap()),
            },
        }
    }

    #[test]
    fn ids_names_and_times() {
        assert_eq!(at("5F3a"), PointAddress::Id("5f3a".into()));
        assert_eq!(at("web@latest"), vm("web", "latest"));
        assert_eq!(at("a@b: c@Latest"), vm("a@b: c", "latest"));
        assert_eq!(
            at("数据 💾@2026-11-22"),
            vm("数据 💾", "2026-11-22T23:59:59.999Z")
        );
        assert_eq!(
            at("w@2026-11-22T18:00"),
            vm("w", "2026-11-22T18:00:59.999Z")
        );
        assert_eq!(
            at("w@2026-11-22 18:00:05"),
            vm("w", "2026-11-22T18:00:05.999Z")
        );
        assert_eq!(
            at("w@2026-11-22T18:00:00+01:00"),
            vm("w", "2026-11-22T17:00:00Z")
        );
        for bad in [
            "",
            "web",
            "@latest",
            "web@",
            "web@yesterday",
            "web@2026",
            "web@2026-13-01",
            "5f:x",
            "w@2026-11-22T18",
            "w@2026-11-22T25:00",
            "g1",
            "w@20261122",
        ] {
            assert!(bad.parse::<PointAddress>().is_err(), "{bad}");
        }
        assert!("a".repeat(65).parse::<PointAddress>().is_err());
    }

    #[test]
    fn paths_begin_after_the_point() {
        let with = |text: &str| {
            let (address, path) = PointAddress::with_path(text).unwrap();
            (address, path.unwrap_or_default())
        };
        assert_eq!(with("5f3a"), (at("5f3a"), String::new()));
        assert_eq!(
            with("5f3a:Virtual Hard Disks"),
            (at("5f3a"), "Virtual Hard Disks".into())
        );
        assert_eq!(with("w@latest:"), (vm("w", "latest"), String::new()));
        assert_eq!(
            with("a:b@latest:c@latest"),
            (vm("a:b", "latest"), "c@latest".into())
        );
        assert_eq!(
            with("w@2026-11-22T18:00:a:b"),
            (at("w@2026-11-22T18:00"), "a:b".into())
        );
        assert_eq!(
            with("w@2026-11-22T18:00:00+01:00:x"),
            (at("w@2026-11-22T18:00:00+01:00"), "x".into())
        );
        assert!(PointAddress::with_path("web:x").is_err());
    }
}
