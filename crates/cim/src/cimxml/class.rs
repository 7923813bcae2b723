//! Classes from CIM-XML: what properties and methods this host's version has.
//!
//! Hosts differ by version. Asking the class is how a property or method is known to be there,
//! and how an instance gets the types that WS-Management leaves out.

use std::collections::HashSet;

use roxmltree::Node;

use super::read::{attribute, expect_root, odd, property};
use super::{CimXmlError, MOST_PROPERTIES};
use crate::class::{Class, ClassProperty, Method, Parameter};
use crate::value::Kind;
use crate::xml::{self, elements, raw_text};
use crate::{CimType, Scalar};

type Result<T> = std::result::Result<T, CimXmlError>;

/// Reads the text of one `CLASS`.
pub fn read_class(text: &str) -> Result<Class> {
    xml::parse(text.trim_start().as_bytes(), |root| {
        expect_root(root, "CLASS")?;
        read_class_element(root)
    })
}

/// Reads a `CLASS` element within another document.
pub(crate) fn read_class_element(node: Node<'_, '_>) -> Result<Class> {
    let mut class = Class {
        name: attribute(node, "NAME")?.to_owned(),
        superclass: node.attribute("SUPERCLASS").map(str::to_owned),
        ..Class::default()
    };
    let mut seen = HashSet::new();
    for child in elements(node) {
        let local = child.tag_name().name();
        if local == "QUALIFIER" {
            continue;
        }
        if class.properties.len() + class.methods.len() >= MOST_PROPERTIES {
            return Err(CimXmlError::TooMany("properties and methods"));
        }
        let name = attribute(child, "NAME")?.to_ascii_lowercase();
        if !seen.insert((local == "METHOD", name)) {
            return Err(odd(child, "is there twice"));
        }
        if local == "METHOD" {
            class.methods.push(method(child)?);
        } else {
            let property = property(child, &class.name, 1)?;
            let Some(kind) = property.kind else { continue };
            class.properties.push(ClassProperty {
                kind,
                key: flag(child, "key"),
                embeds: embeds(child),
                name: property.name,
            });
        }
    }
    Ok(class)
}

fn method(node: Node<'_, '_>) -> Result<Method> {
    let mut parameters = Vec::new();
    for child in elements(node) {
        let kind = match child.tag_name().name() {
            "QUALIFIER" => continue,
            "PARAMETER" => Kind::of(parameter_type(child)?),
            "PARAMETER.ARRAY" => Kind::array(parameter_type(child)?),
            "PARAMETER.REFERENCE" => Kind::of(CimType::Reference),
            "PARAMETER.REFARRAY" => Kind::array(CimType::Reference),
            "PARAMETER.OBJECT" => Kind::of(CimType::Object),
            "PARAMETER.OBJECTARRAY" => Kind::array(CimType::Object),
            _ => return Err(odd(child, "is no parameter")),
        };
        if parameters.len() >= MOST_PROPERTIES {
            return Err(CimXmlError::TooMany("parameters"));
        }
        parameters.push(Parameter {
            name: attribute(child, "NAME")?.to_owned(),
            kind,
            input: flag(child, "in"),
            output: flag(child, "out"),
            embeds: embeds(child),
        });
    }
    Ok(Method {
        name: attribute(node, "NAME")?.to_owned(),
        parameters,
    })
}

fn parameter_type(node: Node<'_, '_>) -> Result<CimType> {
    let told = CimType::from_name(attribute(node, "TYPE")?);
    told.ok_or_else(|| odd(node, "has an unknown type"))
}

/// The text of a qualifier of an element, its name in any case.
fn qualifier(node: Node<'_, '_>, name: &str) -> Option<String> {
    let mut qualifiers = elements(node).filter(|n| n.has_tag_name("QUALIFIER"));
    let found = qualifiers.find(|n| {
        let told = n.attribute("NAME");
        told.is_some_and(|told| told.eq_ignore_ascii_case(name))
    })?;
    elements(found)
        .find(|n| n.has_tag_name("VALUE"))
        .map(raw_text)
}

fn flag(node: Node<'_, '_>, name: &str) -> bool {
    let text = qualifier(node, name);
    let value = text.and_then(|text| Scalar::parse(CimType::Boolean, text.trim()));
    value == Some(Scalar::Boolean(true))
}

/// The class that a string embeds; empty when it may be any.
fn embeds(node: Node<'_, '_>) -> Option<String> {
    qualifier(node, "EmbeddedInstance").or_else(|| flag(node, "EmbeddedObject").then(String::new))
}
