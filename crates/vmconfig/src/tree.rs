//! The typed key tree that both configuration formats hold.
//!
//! A configuration is a tree of named entries; names may repeat under one parent (arrays are
//! written so), and the order of siblings is part of the content. Look-ups ignore case, because
//! Windows does and because the case of device GUIDs varies in the field.
//!
//! A tree never nests deeper than [`MAX_DEPTH`] when it comes from a parser here.

use uuid::Uuid;

/// The deepest nesting that the parsers accept. Real configurations stay below ten.
pub const MAX_DEPTH: usize = 64;

/// All entries below the unnamed root.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tree {
    /// The entries directly below the root, in order; a configuration has one, `configuration`.
    pub entries: Vec<Entry>,
}

/// One named value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The name as written.
    pub name: String,
    /// The sub-component flag of the container. Its meaning is not public; it is carried along.
    pub subcomponent: bool,
    /// What the name stands for.
    pub value: Value,
}

/// A value of one of the container's types.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A node with children, in order.
    Node(Vec<Entry>),
    /// A signed number.
    Int(i64),
    /// An unsigned number.
    UInt(u64),
    /// A floating-point number.
    Double(f64),
    /// Text.
    String(String),
    /// Text that is not well-formed UTF-16, as code units: Windows allows it, `String` cannot.
    WideString(Vec<u16>),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Yes or no.
    Bool(bool),
    /// A large value that was left in its file (see [`crate::hvs::HvsFile::read_blob`]).
    Blob(Blob),
}

/// Where a large value lies in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Offset of the first byte in the file.
    pub offset: u64,
    /// Length in bytes.
    pub len: u32,
    /// Whether the bytes are UTF-16 text rather than bytes.
    pub text: bool,
}

impl Tree {
    /// The entry at a path of names such as `["configuration", "properties", "name"]`; the first
    /// one where names repeat.
    pub fn get(&self, path: &[&str]) -> Option<&Entry> {
        let (first, rest) = path.split_first()?;
        find(&self.entries, first)?.get(rest)
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, path: &[&str]) -> Option<&mut Entry> {
        let (first, rest) = path.split_first()?;
        let mut entry = find_mut(&mut self.entries, first)?;
        for name in rest {
            entry = find_mut(entry.children_mut()?, name)?;
        }
        Some(entry)
    }

    /// Sets the value at a path, making the nodes on the way that are missing. An entry on the
    /// way that is no node is left alone and `false` returned.
    pub fn set(&mut self, path: &[&str], value: Value) -> bool {
        let Some((last, way)) = path.split_last() else {
            return false;
        };
        let mut entries = &mut self.entries;
        for name in way {
            let at = match entries.iter().position(|e| e.is_named(name)) {
                Some(at) => at,
                None => {
                    entries.push(Entry::node(*name, Vec::new()));
                    entries.len() - 1
                }
            };
            let Some(children) = entries.get_mut(at).and_then(Entry::children_mut) else {
                return false;
            };
            entries = children;
        }
        match find_mut(entries, last) {
            Some(entry) => entry.value = value,
            None => entries.push(Entry::new(*last, value)),
        }
        true
    }

    /// Calls `visit` with every entry that is not a node, and the names on the way to it.
    pub fn for_each_leaf<'a>(&'a self, visit: &mut dyn FnMut(&[&'a str], &'a Entry)) {
        let mut way = Vec::new();
        walk(&self.entries, &mut way, visit);
    }

    /// Number of entries, nodes included.
    pub fn count(&self) -> usize {
        self.entries.iter().map(Entry::count).sum()
    }
}

impl Entry {
    /// An entry with no flags.
    pub fn new(name: impl Into<String>, value: Value) -> Self {
        Entry {
            name: name.into(),
            subcomponent: false,
            value,
        }
    }

    /// A node.
    pub fn node(name: impl Into<String>, children: Vec<Entry>) -> Self {
        Entry::new(name, Value::Node(children))
    }

    /// Whether the entry has this name, whatever the case.
    pub fn is_named(&self, name: &str) -> bool {
        #[cfg(test)]
        work::step();
        self.name.eq_ignore_ascii_case(name)
    }

    /// The children, in order; none if this is not a node.
    pub fn children(&self) -> &[Entry] {
        match &self.value {
            Value::Node(children) => children,
            _ => &[],
        }
    }

    /// The children, to change them.
    pub fn children_mut(&mut self) -> Option<&mut Vec<Entry>> {
        match &mut self.value {
            Value::Node(children) => Some(children),
            _ => None,
        }
    }

    /// The descendant at a path; the entry itself for an empty path.
    pub fn get(&self, path: &[&str]) -> Option<&Entry> {
        let mut entry = self;
        for name in path {
            entry = find(entry.children(), name)?;
        }
        Some(entry)
    }

    /// Text at a path below, if there is text.
    pub fn text(&self, path: &[&str]) -> Option<&str> {
        match &self.get(path)?.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// A number at a path below: a signed one, or an unsigned one that fits.
    pub fn int(&self, path: &[&str]) -> Option<i64> {
        match &self.get(path)?.value {
            Value::Int(n) => Some(*n),
            Value::UInt(n) => i64::try_from(*n).ok(),
            _ => None,
        }
    }

    /// A number at a path below that is not negative.
    pub fn uint(&self, path: &[&str]) -> Option<u64> {
        match &self.get(path)?.value {
            Value::Int(n) => u64::try_from(*n).ok(),
            Value::UInt(n) => Some(*n),
            _ => None,
        }
    }

    /// Yes or no at a path below; numbers 0 and 1 count, since writers differ.
    pub fn bool(&self, path: &[&str]) -> Option<bool> {
        match &self.get(path)?.value {
            Value::Bool(b) => Some(*b),
            Value::Int(n @ (0 | 1)) => Some(*n == 1),
            Value::UInt(n @ (0 | 1)) => Some(*n == 1),
            _ => None,
        }
    }

    /// Bytes at a path below.
    pub fn bytes(&self, path: &[&str]) -> Option<&[u8]> {
        match &self.get(path)?.value {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// A GUID at a path below, written with or without braces.
    pub fn guid(&self, path: &[&str]) -> Option<Uuid> {
        parse_guid(self.text(path)?)
    }

    /// Calls `visit` with every entry below that is not a node.
    pub(crate) fn for_each_leaf<'a>(&'a self, visit: &mut dyn FnMut(&'a Entry)) {
        walk(self.children(), &mut Vec::new(), &mut |_, entry| {
            visit(entry)
        });
    }

    fn count(&self) -> usize {
        1 + self.children().iter().map(Entry::count).sum::<usize>()
    }
}

/// Reads a GUID in the notations that configurations use: bare, in braces, or as the name of a
/// device node (`_<guid>_`).
pub fn parse_guid(text: &str) -> Option<Uuid> {
    #[cfg(test)]
    work::step();
    let text = text.trim();
    let bare = text
        .strip_prefix('{')
        .and_then(|t| t.strip_suffix('}'))
        .or_else(|| text.strip_prefix('_').and_then(|t| t.strip_suffix('_')))
        .unwrap_or(text);
    // Only the hyphenated form: 32 bare hex digits are something else's notation.
    (bare.len() == 36).then(|| Uuid::try_parse(bare).ok())?
}

fn find<'a>(entries: &'a [Entry], name: &str) -> Option<&'a Entry> {
    entries.iter().find(|entry| entry.is_named(name))
}

fn find_mut<'a>(entries: &'a mut [Entry], name: &str) -> Option<&'a mut Entry> {
    entries.iter_mut().find(|entry| entry.is_named(name))
}

fn walk<'a>(
    entries: &'a [Entry],
    way: &mut Vec<&'a str>,
    visit: &mut dyn FnMut(&[&'a str], &'a Entry),
) {
    for entry in entries {
        way.push(&entry.name);
        match &entry.value {
            Value::Node(children) => walk(children, way, visit),
            _ => visit(way, entry),
        }
        way.pop();
    }
}

/// Counts looks at names and ids, so that a test can tell work in proportion from work that is not.
#[cfg(test)]
pub(crate) mod work {
    use std::cell::Cell;

    thread_local!(static STEPS: Cell<usize> = const { Cell::new(0) });

    pub(super) fn step() {
        STEPS.set(STEPS.get() + 1);
    }

    /// The steps that `action` takes.
    pub(crate) fn of(action: impl FnOnce()) -> usize {
        let before = STEPS.get();
        action();
        STEPS.get() - before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_ignore_case_and_set_makes_the_way() {
        let mut tree = Tree::default();
        assert!(tree.set(
            &["configuration", "Properties", "name"],
            Value::String("a".into())
        ));
        assert!(tree.set(
            &["CONFIGURATION", "properties", "NAME"],
            Value::String("b".into())
        ));
        assert_eq!(tree.count(), 3);
        let root = tree.get(&["configuration"]).unwrap();
        assert_eq!(root.text(&["properties", "name"]), Some("b"));
        assert!(!tree.set(&["configuration", "properties", "name", "x"], Value::Int(1)));
        assert!(
            tree.get_mut(&["configuration", "properties", "name", "x"])
                .is_none()
        );
    }

    #[test]
    fn guids_in_every_notation() {
        let bare = "AC6B8DC1-3257-4A70-B1B2-A9C9215659AD";
        let guid = parse_guid(bare).unwrap();
        assert_eq!(parse_guid(&format!("{{{bare}}}")), Some(guid));
        assert_eq!(
            parse_guid(&format!("_{}_", bare.to_lowercase())),
            Some(guid)
        );
        assert_eq!(parse_guid(&bare.replace('-', "")), None);
        assert_eq!(parse_guid("é"), None);
    }
}
