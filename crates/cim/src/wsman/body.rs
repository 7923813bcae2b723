//! Requests: an action on a resource, and its body.

use super::filter::Filter;
use super::{epr, ns, uri};
use crate::xml::Writer;
use crate::{DateTime, Instance, Key, ObjectPath, Scalar, cimxml};

/// A request but for what all requests share.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The action's URI.
    pub action: String,
    /// The resource's URI.
    pub resource: String,
    /// The keys of the object that is meant.
    pub selectors: Vec<Key>,
    /// Options by name.
    pub options: Vec<(String, String)>,
    /// The body.
    pub body: Body,
}

/// The body of a request.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Body {
    Empty,
    /// Begins an enumeration, and asks for its first items with the same request.
    Enumerate {
        /// Items that one reply may have.
        most: u32,
        mode: Mode,
        filter: Option<Filter>,
    },
    Pull {
        /// What the last reply gave.
        context: String,
        most: u32,
    },
    Release {
        context: String,
    },
    Invoke {
        method: String,
        inputs: Instance,
    },
}

/// What an enumeration gives for each object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mode {
    /// Its properties.
    #[default]
    Object,
    /// Its path.
    Path,
    /// Both.
    Both,
}

impl Request {
    /// One object by its keys.
    pub fn get(path: &ObjectPath) -> Self {
        let resource = uri::class_uri(path.namespace_or_default(), &path.class);
        Self::plain(ns::TRANSFER_GET, resource, path.keys.clone(), Body::Empty)
    }

    /// The definition of a class, as CIM-XML.
    pub fn class(namespace: &str, class: &str) -> Self {
        let path = ObjectPath::default()
            .with_key("__cimnamespace", crate::path::slashes(namespace))
            .with_key("ClassName", class);
        let resource = ns::CLASS_SCHEMA.to_owned();
        Self::plain(ns::TRANSFER_GET, resource, path.keys, Body::Empty)
    }

    /// The limits of the host's service.
    pub fn config() -> Self {
        let resource = ns::CONFIG.to_owned();
        Self::plain(ns::TRANSFER_GET, resource, Vec::new(), Body::Empty)
    }

    /// The objects of a class and its subclasses.
    pub fn enumerate(namespace: &str, class: &str, most: u32, mode: Mode) -> Self {
        let body = Body::Enumerate {
            most,
            mode,
            filter: None,
        };
        let resource = uri::class_uri(namespace, class);
        Self::plain(ns::ENUMERATE, resource, Vec::new(), body)
    }

    /// The objects that a filter finds in a namespace.
    pub fn filtered(namespace: &str, filter: Filter, most: u32, mode: Mode) -> Self {
        let body = Body::Enumerate {
            most,
            mode,
            filter: Some(filter),
        };
        let resource = uri::everything_uri(namespace);
        Self::plain(ns::ENUMERATE, resource, Vec::new(), body)
    }

    /// More of an enumeration that this request began.
    #[must_use]
    pub fn pull(&self, context: &str, most: u32) -> Self {
        let context = context.to_owned();
        let body = Body::Pull { context, most };
        Self::plain(ns::PULL, self.resource.clone(), Vec::new(), body)
    }

    /// The end of an enumeration that this request began.
    #[must_use]
    pub fn release(&self, context: &str) -> Self {
        let context = context.to_owned();
        let body = Body::Release { context };
        Self::plain(ns::RELEASE, self.resource.clone(), Vec::new(), body)
    }

    /// A method of an object.
    pub fn invoke(target: &ObjectPath, method: &str, inputs: &Instance) -> Self {
        let resource = uri::class_uri(target.namespace_or_default(), &target.class);
        let body = Body::Invoke {
            method: method.to_owned(),
            inputs: inputs.clone(),
        };
        let action = format!("{resource}/{method}");
        Self::plain(&action, resource, target.keys.clone(), body)
    }

    fn plain(action: &str, resource: String, selectors: Vec<Key>, body: Body) -> Self {
        Self {
            action: action.to_owned(),
            resource,
            selectors,
            options: Vec::new(),
            body,
        }
    }
}

impl Body {
    /// Writes the body's element; `resource` is the namespace of a method's parameters.
    pub(super) fn write(&self, out: &mut Writer, resource: &str) {
        let enumeration = [("xmlns:n", ns::ENUMERATION)];
        match self {
            Self::Empty => {}
            // In the order of Windows' clients: optimize, number, mode, filter.
            Self::Enumerate { most, mode, filter } => {
                out.open_with("n:Enumerate", &enumeration);
                out.empty("w:OptimizeEnumeration", &[]);
                out.leaf("w:MaxElements", &[], &most.to_string());
                let mode = match mode {
                    Mode::Object => None,
                    Mode::Path => Some("EnumerateEPR"),
                    Mode::Both => Some("EnumerateObjectAndEPR"),
                };
                if let Some(mode) = mode {
                    out.leaf("w:EnumerationMode", &[], mode);
                }
                if let Some(filter) = filter {
                    filter.write(out);
                }
                out.close();
            }
            Self::Pull { context, most } => {
                out.open_with("n:Pull", &enumeration);
                out.leaf("n:EnumerationContext", &[], context);
                out.leaf("n:MaxElements", &[], &most.to_string());
                out.close();
            }
            Self::Release { context } => {
                out.open_with("n:Release", &enumeration);
                out.leaf("n:EnumerationContext", &[], context);
                out.close();
            }
            Self::Invoke { method, inputs } => {
                out.open_with(format!("p:{method}_INPUT"), &[("xmlns:p", resource)]);
                for property in inputs.properties() {
                    let name = format!("p:{}", property.name);
                    if property.value.is_null() {
                        let nil = [("xmlns:xsi", ns::XSI), ("xsi:nil", "true")];
                        out.empty(&name, &nil);
                    }
                    for value in property.value.elements() {
                        out.open(name.clone());
                        parameter(out, value);
                        out.close();
                    }
                }
                out.close();
            }
        }
    }
}

fn parameter(out: &mut Writer, value: &Scalar) {
    let cim = [("xmlns:cim", ns::CIM)];
    match value {
        Scalar::DateTime(DateTime::Timestamp(at)) => {
            out.leaf("cim:Datetime", &cim, &at.to_iso());
        }
        Scalar::DateTime(DateTime::Interval(span)) => {
            out.leaf("cim:Interval", &cim, &span.to_iso());
        }
        Scalar::DateTime(DateTime::Wildcard(text)) => {
            out.leaf("cim:CIM_DateTime", &cim, text);
        }
        Scalar::Reference(path) => epr::write_children(out, path),
        // Hosts refuse the form with elements for their own.
        Scalar::Object(object) => match cimxml::write_instance(object) {
            Ok(text) => _ = out.text(&text),
            Err(problem) => out.refuse(problem),
        },
        other => match other.to_text() {
            Some(text) => _ = out.text(&text),
            None => out.refuse(cimxml::Unwritable::Mismatch(
                "a parameter".to_owned(),
                "char16".to_owned(),
            )),
        },
    }
}
