//! Object names: paths of lower-case segments that are a plain file name on every system.
//!
//! The rules are strict so that a name that came out of a foreign listing can never leave the
//! store's folder, meet a device name of Windows, or collide with another on a file system that
//! ignores case.

use crate::error::{Error, Result};

/// Longest name, in bytes.
pub const MAX_LEN: usize = 512;
/// Longest segment of a name, in bytes.
pub const MAX_SEGMENT: usize = 200;

/// Checks a name: segments of `a-z 0-9 . _ -`, joined by single `/`, none beginning or ending
/// with a dot, none a device name of Windows.
pub fn check(name: &str) -> Result<()> {
    let bad = |why| {
        Err(Error::BadName {
            name: name.to_owned(),
            why,
        })
    };
    if name.is_empty() || name.len() > MAX_LEN {
        return bad("names have 1 to 512 bytes");
    }
    for segment in name.split('/') {
        if let Some(why) = wrong_with(segment) {
            return bad(why);
        }
    }
    Ok(())
}

/// Whether `segment` may be a part of a name.
pub fn is_segment(segment: &str) -> bool {
    wrong_with(segment).is_none()
}

/// Checks a listing's prefix: nothing, or the beginning of a name.
pub fn check_prefix(prefix: &str) -> Result<()> {
    match prefix.trim_end_matches(['.', '/']) {
        "" if prefix.is_empty() => Ok(()),
        // One slash or dot may be the end of a prefix; a name never continues after more.
        trimmed if prefix.len() - trimmed.len() <= 1 => check(trimmed),
        _ => Err(Error::BadName {
            name: prefix.to_owned(),
            why: "a prefix is the beginning of a name",
        }),
    }
}

fn wrong_with(segment: &str) -> Option<&'static str> {
    let plain = |c: u8| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    if segment.is_empty() || segment.len() > MAX_SEGMENT {
        return Some("segments between slashes have 1 to 200 bytes");
    }
    if !segment.bytes().all(plain) {
        return Some("only a-z, 0-9, dot, dash and underscore may occur");
    }
    if segment.starts_with('.') || segment.ends_with('.') {
        return Some("no segment begins or ends with a dot");
    }
    let stem = segment.split('.').next().unwrap_or(segment);
    let device = matches!(stem, "con" | "prn" | "aux" | "nul")
        || (stem.len() == 4
            && (stem.starts_with("com") || stem.starts_with("lpt"))
            && stem.ends_with(|c: char| c.is_ascii_digit()));
    device.then_some("Windows reserves device names such as con and nul")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_folder_or_collide_are_refused() {
        for name in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            "..",
            "a/../b",
            ".",
            ".tmp/x",
            "a.",
            "A",
            "a\\b",
            "a b",
            "c:",
            "con",
            "packs/nul.txt",
            "com1",
            "ä",
            "a\0b",
        ] {
            assert!(check(name).is_err(), "{name:?}");
        }
        assert!(check(&"a".repeat(201)).is_err());
        for name in ["vault.json", "packs/ab/0123", "a-b_c.d", "coma", "com10"] {
            check(name).unwrap();
        }
    }

    #[test]
    fn prefixes_are_beginnings_of_names() {
        for prefix in ["", "packs/", "packs/a", "packs", "vault."] {
            check_prefix(prefix).unwrap();
        }
        for prefix in ["/", "..", "a//", "../a", "a/../"] {
            assert!(check_prefix(prefix).is_err(), "{prefix:?}");
        }
    }
}
