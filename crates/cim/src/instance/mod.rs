//! Instances: a class's name and properties with values, in the order in which they came.
//!
//! Nothing that a host sends is dropped: properties that nobody knows stay. Names are compared
//! without regard to case, as CIM does; they keep the case that they came with.

mod error;

pub use error::{PropertyError, PropertyProblem};

use crate::{FromScalar, IntoValue, Kind, ObjectPath, Value, cimxml};

/// An object of a class.
///
/// The same shape carries the parameters of a method, in and out; `class` is then the method's
/// name with `_INPUT` or `_OUTPUT`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Instance {
    /// The name of its actual class; empty where the wire did not tell it.
    pub class: String,
    /// The namespace that the class lives in, with slashes: `root/virtualization/v2`.
    pub namespace: Option<String>,
    /// The path by which the host knows it, when it was asked for.
    pub path: Option<ObjectPath>,
    properties: Vec<Property>,
}

/// A property: its name, its type when that is known, its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Property {
    /// The name, in the case that it came with.
    pub name: String,
    /// The declared type; `None` when the wire told none.
    pub kind: Option<Kind>,
    /// The value.
    pub value: Value,
}

impl Instance {
    /// An instance of a class without properties.
    pub fn new(class: impl Into<String>) -> Self {
        Self {
            class: class.into(),
            ..Self::default()
        }
    }

    /// The same with a property set.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl IntoValue) -> Self {
        self.set(name, value);
        self
    }

    /// Sets a property, in place of one with the same name.
    pub fn set<T: IntoValue>(&mut self, name: &str, value: T) {
        self.put(name, Some(T::KIND), value.into_value());
    }

    /// Sets a property to null.
    pub fn set_null(&mut self, name: &str, kind: Kind) {
        self.put(name, Some(kind), Value::Null);
    }

    /// Sets a string property to an instance embedded as CIM-XML, as Hyper-V's methods want it.
    pub fn set_embedded(&mut self, name: &str, object: &Self) -> Result<(), cimxml::Unwritable> {
        self.set(name, cimxml::write_instance(object)?);
        Ok(())
    }

    /// Sets a string array to instances embedded as CIM-XML.
    pub fn set_embedded_list(
        &mut self,
        name: &str,
        objects: &[Self],
    ) -> Result<(), cimxml::Unwritable> {
        let texts: Result<Vec<_>, _> = objects.iter().map(cimxml::write_instance).collect();
        self.set(name, texts?);
        Ok(())
    }

    /// Sets a property with a type known or not, in place of one with the same name.
    pub fn put(&mut self, name: &str, kind: Option<Kind>, value: Value) {
        let same = |p: &&mut Property| p.name.eq_ignore_ascii_case(name);
        match self.properties.iter_mut().find(same) {
            Some(property) => {
                property.kind = kind;
                property.value = value;
            }
            None => self.properties.push(Property {
                name: name.to_owned(),
                kind,
                value,
            }),
        }
    }

    /// Appends properties whose names are known to differ from all that are there.
    pub(crate) fn extend(&mut self, properties: Vec<Property>) {
        self.properties.extend(properties);
    }

    /// All properties in their order.
    pub fn properties(&self) -> &[Property] {
        &self.properties
    }

    /// Changes each property in place.
    pub(crate) fn properties_mut(&mut self) -> &mut Vec<Property> {
        &mut self.properties
    }

    /// A property by its name, in any case.
    pub fn property(&self, name: &str) -> Option<&Property> {
        self.properties
            .iter()
            .find(|p| p.name.eq_ignore_ascii_case(name))
    }

    /// Whether there is a property of this name, null or not.
    pub fn has(&self, name: &str) -> bool {
        self.property(name).is_some()
    }

    /// The value of a property that must be there and not be null.
    pub fn get<T: FromScalar>(&self, name: &str) -> Result<T, PropertyError> {
        let property = self
            .property(name)
            .ok_or_else(|| self.error(name, PropertyProblem::Missing))?;
        self.one(name, &property.value)?
            .ok_or_else(|| self.error(name, PropertyProblem::Null))
    }

    /// The value of a property, `None` when it is null or absent.
    pub fn get_opt<T: FromScalar>(&self, name: &str) -> Result<Option<T>, PropertyError> {
        match self.property(name) {
            Some(property) => self.one(name, &property.value),
            None => Ok(None),
        }
    }

    /// The elements of an array; none when it is null or absent, as the wire cannot always tell
    /// these from an empty array. A single value is an array of one.
    pub fn get_list<T: FromScalar>(&self, name: &str) -> Result<Vec<T>, PropertyError> {
        let elements = self.property(name).map_or(&[][..], |p| p.value.elements());
        let convert = |value| {
            T::from_scalar(value).map_err(|m| self.error(name, PropertyProblem::Mismatch(m)))
        };
        elements.iter().map(convert).collect()
    }

    fn one<T: FromScalar>(&self, name: &str, value: &Value) -> Result<Option<T>, PropertyError> {
        match value {
            Value::Null => Ok(None),
            Value::Scalar(one) => T::from_scalar(one)
                .map(Some)
                .map_err(|m| self.error(name, PropertyProblem::Mismatch(m))),
            Value::Array(all) => Err(self.error(name, PropertyProblem::Array(all.len()))),
        }
    }

    fn error(&self, property: &str, problem: PropertyProblem) -> PropertyError {
        PropertyError {
            class: self.class.clone(),
            property: property.to_owned(),
            problem,
        }
    }
}

impl Property {
    /// The declared type, or the one that the value itself tells.
    pub fn told_kind(&self) -> Option<Kind> {
        self.kind.or_else(|| match &self.value {
            Value::Null => None,
            Value::Scalar(one) => one.cim_type().map(Kind::of),
            Value::Array(all) => all.first().and_then(|one| one.cim_type()).map(Kind::array),
        })
    }
}

#[cfg(test)]
mod tests;
