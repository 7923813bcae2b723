//! Spans of time.

use std::time::Duration;

use super::datetime::{BadDateTime, digits, micros};

/// The longest that DMTF's form holds: 99 999 999 days, 23:59:59.999999.
const MOST_MICROS: u64 = 100_000_000 * DAY - 1;
const SECOND: u64 = 1_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A span of time in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Interval {
    micros: u64,
}

impl Interval {
    /// From whole microseconds; what lies above CIM's longest interval is cut to it.
    pub fn from_micros(micros: u64) -> Self {
        Self {
            micros: micros.min(MOST_MICROS),
        }
    }

    /// The span in microseconds.
    pub fn micros(self) -> u64 {
        self.micros
    }

    /// Reads `ddddddddHHMMSS.mmmmmm:000`, the bytes having been checked to be ASCII.
    pub(super) fn parse_dmtf(text: &str) -> Result<Self, BadDateTime> {
        let bad = || BadDateTime(text.to_owned());
        let part = |range: std::ops::Range<usize>| {
            digits(text.get(range).ok_or_else(bad)?).ok_or_else(bad)
        };
        let (days, hours) = (part(0..8)?, part(8..10)?);
        let (minutes, seconds) = (part(10..12)?, part(12..14)?);
        let fraction = micros(text.get(15..21).ok_or_else(bad)?).ok_or_else(bad)?;
        if hours > 23 || minutes > 59 || seconds > 59 || text.get(22..25) != Some("000") {
            return Err(bad());
        }
        // At most the eight digits of days: far from overflow.
        Ok(Self {
            micros: days * DAY + hours * HOUR + minutes * MINUTE + seconds * SECOND + fraction,
        })
    }

    /// Reads the durations of XML Schema: `P0DT0H5M0S`, fractions of seconds allowed.
    ///
    /// Years and months have no length of their own and are refused, as are negative spans.
    /// Digits beyond microseconds are dropped.
    pub fn parse_iso(text: &str) -> Result<Self, BadDateTime> {
        Self::iso(text).ok_or_else(|| BadDateTime(text.to_owned()))
    }

    fn iso(text: &str) -> Option<Self> {
        let rest = text.strip_prefix('P')?;
        let (date, time) = match rest.split_once('T') {
            Some((date, time)) if !time.is_empty() => (date, time),
            Some(_) => return None,
            None => (rest, ""),
        };
        if date.is_empty() && time.is_empty() {
            return None;
        }
        let mut total = 0_u64;
        if !date.is_empty() {
            total = digits(date.strip_suffix('D')?)?.checked_mul(DAY)?;
        }
        let mut left = time;
        for (mark, unit) in [('H', HOUR), ('M', MINUTE)] {
            if let Some((count, rest)) = left.split_once(mark) {
                total = total.checked_add(digits(count)?.checked_mul(unit)?)?;
                left = rest;
            }
        }
        if !left.is_empty() {
            let (whole, fraction) = match left.strip_suffix('S')?.split_once('.') {
                Some((whole, fraction)) => (whole, micros(fraction)?),
                None => (left.strip_suffix('S')?, 0),
            };
            let seconds = digits(whole)?.checked_mul(SECOND)?;
            total = total.checked_add(seconds)?.checked_add(fraction)?;
        }
        (total <= MOST_MICROS).then_some(Self { micros: total })
    }

    /// DMTF's form: `ddddddddHHMMSS.mmmmmm:000`.
    pub fn to_dmtf(self) -> String {
        let [days, hours, minutes, seconds, fraction] = self.parts();
        format!("{days:08}{hours:02}{minutes:02}{seconds:02}.{fraction:06}:000")
    }

    /// XML Schema's form as hosts write it: `P0DT0H5M0S`.
    pub fn to_iso(self) -> String {
        let [days, hours, minutes, seconds, fraction] = self.parts();
        if fraction == 0 {
            return format!("P{days}DT{hours}H{minutes}M{seconds}S");
        }
        format!("P{days}DT{hours}H{minutes}M{seconds}.{fraction:06}S")
    }

    fn parts(self) -> [u64; 5] {
        [
            self.micros / DAY,
            self.micros / HOUR % 24,
            self.micros / MINUTE % 60,
            self.micros / SECOND % 60,
            self.micros % SECOND,
        ]
    }
}

impl From<Duration> for Interval {
    fn from(span: Duration) -> Self {
        Self::from_micros(u64::try_from(span.as_micros()).unwrap_or(u64::MAX))
    }
}

impl From<Interval> for Duration {
    fn from(interval: Interval) -> Self {
        Duration::from_micros(interval.micros)
    }
}
