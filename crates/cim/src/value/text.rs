//! Scalars from and to the text that CIM-XML and WS-Management share.

use super::{CimType, DateTime, Scalar};

impl Scalar {
    /// Reads `text` as a value of type `cim_type`.
    ///
    /// Numbers are decimal without white space or a plus sign. Booleans are accepted in any case
    /// and as `0` and `1`, since hosts differ. References are WMI paths. `None` when the text is
    /// no such value, and always for objects, which have no text.
    pub fn parse(cim_type: CimType, text: &str) -> Option<Self> {
        Some(match cim_type {
            CimType::Boolean => Self::Boolean(boolean(text)?),
            CimType::Uint8 => Self::Uint8(integer(text)?),
            CimType::Sint8 => Self::Sint8(integer(text)?),
            CimType::Uint16 => Self::Uint16(integer(text)?),
            CimType::Sint16 => Self::Sint16(integer(text)?),
            CimType::Uint32 => Self::Uint32(integer(text)?),
            CimType::Sint32 => Self::Sint32(integer(text)?),
            CimType::Uint64 => Self::Uint64(integer(text)?),
            CimType::Sint64 => Self::Sint64(integer(text)?),
            CimType::Real32 => Self::Real32(real(text)? as f32),
            CimType::Real64 => Self::Real64(real(text)?),
            CimType::Char16 => Self::Char16(char16(text)?),
            CimType::String => Self::String(text.to_owned()),
            CimType::DateTime => Self::DateTime(DateTime::parse(text).ok()?),
            CimType::Reference => Self::Reference(text.parse().ok()?),
            CimType::Object => return None,
        })
    }

    /// The text as CIM-XML has it: date and time in DMTF's form, references as WMI paths.
    ///
    /// `None` for objects, and for half of a character, which XML cannot carry.
    pub fn to_text(&self) -> Option<String> {
        Some(match self {
            Self::Boolean(value) => value.to_string(),
            Self::Uint8(value) => value.to_string(),
            Self::Sint8(value) => value.to_string(),
            Self::Uint16(value) => value.to_string(),
            Self::Sint16(value) => value.to_string(),
            Self::Uint32(value) => value.to_string(),
            Self::Sint32(value) => value.to_string(),
            Self::Uint64(value) => value.to_string(),
            Self::Sint64(value) => value.to_string(),
            Self::Real32(value) => write_real(f64::from(*value), value.to_string()),
            Self::Real64(value) => write_real(*value, value.to_string()),
            Self::Char16(unit) => char::from_u32(u32::from(*unit))?.to_string(),
            Self::String(text) | Self::Untyped(text) => text.clone(),
            Self::DateTime(value) => value.to_dmtf(),
            Self::Reference(path) => path.to_string(),
            Self::Object(_) => return None,
        })
    }
}

/// `TRUE` comes from Windows Server 2012, `true` from newer hosts.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" => Some(true),
        "0" => Some(false),
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// Rust's own parser also takes a plus sign.
fn integer<T: std::str::FromStr>(text: &str) -> Option<T> {
    if text.starts_with('+') {
        return None;
    }
    text.parse().ok()
}

/// The numbers of XML Schema: `INF`, `-INF`, `NaN`, else digits. Rust knows more words.
fn real(text: &str) -> Option<f64> {
    match text {
        "INF" => Some(f64::INFINITY),
        "-INF" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        _ if text
            .bytes()
            .all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b)) =>
        {
            text.parse().ok()
        }
        _ => None,
    }
}

fn write_real(value: f64, digits: String) -> String {
    match value {
        f64::INFINITY => "INF".to_owned(),
        f64::NEG_INFINITY => "-INF".to_owned(),
        _ => digits,
    }
}

/// One character of the basic plane. Whether hosts ever send its number instead is not known, so
/// a digit is that digit.
fn char16(text: &str) -> Option<u16> {
    let mut units = text.encode_utf16();
    let unit = units.next()?;
    units.next().is_none().then_some(unit)
}
