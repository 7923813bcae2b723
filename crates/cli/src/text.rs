//! Words and numbers for people.

use std::borrow::Cow;
use std::fmt::Write as _;

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

fn timestamp(ms: u64) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()
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
    fn times() {
        assert_eq!(time_ms(0), "1970-01-01 00:00:00");
        assert_eq!(rfc3339_ms(1500).as_deref(), Some("1970-01-01T00:00:01.5Z"));
        assert_eq!(rfc3339_ms(u64::MAX), None);
    }
}
