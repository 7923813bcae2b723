//! Between CIM's values and Rust's types.

use super::{CimType, DateTime, Interval, Kind, Scalar, Timestamp, Value};
use crate::{Instance, ObjectPath, cimxml};

/// Why a value is not of the type that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found} where {wanted} was expected")]
pub struct Mismatch {
    /// The type asked for.
    pub wanted: &'static str,
    /// What there is, shortened.
    pub found: String,
}

impl Mismatch {
    pub(crate) fn new(wanted: &'static str, found: &Scalar) -> Self {
        let what = match found {
            Scalar::Untyped(text) => format!("{:?}", shorten(text)),
            Scalar::String(text) => format!("the string {:?}", shorten(text)),
            Scalar::Object(object) => format!("an object of class {}", object.class),
            other => {
                let kind = other.cim_type().map_or("", CimType::name);
                format!("{kind} {}", other.to_text().unwrap_or_default())
            }
        };
        Self {
            wanted,
            found: what,
        }
    }
}

/// Enough to recognise a text in a message.
pub(crate) fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(80).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// A Rust type that values can be read as.
///
/// Numbers are read from every CIM integer type that holds a number in range, since hosts of
/// different versions declare different widths. Untyped text is read as the type wanted.
pub trait FromScalar: Sized {
    /// The value, or what is wrong with it.
    fn from_scalar(value: &Scalar) -> Result<Self, Mismatch>;
}

/// A Rust type that a property can be set from.
pub trait IntoValue {
    /// The CIM type that it has.
    const KIND: Kind;

    /// The value.
    fn into_value(self) -> Value;
}

fn wide(value: &Scalar) -> Option<i128> {
    Some(match value {
        Scalar::Uint8(n) => i128::from(*n),
        Scalar::Sint8(n) => i128::from(*n),
        Scalar::Uint16(n) => i128::from(*n),
        Scalar::Sint16(n) => i128::from(*n),
        Scalar::Uint32(n) => i128::from(*n),
        Scalar::Sint32(n) => i128::from(*n),
        Scalar::Uint64(n) => i128::from(*n),
        Scalar::Sint64(n) => i128::from(*n),
        _ => return None,
    })
}

macro_rules! integers {
    ($($rust:ty, $variant:ident;)*) => {$(
        impl FromScalar for $rust {
            fn from_scalar(value: &Scalar) -> Result<Self, Mismatch> {
                let number = match value {
                    Scalar::Untyped(text) => match Scalar::parse(CimType::$variant, text) {
                        Some(Scalar::$variant(number)) => Some(number),
                        _ => None,
                    },
                    other => wide(other).and_then(|number| Self::try_from(number).ok()),
                };
                number.ok_or_else(|| Mismatch::new(CimType::$variant.name(), value))
            }
        }
        one!($rust, $variant);
    )*};
}

macro_rules! one {
    ($rust:ty, $variant:ident) => {
        impl IntoValue for $rust {
            const KIND: Kind = Kind {
                base: CimType::$variant,
                array: false,
            };

            fn into_value(self) -> Value {
                Value::Scalar(Scalar::$variant(self))
            }
        }

        impl IntoValue for Vec<$rust> {
            const KIND: Kind = Kind {
                base: CimType::$variant,
                array: true,
            };

            fn into_value(self) -> Value {
                Value::Array(self.into_iter().map(Scalar::$variant).collect())
            }
        }
    };
}

macro_rules! plain {
    ($($rust:ty, $variant:ident;)*) => {$(
        impl FromScalar for $rust {
            fn from_scalar(value: &Scalar) -> Result<Self, Mismatch> {
                let parsed;
                let typed = match value {
                    Scalar::Untyped(text) => {
                        parsed = Scalar::parse(CimType::$variant, text);
                        parsed.as_ref()
                    }
                    other => Some(other),
                };
                match typed {
                    Some(Scalar::$variant(value)) => Ok(value.clone()),
                    _ => Err(Mismatch::new(CimType::$variant.name(), value)),
                }
            }
        }
        one!($rust, $variant);
    )*};
}

integers! {
    u8, Uint8;
    i8, Sint8;
    u16, Uint16;
    i16, Sint16;
    u32, Uint32;
    i32, Sint32;
    u64, Uint64;
    i64, Sint64;
}

plain! {
    bool, Boolean;
    f64, Real64;
    String, String;
    DateTime, DateTime;
}

one!(f32, Real32);
one!(ObjectPath, Reference);

impl FromScalar for f32 {
    fn from_scalar(value: &Scalar) -> Result<Self, Mismatch> {
        match value {
            Scalar::Real32(number) => Ok(*number),
            Scalar::Untyped(text) => match Scalar::parse(CimType::Real32, text) {
                Some(Scalar::Real32(number)) => Ok(number),
                _ => Err(Mismatch::new("real32", value)),
            },
            _ => Err(Mismatch::new("real32", value)),
        }
    }
}

/// A reference, or a string that holds a path, as most of Hyper-V's settings do.
impl FromScalar for ObjectPath {
    fn from_scalar(value: &Scalar) -> Result<Self, Mismatch> {
        match value {
            Scalar::Reference(path) => Ok(path.clone()),
            Scalar::Untyped(text) | Scalar::String(text) => text
                .parse()
                .map_err(|_| Mismatch::new("an object path", value)),
            _ => Err(Mismatch::new("an object path", value)),
        }
    }
}

/// An object, or a string that holds an embedded instance as CIM-XML.
impl FromScalar for Instance {
    fn from_scalar(value: &Scalar) -> Result<Self, Mismatch> {
        match value {
            Scalar::Object(object) => Ok((**object).clone()),
            Scalar::Untyped(text) | Scalar::String(text) => cimxml::read_instance(text)
                .map_err(|_| Mismatch::new("an embedded instance", value)),
            _ => Err(Mismatch::new("an embedded instance", value)),
        }
    }
}

impl FromScalar for Interval {
    fn from_scalar(value: &Scalar) -> Result<Self, Mismatch> {
        match DateTime::from_scalar(value) {
            Ok(DateTime::Interval(span)) => Ok(span),
            _ => Err(Mismatch::new("an interval", value)),
        }
    }
}

impl FromScalar for Timestamp {
    fn from_scalar(value: &Scalar) -> Result<Self, Mismatch> {
        match DateTime::from_scalar(value) {
            Ok(DateTime::Timestamp(at)) => Ok(at),
            _ => Err(Mismatch::new("a date and time", value)),
        }
    }
}

impl IntoValue for &str {
    const KIND: Kind = String::KIND;

    fn into_value(self) -> Value {
        self.to_owned().into_value()
    }
}

impl IntoValue for Interval {
    const KIND: Kind = DateTime::KIND;

    fn into_value(self) -> Value {
        DateTime::Interval(self).into_value()
    }
}

impl IntoValue for Timestamp {
    const KIND: Kind = DateTime::KIND;

    fn into_value(self) -> Value {
        DateTime::Timestamp(self).into_value()
    }
}
