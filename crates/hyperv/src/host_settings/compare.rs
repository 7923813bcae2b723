//! What differs between two hosts, or between a host then and now.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{HostSettings, Kind, Object, Told};
use crate::ids::same_host;

/// What differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Each object that differs, by kind and name.
    pub changed: Vec<Changed>,
    /// Kinds that cannot be compared, since one of both did not tell.
    pub unknown: Vec<Kind>,
}

/// An object that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Its kind.
    pub kind: Kind,
    /// Its name; empty where there is one of the kind.
    pub name: String,
    /// How it differs.
    pub change: Change,
}

/// How an object differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    /// It was there, and is not here.
    Missing,
    /// It is here, and was not there.
    Added,
    /// This property has another value.
    Property {
        /// The host's name for it.
        property: String,
        /// What it was.
        was: Vec<String>,
        /// What it is.
        is: Vec<String>,
    },
    /// It has the same name and is another one: it was made anew.
    Replaced,
}

/// Tells what differs on a host from what was kept, perhaps of another host. Ids count only on the
/// same host.
pub fn compare(was: &HostSettings, is: &HostSettings) -> Difference {
    let same = match (&was.host, &is.host) {
        (Some(was), Some(is)) => same_host(was, is),
        _ => false,
    };
    let mut difference = Difference::default();
    let kinds: BTreeSet<Kind> = was.kinds.keys().chain(is.kinds.keys()).copied().collect();
    for kind in kinds {
        let (Some(was), Some(is)) = (objects(was, kind), objects(is, kind)) else {
            difference.unknown.push(kind);
            continue;
        };
        let names: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
        for name in names {
            let changes = match (was.get(name), is.get(name)) {
                (Some(was), Some(is)) => properties(was, is, same),
                (Some(_), None) => vec![Change::Missing],
                (None, _) => vec![Change::Added],
            };
            difference
                .changed
                .extend(changes.into_iter().map(|change| Changed {
                    kind,
                    name: name.clone(),
                    change,
                }));
        }
    }
    difference
}

/// The objects of a kind; none of what a host's version does not have, `None` if it did not tell.
fn objects(of: &HostSettings, kind: Kind) -> Option<&BTreeMap<String, Object>> {
    static NONE: BTreeMap<String, Object> = BTreeMap::new();
    match of.kinds.get(&kind)? {
        Told::Objects(all) => Some(all),
        Told::NoSuchKind => Some(&NONE),
        Told::Refused(_) => None,
    }
}

fn properties(was: &Object, is: &Object, same_host: bool) -> Vec<Change> {
    let mut changes = Vec::new();
    if same_host && was.id.is_some() && is.id.is_some() && was.id != is.id {
        changes.push(Change::Replaced);
    }
    let all = was.properties.keys().chain(is.properties.keys());
    let all: BTreeSet<&String> = all.collect();
    for property in all {
        let of = |object: &Object| object.properties.get(property).cloned().unwrap_or_default();
        let (was, is) = (of(was), of(is));
        if was != is {
            let property = property.clone();
            changes.push(Change::Property { property, was, is });
        }
    }
    changes
}

impl Difference {
    /// Whether everything could be compared and nothing differs.
    pub fn is_none(&self) -> bool {
        self.changed.is_empty() && self.unknown.is_empty()
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Kind::Service => "settings for all VMs",
            Kind::Switch => "switch",
            Kind::ResourcePool => "resource pool",
            Kind::ReplicaServer => "replica server",
            Kind::ReplicaSource => "replica source",
        })
    }
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if !self.name.is_empty() {
            write!(f, " “{}”", self.name)?;
        }
        let told = |values: &[String]| match values {
            [] => "nothing".to_owned(),
            values => values.join(", "),
        };
        match &self.change {
            Change::Missing => f.write_str(": it is not there"),
            Change::Added => f.write_str(": it was not there"),
            Change::Replaced => f.write_str(": it was made anew"),
            Change::Property { property, was, is } => {
                write!(f, ": {property} was {} and is {}", told(was), told(is))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn object(id: &str, property: &str, values: &[&str]) -> Object {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        Object {
            id: Some(id.to_owned()),
            properties: BTreeMap::from([(property.to_owned(), values)]),
        }
    }

    fn host(name: &str, switches: &[(&str, Object)]) -> HostSettings {
        let switches = switches.iter();
        let switches = switches.map(|(name, object)| ((*name).to_owned(), object.clone()));
        HostSettings {
            version: super::super::VERSION,
            host: Some(name.to_owned()),
            kinds: BTreeMap::from([
                (Kind::Switch, Told::Objects(switches.collect())),
                (Kind::ReplicaServer, Told::NoSuchKind),
            ]),
        }
    }

    #[test]
    fn what_differs_is_told_by_name() {
        let lan = || object("1", "Notes", &["old"]);
        let was = host("HV01", &[("LAN", lan()), ("DMZ", lan())]);
        let is = host(
            "hv02.lab.local",
            &[
                ("LAN", object("2", "Notes", &["new", "er"])),
                ("Test", lan()),
            ],
        );
        let found = compare(&was, &is);
        let texts: Vec<String> = found.changed.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "switch “DMZ”: it is not there",
                "switch “LAN”: Notes was old and is new, er",
                "switch “Test”: it was not there",
            ]
        );
        // On the same host an id tells more.
        let again = host(
            "HV01",
            &[("LAN", object("2", "Notes", &["old"])), ("DMZ", lan())],
        );
        let found = compare(&was, &again);
        assert_eq!(found.changed[0].change, Change::Replaced);
        assert_eq!(found.changed.len(), 1);
        let json = serde_json::to_string(&found).unwrap();
        assert_eq!(serde_json::from_str::<Difference>(&json).unwrap(), found);
    }

    #[test]
    fn what_was_not_told_is_unknown_and_not_the_same() {
        let was = host("HV01", &[]);
        let mut is = was.clone();
        is.kinds
            .insert(Kind::Switch, Told::Refused("no".to_owned()));
        let found = compare(&was, &is);
        assert_eq!(
            (found.unknown.as_slice(), found.is_none()),
            (&[Kind::Switch][..], false)
        );
        // A kind that is not in a document at all is not told either.
        is.kinds.remove(&Kind::Switch);
        assert_eq!(compare(&is, &was).unknown, [Kind::Switch]);
        assert!(compare(&was, &was).is_none());
        // A version that does not have it has none of it.
        is.kinds.insert(Kind::Switch, Told::NoSuchKind);
        assert!(compare(&was, &is).is_none());
    }

    fn any_host() -> impl Strategy<Value = HostSettings> {
        let object = ("[12]", "[ab]", proptest::collection::vec("[xy]", 0..3));
        let object = object.prop_map(|(id, property, values)| Object {
            id: Some(id),
            properties: BTreeMap::from([(property, values)]),
        });
        let objects = proptest::collection::btree_map("[A-C]", object, 0..4);
        let told = prop_oneof![
            8 => objects.prop_map(Told::Objects),
            1 => Just(Told::NoSuchKind),
        ];
        (proptest::option::of("[hi]"), told).prop_map(|(host, told)| HostSettings {
            version: 1,
            host,
            kinds: BTreeMap::from([(Kind::ResourcePool, told)]),
        })
    }

    proptest! {
        /// Nothing differs from itself, and what differs one way differs the other way.
        #[test]
        fn it_is_the_same_both_ways(one in any_host(), other in any_host()) {
            prop_assert!(compare(&one, &one).is_none());
            let there = compare(&one, &other).changed;
            let back = compare(&other, &one).changed;
            prop_assert_eq!(there.len(), back.len());
            for (there, back) in there.into_iter().zip(back) {
                prop_assert_eq!((there.kind, &there.name), (back.kind, &back.name));
                let turned = match there.change {
                    Change::Missing => Change::Added,
                    Change::Added => Change::Missing,
                    Change::Replaced => Change::Replaced,
                    Change::Property { property, was, is } => {
                        Change::Property { property, was: is, is: was }
                    }
                };
                prop_assert_eq!(turned, back.change);
            }
        }
    }
}
