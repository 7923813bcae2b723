//! Understanding what a method was given.

use cim::{FromScalar, Instance, ObjectPath};

use crate::schema::{HYPER_V, Schema};
use crate::state::Refusal;

/// An input that must be there.
pub(super) fn needed<T: FromScalar>(inputs: &Instance, name: &str) -> Result<T, Refusal> {
    optional(inputs, name)?.ok_or(Refusal::INVALID_PARAMETER)
}

/// An input that may be null or left out.
pub(super) fn optional<T: FromScalar>(inputs: &Instance, name: &str) -> Result<Option<T>, Refusal> {
    inputs.get_opt(name).map_err(|_| Refusal::INCORRECT_TYPE)
}

/// A reference that must be there.
pub(super) fn reference(inputs: &Instance, name: &str) -> Result<ObjectPath, Refusal> {
    needed(inputs, name)
}

/// An instance embedded as CIM-XML; `None` when there is no text.
///
/// Its class must be the one that is wanted or a subclass, its properties the class', of the
/// class' types: a scalar in place of an array is an incorrect data type.
pub(super) fn embedded(
    inputs: &Instance,
    name: &str,
    wanted: &str,
) -> Result<Option<Instance>, Refusal> {
    let text: String = match optional(inputs, name)? {
        Some(text) => text,
        None => return Ok(None),
    };
    match text.trim().is_empty() {
        true => Ok(None),
        false => of_class(&text, wanted).map(Some),
    }
}

/// The same of a list.
pub(super) fn embedded_list(
    inputs: &Instance,
    name: &str,
    wanted: &str,
) -> Result<Vec<Instance>, Refusal> {
    let texts: Vec<String> = inputs.get_list(name).map_err(|_| Refusal::INCORRECT_TYPE)?;
    texts.iter().map(|text| of_class(text, wanted)).collect()
}

fn of_class(text: &str, wanted: &str) -> Result<Instance, Refusal> {
    let given = cim::cimxml::read_instance(text).map_err(|_| Refusal::INVALID_PARAMETER)?;
    let schema = Schema::of(HYPER_V).ok_or(Refusal::FAILED)?;
    let class = schema
        .class(&given.class)
        .filter(|class| schema.is_a(&class.name, wanted));
    let class = class.ok_or(Refusal::INVALID_PARAMETER)?;
    for property in given.properties() {
        // Windows' own texts tell of the object too.
        if property.name.starts_with("__") {
            continue;
        }
        let declared = class
            .property(&property.name)
            .ok_or(Refusal::INVALID_PARAMETER)?;
        if property
            .told_kind()
            .is_some_and(|kind| kind != declared.kind)
        {
            return Err(Refusal::INCORRECT_TYPE);
        }
    }
    Ok(given)
}
