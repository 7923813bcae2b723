//! Endpoint references: object paths as WS-Management writes them.
//!
//! Within a parameter or a property the children stand directly in it; only as an item of an
//! enumeration or as the value of a key is there an `EndpointReference` around them. A host
//! refuses a wrapper where none belongs; from a host both are taken.

use roxmltree::Node;

use super::{ns, reply::ReplyError, uri};
use crate::path::MOST_KEYS;
use crate::xml::{Writer, child, elements, name_is, raw_text, text};
use crate::{Key, KeyValue, ObjectPath};

/// Writes the children of a reference; the prefixes `a` and `w` are declared around it.
pub fn write_epr(path: &ObjectPath) -> Result<String, crate::cimxml::Unwritable> {
    let mut out = Writer::default();
    write_children(&mut out, path);
    out.finish()
}

pub(super) fn write_children(out: &mut Writer, path: &ObjectPath) {
    out.leaf("a:Address", &[], ns::ANONYMOUS);
    out.open("a:ReferenceParameters");
    out.leaf(
        "w:ResourceURI",
        &[],
        &uri::class_uri(path.namespace_or_default(), &path.class),
    );
    write_selectors(out, &path.keys);
    out.close();
}

/// `SelectorSet`, or nothing where there are no keys.
pub(super) fn write_selectors(out: &mut Writer, keys: &[Key]) {
    if keys.is_empty() {
        return;
    }
    out.open("w:SelectorSet");
    for key in keys {
        out.open_with("w:Selector", &[("Name", &key.name)]);
        match &key.value {
            KeyValue::Reference(target) => {
                out.open("a:EndpointReference");
                write_children(out, target);
                out.close();
            }
            other => _ = out.text(&other.to_text()),
        }
        out.close();
    }
    out.close();
}

/// Whether an element's children are a reference's, with or without a wrapper.
pub(super) fn is_epr(node: Node<'_, '_>) -> bool {
    elements(node).next().is_some_and(|first| {
        name_is(first, ns::ADDRESSING, "Address")
            || name_is(first, ns::ADDRESSING, "ReferenceParameters")
            || name_is(first, ns::ADDRESSING, "EndpointReference")
    })
}

/// Reads the reference that an element is or holds. Recursion ends with the document's depth.
pub(super) fn read_node(node: Node<'_, '_>) -> Result<ObjectPath, ReplyError> {
    let node = child(node, ns::ADDRESSING, "EndpointReference").unwrap_or(node);
    let odd = |problem| ReplyError::shape("EndpointReference", problem);
    let parameters = child(node, ns::ADDRESSING, "ReferenceParameters")
        .ok_or_else(|| odd("has no ReferenceParameters"))?;
    let resource = child(parameters, ns::WSMAN, "ResourceURI")
        .map(text)
        .ok_or_else(|| odd("has no ResourceURI"))?;
    let (namespace, class) =
        uri::split_class_uri(&resource).ok_or_else(|| odd("has a ResourceURI that is no class"))?;
    let mut path = ObjectPath {
        namespace,
        class,
        ..ObjectPath::default()
    };
    let selectors = child(parameters, ns::WSMAN, "SelectorSet");
    let selectors = selectors.into_iter().flat_map(elements);
    for selector in selectors.filter(|n| name_is(*n, ns::WSMAN, "Selector")) {
        let name = selector.attribute("Name").filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| odd("has a selector without a name"))?;
        // DMTF's form tells the namespace like this.
        if name.eq_ignore_ascii_case("__cimnamespace") {
            path.namespace = Some(crate::path::slashes(&text(selector)));
            continue;
        }
        if path.keys.len() >= MOST_KEYS {
            return Err(odd("has too many selectors"));
        }
        let value = if is_epr(selector) {
            KeyValue::Reference(Box::new(read_node(selector)?))
        } else {
            KeyValue::Text(raw_text(selector))
        };
        path.keys.push(Key {
            name: name.to_owned(),
            value,
        });
    }
    Ok(path)
}

/// Reads an `EndpointReference` that is a document of its own.
pub fn read_epr(bytes: &[u8]) -> Result<ObjectPath, ReplyError> {
    crate::xml::parse(bytes, read_node)
}
