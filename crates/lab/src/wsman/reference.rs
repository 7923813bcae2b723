//! Endpoint references: a resource URI with selectors, read and written.

use cim::{Key, KeyValue, ObjectPath};
use roxmltree::Node;

use super::ns;
use super::xml::{below, content, elements, escape, is, trimmed};

/// Selectors of one object.
const MOST_SELECTORS: usize = 64;

/// What is wrong with a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadReference {
    /// Its elements are not as they must be.
    Shape,
    /// Its URI names no class of WMI.
    Uri,
    /// It has a selector without a name, one twice, or too many.
    Selectors,
}

/// Splits the URI of a class of WMI into namespace and class; `*` is a class here.
pub(super) fn class_of(uri: &str) -> Option<(String, String)> {
    let start = uri.get(..ns::WMI.len())?;
    if !start.eq_ignore_ascii_case(ns::WMI) {
        return None;
    }
    let (namespace, class) = uri.get(ns::WMI.len()..)?.rsplit_once('/')?;
    let proper = |c: char| c == '_' || c.is_ascii_alphanumeric();
    let good =
        !namespace.is_empty() && (class == "*" || !class.is_empty() && class.chars().all(proper));
    good.then(|| (namespace.to_owned(), class.to_owned()))
}

/// The URI of a class.
pub(super) fn uri(namespace: &str, class: &str) -> String {
    format!("{}{namespace}/{class}", ns::WMI)
}

/// Reads the children of an endpoint reference: address, reference parameters.
pub(super) fn read(node: Node<'_, '_>) -> Result<ObjectPath, BadReference> {
    let known = |n: &Node<'_, '_>| {
        is(*n, ns::ADDRESSING, "Address") || is(*n, ns::ADDRESSING, "ReferenceParameters")
    };
    if !elements(node).all(|n| known(&n)) {
        return Err(BadReference::Shape);
    }
    let parameters =
        below(node, ns::ADDRESSING, "ReferenceParameters").ok_or(BadReference::Shape)?;
    let resource = below(parameters, ns::WSMAN, "ResourceURI").ok_or(BadReference::Shape)?;
    let (namespace, class) = class_of(&trimmed(resource)).ok_or(BadReference::Uri)?;
    let mut path = ObjectPath::new(&namespace, &class);
    if let Some(set) = below(parameters, ns::WSMAN, "SelectorSet") {
        path.keys = selectors(set)?;
    }
    Ok(path)
}

/// Reads a set of selectors.
pub(super) fn selectors(set: Node<'_, '_>) -> Result<Vec<Key>, BadReference> {
    let mut keys: Vec<Key> = Vec::new();
    for node in elements(set) {
        let name = node.attribute("Name").filter(|name| !name.is_empty());
        let (true, Some(name)) = (is(node, ns::WSMAN, "Selector"), name) else {
            return Err(BadReference::Selectors);
        };
        let twice = keys.iter().any(|key| key.name.eq_ignore_ascii_case(name));
        if twice || keys.len() >= MOST_SELECTORS {
            return Err(BadReference::Selectors);
        }
        let value = match below(node, ns::ADDRESSING, "EndpointReference") {
            // As deep as the document at the most.
            Some(inner) => KeyValue::Reference(Box::new(read(inner)?)),
            None if elements(node).next().is_none() => KeyValue::Text(content(node)),
            None => return Err(BadReference::Selectors),
        };
        keys.push(Key {
            name: name.to_owned(),
            value,
        });
    }
    Ok(keys)
}

/// Writes the children of an endpoint reference. The prefixes `a` and `w` are the caller's.
pub(super) fn write(out: &mut String, path: &ObjectPath) {
    let resource = uri(path.namespace_or_default(), &path.class);
    out.push_str(&format!(
        "<a:Address>{}</a:Address><a:ReferenceParameters><w:ResourceURI>{}</w:ResourceURI><w:SelectorSet>",
        ns::ANONYMOUS,
        escape(&resource)
    ));
    for key in &path.keys {
        out.push_str(&format!("<w:Selector Name=\"{}\">", escape(&key.name)));
        match &key.value {
            KeyValue::Reference(inner) => {
                out.push_str("<a:EndpointReference>");
                write(out, inner);
                out.push_str("</a:EndpointReference>");
            }
            other => out.push_str(&escape(&other.to_text())),
        }
        out.push_str("</w:Selector>");
    }
    out.push_str("</w:SelectorSet></a:ReferenceParameters>");
}
