//! From a request to its reply, over the host's objects.

use std::time::Duration;

use cim::{Instance, KeyValue, ObjectPath};

use super::enumeration::{Enumeration, Open, idle_until, page};
use super::fault::{Fault, FaultStyle};
use super::mishap::Mishap;
use super::request::{Enumerate, Filter, Input, Mode, Operation, Request, Resource};
use super::{class, instance, invoke, reference, write};
use crate::repository::{Found, Repository, RepositoryError};
use crate::schema::HYPER_V;

/// Limits of the service, as `winrm/config` has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// KiB that a message may have.
    pub envelope_kib: u32,
    /// Milliseconds that an operation may take.
    pub timeout_ms: u32,
    /// Items that a page may have.
    pub batch_items: u32,
    /// How long an enumeration is kept between two pages.
    pub enumeration_idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            envelope_kib: 500,
            timeout_ms: 60_000,
            batch_items: 32_000,
            enumeration_idle: Duration::from_secs(240),
        }
    }
}

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Everything.
    Administrator,
    /// No access to Hyper-V: its classes are there and seem to be empty, as hosts do it.
    Filtered,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Nobody who logged on: may ask what the host is, and nothing else.
    Anonymous,
    /// An account of the host.
    Account(Rights),
}

/// The service of one host.
pub struct Service {
    /// The host's objects.
    pub repository: Repository,
    /// Its limits.
    pub limits: Limits,
    /// How it tells errors of WMI.
    pub style: FaultStyle,
    /// What will go wrong.
    pub mishaps: Vec<Mishap>,
    open: Open,
    /// Items after which what is enumerated now ends.
    pub(super) most_items: Option<usize>,
}

pub(super) type Result<T> = std::result::Result<T, Fault>;

impl Service {
    /// The service over a host's objects.
    pub fn new(repository: Repository, limits: Limits, style: FaultStyle) -> Self {
        Self {
            repository,
            limits,
            style,
            mishaps: Vec::new(),
            open: Open::default(),
            most_items: None,
        }
    }

    /// Bytes that a request may have; more is refused without being read.
    pub fn most_request(&self) -> usize {
        usize::try_from(self.limits.envelope_kib)
            .unwrap_or(usize::MAX)
            .saturating_mul(1024)
    }

    pub(super) fn message_id(&mut self) -> String {
        format!(
            "uuid:{}",
            crate::state::upper(self.repository.host.new_id())
        )
    }

    pub(super) fn act(&mut self, request: &Request, caller: Caller) -> Result<String> {
        if request.operation == Operation::Identify {
            return Ok(self.identify(caller));
        }
        let Caller::Account(rights) = caller else {
            return Err(Fault::AccessDenied);
        };
        let now = self.repository.host.now();
        self.open.expire(now);
        let body = match (&request.operation, &request.resource) {
            (Operation::Identify, _) | (_, Resource::None) => {
                return Err(Fault::ActionUnknown(String::new()));
            }
            (Operation::Get, Resource::Config) => {
                if rights != Rights::Administrator {
                    return Err(Fault::AccessDenied);
                }
                self.config()
            }
            (Operation::Get, Resource::Schema) => self.definition(request)?,
            (Operation::Get, Resource::Class { namespace, class }) => {
                let path = path_of(namespace, class, request)?;
                if hidden(rights, namespace) {
                    self.repository.class(namespace, class)?;
                    return Err(RepositoryError::NotFound(path).into());
                }
                let body = instance::object(&self.repository.get(&path)?);
                self.fit(request, body)?
            }
            (Operation::Enumerate(enumerate), Resource::Class { namespace, class }) => {
                self.enumerate(request, enumerate, rights, (namespace, class))?
            }
            (Operation::Pull { context, most }, resource) => {
                let (id, mut enumeration) = self.open.take(context, resource)?;
                enumeration
                    .items
                    .truncate(self.most_items.unwrap_or(usize::MAX));
                let most = (*most).min(self.limits.batch_items);
                let room = self.room(request);
                match page(&mut enumeration.items, most, room) {
                    Ok(items) => self.pulled(&items, enumeration)?,
                    Err(fault) => {
                        // The client may ask again with more room.
                        self.open.put_back(id, enumeration);
                        return Err(fault);
                    }
                }
            }
            (Operation::Release { context }, resource) => {
                self.open.take(context, resource)?;
                String::new()
            }
            (Operation::Invoke { method, inputs }, Resource::Class { namespace, class }) => {
                if hidden(rights, namespace) {
                    return Err(Fault::AccessDenied);
                }
                let body = self.invoke(request, (namespace, class), method, inputs)?;
                self.fit(request, body)?
            }
            _ => return Err(Fault::ActionUnknown(request.action.clone())),
        };
        Ok(self.reply(request, &body))
    }

    fn identify(&self, caller: Caller) -> String {
        let authenticated = caller != Caller::Anonymous;
        let os = match authenticated {
            true => self.repository.host.os.as_str(),
            false => "0.0.0",
        };
        write::identity(&format!("OS: {os} SP: 0.0 Stack: 3.0"), authenticated)
    }

    fn config(&self) -> String {
        let Limits {
            envelope_kib,
            timeout_ms,
            batch_items,
            ..
        } = self.limits;
        format!(
            "<cfg:Config xmlns:cfg=\"{}\" xml:lang=\"de-DE\"><cfg:MaxEnvelopeSizekb>{envelope_kib}</cfg:MaxEnvelopeSizekb><cfg:MaxTimeoutms>{timeout_ms}</cfg:MaxTimeoutms><cfg:MaxBatchItems>{batch_items}</cfg:MaxBatchItems></cfg:Config>",
            super::ns::CONFIG
        )
    }

    fn definition(&self, request: &Request) -> Result<String> {
        let selector = |name: &str| {
            let mut selectors = request.selectors.iter();
            let key = selectors.find(|key| key.name.eq_ignore_ascii_case(name));
            let text = key.map(|key| key.value.to_text());
            text.ok_or(Fault::SelectorsInvalid("InsufficientSelectors"))
        };
        let (namespace, name) = (selector("__cimnamespace")?, selector("ClassName")?);
        let body = class::write(self.repository.class(&namespace, &name)?);
        self.fit(request, body)
    }

    /// Bytes that the body of the reply may have.
    fn room(&self, request: &Request) -> usize {
        let own = self.most_request();
        let wanted = request
            .most_bytes
            .and_then(|most| usize::try_from(most).ok());
        wanted
            .unwrap_or(own)
            .min(own)
            .saturating_sub(write::OVERHEAD + request.id.len())
    }

    fn fit(&self, request: &Request, body: String) -> Result<String> {
        match body.len() <= self.room(request) {
            true => Ok(body),
            false => Err(Fault::ReplyTooLarge),
        }
    }

    fn enumerate(
        &mut self,
        request: &Request,
        enumerate: &Enumerate,
        rights: Rights,
        (namespace, class): (&str, &str),
    ) -> Result<String> {
        if !request.selectors.is_empty() {
            return Err(Fault::SelectorsInvalid("UnexpectedSelectors"));
        }
        let mut found = self.find(enumerate, namespace, class)?;
        if hidden(rights, namespace) {
            found.clear();
        }
        found.truncate(self.most_items.unwrap_or(usize::MAX));
        let mut enumeration = Enumeration {
            resource: request.resource.clone(),
            items: found.into(),
            idle_until: idle_until(self.repository.host.now(), self.limits.enumeration_idle),
        };
        if !enumerate.optimize {
            let id = self.repository.host.new_id();
            let context = self.open.keep(id, enumeration)?;
            return Ok(format!(
                "<n:EnumerateResponse><n:EnumerationContext>{context}</n:EnumerationContext></n:EnumerateResponse>"
            ));
        }
        let most = enumerate.most.min(self.limits.batch_items);
        let items = page(&mut enumeration.items, most, self.room(request))?;
        if enumeration.items.is_empty() {
            return Ok(format!(
                "<n:EnumerateResponse><n:EnumerationContext/><w:Items>{items}</w:Items><w:EndOfSequence/></n:EnumerateResponse>"
            ));
        }
        let id = self.repository.host.new_id();
        let context = self.open.keep(id, enumeration)?;
        Ok(format!(
            "<n:EnumerateResponse><n:EnumerationContext>{context}</n:EnumerationContext><w:Items>{items}</w:Items></n:EnumerateResponse>"
        ))
    }

    /// A page of an enumeration that goes on under a new name, or ends.
    fn pulled(&mut self, items: &str, mut enumeration: Enumeration) -> Result<String> {
        if enumeration.items.is_empty() {
            return Ok(format!(
                "<n:PullResponse><n:Items>{items}</n:Items><n:EndOfSequence/></n:PullResponse>"
            ));
        }
        let now = self.repository.host.now();
        enumeration.idle_until = idle_until(now, self.limits.enumeration_idle);
        let id = self.repository.host.new_id();
        let context = self.open.keep(id, enumeration)?;
        Ok(format!(
            "<n:PullResponse><n:EnumerationContext>{context}</n:EnumerationContext><n:Items>{items}</n:Items></n:PullResponse>"
        ))
    }

    /// The items of an enumeration, written.
    fn find(&mut self, enumerate: &Enumerate, namespace: &str, class: &str) -> Result<Vec<String>> {
        let found = match &enumerate.filter {
            None if class == "*" => {
                return Err(Fault::ResourceUnknown(reference::uri(namespace, class)));
            }
            None => Found::Objects(self.repository.instances(namespace, class)?),
            // With a filter the class must be "*".
            Some(_) if class != "*" => {
                return Err(Fault::Filter("der Klassenname muss * sein".to_owned()));
            }
            Some(Filter::Wql(query)) => self.repository.query(namespace, query)?,
            Some(Filter::Associated(related)) => Found::Objects({
                let schema = self.repository.schema(namespace)?;
                self.repository.associators(schema, related)?
            }),
            Some(Filter::Associating(related)) => Found::Objects({
                let schema = self.repository.schema(namespace)?;
                self.repository.references(schema, related)?
            }),
        };
        let write = |instance: &Instance| {
            let path = || {
                instance
                    .path
                    .as_ref()
                    .map(write::endpoint)
                    .unwrap_or_default()
            };
            match enumerate.mode {
                Mode::Object => instance::object(instance),
                Mode::Reference => path(),
                Mode::Both => format!("<w:Item>{}{}</w:Item>", instance::object(instance), path()),
            }
        };
        match &found {
            Found::Objects(all) => Ok(all.iter().map(write).collect()),
            Found::Parts(all) if enumerate.mode == Mode::Object => {
                Ok(all.iter().map(instance::fragment).collect())
            }
            // Parts of objects have no reference.
            Found::Parts(_) => Err(Fault::Filter("EnumerationMode".to_owned())),
        }
    }

    fn invoke(
        &mut self,
        request: &Request,
        (namespace, class): (&str, &str),
        method: &str,
        inputs: &[(String, Vec<Input>)],
    ) -> Result<String> {
        let path = path_of(namespace, class, request)?;
        let declared = self.repository.method(namespace, class, method)?;
        let inputs = invoke::typed(declared, inputs)?;
        let outputs = self.repository.invoke(&path, method, &inputs)?;
        Ok(instance::outputs(
            &outputs,
            &reference::uri(namespace, class),
        ))
    }
}

/// Hyper-V's objects are hidden from those who have no rights there.
fn hidden(rights: Rights, namespace: &str) -> bool {
    rights == Rights::Filtered && namespace.eq_ignore_ascii_case(HYPER_V)
}

fn path_of(namespace: &str, class: &str, request: &Request) -> Result<ObjectPath> {
    if class == "*" {
        return Err(Fault::ResourceUnknown(reference::uri(namespace, class)));
    }
    let mut path = ObjectPath::new(namespace, class);
    for key in &request.selectors {
        if let KeyValue::Reference(inner) = &key.value
            && inner.class.is_empty()
        {
            return Err(Fault::SelectorsInvalid("TypeMismatch"));
        }
        path.keys.push(key.clone());
    }
    Ok(path)
}
