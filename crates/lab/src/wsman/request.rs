//! From bytes to a request.
//!
//! The header is judged as MS-WSMV 3.1.4 says: what must be there, what must be understood, what
//! must not be asked for. The body is judged by its action.

use std::time::Duration;

use cim::{Interval, Key, ObjectPath};
use roxmltree::Node;

use super::fault::Fault;
use super::reference::{self, BadReference};
use super::xml::{self, BadXml, below, elements, is, trimmed};
use super::{enumeration, invoke, ns};
use crate::repository::wql::Related;

/// The smallest envelope that a client may ask for.
const LEAST_ENVELOPE: u32 = 8192;
/// Characters of a message's id.
const MOST_ID: usize = 256;

/// A request.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Its id, empty for Identify.
    pub id: String,
    /// The action as it was told; the reply's is derived from it.
    pub action: String,
    /// What it is about.
    pub resource: Resource,
    /// Keys of the object that is meant.
    pub selectors: Vec<Key>,
    /// Bytes that the reply may have.
    pub most_bytes: Option<u32>,
    /// How long it may take.
    pub timeout: Option<Duration>,
    /// What is to be done.
    pub operation: Operation,
}

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Nothing: of Identify.
    None,
    /// The limits of the service.
    Config,
    /// The definition of a class.
    Schema,
    /// A class of a namespace.
    Class {
        /// The namespace with slashes.
        namespace: String,
        /// The class; `*` for all.
        class: String,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Operation {
    Identify,
    Get,
    Enumerate(Enumerate),
    Pull {
        context: String,
        /// Items that the reply may have; one if it is not told.
        most: u32,
    },
    Release {
        context: String,
    },
    Invoke {
        method: String,
        inputs: Vec<(String, Vec<Input>)>,
    },
}

/// The beginning of an enumeration.
#[derive(Clone, Debug, PartialEq)]
pub struct Enumerate {
    /// Whether the first items shall come at once.
    pub optimize: bool,
    /// Items that the first reply may have.
    pub most: u32,
    /// What is wanted of each object.
    pub mode: Mode,
    /// Which objects.
    pub filter: Option<Filter>,
}

/// What is wanted of each object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Mode {
    Object,
    Reference,
    Both,
}

/// Which objects are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Those that a query finds.
    Wql(String),
    /// Those that are associated with one.
    Associated(Related),
    /// The associations that refer to one.
    Associating(Related),
}

/// One value of a parameter, of a type that is not told.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// `xsi:nil`.
    Nil,
    /// Text, which may be empty.
    Text(String),
    /// The children of an endpoint reference.
    Reference(ObjectPath),
    /// Date and time, or a span, in one of CIM's elements.
    Time(cim::DateTime),
    /// Other elements, which nothing wants.
    Elements,
}

/// A request that is refused before it is understood: what of it could be read, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Its id, if that could be read.
    pub id: String,
    /// Why.
    pub fault: Fault,
}

impl From<BadXml> for Fault {
    fn from(error: BadXml) -> Self {
        Self::Schema(error.to_string())
    }
}

impl From<BadReference> for Fault {
    fn from(error: BadReference) -> Self {
        match error {
            BadReference::Shape => Self::Schema("EPR".to_owned()),
            BadReference::Uri => Self::ResourceUnknown("EPR".to_owned()),
            BadReference::Selectors => Self::SelectorsInvalid("DuplicateSelectors"),
        }
    }
}

impl Request {
    /// Reads the bytes of an envelope.
    pub fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut id = String::new();
        xml::parse(bytes, |root| envelope(root, &mut id)).map_err(|fault| Unreadable { id, fault })
    }
}

fn envelope(root: Node<'_, '_>, id: &mut String) -> Result<Request, Fault> {
    if !is(root, ns::SOAP, "Envelope") {
        return Err(Fault::Schema("Envelope".to_owned()));
    }
    let body = below(root, ns::SOAP, "Body").ok_or(Fault::Schema("Body".to_owned()))?;
    let first = elements(body).next();
    if first.is_some_and(|node| is(node, ns::IDENTITY, "Identify")) {
        return Ok(Request {
            id: String::new(),
            action: String::new(),
            resource: Resource::None,
            selectors: Vec::new(),
            most_bytes: None,
            timeout: None,
            operation: Operation::Identify,
        });
    }
    let header = below(root, ns::SOAP, "Header").ok_or(Fault::HeaderMissing("Action"))?;
    *id = message_id(header)?;
    understand(header)?;
    reply_to(header)?;
    let action = needed(header, ns::ADDRESSING, "Action")?;
    needed(header, ns::ADDRESSING, "To")?;
    let uri = once(header, ns::WSMAN, "ResourceURI")?
        .map(trimmed)
        .unwrap_or_default();
    let resource = resource(&uri)?;
    let mut selectors = match once(header, ns::WSMAN, "SelectorSet")? {
        Some(set) => reference::selectors(set)?,
        None => Vec::new(),
    };
    let most_bytes = match once(header, ns::WSMAN, "MaxEnvelopeSize")?.map(trimmed) {
        Some(text) => Some(
            text.parse()
                .map_err(|_| Fault::HeaderInvalid("MaxEnvelopeSize"))?,
        ),
        None => None,
    };
    if most_bytes.is_some_and(|most| most < LEAST_ENVELOPE) {
        return Err(Fault::EnvelopeTooSmall);
    }
    let timeout = match once(header, ns::WSMAN, "OperationTimeout")?.map(trimmed) {
        Some(text) => {
            let span = Interval::parse_iso(&text);
            Some(
                span.map_err(|_| Fault::HeaderInvalid("OperationTimeout"))?
                    .into(),
            )
        }
        None => None,
    };
    if let Resource::Class { namespace, .. } = &resource
        && let Some(at) = selectors
            .iter()
            .position(|key| key.name.eq_ignore_ascii_case("__cimnamespace"))
    {
        let told = selectors.remove(at).value.to_text();
        if !told.replace('\\', "/").eq_ignore_ascii_case(namespace) {
            return Err(Fault::NamespaceSelector);
        }
    }
    let operation = match action.as_str() {
        "http://schemas.xmlsoap.org/ws/2004/09/transfer/Get" => {
            if once(header, ns::WSMAN, "FragmentTransfer")?.is_some() {
                return Err(Fault::Unsupported("FragmentLevelAccess"));
            }
            Operation::Get
        }
        "http://schemas.xmlsoap.org/ws/2004/09/enumeration/Enumerate" => {
            Operation::Enumerate(enumeration::read_enumerate(content(first)?)?)
        }
        "http://schemas.xmlsoap.org/ws/2004/09/enumeration/Pull" => {
            enumeration::read_pull(content(first)?)?
        }
        "http://schemas.xmlsoap.org/ws/2004/09/enumeration/Release" => {
            enumeration::read_release(content(first)?)?
        }
        other => {
            let method = method_of(other, &uri, &resource);
            let method = method.ok_or_else(|| Fault::ActionUnknown(shorten(other)))?;
            let inputs = invoke::read(content(first)?, &uri, &method)?;
            Operation::Invoke { method, inputs }
        }
    };
    Ok(Request {
        id: id.clone(),
        action,
        resource,
        selectors,
        most_bytes,
        timeout,
        operation,
    })
}

fn content<'a, 'i>(first: Option<Node<'a, 'i>>) -> Result<Node<'a, 'i>, Fault> {
    first.ok_or_else(|| Fault::Schema("Body".to_owned()))
}

/// The action of a method is the URI of its class, a slash and its name.
fn method_of(action: &str, uri: &str, resource: &Resource) -> Option<String> {
    let Resource::Class { class, .. } = resource else {
        return None;
    };
    let start = action.get(..uri.len())?;
    let method = action.get(uri.len()..)?.strip_prefix('/')?;
    let proper = |c: char| c == '_' || c.is_ascii_alphanumeric();
    let good = !method.is_empty() && method.chars().all(proper) && class != "*";
    (good && start.eq_ignore_ascii_case(uri)).then(|| method.to_owned())
}

fn resource(uri: &str) -> Result<Resource, Fault> {
    if uri.is_empty() {
        return Err(Fault::ResourceUnknown(String::new()));
    }
    if uri.eq_ignore_ascii_case(ns::CONFIG) {
        return Ok(Resource::Config);
    }
    if uri.eq_ignore_ascii_case(ns::CIM_XML) {
        return Ok(Resource::Schema);
    }
    let class = reference::class_of(uri);
    let (namespace, class) = class.ok_or_else(|| Fault::ResourceUnknown(shorten(uri)))?;
    Ok(Resource::Class { namespace, class })
}

fn message_id(header: Node<'_, '_>) -> Result<String, Fault> {
    let id = needed(header, ns::ADDRESSING, "MessageID")?;
    if id.len() > MOST_ID {
        return Err(Fault::HeaderInvalid("MessageID"));
    }
    Ok(id)
}

/// The reply goes back on the connection and nowhere else.
fn reply_to(header: Node<'_, '_>) -> Result<(), Fault> {
    let node = once(header, ns::ADDRESSING, "ReplyTo")?.ok_or(Fault::HeaderMissing("ReplyTo"))?;
    match below(node, ns::ADDRESSING, "Address").map(trimmed) {
        Some(address) if address == ns::ANONYMOUS => Ok(()),
        Some(_) => Err(Fault::Unsupported("AddressingMode")),
        None => Err(Fault::HeaderMissing("ReplyTo")),
    }
}

/// Headers that are known, and those that must not be marked as to be understood.
fn understand(header: Node<'_, '_>) -> Result<(), Fault> {
    const KNOWN: [(&str, &str); 15] = [
        (ns::ADDRESSING, "To"),
        (ns::ADDRESSING, "From"),
        (ns::ADDRESSING, "ReplyTo"),
        (ns::ADDRESSING, "FaultTo"),
        (ns::ADDRESSING, "Action"),
        (ns::ADDRESSING, "MessageID"),
        (ns::WSMAN, "ResourceURI"),
        (ns::WSMAN, "SelectorSet"),
        (ns::WSMAN, "OptionSet"),
        (ns::WSMAN, "MaxEnvelopeSize"),
        (ns::WSMAN, "OperationTimeout"),
        (ns::WSMAN, "FragmentTransfer"),
        (ns::MS_WSMAN, "SessionId"),
        (ns::MS_WSMAN, "OperationID"),
        (ns::MS_WSMAN, "SequenceId"),
    ];
    for node in elements(header) {
        let must = node.attribute((ns::SOAP, "mustUnderstand"));
        if !matches!(must, Some("true" | "1")) {
            continue;
        }
        let (namespace, name) = (node.tag_name().namespace(), node.tag_name().name());
        let locale = [(ns::WSMAN, "Locale"), (ns::MS_WSMAN, "DataLocale")];
        if locale
            .iter()
            .any(|(n, local)| namespace == Some(*n) && name == *local)
        {
            return Err(Fault::Unsupported("Locale"));
        }
        if !KNOWN
            .iter()
            .any(|(n, local)| namespace == Some(*n) && name == *local)
        {
            return Err(Fault::NotUnderstood(shorten(name)));
        }
    }
    Ok(())
}

/// A header that may be there once.
fn once<'a, 'i: 'a>(
    header: Node<'a, 'i>,
    namespace: &str,
    name: &'static str,
) -> Result<Option<Node<'a, 'i>>, Fault> {
    let mut found = elements(header).filter(|node| is(*node, namespace, name));
    match (found.next(), found.next()) {
        (first, None) => Ok(first),
        (_, Some(_)) => Err(Fault::HeaderInvalid(name)),
    }
}

fn needed(header: Node<'_, '_>, namespace: &str, name: &'static str) -> Result<String, Fault> {
    let text = once(header, namespace, name)?.map(trimmed);
    text.filter(|text| !text.is_empty())
        .ok_or(Fault::HeaderMissing(name))
}

pub(super) fn shorten(text: &str) -> String {
    text.chars().take(120).collect()
}
