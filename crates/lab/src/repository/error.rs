//! Why the repository does not answer.

use cim::ObjectPath;

use super::wql::BadQuery;

/// Why the repository does not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RepositoryError {
    /// There is no such namespace.
    #[error("there is no namespace {0}")]
    NoNamespace(String),
    /// There is no such class.
    #[error("there is no class {class} in {namespace}")]
    NoClass {
        /// The namespace.
        namespace: String,
        /// The class.
        class: String,
    },
    /// There is no such object.
    #[error("there is no object {0}")]
    NotFound(ObjectPath),
    /// Not all keys of an object were given.
    #[error("not all keys of {0} are given")]
    MissingKeys(String),
    /// A key is none of the class.
    #[error("{0} is no key")]
    UnknownKey(String),
    /// The query is not understood.
    #[error(transparent)]
    BadQuery(#[from] BadQuery),
    /// The class has no such method.
    #[error("{class} has no method {method}")]
    NoMethod {
        /// The class.
        class: String,
        /// The method.
        method: String,
    },
    /// An association names a class or role that does not exist.
    #[error("there is no {0} among the associations")]
    NoAssociation(String),
}
