//! Points in time, and spans, as CIM and XML Schema write them.
//!
//! CIM's own form has 25 characters: `yyyymmddHHMMSS.mmmmmm±UUU` with the offset from UTC in
//! minutes, or an interval. Embedded instances use it. WS-Management uses ISO 8601 for the same
//! properties, so both are read and both can be written.

use jiff::civil::DateTime as Civil;
use jiff::tz::Offset;

use super::Interval;

/// A value of type `datetime`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DateTime {
    /// A point in time.
    Timestamp(Timestamp),
    /// A span of time.
    Interval(Interval),
    /// A value with unknown digits (`*`), kept as it was: 25 characters in DMTF's form.
    Wildcard(String),
}

/// A point in time, to the microsecond, with the offset from UTC that it was told with.
///
/// Two timestamps are equal when instant and offset are; compare [`Timestamp::instant`]s to
/// compare times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timestamp {
    instant: jiff::Timestamp,
    /// Minutes, -999 to 999.
    offset: i16,
}

/// Text that is no date, time or interval.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a date and time nor an interval")]
pub struct BadDateTime(pub String);

impl DateTime {
    /// Reads any of the forms: DMTF's 25 characters, ISO 8601 date and time, ISO 8601 duration.
    pub fn parse(text: &str) -> Result<Self, BadDateTime> {
        let bad = || BadDateTime(text.to_owned());
        if text.starts_with('P') {
            return Interval::parse_iso(text).map(Self::Interval);
        }
        if text.as_bytes().get(4) == Some(&b'-') {
            return Timestamp::parse_iso(text).map(Self::Timestamp);
        }
        let bytes = text.as_bytes();
        if bytes.len() != 25 || !text.is_ascii() || bytes.get(14) != Some(&b'.') {
            return Err(bad());
        }
        if text.contains('*') {
            let known = |(at, b): (usize, &u8)| match at {
                14 => *b == b'.',
                21 => b"+-:".contains(b),
                _ => *b == b'*' || b.is_ascii_digit(),
            };
            let shape = bytes.iter().enumerate().all(known);
            return shape
                .then(|| Self::Wildcard(text.to_owned()))
                .ok_or_else(bad);
        }
        match bytes.get(21) {
            Some(b':') => Interval::parse_dmtf(text).map(Self::Interval),
            Some(b'+' | b'-') => Timestamp::dmtf(text).map(Self::Timestamp).ok_or_else(bad),
            _ => Err(bad()),
        }
    }

    /// The 25 characters of DMTF's form.
    pub fn to_dmtf(&self) -> String {
        match self {
            Self::Timestamp(at) => at.to_dmtf(),
            Self::Interval(span) => span.to_dmtf(),
            Self::Wildcard(text) => text.clone(),
        }
    }
}

impl Timestamp {
    /// An instant, told in UTC. What is finer than a microsecond is dropped.
    pub fn utc(instant: jiff::Timestamp) -> Self {
        let micros = instant.as_microsecond();
        let instant = jiff::Timestamp::from_microsecond(micros).unwrap_or(instant);
        Self { instant, offset: 0 }
    }

    /// The instant, whatever offset it was told with.
    pub fn instant(self) -> jiff::Timestamp {
        self.instant
    }

    /// Whether this is the start of Windows' calendar, by which hosts say *never*.
    pub fn is_never(self) -> bool {
        // 1601-01-01T00:00:00Z
        self.instant.as_second() == -11_644_473_600
    }

    /// Reads ISO 8601: `2026-10-05T04:23:50.123Z`, with `Z` or an offset.
    ///
    /// A time without either is local to nobody knows where and is refused. Digits beyond
    /// microseconds are dropped.
    pub fn parse_iso(text: &str) -> Result<Self, BadDateTime> {
        Self::iso(text).ok_or_else(|| BadDateTime(text.to_owned()))
    }

    fn iso(text: &str) -> Option<Self> {
        if !text.is_ascii() || text.get(10..11) != Some("T") {
            return None;
        }
        let marks = [(4, "-"), (7, "-"), (13, ":"), (16, ":")];
        if marks
            .iter()
            .any(|(at, mark)| text.get(*at..at + 1) != Some(mark))
        {
            return None;
        }
        let part = |from: usize, to: usize| digits(text.get(from..to)?);
        let rest = text.get(19..)?;
        let (fraction, zone) = match rest.strip_prefix('.') {
            Some(rest) => {
                let end = rest.find(|c: char| !c.is_ascii_digit())?;
                (micros(rest.get(..end)?)?, rest.get(end..)?)
            }
            None => (0, rest),
        };
        let offset = match zone.as_bytes() {
            b"Z" => 0,
            [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
                let pair = |a: &u8, b: &u8| {
                    (a.is_ascii_digit() && b.is_ascii_digit())
                        .then(|| i16::from(a - b'0') * 10 + i16::from(b - b'0'))
                };
                let (hours, minutes) = (pair(h1, h2)?, pair(m1, m2)?);
                if hours > 14 || minutes > 59 {
                    return None;
                }
                let minutes = hours * 60 + minutes;
                if *sign == b'-' { -minutes } else { minutes }
            }
            _ => return None,
        };
        let date = [part(0, 4)?, part(5, 7)?, part(8, 10)?];
        Self::civil(
            date,
            [part(11, 13)?, part(14, 16)?, part(17, 19)?],
            fraction,
            offset,
        )
    }

    /// Reads `yyyymmddHHMMSS.mmmmmm±UUU`; length and the marks at 14 and 21 are known.
    fn dmtf(text: &str) -> Option<Self> {
        let part = |from: usize, to: usize| digits(text.get(from..to)?);
        let offset = i16::try_from(part(22, 25)?).ok()?;
        let offset = if text.get(21..22) == Some("-") {
            -offset
        } else {
            offset
        };
        let date = [part(0, 4)?, part(4, 6)?, part(6, 8)?];
        let fraction = micros(text.get(15..21)?)?;
        Self::civil(
            date,
            [part(8, 10)?, part(10, 12)?, part(12, 14)?],
            fraction,
            offset,
        )
    }

    fn civil(date: [u64; 3], time: [u64; 3], fraction: u64, offset: i16) -> Option<Self> {
        let [year, month, day] = date;
        let [hour, minute, second] = time;
        let nanos = i32::try_from(fraction.checked_mul(1000)?).ok()?;
        let small = |number: u64| i8::try_from(number).ok();
        let civil = Civil::new(
            i16::try_from(year).ok()?,
            small(month)?,
            small(day)?,
            small(hour)?,
            small(minute)?,
            small(second)?,
            nanos,
        )
        .ok()?;
        let zone = Offset::from_seconds(i32::from(offset) * 60).ok()?;
        let instant = zone.to_timestamp(civil).ok()?;
        Some(Self { instant, offset })
    }

    fn local(self) -> Civil {
        let zone = Offset::from_seconds(i32::from(self.offset) * 60).unwrap_or(Offset::UTC);
        zone.to_datetime(self.instant)
    }

    /// DMTF's form: `yyyymmddHHMMSS.mmmmmm±UUU`.
    pub fn to_dmtf(self) -> String {
        let at = self.local();
        let sign = if self.offset < 0 { '-' } else { '+' };
        format!(
            "{:04}{:02}{:02}{:02}{:02}{:02}.{:06}{sign}{:03}",
            at.year(),
            at.month(),
            at.day(),
            at.hour(),
            at.minute(),
            at.second(),
            at.subsec_nanosecond() / 1000,
            self.offset.unsigned_abs(),
        )
    }

    /// ISO 8601 in UTC, as hosts write it: `2026-10-05T04:23:50Z`.
    pub fn to_iso(self) -> String {
        self.instant.to_string()
    }
}

/// A number of at least one and at most 18 digits, so that it fits.
pub(super) fn digits(text: &str) -> Option<u64> {
    let fits = (1..=18).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten()
}

/// The microseconds of a fraction's digits; further digits are dropped.
pub(super) fn micros(fraction: &str) -> Option<u64> {
    if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut padded: String = fraction.chars().take(6).collect();
    while padded.len() < 6 {
        padded.push('0');
    }
    digits(&padded)
}
