//! Enumerations: their requests, and what is kept of them between two pages.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use roxmltree::Node;
use uuid::Uuid;

use super::fault::Fault;
use super::request::{Enumerate, Filter, Mode, Operation, Resource, shorten};
use super::xml::{below, content, elements, is, trimmed};
use super::{ns, reference};
use crate::repository::wql::Related;

/// Enumerations that may be open at once.
const MOST_OPEN: usize = 256;

/// Reads `n:Enumerate`.
pub(super) fn read_enumerate(node: Node<'_, '_>) -> Result<Enumerate, Fault> {
    if !is(node, ns::ENUMERATION, "Enumerate") {
        return Err(Fault::Schema("Enumerate".to_owned()));
    }
    let mut enumerate = Enumerate {
        optimize: false,
        most: 1,
        mode: Mode::Object,
        filter: None,
    };
    for child in elements(node) {
        let namespace = child.tag_name().namespace().unwrap_or("");
        match (namespace, child.tag_name().name()) {
            (ns::WSMAN, "OptimizeEnumeration") => enumerate.optimize = true,
            (ns::WSMAN, "MaxElements") => enumerate.most = most(child)?,
            (ns::WSMAN, "EnumerationMode") => {
                enumerate.mode = match trimmed(child).as_str() {
                    "EnumerateObject" => Mode::Object,
                    "EnumerateEPR" => Mode::Reference,
                    "EnumerateObjectAndEPR" => Mode::Both,
                    _ => return Err(Fault::Unsupported("EnumerationMode")),
                };
            }
            (ns::WSMAN | ns::ENUMERATION, "Filter") => {
                if enumerate.filter.is_some() {
                    return Err(Fault::Schema("Filter".to_owned()));
                }
                enumerate.filter = Some(filter(child)?);
            }
            (ns::BINDING, "PolymorphismMode") => {
                if trimmed(child) != "IncludeSubClassProperties" {
                    return Err(Fault::PolymorphismMode);
                }
            }
            (ns::ENUMERATION, "Expires") => return Err(Fault::Unsupported("ExpirationTime")),
            (ns::ENUMERATION, "EndTo") => return Err(Fault::Unsupported("AddressingMode")),
            (_, name) => return Err(Fault::Schema(shorten(name))),
        }
    }
    Ok(enumerate)
}

fn filter(node: Node<'_, '_>) -> Result<Filter, Fault> {
    match node.attribute("Dialect").unwrap_or("") {
        ns::WQL => Ok(Filter::Wql(content(node).trim().to_owned())),
        ns::ASSOCIATIONS => associations(node),
        other => Err(Fault::FilterDialect(shorten(other))),
    }
}

/// DSP0227 17: `AssociatedInstances` with an object and what restricts the result, or
/// `AssociationInstances`.
fn associations(node: Node<'_, '_>) -> Result<Filter, Fault> {
    let one = elements(node)
        .next()
        .ok_or_else(|| Fault::Filter("leer".to_owned()))?;
    let associated = is(one, ns::BINDING, "AssociatedInstances");
    if !associated && !is(one, ns::BINDING, "AssociationInstances") {
        return Err(Fault::Filter(shorten(one.tag_name().name())));
    }
    let object = below(one, ns::BINDING, "Object");
    let object = object.ok_or_else(|| Fault::Filter("Object".to_owned()))?;
    // The reference may stand for itself or be wrapped.
    let epr = below(object, ns::ADDRESSING, "EndpointReference").unwrap_or(object);
    let mut related = Related {
        of: reference::read(epr).map_err(|_| Fault::Filter("Object".to_owned()))?,
        ..Related::default()
    };
    for child in elements(one) {
        let place = match (child.tag_name().name(), associated) {
            ("Object", _) => continue,
            ("AssociationClassName", true) => &mut related.association,
            ("ResultClassName", _) => &mut related.result,
            ("Role", _) => &mut related.role,
            ("ResultRole", true) => &mut related.result_role,
            (name, _) => return Err(Fault::Filter(shorten(name))),
        };
        *place = Some(trimmed(child));
    }
    Ok(match associated {
        true => Filter::Associated(related),
        false => Filter::Associating(related),
    })
}

fn most(node: Node<'_, '_>) -> Result<u32, Fault> {
    match trimmed(node).parse() {
        Ok(0) | Err(_) => Err(Fault::Schema("MaxElements".to_owned())),
        Ok(most) => Ok(most),
    }
}

fn context(node: Node<'_, '_>) -> Result<String, Fault> {
    let context = below(node, ns::ENUMERATION, "EnumerationContext").map(trimmed);
    context
        .filter(|context| !context.is_empty())
        .ok_or(Fault::ContextInvalid)
}

/// Reads `n:Pull`.
pub(super) fn read_pull(node: Node<'_, '_>) -> Result<Operation, Fault> {
    if !is(node, ns::ENUMERATION, "Pull") {
        return Err(Fault::Schema("Pull".to_owned()));
    }
    let most = match below(node, ns::ENUMERATION, "MaxElements") {
        Some(node) => most(node)?,
        None => 1,
    };
    let context = context(node)?;
    Ok(Operation::Pull { context, most })
}

/// Reads `n:Release`.
pub(super) fn read_release(node: Node<'_, '_>) -> Result<Operation, Fault> {
    if !is(node, ns::ENUMERATION, "Release") {
        return Err(Fault::Schema("Release".to_owned()));
    }
    let context = context(node)?;
    Ok(Operation::Release { context })
}

/// The enumerations that are open.
#[derive(Debug, Default)]
pub(super) struct Open {
    all: HashMap<Uuid, Enumeration>,
}

/// What is left of an enumeration.
#[derive(Debug)]
pub(super) struct Enumeration {
    pub(super) resource: Resource,
    /// Elements that are already written.
    pub(super) items: VecDeque<String>,
    pub(super) idle_until: Timestamp,
}

impl Open {
    /// Keeps one under a new name.
    pub(super) fn keep(&mut self, id: Uuid, enumeration: Enumeration) -> Result<String, Fault> {
        if self.all.len() >= MOST_OPEN {
            return Err(Fault::Quota);
        }
        self.all.insert(id, enumeration);
        Ok(format!("uuid:{}", crate::state::upper(id)))
    }

    /// Takes one out by the name that was given last; older names are unknown.
    pub(super) fn take(
        &mut self,
        context: &str,
        of: &Resource,
    ) -> Result<(Uuid, Enumeration), Fault> {
        let id = context
            .get(..5)
            .filter(|start| start.eq_ignore_ascii_case("uuid:"));
        let id = id.and_then(|_| Uuid::try_parse(context.get(5..)?).ok());
        let id = id.filter(|id| {
            self.all
                .get(id)
                .is_some_and(|known| same(&known.resource, of))
        });
        let taken = id.and_then(|id| Some((id, self.all.remove(&id)?)));
        taken.ok_or(Fault::ContextInvalid)
    }

    /// Puts one back that could not be gone on with.
    pub(super) fn put_back(&mut self, id: Uuid, enumeration: Enumeration) {
        self.all.insert(id, enumeration);
    }

    /// Forgets those that nobody has asked for in time.
    pub(super) fn expire(&mut self, now: Timestamp) {
        self.all
            .retain(|_, enumeration| enumeration.idle_until > now);
    }
}

fn same(one: &Resource, other: &Resource) -> bool {
    let parts = |resource: &Resource| match resource {
        Resource::Class { namespace, class } => {
            Some((namespace.to_lowercase(), class.to_lowercase()))
        }
        _ => None,
    };
    parts(one) == parts(other)
}

/// As many items as fit, at least one if there are any.
///
/// # Errors
/// When not even one fits.
pub(super) fn page(items: &mut VecDeque<String>, most: u32, room: usize) -> Result<String, Fault> {
    let mut page = String::new();
    for _ in 0..most {
        let Some(next) = items.front() else { break };
        if page.len() + next.len() > room {
            if page.is_empty() {
                return Err(Fault::ReplyTooLarge);
            }
            break;
        }
        page.push_str(next);
        items.pop_front();
    }
    Ok(page)
}

/// How long an enumeration is kept.
pub(super) fn idle_until(now: Timestamp, idle: Duration) -> Timestamp {
    now.checked_add(idle).unwrap_or(Timestamp::MAX)
}
