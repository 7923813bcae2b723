//! A session with a host: what can be asked of it, whatever the wire.
//!
//! Synchronous, since the work behind it is: callers that want several things at once open
//! several sessions. WS-Management ([`WsmanSession`]) is one wire; the COM of a Windows host is
//! another behind the same trait.

mod enumerate;
mod error;
mod ids;
mod result;
mod wsman;

pub use error::{CimError, CimProblem};
pub use ids::random_ids;
pub use result::{Invoked, MethodResult};
pub use wsman::{AssociationDialect, WsmanSession};

use std::sync::Arc;

use crate::class::Class;
use crate::wsman::Associations;
use crate::{Instance, ObjectPath};

/// A session with a host.
///
/// Paths that tell no namespace are in Hyper-V's. Reading calls may be sent again after a broken
/// connection; [`CimSession::invoke`] never is.
pub trait CimSession: Send + Sync {
    /// One object by its path.
    fn get(&self, path: &ObjectPath) -> Result<Instance, CimError>;

    /// The objects that a query in WQL finds in a namespace. Those that a `SELECT *` finds have
    /// their actual class, which may be a subclass.
    fn query(&self, namespace: &str, wql: &str) -> Result<Vec<Instance>, CimError>;

    /// The paths of the objects that a query finds, which must be a `SELECT *`.
    fn query_paths(&self, namespace: &str, wql: &str) -> Result<Vec<ObjectPath>, CimError>;

    /// The objects associated with one.
    fn associators(&self, which: &Associations) -> Result<Vec<Instance>, CimError>;

    /// The associations that refer to one object. Only result class and role count.
    fn references(&self, which: &Associations) -> Result<Vec<Instance>, CimError>;

    /// Calls a method of an object. What it returns may be a refusal or a job: see
    /// [`MethodResult::outcome`].
    ///
    /// After an error, [`CimError::may_have_happened`] says whether the host may have done it
    /// all the same.
    fn invoke(
        &self,
        target: &ObjectPath,
        method: &str,
        inputs: &Instance,
    ) -> Result<MethodResult, CimError>;

    /// The definition of a class on this host, kept for the session.
    fn class(&self, namespace: &str, name: &str) -> Result<Arc<Class>, CimError>;
}

#[cfg(test)]
mod tests;
