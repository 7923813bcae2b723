//! Names of guests on the system that files are restored on.
//!
//! A guest's name may be none here: with a slash, a backslash or a colon in it, `..`, `CON`. It is then written
//! as it is in paths, with `%XX` in the place of what cannot be, and nothing that a guest can name leads out of
//! the folder. That another name may be written so already, or differ in case alone, is seen to by
//! [`places`](super::places).

use std::ffi::OsString;

use guestfs::Name;

use crate::guest::path::text;

/// Whose rules for names count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum System {
    Unix,
    Windows,
    /// None: an archive that any system may read.
    Zip,
}

const HERE: System = match cfg!(windows) {
    true => System::Windows,
    false => System::Unix,
};

/// The name here, and whether it is another one.
pub(super) fn here(name: &Name) -> (OsString, bool) {
    let own = if fits(name, HERE) { own(name) } else { None };
    match own {
        Some(own) => (own, false),
        None => (escaped(name, HERE).into(), true),
    }
}

/// The name in a zip archive, which is UTF-8 without backslashes, and without colons since they end the names of
/// drives; and whether it is another one.
pub(super) fn in_zip(name: &Name) -> (OsString, bool) {
    match name.to_str().filter(|_| fits(name, System::Zip)) {
        Some(name) => (name.into(), false),
        None => (escaped(name, System::Zip).into(), true),
    }
}

/// Whether a name is one of the system, and nothing else.
fn fits(name: &Name, system: System) -> bool {
    let bytes = name.as_bytes();
    if matches!(bytes, b"" | b"." | b"..") || bytes.contains(&b'/') || bytes.contains(&0) {
        return false;
    }
    match system {
        System::Unix => return true,
        System::Zip => {
            let bad = |char: char| char.is_control() || matches!(char, '\\' | ':');
            return name.to_str().is_some_and(|name| !name.contains(bad));
        }
        System::Windows => {}
    }
    let ends_badly = matches!(bytes.last(), Some(b'.' | b' '));
    let bad = |byte: &u8| *byte < 32 || is_special(char::from(*byte));
    !ends_badly && !bytes.iter().any(bad) && !is_device(&name.to_string())
}

/// What Windows has other uses for.
fn is_special(char: char) -> bool {
    matches!(char, '<' | '>' | ':' | '"' | '\\' | '|' | '?' | '*')
}

/// Names of devices of Windows, with whatever behind a dot.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default();
    let stem = stem.trim_end().to_uppercase();
    let numbered = |begin: &str| {
        let mut rest = stem.strip_prefix(begin).unwrap_or_default().chars();
        let number = matches!(rest.next(), Some('0'..='9' | '¹' | '²' | '³'));
        number && rest.next().is_none()
    };
    matches!(
        stem.as_str(),
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$"
    ) || numbered("COM")
        || numbered("LPT")
}

/// The name with `%XX` in the place of all that keeps it from being one.
fn escaped(name: &Name, system: System) -> String {
    let written = text(name);
    let count = written.chars().count();
    let whole = matches!(written.as_str(), "" | "." | "..");
    let windows = system == System::Windows;
    let begins_badly = whole || windows && is_device(&written);
    let mut out = String::new();
    for (at, char) in written.chars().enumerate() {
        let last = at + 1 == count && matches!(char, '.' | ' ');
        let divides = system == System::Zip && matches!(char, '\\' | ':');
        let special = windows && (is_special(char) || last);
        let bad = special || divides || begins_badly && at == 0;
        if bad {
            let mut buffer = [0; 4];
            for byte in char.encode_utf8(&mut buffer).bytes() {
                out.push_str(&format!("%{byte:02X}"));
            }
        } else {
            out.push(char);
        }
    }
    if out.is_empty() {
        out.push_str("%00");
    }
    out
}

#[cfg(unix)]
fn own(name: &Name) -> Option<OsString> {
    use std::os::unix::ffi::OsStringExt as _;
    Some(OsString::from_vec(name.as_bytes().to_vec()))
}

#[cfg(windows)]
fn own(name: &Name) -> Option<OsString> {
    use std::os::windows::ffi::OsStringExt as _;
    Some(OsString::from_wide(&name.to_utf16()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_name_leads_elsewhere() {
        for (bytes, unix, windows) in [
            (&b"a b"[..], None, None),
            (b"..", Some("%2E."), Some("%2E%2E")),
            (b".", Some("%2E"), Some("%2E")),
            (b"a/../b", Some("a%2F..%2Fb"), Some("a%2F..%2Fb")),
            (b"", Some("%00"), Some("%00")),
            (b"a\0b", Some("a%00b"), Some("a%00b")),
            (b"...", None, Some("..%2E")),
            (b"..\\..\\x", None, Some("..%5C..%5Cx")),
            (b"C:evil", None, Some("C%3Aevil")),
            (b"\\\\srv\\share", None, Some("%5C%5Csrv%5Cshare")),
            (b"foo.", None, Some("foo%2E")),
            (b"con.txt", None, Some("%63on.txt")),
            (b"console", None, None),
            (b"LPT\xc2\xb9", None, Some("%4CPT¹")),
        ] {
            let name = Name::new(bytes);
            for (system, expected) in [(System::Unix, unix), (System::Windows, windows)] {
                let written = (!fits(&name, system)).then(|| escaped(&name, system));
                assert_eq!(written.as_deref(), expected, "{name:?} {system:?}");
            }
        }
    }

    #[test]
    fn a_zip_archive_has_names_of_any_system() {
        for (bytes, expected) in [
            (&b"a b"[..], ("a b", false)),
            (b"a b:c", ("a b%3Ac", true)),
            (b"ol\xc3\xa9", ("olé", false)),
            (b"\xff", ("%FF", true)),
            (b"..\\x\n", ("..%5Cx%0A", true)),
            (b"..", ("%2E.", true)),
        ] {
            let (name, other) = in_zip(&Name::new(bytes));
            assert_eq!((name.to_str(), other), (Some(expected.0), expected.1));
        }
    }

    proptest! {
        #[test]
        fn no_escaped_name_is_anything_but_a_name(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            let name = Name::new(bytes);
            for system in [System::Unix, System::Windows, System::Zip] {
                if !fits(&name, system) {
                    prop_assert!(fits(&Name::from(escaped(&name, system).as_str()), system));
                }
            }
        }
    }
}
