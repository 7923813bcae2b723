//! Words and numbers for people.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;

/// `text` without anything that could steer a terminal or reorder a line: names come from the
/// guests' administrators, and not everyone of them is a friend. Line breaks are kept on request.
fn tame(text: &str, keep_lines: bool) -> Cow<'_, str> {
    let wild = |c: char| {
        let steers = c.is_control() && !(keep_lines && c == '\n');
        let reorders = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' | '\u{feff}');
        steers || reorders
    };
    if !text.contains(wild) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if wild(c) {
            // Writing into a string does not fail.
            let _ = write!(out, "{}", c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// A name or other text on one line, harmless to a terminal.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    tame(text, false)
}

/// Text of several lines, harmless to a terminal.
pub(crate) fn lines(text: &str) -> Cow<'_, str> {
    tame(text, true)
}

/// `4.2 GiB`; exact below 1 KiB.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // 1023.96 would be shown as 1024.0.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `1 disk`, `3 disks`.
pub(crate) fn count(number: usize, one: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{number} {one}{end}")
}

/// `2026-11-22 18:00:00`, in UTC, of milliseconds since 1970.
pub(crate) fn time_ms(ms: u64) -> String {
    timestamp(ms).map_or_else(
        || format!("{ms} ms after 1970"),
        |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}

/// `2026-11-22T18:00:00.123Z`, of milliseconds since 1970.
pub(crate) fn rfc3339_ms(ms: u64) -> Option<String> {
    timestamp(ms).map(|time| time.to_string())
}

/// `2026-11-22 18:00:00`, in UTC, of seconds since 1970.
pub(crate) fn time(seconds: u64) -> String {
    time_ms(seconds.saturating_mul(1000))
}

/// `2026-11-22T18:00:00Z`, of seconds since 1970.
pub(crate) fn rfc3339(seconds: u64) -> Option<String> {
    rfc3339_ms(seconds.checked_mul(1000)?)
}

/// `0.4 s`, or as [`duration`] says it.
pub(crate) fn milliseconds(ms: u64) -> String {
    if ms < 10_000 {
        format!("{}.{} s", ms / 1000, ms / 100 % 10)
    } else {
        duration(Duration::from_millis(ms))
    }
}

fn timestamp(ms: u64) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()
}

/// `3 s`, `2:05 min`, `1:02:03 h`.
pub(crate) fn duration(time: Duration) -> String {
    let s = time.as_secs();
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{}:{:02} min", s / 60, s % 60),
        _ => format!("{}:{:02}:{:02} h", s / 3600, s / 60 % 60, s % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_cannot_steer_the_terminal() {
        assert_eq!(line("数据 “💾” & 'q'"), "数据 “💾” & 'q'");
        assert_eq!(line("a\x1b[2Jb\r\n"), "a\\u{1b}[2Jb\\u{d}\\u{a}");
        assert_eq!(line("gpj\u{202e}exe"), "gpj\\u{202e}exe");
        assert_eq!(lines("a\nb\x07"), "a\nb\\u{7}");
        assert_eq!(line("\u{9b}31m"), "\\u{9b}31m", "C1 controls steer too");
    }

    #[test]
    fn sizes_and_times() {
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size((1 << 20) - 1), "1.0 MiB");
        assert_eq!(size(u64::MAX), "16.0 EiB");
        assert_eq!(duration(Duration::from_secs(59)), "59 s");
        assert_eq!(duration(Duration::from_secs(125)), "2:05 min");
        assert_eq!(duration(Duration::from_secs(3723)), "1:02:03 h");
        assert_eq!(milliseconds(1234), "1.2 s");
        assert_eq!(milliseconds(12_345), "12 s");
        assert_eq!(time_ms(0), "1970-01-01 00:00:00");
        assert_eq!(rfc3339_ms(1500).as_deref(), Some("1970-01-01T00:00:01.5Z"));
        assert_eq!(rfc3339_ms(u64::MAX), None);
        assert_eq!(
            (count(1, "disk"), count(0, "disk")),
            ("1 disk".into(), "0 disks".into())
        );
    }
}
