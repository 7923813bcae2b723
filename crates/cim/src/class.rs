//! Classes: what a host says that its objects of a name have.

use crate::instance::{PropertyError, PropertyProblem};
use crate::{
    CimType, Instance, Key, KeyValue, Kind, Mismatch, ObjectPath, Property, Scalar, Value,
};

/// The definition of a class on one host.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// The namespace with slashes, as it was asked for.
    pub namespace: Option<String>,
    /// The class that it specialises.
    pub superclass: Option<String>,
    /// Its properties, inherited ones among them.
    pub properties: Vec<ClassProperty>,
    /// Its methods.
    pub methods: Vec<Method>,
}

/// A property of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassProperty {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: Kind,
    /// Whether it belongs to the object's name.
    pub key: bool,
    /// For a string that holds an embedded instance: the class of that, or empty for any.
    pub embeds: Option<String>,
}

/// A method of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method {
    /// Its name.
    pub name: String,
    /// Its parameters in their order.
    pub parameters: Vec<Parameter>,
}

/// A parameter of a method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: Kind,
    /// Whether it is given.
    pub input: bool,
    /// Whether it is returned.
    pub output: bool,
    /// For a string that holds an embedded instance: the class of that, or empty for any.
    pub embeds: Option<String>,
}

impl Class {
    /// A property by its name, in any case.
    pub fn property(&self, name: &str) -> Option<&ClassProperty> {
        let same = |p: &&ClassProperty| p.name.eq_ignore_ascii_case(name);
        self.properties.iter().find(same)
    }

    /// A method by its name, in any case.
    pub fn method(&self, name: &str) -> Option<&Method> {
        let same = |m: &&Method| m.name.eq_ignore_ascii_case(name);
        self.methods.iter().find(same)
    }

    /// Gives an instance that came without types the types of its class, so that it can be
    /// written as CIM-XML: text becomes values, and a single value an array where one belongs.
    ///
    /// Properties that the class does not have stay as they are. What does not fit is an error.
    pub fn conform(&self, mut instance: Instance) -> Result<Instance, PropertyError> {
        for property in instance.properties_mut() {
            let Some(declared) = self.property(&property.name) else {
                continue;
            };
            let value = std::mem::take(&mut property.value);
            property.value = conform(declared.kind, value).map_err(|problem| PropertyError {
                class: self.name.clone(),
                property: property.name.clone(),
                problem,
            })?;
            property.kind = Some(declared.kind);
        }
        Ok(instance)
    }

    /// The path of an instance of this class, from the values of its keys.
    pub fn path_of(&self, instance: &Instance) -> Result<ObjectPath, PropertyError> {
        let mut path = ObjectPath {
            namespace: self.namespace.clone(),
            class: self.name.clone(),
            ..ObjectPath::default()
        };
        for declared in self.properties.iter().filter(|p| p.key) {
            let value = match declared.kind.base {
                CimType::Boolean => KeyValue::Boolean(instance.get(&declared.name)?),
                CimType::Reference => KeyValue::Reference(Box::new(instance.get(&declared.name)?)),
                base if is_integer(base) => KeyValue::Integer(integer(instance, &declared.name)?),
                _ => KeyValue::Text(instance.get(&declared.name)?),
            };
            path.keys.push(Key {
                name: declared.name.clone(),
                value,
            });
        }
        path.singleton = path.keys.is_empty();
        Ok(path)
    }
}

fn is_integer(base: CimType) -> bool {
    use CimType::{Sint8, Sint16, Sint32, Sint64, Uint8, Uint16, Uint32, Uint64};
    matches!(
        base,
        Sint8 | Sint16 | Sint32 | Sint64 | Uint8 | Uint16 | Uint32 | Uint64
    )
}

fn integer(instance: &Instance, name: &str) -> Result<i128, PropertyError> {
    match instance.get::<i64>(name) {
        Ok(number) => Ok(i128::from(number)),
        Err(_) => instance.get::<u64>(name).map(i128::from),
    }
}

fn conform(kind: Kind, value: Value) -> Result<Value, PropertyProblem> {
    let typed = |one: Scalar| match one {
        Scalar::Untyped(text) => match Scalar::parse(kind.base, &text) {
            Some(typed) => Ok(typed),
            None => {
                let found = Scalar::Untyped(text);
                Err(PropertyProblem::Mismatch(Mismatch::new(
                    kind.base.name(),
                    &found,
                )))
            }
        },
        other if other.cim_type() == Some(kind.base) => Ok(other),
        other => Err(PropertyProblem::Mismatch(Mismatch::new(
            kind.base.name(),
            &other,
        ))),
    };
    Ok(match (value, kind.array) {
        (Value::Null, _) => Value::Null,
        (Value::Scalar(one), false) => Value::Scalar(typed(one)?),
        (Value::Scalar(one), true) => Value::Array(vec![typed(one)?]),
        (Value::Array(all), true) => {
            Value::Array(all.into_iter().map(typed).collect::<Result<_, _>>()?)
        }
        (Value::Array(all), false) => return Err(PropertyProblem::Array(all.len())),
    })
}

impl From<&ClassProperty> for Property {
    /// The property with the value null.
    fn from(declared: &ClassProperty) -> Self {
        Self {
            name: declared.name.clone(),
            kind: Some(declared.kind),
            value: Value::Null,
        }
    }
}
