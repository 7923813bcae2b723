//! Object paths: how an object of a host is named.
//!
//! The same name is written in two ways. WMI's text, which settings hold as strings:
//! `\\HOST\root\virtualization\v2:Msvm_ComputerSystem.CreationClassName="…",Name="…"`. And
//! WS-Management's endpoint reference, a resource URI with selectors. In text a backslash within
//! quotes is doubled; in selectors it is not.

mod parse;
mod write;

pub use parse::BadPath;
pub use write::wql_literal;

/// Bytes that a path's text may have.
pub const MOST_BYTES: usize = 64 << 10;
/// Keys that a path may have.
pub const MOST_KEYS: usize = 64;

/// Hyper-V's namespace: what a path means that tells none.
pub const HYPER_V: &str = "root/virtualization/v2";

/// The path of an object, or without keys of a class.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct ObjectPath {
    /// The host's name, when the path tells it.
    pub host: Option<String>,
    /// The namespace with slashes, `root/virtualization/v2`, when the path tells it.
    pub namespace: Option<String>,
    /// The class.
    pub class: String,
    /// The keys in their order.
    pub keys: Vec<Key>,
    /// Whether this is the only object of a class without keys (`Class=@`).
    pub singleton: bool,
}

/// A key: its name and value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The property's name.
    pub name: String,
    /// Its value.
    pub value: KeyValue,
}

/// The value of a key. Endpoint references tell no types: their values are text or references.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum KeyValue {
    Text(String),
    Integer(i128),
    Boolean(bool),
    /// Another object, as associations have them; within WMI's text a string with a path.
    Reference(Box<ObjectPath>),
}

impl ObjectPath {
    /// The path of a class.
    pub fn new(namespace: &str, class: &str) -> Self {
        Self {
            namespace: Some(slashes(namespace)),
            class: class.to_owned(),
            ..Self::default()
        }
    }

    /// The same with a key of text added.
    #[must_use]
    pub fn with_key(mut self, name: &str, value: impl Into<String>) -> Self {
        self.keys.push(Key {
            name: name.to_owned(),
            value: KeyValue::Text(value.into()),
        });
        self
    }

    /// The namespace, or Hyper-V's if the path tells none.
    pub fn namespace_or_default(&self) -> &str {
        self.namespace.as_deref().unwrap_or(HYPER_V)
    }

    /// The text of a key, its name in any case.
    pub fn key(&self, name: &str) -> Option<String> {
        let key = self.keys.iter().find(|k| k.name.eq_ignore_ascii_case(name));
        key.map(|key| key.value.to_text())
    }

    /// Whether both name the same object, whatever host and namespace they tell: the same class
    /// and the same keys in any order, without regard to case, as WMI compares them.
    pub fn same_object(&self, other: &Self) -> bool {
        self.class.eq_ignore_ascii_case(&other.class)
            && self.keys.len() == other.keys.len()
            && self.keys.iter().all(|key| {
                let value = other.key(&key.name);
                value.is_some_and(|value| same_text(&value, &key.value.to_text()))
            })
    }
}

impl KeyValue {
    /// The value as a selector has it: plain text, without quotes and escapes.
    pub fn to_text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Integer(number) => number.to_string(),
            Self::Boolean(true) => "TRUE".to_owned(),
            Self::Boolean(false) => "FALSE".to_owned(),
            Self::Reference(path) => path.to_string(),
        }
    }
}

/// A namespace with slashes only.
pub(crate) fn slashes(namespace: &str) -> String {
    namespace.replace('\\', "/")
}

fn same_text(one: &str, other: &str) -> bool {
    one == other || one.to_lowercase() == other.to_lowercase()
}

#[cfg(test)]
mod tests;
