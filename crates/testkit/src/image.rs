//! Image files of all kinds with given contents, on the host's file system.
//!
//! ```no_run
//! use hyperkeep_testkit::image::{Image, Kind};
//!
//! let folder = std::path::Path::new("vm");
//! let base = Image::new(Kind::Vhdx, 64 << 20, 1).data(0, b"boot").write(&folder.join("disk.vhdx"));
//! Image::child(&base, "disk.vhdx", 2).data(4096, &[7; 512]).write(&folder.join("disk_1.avhdx"));
//! ```

use std::fs::OpenOptions;
use std::path::Path;

use disk::layer::{Format, ParentLink, ParentPath, PathKind, VhdInfo, VhdKind, VhdxInfo};
use disk::vhd::Chs;
use disk::{ByteRange, Geometry, LayerInfo, rebuild};
use uuid::Uuid;

/// A kind of image that stands alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Dynamic, with blocks of 1 MiB.
    Vhdx,
    /// Fixed.
    VhdxFixed,
    /// Dynamic, with blocks of 2 MiB.
    Vhd,
    /// Fixed.
    VhdFixed,
    /// Raw.
    Raw,
}

/// An image to be written.
#[derive(Debug, Clone)]
pub struct Image {
    /// What it says about itself; change what the builder has no word for.
    pub info: LayerInfo,
    contents: Vec<(u64, Option<Vec<u8>>, u64)>,
}

impl Image {
    /// An image of `len` bytes that stands alone. Its ids come from `number`.
    pub fn new(kind: Kind, len: u64, number: u64) -> Self {
        let format = match kind {
            Kind::Raw => Format::Raw,
            Kind::Vhdx | Kind::VhdxFixed => Format::Vhdx(VhdxInfo {
                block_size: 1 << 20,
                fixed: kind == Kind::VhdxFixed,
                disk_id: id(number, 1),
                data_write_guid: id(number, 2),
                file_write_guid: id(number, 3),
                creator: "testkit".to_owned(),
                metadata: Vec::new(),
                dirty_log: false,
            }),
            Kind::Vhd | Kind::VhdFixed => Format::Vhd(VhdInfo {
                kind: match kind {
                    Kind::Vhd => VhdKind::Dynamic,
                    _ => VhdKind::Fixed,
                },
                unique_id: id(number, 4),
                timestamp: 0x2a00_0000,
                creator_app: *b"win ",
                creator_version: 0x000a_0000,
                creator_os: *b"Wi2k",
                original_len: len,
                chs: chs(len),
                features: 2,
                saved_state: false,
                block_size: (kind == Kind::Vhd).then_some(2 << 20),
            }),
        };
        Self {
            info: LayerInfo {
                geometry: Geometry {
                    len,
                    logical_sector: 512,
                    physical_sector: if matches!(kind, Kind::Vhdx | Kind::VhdxFixed) {
                        4096
                    } else {
                        512
                    },
                },
                format,
                parent: None,
            },
            contents: Vec::new(),
        }
    }

    /// A differencing image over `parent`, whose file is named `name`, in the same folder.
    pub fn child(parent: &LayerInfo, name: &str, number: u64) -> Self {
        let mut info = parent.clone();
        let mut timestamp = None;
        match &mut info.format {
            Format::Raw => panic!("a raw image has no children"),
            Format::Vhdx(vhdx) => {
                vhdx.fixed = false;
                vhdx.data_write_guid = id(number, 2);
                vhdx.file_write_guid = id(number, 3);
            }
            Format::Vhd(vhd) => {
                timestamp = Some(vhd.timestamp);
                vhd.kind = VhdKind::Differencing;
                vhd.unique_id = id(number, 4);
                vhd.block_size = Some(2 << 20);
            }
        }
        info.parent = Some(ParentLink {
            identities: parent.identity().into_iter().collect(),
            paths: vec![ParentPath {
                kind: PathKind::Relative,
                path: format!(".\\{name}"),
            }],
            other: Vec::new(),
            timestamp,
        });
        Self {
            info,
            contents: Vec::new(),
        }
    }

    /// With these bytes there. Children know only whole sectors.
    #[must_use]
    pub fn data(mut self, offset: u64, bytes: &[u8]) -> Self {
        self.contents
            .push((offset, Some(bytes.to_vec()), bytes.len() as u64));
        self
    }

    /// With zeros there, said explicitly.
    #[must_use]
    pub fn zeros(mut self, offset: u64, len: u64) -> Self {
        self.contents.push((offset, None, len));
        self
    }

    /// Writes the image to a new file and tells what it says about itself.
    ///
    /// # Panics
    /// When that fails: this is for tests.
    pub fn write(self, path: &Path) -> LayerInfo {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)
            .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mut writer = rebuild(file, &self.info, None).expect("a valid image");
        for (offset, bytes, len) in &self.contents {
            match bytes {
                Some(bytes) => writer.write_at(*offset, bytes),
                None => writer.write_zeros(ByteRange::new(*offset, offset + len)),
            }
            .expect("contents within the disk");
        }
        writer.finish().expect("a file system with room");
        self.info
    }
}

fn chs(len: u64) -> (u16, u8, u8) {
    let chs = Chs::of(len);
    (chs.cylinders, chs.heads, chs.sectors)
}

fn id(number: u64, part: u64) -> Uuid {
    Uuid::from_u64_pair(0x6469_736b_0000_4000 | part, 0x8000_0000_0000_0000 | number)
}

/// `len` bytes that compress badly and differ for each `seed`.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut random = crate::crash::Random(seed);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&random.number().to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
