//! Looking for a few keys of a container whose keys are too many to be held.

use std::ops::ControlFlow;

use super::error::{Error, Result, Warnings};
use super::key_table::{Key, KeyId, Tables};
use super::reader;
use super::replay::Overlay;
use crate::io::ReadAt;
use crate::tree::Value;

/// Bytes of object tables and, apart from these, of key tables: 65535 of 4 KiB are the most.
const BUDGET: u64 = 256 << 20;

/// An opened container; each search reads its key tables from the beginning.
pub(crate) struct Search<'a> {
    file: Overlay<'a>,
    tables: Tables,
}

/// A node whose children are searched.
#[derive(Clone, Copy)]
pub(crate) struct Node(Option<KeyId>);

impl Node {
    /// The unnamed root.
    pub(crate) const ROOT: Node = Node(None);

    fn has(self, key: &Key) -> bool {
        match self.0 {
            None => key.parent.0 == 0,
            Some(id) => key.parent == id,
        }
    }
}

impl<'a> Search<'a> {
    pub(crate) fn open(file: &'a dyn ReadAt) -> Result<Self> {
        let (_, file, tables) = reader::open(file, BUDGET, &mut Warnings::default())?;
        Ok(Search { file, tables })
    }

    /// A child node of this name, whatever the case.
    pub(crate) fn node(&self, parent: Node, name: &str) -> Result<Option<Node>> {
        let mut found = None;
        self.each_child(parent, &mut |key| {
            let is_node = matches!(key.entry.value, Value::Node(_));
            if !is_node || !key.entry.is_named(name) {
                return ControlFlow::Continue(());
            }
            found = Some(Node(Some(key.id)));
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    /// Whether a child has a name that fits.
    ///
    /// # Errors
    /// Also when such a child is there and the file ends before its value.
    pub(crate) fn any(&self, parent: Node, fits: &dyn Fn(&str) -> bool) -> Result<bool> {
        let file_len = self.file.len()?;
        let mut found = false;
        let mut lost = None;
        self.each_child(parent, &mut |key| {
            if !fits(&key.entry.name) {
                return ControlFlow::Continue(());
            }
            if let Value::Blob(blob) = &key.entry.value
                && blob
                    .offset
                    .checked_add(blob.len.into())
                    .is_none_or(|end| end > file_len)
            {
                lost = Some(*blob);
                return ControlFlow::Continue(());
            }
            found = true;
            ControlFlow::Break(())
        })?;
        match lost {
            Some(blob) if !found => Err(Error::OutOfBounds {
                what: "value",
                offset: blob.offset,
                len: blob.len.into(),
                file_len,
            }),
            _ => Ok(found),
        }
    }

    fn each_child(
        &self,
        parent: Node,
        visit: &mut dyn FnMut(&Key) -> ControlFlow<()>,
    ) -> Result<()> {
        let mut warnings = Warnings::default();
        self.tables
            .walk(&self.file, BUDGET, &mut warnings, &mut |key| {
                Ok(match parent.has(&key) {
                    true => visit(&key),
                    false => ControlFlow::Continue(()),
                })
            })
    }
}
