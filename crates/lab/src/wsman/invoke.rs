//! The parameters of a method: read without types, then given those of its declaration.

use cim::class::Method;
use cim::{CimType, DateTime, Instance, Scalar, Value};
use roxmltree::Node;

use super::fault::Fault;
use super::request::{Input, shorten};
use super::xml::{content, elements, is, trimmed};
use super::{ns, reference};

/// Values that a call may have.
const MOST_VALUES: usize = 1 << 16;

/// Reads `METHOD_INPUT`. Elements are in the class' namespace and their names are exact.
pub(super) fn read(
    node: Node<'_, '_>,
    uri: &str,
    method: &str,
) -> Result<Vec<(String, Vec<Input>)>, Fault> {
    let wanted = format!("{method}_INPUT");
    let in_class = |node: Node<'_, '_>| {
        let namespace = node.tag_name().namespace().unwrap_or("");
        namespace.eq_ignore_ascii_case(uri)
    };
    if node.tag_name().name() != wanted || !in_class(node) {
        return Err(Fault::Schema(wanted));
    }
    let mut inputs: Vec<(String, Vec<Input>)> = Vec::new();
    for (count, child) in elements(node).enumerate() {
        let name = child.tag_name().name();
        if !in_class(child) || count >= MOST_VALUES {
            return Err(Fault::Schema(shorten(name)));
        }
        let value = input(child)?;
        // The elements of an array stand together.
        if let Some((last, values)) = inputs.last_mut()
            && last == name
        {
            values.push(value);
            continue;
        }
        if inputs.iter().any(|(known, _)| known == name) {
            return Err(Fault::Schema(shorten(name)));
        }
        inputs.push((name.to_owned(), vec![value]));
    }
    Ok(inputs)
}

fn input(node: Node<'_, '_>) -> Result<Input, Fault> {
    if matches!(node.attribute((ns::XSI, "nil")), Some("true" | "1")) {
        return Ok(Input::Nil);
    }
    let Some(first) = elements(node).next() else {
        return Ok(Input::Text(content(node)));
    };
    let name = first.tag_name().name();
    if first.tag_name().namespace() == Some(ns::CIM) {
        let time = DateTime::parse(&trimmed(first));
        let time = time.map_err(|_| Fault::Schema(shorten(name)))?;
        // What the element says must be what it holds.
        let fits = match (&time, name) {
            (DateTime::Timestamp(_), "Datetime") | (DateTime::Interval(_), "Interval") => true,
            (_, other) => other == "CIM_DateTime",
        };
        return match fits {
            true => Ok(Input::Time(time)),
            false => Err(Fault::Schema(shorten(name))),
        };
    }
    if is(first, ns::ADDRESSING, "Address") || is(first, ns::ADDRESSING, "ReferenceParameters") {
        return Ok(Input::Reference(reference::read(node)?));
    }
    Ok(Input::Elements)
}

/// Gives the inputs the types of the method. What is not a parameter, an output that is given, a
/// reference in a wrapper, an object as elements: the schema forbids it.
pub(super) fn typed(method: &Method, inputs: &[(String, Vec<Input>)]) -> Result<Instance, Fault> {
    let mut typed = Instance::new(format!("{}_INPUT", method.name));
    for (name, values) in inputs {
        let declared = method
            .parameters
            .iter()
            .find(|p| p.input && p.name == *name);
        let declared = declared.ok_or_else(|| Fault::Schema(shorten(name)))?;
        let kind = declared.kind;
        let value = match (values.as_slice(), kind.array) {
            ([Input::Nil], _) => Value::Null,
            ([one], false) => Value::Scalar(scalar(name, kind.base, one)?),
            (_, false) => return Err(Fault::Schema(shorten(name))),
            (all, true) => {
                let all = all.iter().map(|one| scalar(name, kind.base, one));
                Value::Array(all.collect::<Result<_, _>>()?)
            }
        };
        typed.put(name, Some(kind), value);
    }
    Ok(typed)
}

fn scalar(name: &str, base: CimType, input: &Input) -> Result<Scalar, Fault> {
    match (base, input) {
        (CimType::Reference, Input::Reference(path)) => Ok(Scalar::Reference(path.clone())),
        (CimType::DateTime, Input::Time(time)) => Ok(Scalar::DateTime(time.clone())),
        (CimType::Reference | CimType::Object | CimType::DateTime, _) => {
            Err(Fault::Schema(shorten(name)))
        }
        (base, Input::Text(text)) => {
            let value = Scalar::parse(
                base,
                match base {
                    CimType::String => text,
                    _ => text.trim(),
                },
            );
            value.ok_or_else(|| Fault::ParameterType(shorten(name)))
        }
        (_, Input::Nil | Input::Reference(_) | Input::Time(_) | Input::Elements) => {
            Err(Fault::Schema(shorten(name)))
        }
    }
}
