//! Instances from CIM-XML, in the dialects of DSP0201 and of WMI.
//!
//! Qualifiers and attributes about a property's origin are skipped; a property that occurs twice,
//! a value that is not of its type, or an element of another name where a value belongs is an
//! error: settings that are understood by half must not be written back.

use std::collections::HashSet;

use roxmltree::Node;

use super::{CimXmlError, MOST_DEPTH, MOST_PROPERTIES};
use crate::value::shorten;
use crate::xml::{self, elements, raw_text};
use crate::{CimType, Instance, Key, KeyValue, Kind, ObjectPath, Property, Scalar, Value};

type Result<T> = std::result::Result<T, CimXmlError>;

/// Reads the text of one `INSTANCE`.
pub fn read_instance(text: &str) -> Result<Instance> {
    document(text, 1)
}

fn document(text: &str, depth: usize) -> Result<Instance> {
    xml::parse(text.trim_start().as_bytes(), |root| {
        expect_root(root, "INSTANCE")?;
        instance(root, depth)
    })
}

pub(super) fn expect_root(root: Node<'_, '_>, wanted: &'static str) -> Result<()> {
    if root.has_tag_name(wanted) {
        return Ok(());
    }
    Err(CimXmlError::Root {
        found: shorten(root.tag_name().name()),
        wanted,
    })
}

fn instance(node: Node<'_, '_>, depth: usize) -> Result<Instance> {
    if depth > MOST_DEPTH {
        return Err(CimXmlError::TooMany("nested objects"));
    }
    let mut instance = Instance::new(attribute(node, "CLASSNAME")?);
    let mut properties = Vec::new();
    let mut seen = HashSet::new();
    for child in elements(node) {
        if child.has_tag_name("QUALIFIER") {
            continue;
        }
        let property = property(child, &instance.class, depth)?;
        if !seen.insert(property.name.to_ascii_lowercase()) {
            return Err(odd(child, "is there twice"));
        }
        if properties.len() >= MOST_PROPERTIES {
            return Err(CimXmlError::TooMany("properties"));
        }
        properties.push(property);
    }
    instance.extend(properties);
    Ok(instance)
}

/// A property with its type and value. Also what the definition of a class has.
pub(super) fn property(node: Node<'_, '_>, class: &str, depth: usize) -> Result<Property> {
    let name = attribute(node, "NAME")?.to_owned();
    let array = matches!(
        node.tag_name().name(),
        "PROPERTY.ARRAY" | "PROPERTY.OBJECTARRAY"
    );
    let (base, value) = match node.tag_name().name() {
        "PROPERTY" | "PROPERTY.ARRAY" => {
            let told = attribute(node, "TYPE")?;
            let base = CimType::from_name(told).ok_or_else(|| odd(node, "has an unknown type"))?;
            if matches!(base, CimType::Reference | CimType::Object) {
                return Err(odd(node, "has a type that is not for it"));
            }
            let embeds = node
                .attribute("EmbeddedObject")
                .or_else(|| node.attribute("EMBEDDEDOBJECT"))
                .is_some();
            let base = if embeds { CimType::Object } else { base };
            let one = |text: String| scalar(base, &text, class, &name, depth);
            (base, plain(node, array, one)?)
        }
        "PROPERTY.REFERENCE" => {
            let value = match value_child(node, "VALUE.REFERENCE")? {
                Some(value) => Value::Scalar(Scalar::Reference(reference(value, 1)?)),
                None => Value::Null,
            };
            (CimType::Reference, value)
        }
        "PROPERTY.OBJECT" => {
            let value = match value_child(node, "VALUE.OBJECT")? {
                Some(value) => Value::Scalar(object(value, depth)?),
                None => Value::Null,
            };
            (CimType::Object, value)
        }
        "PROPERTY.OBJECTARRAY" => {
            let value = match value_child(node, "VALUE.OBJECTARRAY")? {
                Some(list) => {
                    let each = elements(list).map(|value| object(value, depth));
                    Value::Array(each.collect::<Result<_>>()?)
                }
                None => Value::Null,
            };
            (CimType::Object, value)
        }
        _ => return Err(odd(node, "is no property")),
    };
    Ok(Property {
        name,
        kind: Some(Kind { base, array }),
        value,
    })
}

/// `VALUE`, or `VALUE.ARRAY` of them, or neither for null.
fn plain(node: Node<'_, '_>, array: bool, one: impl Fn(String) -> Result<Scalar>) -> Result<Value> {
    if !array {
        let value = value_child(node, "VALUE")?;
        return Ok(match value {
            Some(value) => Value::Scalar(one(raw_text(value))?),
            None => Value::Null,
        });
    }
    let Some(list) = value_child(node, "VALUE.ARRAY")? else {
        return Ok(Value::Null);
    };
    let each = elements(list).map(|value| {
        if !value.has_tag_name("VALUE") {
            return Err(odd(value, "is no element of an array"));
        }
        one(raw_text(value))
    });
    Ok(Value::Array(each.collect::<Result<_>>()?))
}

fn scalar(base: CimType, text: &str, class: &str, property: &str, depth: usize) -> Result<Scalar> {
    if base == CimType::Object {
        return Ok(Scalar::Object(Box::new(document(text, depth + 1)?)));
    }
    Scalar::parse(base, text).ok_or_else(|| CimXmlError::Value {
        class: class.to_owned(),
        property: property.to_owned(),
        wanted: base.name(),
        found: format!("{:?}", shorten(text)),
    })
}

fn object(node: Node<'_, '_>, depth: usize) -> Result<Scalar> {
    let inner = elements(node).next().filter(|n| n.has_tag_name("INSTANCE"));
    let inner = inner.ok_or_else(|| odd(node, "has no INSTANCE"))?;
    Ok(Scalar::Object(Box::new(instance(inner, depth + 1)?)))
}

/// `VALUE.REFERENCE` in each of its forms, WMI's plain text among them.
fn reference(node: Node<'_, '_>, depth: usize) -> Result<ObjectPath> {
    if depth > MOST_DEPTH {
        return Err(CimXmlError::TooMany("nested references"));
    }
    let Some(form) = elements(node).next() else {
        let text = raw_text(node);
        return text.parse().map_err(|_| odd(node, "is no object path"));
    };
    let mut path = match form.tag_name().name() {
        "INSTANCENAME" | "CLASSNAME" => ObjectPath::default(),
        "INSTANCEPATH" | "LOCALINSTANCEPATH" | "CLASSPATH" | "LOCALCLASSPATH" => {
            let namespaces = form.descendants().filter(|n| n.has_tag_name("NAMESPACE"));
            let parts = namespaces.map(|n| attribute(n, "NAME"));
            let namespace = parts.collect::<Result<Vec<_>>>()?.join("/");
            if namespace.split('/').any(str::is_empty) {
                return Err(odd(form, "has no proper namespace"));
            }
            let host = form.descendants().find(|n| n.has_tag_name("HOST"));
            ObjectPath {
                host: host.map(xml::text),
                namespace: Some(namespace),
                ..ObjectPath::default()
            }
        }
        _ => return Err(odd(form, "is no reference")),
    };
    let is_name = |n: &Node<'_, '_>| matches!(n.tag_name().name(), "INSTANCENAME" | "CLASSNAME");
    let name = std::iter::once(form).chain(elements(form)).find(is_name);
    let name = name.ok_or_else(|| odd(form, "names no instance"))?;
    if name.has_tag_name("CLASSNAME") {
        attribute(name, "NAME")?.clone_into(&mut path.class);
        return Ok(path);
    }
    attribute(name, "CLASSNAME")?.clone_into(&mut path.class);
    for binding in elements(name).filter(|n| n.has_tag_name("KEYBINDING")) {
        if path.keys.len() >= crate::path::MOST_KEYS {
            return Err(CimXmlError::TooMany("keys"));
        }
        path.keys.push(Key {
            name: attribute(binding, "NAME")?.to_owned(),
            value: key_value(binding, depth)?,
        });
    }
    Ok(path)
}

fn key_value(binding: Node<'_, '_>, depth: usize) -> Result<KeyValue> {
    let value = elements(binding).next();
    let value = value.ok_or_else(|| odd(binding, "has no value"))?;
    if value.has_tag_name("VALUE.REFERENCE") {
        return Ok(KeyValue::Reference(Box::new(reference(value, depth + 1)?)));
    }
    if !value.has_tag_name("KEYVALUE") {
        return Err(odd(value, "is no value of a key"));
    }
    let text = raw_text(value);
    let typed = match value.attribute("VALUETYPE").unwrap_or("string") {
        "boolean" => match Scalar::parse(CimType::Boolean, &text) {
            Some(Scalar::Boolean(flag)) => Some(KeyValue::Boolean(flag)),
            _ => None,
        },
        "numeric" => text.trim().parse().ok().map(KeyValue::Integer),
        _ => Some(KeyValue::Text(text)),
    };
    typed.ok_or_else(|| odd(value, "is not of its type"))
}

/// The one child of this name, if there is one; qualifiers aside, there may be no other.
fn value_child<'a, 'i>(node: Node<'a, 'i>, wanted: &str) -> Result<Option<Node<'a, 'i>>> {
    let mut found = None;
    for child in elements(node).filter(|n| !n.has_tag_name("QUALIFIER")) {
        if !child.has_tag_name(wanted) || found.is_some() {
            return Err(odd(node, "has a value of another form"));
        }
        found = Some(child);
    }
    Ok(found)
}

pub(super) fn attribute<'a>(node: Node<'a, '_>, name: &str) -> Result<&'a str> {
    let value = node.attribute(name).filter(|value| !value.is_empty());
    value.ok_or_else(|| odd(node, "lacks a name, class name or type"))
}

pub(super) fn odd(node: Node<'_, '_>, problem: &'static str) -> CimXmlError {
    let element = match node.attribute("NAME") {
        Some(name) => format!("<{} NAME={:?}>", node.tag_name().name(), shorten(name)),
        None => format!("<{}>", node.tag_name().name()),
    };
    CimXmlError::Element { element, problem }
}
