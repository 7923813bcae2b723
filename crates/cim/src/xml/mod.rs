//! XML from strangers, bounded, and XML for strangers, escaped.
//!
//! The parser behind it is roxmltree: no DTD, hence no entities of a document's own, and no
//! recursion. Its work grows with the product of elements and namespaces in scope, and with the
//! square of an element's attributes, so [`guard`] refuses documents that have many of these
//! before it runs. Real replies have about twenty.

mod guard;
mod read;
mod write;

pub(crate) use read::{child, elements, name_is, parse, raw_text, text};
pub use write::Unwritable;
pub(crate) use write::Writer;

/// Bytes that a document may have: well above any envelope that a host is asked for.
pub(crate) const MOST_BYTES: usize = 16 << 20;
/// Elements that may be nested in one another.
pub(crate) const MOST_DEPTH: usize = 64;
/// Attributes of one element, declarations of namespaces among them.
const MOST_ATTRIBUTES: usize = 64;
/// Declarations of namespaces that may be in scope at once.
const MOST_NAMESPACES: usize = 128;
/// Elements, attributes and texts of a document.
const MOST_NODES: u32 = 1 << 20;

/// Why bytes are no document that is accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum XmlError {
    /// The document is larger than what is accepted.
    #[error("the XML takes {0} bytes, more than the {MOST_BYTES} that are accepted")]
    TooLarge(usize),
    /// It is built to be expensive, or is no XML.
    #[error("the XML has more {0} than are accepted")]
    TooMany(&'static str),
    /// Its bytes are not text.
    #[error("the XML is not valid {0} text")]
    Encoding(&'static str),
    /// It is no XML.
    #[error("the XML cannot be parsed: {0}")]
    Malformed(String),
}
