//! Replies: whatever comes back, by what its body is.

use roxmltree::Node;

use super::config::{HostIdentity, HostLimits};
use super::fault::Fault;
use super::item::{self, Item};
use super::ns;
use crate::cimxml::{CimXmlError, read_class_element};
use crate::class::Class;
use crate::xml::{self, child, elements, name_is, text};
use crate::{Instance, XmlError};

/// A reply that is understood.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reply {
    /// The host refuses.
    Fault(Box<Fault>),
    /// Part of an enumeration.
    Page(Page),
    /// An object, or what a method returns.
    Instance(Instance),
    /// The definition of a class.
    Class(Class),
    /// Nothing, as for the end of an enumeration.
    Empty,
    /// What the host is.
    Identity(HostIdentity),
    /// The limits of its service.
    Limits(HostLimits),
}

/// Part of an enumeration.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Page {
    /// The items; fewer than asked for does not mean the end.
    pub items: Vec<Item>,
    /// What to ask for more with; it may change with every reply.
    pub context: Option<String>,
    /// Whether the host said that this is the end.
    pub end: bool,
}

/// Why bytes are no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// They are no XML that is accepted.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// An element is not as it must be.
    #[error("<{element}> of the reply {problem}")]
    Shape {
        /// The element's name.
        element: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// It answers another request.
    #[error("the reply relates to {found}, not to the request {wanted}")]
    Unrelated {
        /// The request that was sent.
        wanted: String,
        /// The request that it names.
        found: String,
    },
    /// The definition of a class is not readable.
    #[error(transparent)]
    CimXml(#[from] CimXmlError),
    /// It is understood, but no answer to what was asked.
    #[error("the reply is no answer to the request: {0} was expected")]
    Unexpected(&'static str),
}

impl ReplyError {
    pub(super) fn shape(element: &str, problem: &'static str) -> Self {
        Self::Shape {
            element: crate::value::shorten(element),
            problem,
        }
    }
}

impl Reply {
    /// Reads the reply to the request `message`.
    ///
    /// A reply that names another request is an error; one that names none is taken, since a
    /// host that could not read a request cannot name it.
    pub fn read(bytes: &[u8], message: Option<uuid::Uuid>) -> Result<Self, ReplyError> {
        xml::parse(bytes, |root| {
            if !name_is(root, ns::SOAP, "Envelope") {
                return Err(ReplyError::shape(
                    root.tag_name().name(),
                    "is no SOAP envelope",
                ));
            }
            if let Some(message) = message {
                related(root, message)?;
            }
            let body = child(root, ns::SOAP, "Body")
                .ok_or_else(|| ReplyError::shape("Envelope", "has no body"))?;
            read_body(body)
        })
    }
}

fn related(root: Node<'_, '_>, message: uuid::Uuid) -> Result<(), ReplyError> {
    let header = child(root, ns::SOAP, "Header");
    let relates = header.and_then(|header| child(header, ns::ADDRESSING, "RelatesTo"));
    let Some(found) = relates.map(text).filter(|found| !found.is_empty()) else {
        return Ok(());
    };
    let wanted = super::envelope::urn(message);
    if found.eq_ignore_ascii_case(&wanted) {
        return Ok(());
    }
    Err(ReplyError::Unrelated {
        wanted,
        found: crate::value::shorten(&found),
    })
}

fn read_body(body: Node<'_, '_>) -> Result<Reply, ReplyError> {
    let Some(first) = elements(body).next() else {
        return Ok(Reply::Empty);
    };
    let name = first.tag_name().name();
    Ok(match first.tag_name().namespace().unwrap_or("") {
        ns::SOAP if name == "Fault" => Reply::Fault(Box::new(Fault::read(first))),
        ns::ENUMERATION if name == "EnumerateResponse" || name == "PullResponse" => {
            Reply::Page(page(first)?)
        }
        ns::ENUMERATION if name == "ReleaseResponse" => Reply::Empty,
        ns::IDENTITY => Reply::Identity(HostIdentity::read(first)),
        ns::HOST_CONFIG => Reply::Limits(HostLimits::read(first)),
        _ if name == "CLASS" => Reply::Class(read_class_element(first)?),
        _ => Reply::Instance(item::instance(first)?),
    })
}

/// In the reply to an optimised request, items and end are in WS-Management's namespace, later in
/// WS-Enumeration's; hosts are known to mix them.
fn page(node: Node<'_, '_>) -> Result<Page, ReplyError> {
    let either =
        |local: &str| child(node, ns::ENUMERATION, local).or_else(|| child(node, ns::WSMAN, local));
    let context = child(node, ns::ENUMERATION, "EnumerationContext").map(text);
    let items = either("Items").into_iter().flat_map(elements);
    Ok(Page {
        items: items.map(item::read).collect::<Result<_, _>>()?,
        context: context.filter(|context| !context.is_empty()),
        end: either("EndOfSequence").is_some(),
    })
}
