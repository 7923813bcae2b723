//! A file as it is seen from outside: what is told of it without its contents.

use super::attribute::{DATA, STANDARD_INFORMATION};
use super::ea::Eas;
use super::file::File;
use super::le::{le32, le64};
use super::obstacle;
use super::reparse::{self, Meaning};
use super::stored::{Body, Stored};
use super::volume::Volume;
use crate::error::Result;
use crate::node::{Kind, Node, NodeId, Obstacle, Reparse, Time, Times};

/// Bits of attributes that are told; others are the index's own.
const TOLD: u32 = 0x00ff_ffff;
const FOLDER: u32 = 0x10;
const NORMAL: u32 = 0x80;
const SPARSE: u32 = 0x200;
const REPARSE: u32 = 0x400;
/// Of a tag: what has it stands for something else, like a link.
const SURROGATE: u32 = 0x2000_0000;

/// A file with what decides on what it is.
pub(super) struct Look {
    pub(super) file: File,
    pub(super) reparse: Option<Reparse>,
    pub(super) meaning: Option<Meaning>,
    pub(super) eas: Option<Eas>,
}

impl Look {
    pub(super) fn at(volume: &Volume, file: File) -> Result<Self> {
        let reparse = reparse::read(volume, &file)?;
        let meaning = reparse.as_ref().map(reparse::meaning).transpose();
        let meaning = meaning.map_err(|why| file.damaged(why))?;
        let eas = Eas::read(volume, &file)?;
        Ok(Self {
            file,
            reparse,
            meaning,
            eas,
        })
    }

    /// By what WOF compressed it, if so.
    pub(super) fn wof(&self) -> Option<u32> {
        match self.meaning {
            Some(Meaning::Wof(algorithm)) => Some(algorithm),
            _ => None,
        }
    }

    fn kind(&self, len: u64) -> Kind {
        let folder = self.file.record().is_folder();
        let plain = if folder { Kind::Folder } else { Kind::File };
        match &self.meaning {
            None => plain,
            Some(Meaning::Link(_)) => Kind::Link,
            Some(Meaning::Junction(_)) => Kind::Junction,
            Some(Meaning::Fifo) => Kind::Fifo,
            Some(Meaning::Socket) => Kind::Socket,
            Some(Meaning::Device { block }) => {
                let numbers = self.eas.as_ref().and_then(Eas::device);
                numbers.map_or(Kind::Other, |(major, minor)| Kind::Device {
                    block: *block,
                    major,
                    minor,
                })
            }
            Some(Meaning::Wof(_) | Meaning::Obstacle(_) | Meaning::Cloud) => plain,
            Some(Meaning::Unknown(tag)) if folder && tag & SURROGATE == 0 => plain,
            Some(Meaning::Unknown(_)) if !folder && len > 0 => plain,
            Some(Meaning::Unknown(_)) => Kind::Other,
        }
    }

    /// Why the contents of a file are not to be had.
    fn obstacle(&self, data: &Stored, attributes: u32) -> Option<Obstacle> {
        let holes = match &data.body {
            Body::Clusters(clusters) => clusters.stored.is_some(),
            Body::Resident(_) => false,
        };
        match &self.meaning {
            Some(Meaning::Obstacle(obstacle)) => Some(obstacle.clone()),
            Some(Meaning::Cloud) => reparse::recalled(attributes, holes),
            Some(Meaning::Unknown(tag)) => {
                let how = format!("a reparse point of somebody's own ({tag:#010x})");
                Some(Obstacle::Unknown(how))
            }
            _ => obstacle(data.flags),
        }
    }

    pub(super) fn node(&self, volume: &Volume, id: NodeId, links: u32) -> Result<Node> {
        let standard = self.file.value(volume, STANDARD_INFORMATION)?;
        let standard = standard.filter(|standard| standard.len() >= 0x30);
        let standard = standard.ok_or_else(|| self.file.damaged("no $STANDARD_INFORMATION"))?;
        let folder = self.file.record().is_folder();
        let mut attributes = le32(&standard, 0x20) & TOLD & !NORMAL;
        if folder {
            attributes |= FOLDER;
        }
        let data = self.file.stored(volume, DATA, &[])?;
        let kind = self.kind(data.as_ref().map_or(0, Stored::len));
        let data = data.filter(|_| kind == Kind::File);
        let obstacle = data
            .as_ref()
            .and_then(|data| self.obstacle(data, attributes));
        if self.wof().is_some() {
            attributes &= !(SPARSE | REPARSE);
        }
        let time = |at| Some(Time::from_windows(le64(&standard, at)));
        Ok(Node {
            id,
            kind,
            len: data.as_ref().map_or(0, Stored::len),
            links,
            owner: self.eas.as_ref().and_then(Eas::owner),
            times: Times {
                created: time(0),
                modified: time(8),
                changed: time(0x10),
                accessed: time(0x18),
            },
            attributes: Some(if attributes == 0 { NORMAL } else { attributes }),
            obstacle,
        })
    }
}
