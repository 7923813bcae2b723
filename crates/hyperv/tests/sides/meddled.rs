//! A session in which something happens between two questions.

use std::sync::Arc;

use cim::wsman::Associations;
use cim::{CimError, CimSession, Class, Instance, MethodResult, ObjectPath};

/// What happens before a question is asked, by the question's words.
pub(crate) type Before = Box<dyn Fn(&str) -> Result<(), CimError> + Send + Sync>;

/// A session in which something happens before questions.
pub(crate) struct Meddled {
    pub(crate) inner: Arc<dyn CimSession>,
    pub(crate) before: Before,
}

impl CimSession for Meddled {
    fn get(&self, path: &ObjectPath) -> Result<Instance, CimError> {
        self.inner.get(path)
    }

    fn query(&self, namespace: &str, wql: &str) -> Result<Vec<Instance>, CimError> {
        (self.before)(wql)?;
        self.inner.query(namespace, wql)
    }

    fn query_paths(&self, namespace: &str, wql: &str) -> Result<Vec<ObjectPath>, CimError> {
        self.inner.query_paths(namespace, wql)
    }

    fn associators(&self, which: &Associations) -> Result<Vec<Instance>, CimError> {
        (self.before)("associators")?;
        self.inner.associators(which)
    }

    fn references(&self, which: &Associations) -> Result<Vec<Instance>, CimError> {
        self.inner.references(which)
    }

    fn invoke(
        &self,
        path: &ObjectPath,
        method: &str,
        inputs: &Instance,
    ) -> Result<MethodResult, CimError> {
        self.inner.invoke(path, method, inputs)
    }

    fn class(&self, namespace: &str, name: &str) -> Result<Arc<Class>, CimError> {
        self.inner.class(namespace, name)
    }
}
