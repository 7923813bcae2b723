//! All that is told of one file or folder.

use guestfs::{Error, Time, Times};

use super::Browser;
use crate::guest::list::{FileLine, path_line, word};
use crate::guest::path::{GuestPath, text};
use crate::guest::walk::node;
use crate::source::Owner;

/// All that is told of one file or folder.
#[derive(Clone, Debug)]
pub struct Details {
    /// What a list tells.
    pub line: FileLine,
    /// When what happened to it.
    pub times: Times,
    /// Streams besides its contents, and their bytes.
    pub streams: Vec<(String, u64)>,
    /// Extended attributes, and their bytes.
    pub xattrs: Vec<(String, usize)>,
    /// Bytes of its security descriptor.
    pub security: Option<usize>,
    /// The tag of its reparse point.
    pub reparse: Option<u32>,
    /// The name of 8.3 characters beside a long one.
    pub short_name: Option<String>,
    /// The format of the volume that it is on, and in what state that is.
    pub volume: (&'static str, &'static str),
    /// What is odd about the volume.
    pub notes: Vec<String>,
}

impl Details {
    /// When what happened, by name, as far as it is kept.
    pub fn times(&self) -> impl Iterator<Item = (&'static str, Time)> {
        let times = self.times;
        let all = [
            ("written", times.modified),
            ("read", times.accessed),
            ("made", times.created),
            ("changed", times.changed),
        ];
        all.into_iter()
            .filter_map(|(word, time)| Some((word, time?)))
    }
}

impl Browser<'_> {
    /// All that is told of something.
    ///
    /// # Errors
    /// When it is not there, or cannot be read.
    pub fn details(&self, owner: &Owner, path: &GuestPath) -> Result<Details, Error> {
        let fs = self.file_system(owner, &path.volume)?;
        let node = fs.node(node(fs.as_ref(), path)?)?;
        let extras = fs.extras(node.id)?;
        let about = fs.about();
        let streams = extras.streams.iter();
        let xattrs = extras.xattrs.iter();
        Ok(Details {
            line: path_line(fs.as_ref(), path, &node),
            times: node.times,
            streams: streams.map(|one| (text(&one.name), one.len)).collect(),
            xattrs: xattrs
                .map(|(name, value)| (text(name), value.len()))
                .collect(),
            security: extras.security.map(|bytes| bytes.len()),
            reparse: extras.reparse.map(|reparse| reparse.tag),
            short_name: extras.short_name.as_ref().map(text),
            volume: (about.format, word(about.state.how)),
            notes: about.state.notes.clone(),
        })
    }
}
