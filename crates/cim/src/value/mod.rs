//! CIM's types, and values of them.
//!
//! A value keeps the type that the wire told. WS-Management tells none: its values arrive as
//! [`Scalar::Untyped`] text, and become typed where somebody asks for a type ([`FromScalar`]) or
//! where the class is at hand ([`crate::Class::conform`]). The texts are CIM's own and strict:
//! `+5`, `0x5`, ` 5` and `five` are no numbers.

mod convert;
mod datetime;
mod interval;
mod text;

pub(crate) use convert::shorten;
pub use convert::{FromScalar, IntoValue, Mismatch};
pub use datetime::{BadDateTime, DateTime, Timestamp};
pub use interval::Interval;

use crate::{Instance, ObjectPath};

/// The type of a CIM property or parameter, without whether it is an array (DSP0004 5.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum CimType {
    Boolean,
    Uint8,
    Sint8,
    Uint16,
    Sint16,
    Uint32,
    Sint32,
    Uint64,
    Sint64,
    Real32,
    Real64,
    Char16,
    String,
    DateTime,
    /// A reference to an object: its path.
    Reference,
    /// An object within the object.
    Object,
}

/// A type with whether it is an array of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kind {
    /// The type of the value or of each element.
    pub base: CimType,
    /// Whether it is an array.
    pub array: bool,
}

/// One value that is there.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Scalar {
    Boolean(bool),
    Uint8(u8),
    Sint8(i8),
    Uint16(u16),
    Sint16(i16),
    Uint32(u32),
    Sint32(i32),
    Uint64(u64),
    Sint64(i64),
    Real32(f32),
    Real64(f64),
    /// A UTF-16 code unit, which may be half of a character.
    Char16(u16),
    String(String),
    DateTime(DateTime),
    Reference(ObjectPath),
    Object(Box<Instance>),
    /// Text whose type the wire did not tell.
    Untyped(String),
}

/// The value of a property: null, one value, or an array. Elements of arrays are never null.
#[derive(Clone, Debug, PartialEq, Default)]
#[allow(missing_docs)]
pub enum Value {
    #[default]
    Null,
    Scalar(Scalar),
    Array(Vec<Scalar>),
}

impl CimType {
    const NAMES: &[(CimType, &str)] = &[
        (CimType::Boolean, "boolean"),
        (CimType::Uint8, "uint8"),
        (CimType::Sint8, "sint8"),
        (CimType::Uint16, "uint16"),
        (CimType::Sint16, "sint16"),
        (CimType::Uint32, "uint32"),
        (CimType::Sint32, "sint32"),
        (CimType::Uint64, "uint64"),
        (CimType::Sint64, "sint64"),
        (CimType::Real32, "real32"),
        (CimType::Real64, "real64"),
        (CimType::Char16, "char16"),
        (CimType::String, "string"),
        (CimType::DateTime, "datetime"),
        (CimType::Reference, "reference"),
        (CimType::Object, "object"),
    ];

    /// The name of the type as CIM-XML's attribute `TYPE` has it.
    pub fn name(self) -> &'static str {
        let known = Self::NAMES.iter().find(|(this, _)| *this == self);
        known.map_or("", |(_, name)| name)
    }

    /// The type of a name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        let known = Self::NAMES
            .iter()
            .find(|(_, known)| known.eq_ignore_ascii_case(name));
        known.map(|(this, _)| *this)
    }
}

impl Kind {
    /// One value of a type.
    pub fn of(base: CimType) -> Self {
        Self { base, array: false }
    }

    /// An array of a type.
    pub fn array(base: CimType) -> Self {
        Self { base, array: true }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.base.name())?;
        f.write_str(if self.array { "[]" } else { "" })
    }
}

impl Scalar {
    /// The type, unless the wire did not tell it.
    pub fn cim_type(&self) -> Option<CimType> {
        Some(match self {
            Self::Boolean(_) => CimType::Boolean,
            Self::Uint8(_) => CimType::Uint8,
            Self::Sint8(_) => CimType::Sint8,
            Self::Uint16(_) => CimType::Uint16,
            Self::Sint16(_) => CimType::Sint16,
            Self::Uint32(_) => CimType::Uint32,
            Self::Sint32(_) => CimType::Sint32,
            Self::Uint64(_) => CimType::Uint64,
            Self::Sint64(_) => CimType::Sint64,
            Self::Real32(_) => CimType::Real32,
            Self::Real64(_) => CimType::Real64,
            Self::Char16(_) => CimType::Char16,
            Self::String(_) => CimType::String,
            Self::DateTime(_) => CimType::DateTime,
            Self::Reference(_) => CimType::Reference,
            Self::Object(_) => CimType::Object,
            Self::Untyped(_) => return None,
        })
    }
}

impl Value {
    /// The elements of an array, the one value as an array of one, or nothing for null.
    ///
    /// An array of one cannot be told from a single value where the wire tells no types.
    pub fn elements(&self) -> &[Scalar] {
        match self {
            Self::Null => &[],
            Self::Scalar(one) => std::slice::from_ref(one),
            Self::Array(all) => all,
        }
    }

    /// Whether it is null. An empty array is not.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

#[cfg(test)]
mod tests;
