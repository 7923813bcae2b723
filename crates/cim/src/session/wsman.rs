//! A session over WS-Management.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::{CimError, CimProblem, CimSession, MethodResult, enumerate};
use crate::cimxml::Unwritable;
use crate::class::Class;
use crate::transport::Transport;
use crate::wsman::{
    Associations, Body, Filter, HostIdentity, HostLimits, Item, Mode, Reply, ReplyError, Request,
    Settings, identify,
};
use crate::{Instance, ObjectPath};

/// How much longer than the host we wait.
const GRACE: Duration = Duration::from_secs(30);
/// The largest reply that is asked for, whatever the host would send.
const MOST_ENVELOPE: u32 = 4 << 20;

/// How associations are asked for. Hosts understand both; libvirt uses WQL only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AssociationDialect {
    /// `ASSOCIATORS OF` in WQL.
    #[default]
    Wql,
    /// DMTF's association filter.
    Filter,
}

/// A session over WS-Management, on one connection at a time.
pub struct WsmanSession {
    wire: Mutex<Wire>,
    classes: Mutex<HashMap<(String, String), Arc<Class>>>,
    dialect: AssociationDialect,
}

pub(super) struct Wire {
    transport: Box<dyn Transport>,
    settings: Settings,
    ids: Box<dyn FnMut() -> Uuid + Send>,
    /// Bytes of all replies.
    pub(super) received: u64,
}

/// What a call is, for its errors.
pub(super) struct Call {
    pub(super) what: String,
    pub(super) changes: bool,
}

impl WsmanSession {
    /// A session over a transport. `ids` gives a new id with each call: the first is the
    /// session's, the others are of its messages.
    pub fn new(transport: Box<dyn Transport>, mut ids: Box<dyn FnMut() -> Uuid + Send>) -> Self {
        let settings = Settings::new(transport.endpoint(), ids());
        Self {
            wire: Mutex::new(Wire {
                transport,
                settings,
                ids,
                received: 0,
            }),
            classes: Mutex::new(HashMap::new()),
            dialect: AssociationDialect::default(),
        }
    }

    /// The same with associations asked for in another dialect.
    #[must_use]
    pub fn with_dialect(mut self, dialect: AssociationDialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// What the host is.
    pub fn identify(&self) -> Result<HostIdentity, CimError> {
        let call = Call::reads("identify the host");
        match self.wire().send(&call, true, |_, _| Ok(identify()))? {
            Reply::Identity(identity) => Ok(identity),
            _ => Err(call.unexpected("what the host is")),
        }
    }

    /// Reads the host's limits and uses them: larger replies need fewer requests. Hosts tell
    /// them to administrators only; without them what every host accepts stays in use.
    pub fn adapt(&self) -> Result<HostLimits, CimError> {
        let call = Call::reads("read the limits of the host's service");
        let mut wire = self.wire();
        let Reply::Limits(limits) = wire.request(&call, &Request::config())? else {
            return Err(call.unexpected("the limits of the service"));
        };
        if let Some(kib) = limits.max_envelope_kib {
            let bytes = kib.saturating_mul(1024).min(MOST_ENVELOPE);
            wire.settings.max_envelope = wire.settings.max_envelope.max(bytes);
        }
        Ok(limits)
    }

    fn wire(&self) -> MutexGuard<'_, Wire> {
        // A panic elsewhere leaves the wire as it was between two messages, or broken, and
        // broken connections are made again.
        self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enumerate(&self, call: &Call, make: &dyn Fn(u32) -> Request) -> Result<Vec<Item>, CimError> {
        enumerate::all(&mut self.wire(), call, make)
    }

    fn associated(
        &self,
        call: &Call,
        which: &Associations,
        wql: String,
        filter: Filter,
    ) -> Result<Vec<Instance>, CimError> {
        let filter = match self.dialect {
            AssociationDialect::Wql => Filter::Wql(wql),
            AssociationDialect::Filter => filter,
        };
        let namespace = which.of.namespace_or_default();
        let make = |most| Request::filtered(namespace, filter.clone(), most, Mode::Object);
        call.instances(self.enumerate(call, &make)?)
    }
}

impl CimSession for WsmanSession {
    fn get(&self, path: &ObjectPath) -> Result<Instance, CimError> {
        let call = Call::reads(&format!("get {path}"));
        match self.wire().request(&call, &Request::get(path))? {
            Reply::Instance(mut instance) => {
                instance.path = Some(path.clone());
                Ok(instance)
            }
            _ => Err(call.unexpected("an object")),
        }
    }

    fn query(&self, namespace: &str, wql: &str) -> Result<Vec<Instance>, CimError> {
        let call = Call::reads(&format!("query {namespace}: {wql}"));
        let filter = Filter::Wql(wql.to_owned());
        let make = |most| Request::filtered(namespace, filter.clone(), most, Mode::Object);
        let mut found = call.instances(self.enumerate(&call, &make)?)?;
        for instance in found.iter_mut().filter(|i| i.class.is_empty()) {
            class_of(wql).clone_into(&mut instance.class);
        }
        Ok(found)
    }

    fn query_paths(&self, namespace: &str, wql: &str) -> Result<Vec<ObjectPath>, CimError> {
        let call = Call::reads(&format!("query paths in {namespace}: {wql}"));
        let filter = Filter::Wql(wql.to_owned());
        let make = |most| Request::filtered(namespace, filter.clone(), most, Mode::Path);
        let items = self.enumerate(&call, &make)?;
        let path = |item| match item {
            Item::Path(path) => Ok(path),
            Item::Instance(_) => Err(call.unexpected("paths")),
        };
        items.into_iter().map(path).collect()
    }

    fn associators(&self, which: &Associations) -> Result<Vec<Instance>, CimError> {
        let wql = which.to_wql();
        let call = Call::reads(&wql);
        self.associated(&call, which, wql, Filter::Associated(which.clone()))
    }

    fn references(&self, which: &Associations) -> Result<Vec<Instance>, CimError> {
        let wql = which.to_wql_references();
        let call = Call::reads(&wql);
        self.associated(&call, which, wql, Filter::Associating(which.clone()))
    }

    fn invoke(
        &self,
        target: &ObjectPath,
        method: &str,
        inputs: &Instance,
    ) -> Result<MethodResult, CimError> {
        let call = Call {
            what: format!("call {method} of {target}"),
            changes: true,
        };
        let request = Request::invoke(target, method, inputs);
        match self.wire().request(&call, &request)? {
            Reply::Instance(outputs) if outputs.class == format!("{method}_OUTPUT") => {
                Ok(MethodResult { outputs })
            }
            _ => Err(call.unexpected("the outputs of the method")),
        }
    }

    fn class(&self, namespace: &str, name: &str) -> Result<Arc<Class>, CimError> {
        let key = (namespace.to_ascii_lowercase(), name.to_ascii_lowercase());
        let known = || self.classes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(class) = known().get(&key) {
            return Ok(Arc::clone(class));
        }
        let call = Call::reads(&format!("read the class {name} of {namespace}"));
        let request = Request::class(namespace, name);
        let Reply::Class(mut class) = self.wire().request(&call, &request)? else {
            return Err(call.unexpected("the definition of a class"));
        };
        class.namespace = Some(crate::path::slashes(namespace));
        let class = Arc::new(class);
        known().insert(key, Arc::clone(&class));
        Ok(class)
    }
}

impl Wire {
    /// Sends a request and reads its reply; a fault is an error.
    pub(super) fn request(&mut self, call: &Call, request: &Request) -> Result<Reply, CimError> {
        let twice = match request.body {
            Body::Empty | Body::Enumerate { .. } => true,
            // A page whose reply got lost is gone.
            Body::Pull { .. } | Body::Release { .. } | Body::Invoke { .. } => false,
        };
        self.send(call, twice, |settings, id| request.write(settings, id))
    }

    /// Sends a message, and once more if the connection broke, provided that it was not sent or
    /// may be sent `twice`: a connection that was idle for long may be gone.
    fn send(
        &mut self,
        call: &Call,
        twice: bool,
        write: impl Fn(&Settings, Uuid) -> Result<String, Unwritable>,
    ) -> Result<Reply, CimError> {
        let patience = self.settings.timeout + GRACE;
        let mut attempts = 2;
        loop {
            let id = (self.ids)();
            let text = write(&self.settings, id).map_err(|error| call.failed(error))?;
            attempts -= 1;
            let reply = match self.transport.exchange(text.as_bytes(), patience) {
                Ok(reply) => {
                    self.received = self.received.saturating_add(reply.len() as u64);
                    reply
                }
                Err(error)
                    if attempts > 0 && error.is_transient() && (twice || !error.maybe_sent) =>
                {
                    continue;
                }
                Err(error) => return Err(call.failed(error)),
            };
            return match Reply::read(&reply, Some(id)).map_err(|error| call.failed(error))? {
                Reply::Fault(fault) => Err(call.failed(fault)),
                reply => Ok(reply),
            };
        }
    }
}

impl Call {
    fn reads(what: &str) -> Self {
        Self {
            what: what.to_owned(),
            changes: false,
        }
    }

    pub(super) fn failed(&self, problem: impl Into<CimProblem>) -> CimError {
        CimError {
            call: self.what.clone(),
            problem: Box::new(problem.into()),
            changes: self.changes,
        }
    }

    pub(super) fn unexpected(&self, wanted: &'static str) -> CimError {
        self.failed(ReplyError::Unexpected(wanted))
    }

    fn instances(&self, items: Vec<Item>) -> Result<Vec<Instance>, CimError> {
        let instance = |item| match item {
            Item::Instance(instance) => Ok(instance),
            Item::Path(_) => Err(self.unexpected("objects")),
        };
        items.into_iter().map(instance).collect()
    }
}

/// The class that a query is about: the word behind `FROM`.
fn class_of(wql: &str) -> &str {
    let mut words = wql.split_ascii_whitespace();
    let from = words.find(|word| word.eq_ignore_ascii_case("from"));
    from.and_then(|_| words.next()).unwrap_or("")
}
