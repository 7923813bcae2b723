//! Names of guests on the system that files are restored on.
//!
//! A guest's name may be none here: with a slash or a colon in it, `..`, `CON`. It is then written as it is
//! in paths, with `%XX` in the place of what cannot be, so that it is still of one name only; and nothing a
//! guest can name leads out of the folder.

use std::ffi::OsString;

use guestfs::Name;

use crate::guest::path::text;

/// The name here, and whether it is another one.
pub(super) fn here(name: &Name) -> (OsString, bool) {
    if let Some(own) = own(name) {
        return (own, false);
    }
    let mut written = text(name);
    if let Some(first) = written.chars().next()
        && needs_escape(&written)
    {
        // Whatever the rest is, a name that begins so is nothing else.
        let mut buffer = [0; 4];
        let bytes = first.encode_utf8(&mut buffer).bytes();
        let escaped: String = bytes.map(|byte| format!("%{byte:02X}")).collect();
        written.replace_range(..first.len_utf8(), &escaped);
    }
    if written.is_empty() {
        written.push_str("%00");
    }
    (written.into(), true)
}

/// Names that mean something else.
#[cfg(not(windows))]
fn needs_escape(written: &str) -> bool {
    matches!(written, "." | "..")
}

#[cfg(unix)]
fn own(name: &Name) -> Option<OsString> {
    use std::os::unix::ffi::OsStringExt as _;
    let bytes = name.as_bytes();
    let plain =
        !matches!(bytes, b"" | b"." | b"..") && !bytes.contains(&b'/') && !bytes.contains(&0);
    plain.then(|| OsString::from_vec(bytes.to_vec()))
}

#[cfg(windows)]
fn own(name: &Name) -> Option<OsString> {
    use std::os::windows::ffi::OsStringExt as _;
    let units = name.to_utf16()?;
    let bad = |unit: &u16| {
        *unit < 32
            || [b'<', b'>', b':', b'"', b'/', b'\\', b'|', b'?', b'*']
                .iter()
                .any(|c| u16::from(*c) == *unit)
    };
    let last = units.last()?;
    let ends_badly = [u16::from(b'.'), u16::from(b' ')].contains(last);
    let plain = !units.iter().any(bad) && !ends_badly && !is_device(&name.to_string());
    plain.then(|| OsString::from_wide(&units))
}

/// Characters that are none of names here, too.
#[cfg(windows)]
fn needs_escape(written: &str) -> bool {
    matches!(written, "." | "..") || is_device(written)
}

/// Names of devices, with whatever behind a dot.
#[cfg(windows)]
fn is_device(name: &str) -> bool {
    let stem = name
        .split('.')
        .next()
        .unwrap_or_default()
        .trim_end()
        .to_uppercase();
    let numbered = |begin: &str| {
        let rest = stem.strip_prefix(begin);
        rest.is_some_and(|rest| rest.len() == 1 && rest.chars().all(|c| c.is_ascii_digit()))
    };
    matches!(
        stem.as_str(),
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$"
    ) || numbered("COM")
        || numbered("LPT")
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_elsewhere() {
        for (bytes, expected, other) in [
            (&b"a b"[..], "a b", false),
            (b"..", "%2E.", true),
            (b".", "%2E", true),
            (b"a/../b", "a%2F..%2Fb", true),
            (b"", "%00", true),
            (b"a\0b", "a%00b", true),
            (b"...", "...", false),
        ] {
            let (name, is_other) = here(&Name::new(bytes));
            assert_eq!((name.to_str().unwrap(), is_other), (expected, other));
        }
    }
}
