//! Following associations from one object to others.

use cim::{Instance, KeyValue, ObjectPath};

use super::wql::Related;
use super::{Repository, Result};
use crate::schema::Schema;

impl Repository {
    /// The objects that are associated with one.
    pub fn associators(&mut self, schema: &Schema, wanted: &Related) -> Result<Vec<Instance>> {
        let association = wanted.association.as_deref();
        let role = wanted.role.as_deref();
        let mut found: Vec<Instance> = Vec::new();
        for (_, ends, at) in self.around(schema, &wanted.of, association, role)? {
            for (other, (name, path)) in ends.iter().enumerate() {
                let by_role = wanted.result_role.as_deref();
                if other == at || by_role.is_some_and(|role| !role.eq_ignore_ascii_case(name)) {
                    continue;
                }
                if wanted
                    .result
                    .as_deref()
                    .is_some_and(|class| !schema.is_a(&path.class, class))
                {
                    continue;
                }
                // What an association names may be gone, or be a class without objects here.
                let Ok(instance) = self.get(path) else {
                    continue;
                };
                if !found.iter().any(|known| known.path == instance.path) {
                    found.push(instance);
                }
            }
        }
        Ok(found)
    }

    /// The associations that refer to an object.
    pub fn references(&mut self, schema: &Schema, wanted: &Related) -> Result<Vec<Instance>> {
        let (class, role) = (wanted.result.as_deref(), wanted.role.as_deref());
        let around = self.around(schema, &wanted.of, class, role)?;
        Ok(around.into_iter().map(|(instance, ..)| instance).collect())
    }

    /// The associations of a class that refer to an object: each with its ends, and which of them
    /// it is.
    #[allow(clippy::type_complexity)]
    fn around(
        &mut self,
        schema: &Schema,
        of: &ObjectPath,
        class: Option<&str>,
        role: Option<&str>,
    ) -> Result<Vec<(Instance, Vec<(String, ObjectPath)>, usize)>> {
        self.host.advance();
        // The object itself must be there.
        self.get(of)?;
        if let Some(class) = class {
            self.class(schema.namespace, class)?;
        }
        let mut found = Vec::new();
        for declared in schema.classes() {
            let mut references = declared.properties.iter().filter(|p| p.key);
            let is_association = references.clone().count() == 2
                && references.all(|p| p.kind.base == cim::CimType::Reference);
            let wanted = class.is_none_or(|class| schema.is_a(&declared.name, class));
            let view = super::views::views(schema.namespace)
                .iter()
                .find(|(name, _)| *name == declared.name);
            let (true, true, Some((_, view))) = (is_association, wanted, view) else {
                continue;
            };
            for instance in view(&self.host) {
                let instance = schema.complete(&self.host.name, &instance);
                let ends: Vec<(String, ObjectPath)> = declared
                    .properties
                    .iter()
                    .filter(|p| p.key)
                    .filter_map(|p| Some((p.name.clone(), instance.get(&p.name).ok()?)))
                    .collect();
                let at = ends.iter().position(|(name, path)| {
                    same_object(path, of) && role.is_none_or(|role| role.eq_ignore_ascii_case(name))
                });
                if let Some(at) = at {
                    found.push((instance, ends, at));
                }
            }
        }
        Ok(found)
    }
}

/// The same object whatever host and namespace is told; keys may be paths within paths.
fn same_object(one: &ObjectPath, other: &ObjectPath) -> bool {
    let same_keys = |key: &cim::Key| {
        let mut others = other.keys.iter();
        let found = others.find(|known| known.name.eq_ignore_ascii_case(&key.name));
        found.is_some_and(|known| same_key(&known.value, &key.value))
    };
    one.class.eq_ignore_ascii_case(&other.class)
        && one.keys.len() == other.keys.len()
        && one.keys.iter().all(same_keys)
}

/// Texts in any case; references by what they name, which may be told as text.
pub(super) fn same_key(one: &KeyValue, other: &KeyValue) -> bool {
    let path = |value: &KeyValue| match value {
        KeyValue::Reference(path) => Some((**path).clone()),
        _ => None,
    };
    let parsed = |value: &KeyValue| path(value).or_else(|| value.to_text().parse().ok());
    if path(one).is_some() || path(other).is_some() {
        return match (parsed(one), parsed(other)) {
            (Some(one), Some(other)) => same_object(&one, &other),
            _ => false,
        };
    }
    one.to_text().to_lowercase() == other.to_text().to_lowercase()
}
