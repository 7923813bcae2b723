//! The host's objects, as CIM has them: classes, instances, queries, associations, methods.
//!
//! A repository answers from the state at this moment; it keeps nothing of its own. Names are
//! compared without regard to case, and classes stand for their subclasses.

mod error;
mod methods;
mod related;
mod views;
pub mod wql;

pub use error::RepositoryError;

use cim::{Class, Instance, ObjectPath};

use crate::schema::{CLUSTER, Schema};
use crate::state::Host;
use wql::Query;

/// What a query found.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// Whole objects, each of its actual class.
    Objects(Vec<Instance>),
    /// Only the properties that were asked for.
    Parts(Vec<Instance>),
}

/// A host as CIM objects.
pub struct Repository {
    /// The host behind it.
    pub host: Host,
}

type Result<T> = std::result::Result<T, RepositoryError>;

impl Repository {
    /// The objects of a host.
    pub fn new(host: Host) -> Self {
        Self { host }
    }

    /// The classes of a namespace, if the host has it.
    pub fn schema(&self, namespace: &str) -> Result<&'static Schema> {
        let known = Schema::of(namespace);
        let here = known.filter(|known| known.namespace != CLUSTER || self.host.node.is_some());
        here.ok_or_else(|| RepositoryError::NoNamespace(namespace.to_owned()))
    }

    /// A class.
    pub fn class(&self, namespace: &str, name: &str) -> Result<&'static Class> {
        let schema = self.schema(namespace)?;
        let class = schema.class(name);
        class.ok_or_else(|| RepositoryError::NoClass {
            namespace: schema.namespace.to_owned(),
            class: name.to_owned(),
        })
    }

    /// The objects of a class and its subclasses.
    pub fn instances(&mut self, namespace: &str, class: &str) -> Result<Vec<Instance>> {
        self.host.advance();
        self.class(namespace, class)?;
        Ok(self.all(self.schema(namespace)?, class))
    }

    fn all(&self, schema: &Schema, class: &str) -> Vec<Instance> {
        let views = views::views(schema.namespace).iter();
        let views = views.filter(|(name, _)| schema.is_a(name, class));
        let instances = views.flat_map(|(_, view)| view(&self.host));
        instances
            .map(|instance| {
                let mut whole = schema.complete(&self.host.name, &instance);
                views::tell_changed(&self.host, &mut whole);
                whole
            })
            .collect()
    }

    /// One object by its keys. The services may be named by some of their keys or none, since a
    /// host has one of each.
    pub fn get(&mut self, path: &ObjectPath) -> Result<Instance> {
        let namespace = path.namespace_or_default();
        let class = self.class(namespace, &path.class)?;
        for key in &path.keys {
            if !class.property(&key.name).is_some_and(|p| p.key) {
                return Err(RepositoryError::UnknownKey(key.name.clone()));
            }
        }
        let named = class
            .properties
            .iter()
            .filter(|p| p.key && path.key(&p.name).is_none());
        let service = views::SERVICES
            .iter()
            .any(|s| s.eq_ignore_ascii_case(&class.name));
        if !service && named.count() > 0 {
            return Err(RepositoryError::MissingKeys(class.name.clone()));
        }
        let mut all = self.instances(namespace, &path.class)?.into_iter();
        let found = all.find(|instance| {
            path.keys.iter().all(|key| {
                let known = instance.path.as_ref().and_then(|p| {
                    p.keys
                        .iter()
                        .find(|k| k.name.eq_ignore_ascii_case(&key.name))
                });
                known.is_some_and(|known| related::same_key(&known.value, &key.value))
            })
        });
        found.ok_or_else(|| RepositoryError::NotFound(path.clone()))
    }

    /// What a query finds in a namespace.
    pub fn query(&mut self, namespace: &str, text: &str) -> Result<Found> {
        let schema = self.schema(namespace)?;
        match text.parse()? {
            Query::Select {
                columns,
                class,
                condition,
            } => {
                let declared = self.class(namespace, &class)?;
                let conditions = condition.iter().flat_map(|c| c.properties());
                for name in conditions.chain(columns.iter().flatten().map(String::as_str)) {
                    if declared.property(name).is_none() && !name.eq_ignore_ascii_case("__CLASS") {
                        let why = format!("{class} has no property {name}");
                        return Err(wql::BadQuery(why).into());
                    }
                }
                let mut found = Vec::new();
                for instance in self.instances(namespace, &class)? {
                    if condition
                        .as_ref()
                        .map_or(Ok(true), |c| c.holds(&instance))?
                    {
                        found.push(instance);
                    }
                }
                Ok(match columns {
                    None => Found::Objects(found),
                    Some(columns) => {
                        Found::Parts(found.iter().map(|i| part(i, &columns)).collect())
                    }
                })
            }
            Query::Associators(related) => Ok(Found::Objects(self.associators(schema, &related)?)),
            Query::References(related) => Ok(Found::Objects(self.references(schema, &related)?)),
        }
    }
}

/// In alphabetical order, whatever the order of the question.
fn part(of: &Instance, columns: &[String]) -> Instance {
    let mut part = Instance::new("");
    for property in of.properties() {
        if columns
            .iter()
            .any(|column| column.eq_ignore_ascii_case(&property.name))
        {
            part.put(&property.name, property.kind, property.value.clone());
        }
    }
    part
}

#[cfg(test)]
mod tests;
