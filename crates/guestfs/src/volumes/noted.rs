//! A file system in something of which there is something to say.

use std::ops::ControlFlow;

use crate::error::Result;
use crate::fs::{About, Content, FileSystem};
use crate::name::Name;
use crate::node::{Entry, Extras, Node, NodeId};

/// A file system with more notes on its state, and else as it is.
pub(super) struct Noted {
    about: About,
    fs: Box<dyn FileSystem>,
}

impl Noted {
    pub(super) fn new(fs: Box<dyn FileSystem>, notes: &[String]) -> Self {
        let mut about = fs.about().clone();
        about.state.notes.extend_from_slice(notes);
        Self { about, fs }
    }
}

impl FileSystem for Noted {
    fn about(&self) -> &About {
        &self.about
    }

    fn root(&self) -> NodeId {
        self.fs.root()
    }

    fn node(&self, id: NodeId) -> Result<Node> {
        self.fs.node(id)
    }

    fn list(&self, folder: NodeId, each: &mut dyn FnMut(Entry) -> ControlFlow<()>) -> Result<()> {
        self.fs.list(folder, each)
    }

    fn find(&self, folder: NodeId, name: &Name) -> Result<Option<NodeId>> {
        self.fs.find(folder, name)
    }

    fn open(&self, id: NodeId, stream: Option<&Name>) -> Result<Box<dyn Content + '_>> {
        self.fs.open(id, stream)
    }

    fn target(&self, id: NodeId) -> Result<Name> {
        self.fs.target(id)
    }

    fn extras(&self, id: NodeId) -> Result<Extras> {
        self.fs.extras(id)
    }
}
