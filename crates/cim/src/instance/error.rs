//! What can be wrong with a property that somebody needs.

use crate::Mismatch;

/// A property that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the property {property} of {class} {problem}")]
pub struct PropertyError {
    /// The class of the instance, or the method.
    pub class: String,
    /// The property's name as it was asked for.
    pub property: String,
    /// What is wrong.
    pub problem: PropertyProblem,
}

/// What is wrong with a property.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PropertyProblem {
    /// The instance has no such property.
    #[error("is missing")]
    Missing,
    /// It is null where a value is needed.
    #[error("is null")]
    Null,
    /// It has another type, or a text that is none of its type.
    #[error("is {0}")]
    Mismatch(Mismatch),
    /// It is an array where one value was expected.
    #[error("is an array of {0} where one value was expected")]
    Array(usize),
}
