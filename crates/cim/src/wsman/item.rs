//! Objects as WS-CIM writes them (DSP0230): elements of the class' namespace.
//!
//! The wire tells no types. Text stays text; date and time, references and objects within are
//! told by their elements. Elements of one name in a row are an array.

use std::collections::HashSet;

use roxmltree::Node;

use super::reply::ReplyError;
use super::{epr, ns, uri};
use crate::cimxml::MOST_PROPERTIES;
use crate::xml::{child, elements, name_is, raw_text, text};
use crate::{DateTime, Instance, ObjectPath, Property, Scalar, Value};

/// One item of an enumeration.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Item {
    /// An object, with its path when both were asked for.
    Instance(Instance),
    /// Only a path.
    Path(ObjectPath),
}

pub(super) fn read(node: Node<'_, '_>) -> Result<Item, ReplyError> {
    if name_is(node, ns::ADDRESSING, "EndpointReference") {
        return Ok(Item::Path(epr::read_node(node)?));
    }
    if !name_is(node, ns::WSMAN, "Item") {
        return Ok(Item::Instance(instance(node)?));
    }
    let is_path = |n: &Node<'_, '_>| name_is(*n, ns::ADDRESSING, "EndpointReference");
    let object = elements(node).find(|n| !is_path(n));
    let object = object.ok_or_else(|| ReplyError::shape("Item", "holds no object"))?;
    let mut instance = instance(object)?;
    if let Some(path) = child(node, ns::ADDRESSING, "EndpointReference") {
        instance.path = Some(epr::read_node(path)?);
    }
    Ok(Item::Instance(instance))
}

/// An object. The element is named after its actual class; a query for some properties only gets
/// a fragment, whose class is not told.
pub(super) fn instance(node: Node<'_, '_>) -> Result<Instance, ReplyError> {
    let mut instance = Instance::default();
    if !name_is(node, ns::WSMAN, "XmlFragment") {
        instance.class = node.tag_name().name().to_owned();
        let told = node.tag_name().namespace().and_then(uri::split_class_uri);
        instance.namespace = told.and_then(|(namespace, _)| namespace);
    }
    fill(&mut instance, node)?;
    Ok(instance)
}

fn fill(instance: &mut Instance, node: Node<'_, '_>) -> Result<(), ReplyError> {
    let mut properties: Vec<Property> = Vec::new();
    let mut seen = HashSet::new();
    for element in elements(node) {
        let name = element.tag_name().name();
        let value = if is_nil(element) {
            None
        } else {
            Some(scalar(element)?)
        };
        let last = properties.last_mut().filter(|last| last.name == name);
        if let Some(last) = last {
            let value = value.unwrap_or_else(nothing);
            last.value = match std::mem::take(&mut last.value) {
                Value::Array(mut all) => {
                    all.push(value);
                    Value::Array(all)
                }
                Value::Null => Value::Array(vec![nothing(), value]),
                Value::Scalar(first) => Value::Array(vec![first, value]),
            };
            continue;
        }
        if !seen.insert(name.to_ascii_lowercase()) {
            return Err(ReplyError::shape(name, "is there twice"));
        }
        if properties.len() >= MOST_PROPERTIES {
            let class = instance.class.clone();
            return Err(ReplyError::shape(&class, "has too many properties"));
        }
        properties.push(Property {
            name: name.to_owned(),
            kind: None,
            value: value.map_or(Value::Null, Value::Scalar),
        });
    }
    instance.extend(properties);
    Ok(())
}

/// A null within an array, which CIM does not have: empty text, so that the others keep their
/// places, and whoever wants a number there is told that it is none.
fn nothing() -> Scalar {
    Scalar::Untyped(String::new())
}

pub(super) fn is_nil(node: Node<'_, '_>) -> bool {
    matches!(node.attribute((ns::XSI, "nil")), Some("true" | "1"))
}

/// Recursion ends with the document's depth.
fn scalar(node: Node<'_, '_>) -> Result<Scalar, ReplyError> {
    let Some(first) = elements(node).next() else {
        return Ok(Scalar::Untyped(raw_text(node)));
    };
    if epr::is_epr(node) {
        return Ok(Scalar::Reference(epr::read_node(node)?));
    }
    let alone = elements(node).count() == 1;
    // Within fragments the elements of date and time have no namespace.
    let ours = matches!(first.tag_name().namespace(), None | Some(ns::CIM));
    let is_time = matches!(
        first.tag_name().name(),
        "Datetime" | "Interval" | "CIM_DateTime"
    );
    if alone && ours && is_time {
        // One that is none is told to whoever wants it, and costs nobody the rest of the host.
        let text = text(first);
        return Ok(match DateTime::parse(&text) {
            Ok(value) => Scalar::DateTime(value),
            Err(_) => Scalar::Untyped(text),
        });
    }
    let mut object = Instance::default();
    if let Some((namespace, class)) = told_type(node) {
        object.namespace = namespace;
        object.class = class;
    }
    fill(&mut object, node)?;
    Ok(Scalar::Object(Box::new(object)))
}

/// The class of an object within, from `xsi:type="q:Class_Type"`, else from the namespace of its
/// properties. Neither may be there; then the class stays empty.
fn told_type(node: Node<'_, '_>) -> Option<(Option<String>, String)> {
    if let Some(told) = node.attribute((ns::XSI, "type")) {
        let (prefix, local) = told.split_once(':').unwrap_or(("", told));
        let class = local.strip_suffix("_Type").unwrap_or(local);
        let prefix = Some(prefix).filter(|prefix| !prefix.is_empty());
        let namespace = node.lookup_namespace_uri(prefix);
        let namespace = namespace.and_then(uri::split_class_uri);
        return Some((namespace.and_then(|(n, _)| n), class.to_owned()));
    }
    let first = elements(node).next()?;
    uri::split_class_uri(first.tag_name().namespace()?)
}
