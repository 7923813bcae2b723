//! What is told of one file or folder that differs.

use guestfs::{Error, Extras, FileSystem, Kind, Name, Node};
use serde::Serialize;

use super::contents::{By, Pair};
use crate::guest::list::kind;
use crate::guest::path::GuestPath;

/// A file or folder that was added, removed, renamed or changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// `added`, `removed`, `renamed` or `changed`.
    pub change: &'static str,
    /// Where it is; of what was removed, where it was.
    pub path: String,
    /// Where it was, of what was renamed.
    pub from: Option<String>,
    /// `file`, `folder`… as listings tell it, and `volume`.
    pub kind: &'static str,
    /// What it was, if it is of another kind now.
    pub was: Option<&'static str>,
    /// Bytes of a file.
    pub bytes: u64,
    /// Bytes that a file had, of what was there before.
    pub bytes_before: Option<u64>,
    /// When it was last written: seconds since 1970, and nanoseconds.
    pub modified: Option<(i64, u32)>,
    /// What of it differs: `contents`, `kind`, `target`, `streams`, `owner`, `mode`, `attributes`, `times`,
    /// `xattrs`, `security`, `reparse`, `short-name`.
    pub what: Vec<&'static str>,
    /// By what it is known that its contents differ: `read`, `length` or `metadata`.
    pub by: Option<&'static str>,
}

impl Change {
    /// Something that is there at one moment only.
    pub(super) fn alone(change: &'static str, path: &GuestPath, node: &Node) -> Self {
        Self {
            change,
            path: path.to_string(),
            from: None,
            kind: kind(node.kind),
            was: None,
            bytes: node.len,
            bytes_before: (change == "removed").then_some(node.len),
            modified: node.times.modified.map(|time| (time.seconds, time.nanos)),
            what: Vec::new(),
            by: None,
        }
    }

    /// A volume that is there at one moment only.
    pub(super) fn volume(change: &'static str, name: &str, bytes: u64) -> Self {
        Self {
            change,
            path: name.to_owned(),
            from: None,
            kind: "volume",
            was: None,
            bytes,
            bytes_before: (change == "removed").then_some(bytes),
            modified: None,
            what: Vec::new(),
            by: None,
        }
    }

    /// Something that is there at both.
    pub(super) fn of(
        (from, before): (&GuestPath, &Node),
        (path, after): (&GuestPath, &Node),
        differs: Differs,
    ) -> Self {
        let renamed = from.names != path.names;
        Self {
            from: renamed.then(|| from.to_string()),
            was: (before.kind != after.kind).then(|| kind(before.kind)),
            bytes_before: Some(before.len),
            what: differs.what,
            by: differs.by.map(By::word),
            ..Self::alone("changed", path, after)
        }
    }
}

/// In what two nodes differ.
#[derive(Debug, Default)]
pub(super) struct Differs {
    pub(super) what: Vec<&'static str>,
    /// By what it is known that contents differ.
    pub(super) by: Option<By>,
    /// By what it is known that contents are the same.
    pub(super) same_by: Option<By>,
}

impl Pair<'_> {
    /// In what two nodes differ. When a folder was last written is no difference of its own: what is in it
    /// tells more.
    pub(super) fn differs(&self, before: &Node, after: &Node) -> Result<Differs, Error> {
        let mut differs = Differs::default();
        let is_link = matches!(after.kind, Kind::Link | Kind::Junction);
        if before.kind != after.kind {
            differs.what.push("kind");
        } else if after.kind == Kind::File {
            self.file(before, after, &mut differs)?;
        } else if is_link && self.before.target(before.id)? != self.after.target(after.id)? {
            differs.what.push("target");
        }
        let extras = |fs: &dyn FileSystem, node: &Node| fs.extras(node.id);
        let was = extras(self.before, before)?;
        let is = extras(self.after, after)?;
        self.streams((before, &was), (after, &is), &mut differs)?;
        let ids = |node: &Node| node.owner.map(|owner| (owner.uid, owner.gid));
        let mode = |node: &Node| node.owner.map(|owner| owner.mode);
        let times = |node: &Node| (node.times.modified, node.times.created);
        let tests = [
            ("owner", ids(before) != ids(after)),
            ("mode", mode(before) != mode(after)),
            ("attributes", before.attributes != after.attributes),
            (
                "times",
                after.kind != Kind::Folder && times(before) != times(after),
            ),
            ("xattrs", was.xattrs != is.xattrs),
            ("security", was.security != is.security),
            ("reparse", !is_link && was.reparse != is.reparse),
            ("short-name", was.short_name != is.short_name),
        ];
        let found = tests.into_iter().filter(|(_, differs)| *differs);
        differs.what.extend(found.map(|(what, _)| what));
        Ok(differs)
    }

    fn file(&self, before: &Node, after: &Node, differs: &mut Differs) -> Result<(), Error> {
        let told = self.contents(before, after, None)?;
        if told.differ {
            differs.what.push("contents");
            differs.by = Some(told.by);
        } else {
            differs.same_by = Some(told.by);
        }
        Ok(())
    }

    fn streams(
        &self,
        (before, was): (&Node, &Extras),
        (after, is): (&Node, &Extras),
        differs: &mut Differs,
    ) -> Result<(), Error> {
        let names = |extras: &Extras| -> Vec<Name> {
            let mut names: Vec<Name> = extras.streams.iter().map(|s| s.name.clone()).collect();
            names.sort();
            names
        };
        let all = names(is);
        if names(was) != all {
            differs.what.push("streams");
            return Ok(());
        }
        for name in &all {
            let told = self.contents(before, after, Some(name))?;
            if told.differ {
                differs.what.push("streams");
                return Ok(());
            }
            // The weakest of what says that a file is the same is what is told of it.
            if told.by == By::Metadata {
                differs.same_by = Some(By::Metadata);
            }
        }
        Ok(())
    }
}
