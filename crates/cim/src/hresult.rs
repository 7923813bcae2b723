//! Windows' error codes, and how they are found in text of any language.

use std::fmt::{Display, Formatter};

/// An error code of Windows or of one of its parts.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hresult(pub u32);

/// Codes that Hyper-V hosts are known to tell, with what they mean to who reads them.
const KNOWN: &[(u32, &str)] = &[
    (0x8004_1002, "WMI: not found"),
    (0x8004_1003, "WMI: access denied"),
    (0x8004_100e, "WMI: no such namespace"),
    (0x8004_1010, "WMI: no such class"),
    (0x8004_1017, "WMI: the query is not valid"),
    (0x8004_23f2, "VSS: a writer in the guest took too long"),
    (0x8004_23fb, "VSS: automatic recovery failed"),
    (0x8007_0005, "access denied"),
    (0x8007_0020, "the file is in use"),
    (0x8007_0050, "the file exists"),
    (0x8007_0070, "the disk is full"),
    (0x8007_0299, "a limit of the file system was reached"),
    (0x8007_052f, "an account restriction"),
    (0x8007_0569, "the account may not log on in this way"),
    (0x8007_06ba, "the service behind it is not running"),
    (0xc03a_0028, "VHD: the metadata is full"),
    (0xc03a_0029, "VHD: the change tracking id is not valid"),
    (0xc03a_002a, "VHD: change tracking is off"),
    (0xc03a_0030, "VHD: change tracking information is missing"),
];

impl Hresult {
    /// The first code in a text: `0x` and exactly eight hexadecimal digits, whatever language is
    /// around them.
    pub fn find(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let mut from = 0;
        while let Some(at) = text.get(from..)?.find("0x") {
            let digits = from + at + 2;
            from = digits;
            let Some(hex) = text.get(digits..digits + 8) else {
                continue;
            };
            let ends = bytes.get(digits + 8).is_none_or(|b| !b.is_ascii_hexdigit());
            if ends && hex.bytes().all(|b| b.is_ascii_hexdigit()) {
                return u32::from_str_radix(hex, 16).ok().map(Self);
            }
        }
        None
    }

    /// Whether the code is a failure.
    pub fn is_failure(self) -> bool {
        self.0 & 0x8000_0000 != 0
    }

    /// What the code means, for those that hosts are known to tell.
    pub fn meaning(self) -> Option<&'static str> {
        let known = KNOWN.iter().find(|(code, _)| *code == self.0);
        known.map(|(_, meaning)| *meaning)
    }
}

impl Display for Hresult {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "0x{:08x}", self.0)?;
        match self.meaning() {
            Some(meaning) => write!(f, " ({meaning})"),
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Hresult {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hresult(0x{:08x})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_in_any_language() {
        for (text, code) in [
            ("Failed to write. (0x8007052f)", Some(0x8007_052f)),
            ("アカウントの制限(0x8007052F)です", Some(0x8007_052f)),
            ("0x80070020", Some(0x8007_0020)),
            ("0x800705 0x80070005!", Some(0x8007_0005)),
            ("0x0x80070005", Some(0x8007_0005)),
            ("0x800700050", None),
            ("0x8007é0005", None),
            ("0x", None),
            ("", None),
        ] {
            assert_eq!(Hresult::find(text).map(|h| h.0), code, "{text}");
        }
        let told = Hresult(0x8007_0005).to_string();
        assert_eq!(told, "0x80070005 (access denied)");
        assert_eq!(Hresult(0x8123_4567).to_string(), "0x81234567");
    }
}
