//! WQL: the part that clients of Hyper-V ask with.
//!
//! `SELECT * | a, b FROM class [WHERE condition]`, `ASSOCIATORS OF {path} [WHERE words]`,
//! `REFERENCES OF {path} [WHERE words]`. A condition compares properties with literals (`=`, `<>`,
//! `!=`, `<`, `<=`, `>`, `>=`, `LIKE`, `IS [NOT] NULL`) with `AND`, `OR`, `NOT` and parentheses.
//! Events, `GROUP` and `WITHIN` are refused as invalid.

mod condition;
mod parse;
mod token;

pub use condition::{Condition, Literal, Operator};

use cim::ObjectPath;

/// Bytes that a query may have.
pub const MOST_BYTES: usize = 32 << 10;

/// A query that is understood.
#[derive(Clone, Debug, PartialEq)]
pub enum Query {
    /// Objects of a class.
    Select {
        /// The properties that are asked for; all when `None`.
        columns: Option<Vec<String>>,
        /// The class.
        class: String,
        /// Which of its objects.
        condition: Option<Condition>,
    },
    /// Objects that are associated with one.
    Associators(Related),
    /// The associations that refer to an object.
    References(Related),
}

/// Which objects are related to one.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Related {
    /// The object.
    pub of: ObjectPath,
    /// The class of the association.
    pub association: Option<String>,
    /// The class of what is found.
    pub result: Option<String>,
    /// The property of the association that names the object.
    pub role: Option<String>,
    /// The property of the association that names what is found.
    pub result_role: Option<String>,
}

/// A query that is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the query is invalid: {0}")]
pub struct BadQuery(pub String);

impl std::str::FromStr for Query {
    type Err = BadQuery;

    fn from_str(text: &str) -> Result<Self, BadQuery> {
        parse::query(text)
    }
}

#[cfg(test)]
mod tests;
