//! CIM-XML: the text in which instances are embedded in strings, and classes are told.
//!
//! Methods of Hyper-V take settings as strings that hold one `INSTANCE` (DSP0201, “CIM DTD 2.0”,
//! what Windows' own `GetText` makes). What is written here is the least of it: no declaration,
//! no white space, and only properties that were set, since a property that is absent stays as
//! it is on the host. Date and time are in DMTF's form here, unlike in WS-Management.

mod class;
mod read;
mod write;

pub use class::read_class;
pub(crate) use class::read_class_element;
pub use read::read_instance;
pub use write::write_instance;

use crate::XmlError;
pub use crate::xml::Unwritable;

/// Objects that may be nested in one another.
pub const MOST_DEPTH: usize = 8;
/// Properties that an instance or class may have.
pub const MOST_PROPERTIES: usize = 4096;

/// Why text is no CIM-XML that is accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CimXmlError {
    /// It is no XML.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// The document is something else.
    #[error("the CIM-XML is <{found}> where <{wanted}> was expected")]
    Root {
        /// The element that there is.
        found: String,
        /// The element that was expected.
        wanted: &'static str,
    },
    /// An element lacks an attribute or a child, or has one that makes no sense.
    #[error("{element} of the CIM-XML {problem}")]
    Element {
        /// The element, with the name of the property if it has one.
        element: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A value is not of its type.
    #[error("the property {property} of {class} is {found} where {wanted} was expected")]
    Value {
        /// The instance's class.
        class: String,
        /// The property.
        property: String,
        /// The declared type.
        wanted: &'static str,
        /// The text, shortened.
        found: String,
    },
    /// More than is accepted.
    #[error("the CIM-XML has more {0} than are accepted")]
    TooMany(&'static str),
}

#[cfg(test)]
mod tests;
