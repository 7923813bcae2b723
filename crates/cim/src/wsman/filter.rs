//! What of a namespace is enumerated: by query, or by association.

use super::{epr, ns};
use crate::ObjectPath;
use crate::path::wql_literal;
use crate::xml::Writer;

/// A filter of an enumeration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// A query in WQL.
    Wql(String),
    /// The objects associated with one, in DMTF's dialect.
    Associated(Associations),
    /// The associations themselves that refer to it, in DMTF's dialect.
    Associating(Associations),
}

/// Which objects are associated with one object, or which associations refer to it.
///
/// For associations only the class of the result and the role count.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Associations {
    /// The object to begin with.
    pub of: ObjectPath,
    /// The class of the association between the two.
    pub association: Option<String>,
    /// The class of what is found.
    pub result: Option<String>,
    /// The property of the association that names the object to begin with.
    pub role: Option<String>,
    /// The property of the association that names what is found.
    pub result_role: Option<String>,
}

impl Associations {
    /// Everything that is associated with an object.
    pub fn of(path: &ObjectPath) -> Self {
        Self {
            of: path.clone(),
            ..Self::default()
        }
    }

    /// The same, only by associations of a class.
    #[must_use]
    pub fn by(mut self, association: &str) -> Self {
        self.association = Some(association.to_owned());
        self
    }

    /// The same, only objects of a class.
    #[must_use]
    pub fn to(mut self, result: &str) -> Self {
        self.result = Some(result.to_owned());
        self
    }

    /// The query in WQL: `ASSOCIATORS OF {…} WHERE …`.
    pub fn to_wql(&self) -> String {
        let clauses = [
            ("AssocClass", &self.association),
            ("ResultClass", &self.result),
            ("Role", &self.role),
            ("ResultRole", &self.result_role),
        ];
        query("ASSOCIATORS", &self.of, &clauses)
    }

    /// The query for the associations themselves: `REFERENCES OF {…} WHERE …`.
    pub fn to_wql_references(&self) -> String {
        let clauses = [("ResultClass", &self.result), ("Role", &self.role)];
        query("REFERENCES", &self.of, &clauses)
    }
}

fn query(verb: &str, of: &ObjectPath, clauses: &[(&str, &Option<String>)]) -> String {
    let mut wql = format!("{verb} OF {{{}}}", of.to_wql());
    let given = clauses
        .iter()
        .filter_map(|(word, name)| Some((word, name.as_ref()?)));
    for (at, (word, name)) in given.enumerate() {
        let before = if at == 0 { " WHERE " } else { " " };
        // Names of classes and roles stand bare; anything else is no name and must not become
        // part of the query's grammar.
        let bare = name.chars().all(|c| c == '_' || c.is_alphanumeric());
        let name = if bare {
            name.clone()
        } else {
            wql_literal(name)
        };
        wql.push_str(&format!("{before}{word}={name}"));
    }
    wql
}

impl Filter {
    pub(super) fn write(&self, out: &mut Writer) {
        match self {
            Self::Wql(query) => {
                out.leaf("w:Filter", &[("Dialect", ns::WQL_DIALECT)], query);
            }
            Self::Associated(which) => {
                open(out);
                out.open("b:AssociatedInstances");
                object(out, &which.of);
                optional(out, "b:AssociationClassName", &which.association);
                optional(out, "b:Role", &which.role);
                optional(out, "b:ResultClassName", &which.result);
                optional(out, "b:ResultRole", &which.result_role);
                out.close().close();
            }
            Self::Associating(which) => {
                open(out);
                out.open("b:AssociationInstances");
                object(out, &which.of);
                optional(out, "b:ResultClassName", &which.result);
                optional(out, "b:Role", &which.role);
                out.close().close();
            }
        }
    }
}

fn open(out: &mut Writer) {
    let attributes = [
        ("Dialect", ns::ASSOCIATION_DIALECT),
        ("xmlns:b", ns::BINDING),
    ];
    out.open_with("w:Filter", &attributes);
}

fn object(out: &mut Writer, path: &ObjectPath) {
    out.open("b:Object");
    epr::write_children(out, path);
    out.close();
}

fn optional(out: &mut Writer, name: &'static str, value: &Option<String>) {
    if let Some(value) = value {
        out.leaf(name, &[], value);
    }
}
