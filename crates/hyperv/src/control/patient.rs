//! Asking again what a host was too busy to answer.
//!
//! A host that has too much to do refuses a question, or lets its time run out. That costs some
//! seconds and not the backup of a VM. Only what changes nothing is asked again; for a connection
//! that broke the session itself has done what can be done.

use std::sync::Arc;
use std::time::Duration;

use cim::job::Pace;
use cim::wsman::Associations;
use cim::{CimError, CimSession, Class, Instance, MethodResult, ObjectPath};

/// How long to wait before each time that it is asked again.
const WAITS: [Duration; 3] = [
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
];

/// A session that asks again.
pub(super) struct Patient {
    pub(super) inner: Arc<dyn CimSession>,
    pub(super) pace: Arc<dyn Pace + Send + Sync>,
}

impl Patient {
    fn again<T>(&self, ask: impl Fn() -> Result<T, CimError>) -> Result<T, CimError> {
        for wait in WAITS {
            match ask() {
                Err(error) if error.is_transient() && error.fault_kind().is_some() => {
                    self.pace.sleep(wait);
                }
                answer => return answer,
            }
        }
        ask()
    }
}

impl CimSession for Patient {
    fn get(&self, path: &ObjectPath) -> Result<Instance, CimError> {
        self.again(|| self.inner.get(path))
    }

    fn query(&self, namespace: &str, wql: &str) -> Result<Vec<Instance>, CimError> {
        self.again(|| self.inner.query(namespace, wql))
    }

    fn query_paths(&self, namespace: &str, wql: &str) -> Result<Vec<ObjectPath>, CimError> {
        self.again(|| self.inner.query_paths(namespace, wql))
    }

    fn associators(&self, which: &Associations) -> Result<Vec<Instance>, CimError> {
        self.again(|| self.inner.associators(which))
    }

    fn references(&self, which: &Associations) -> Result<Vec<Instance>, CimError> {
        self.again(|| self.inner.references(which))
    }

    fn invoke(
        &self,
        target: &ObjectPath,
        method: &str,
        inputs: &Instance,
    ) -> Result<MethodResult, CimError> {
        self.inner.invoke(target, method, inputs)
    }

    fn class(&self, namespace: &str, name: &str) -> Result<Arc<Class>, CimError> {
        self.again(|| self.inner.class(namespace, name))
    }
}
