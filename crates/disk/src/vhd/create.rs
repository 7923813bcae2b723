//! Writing a new VHD.
//!
//! Blocks go to the file as they come; footers, header, BAT and the bitmap of the last block when
//! the image is finished, and the footers only after everything else is durable. So a file whose
//! writing stopped has no footer and is not taken for a VHD.
//!
//! Every block's data begin on a multiple of 4 KiB, as Windows 8 and later lay them out.

use uuid::Uuid;

use crate::block::{Geometry, check_bounds};
use crate::error::{Error, Result};
use crate::io::WriteAt;
use crate::layer::{ParentLink, PathKind, VhdInfo, VhdKind};
use crate::range::ByteRange;
use crate::vhd::image::{ABSENT, bitmap_len, geometry};
use crate::vhd::locator::MAX_LOCATOR;
use crate::vhd::{
    Chs, DynamicHeader, FOOTER_LEN, Footer, HEADER_LEN, LocatorEntry, MAX_LEN, SECTOR,
};
use crate::write::DiskWrite;
use crate::write::dense::Dense;

/// Block size that Windows uses.
pub const DEFAULT_BLOCK: u32 = 2 << 20;

/// What a new VHD shall be.
#[derive(Debug, Clone)]
pub struct VhdParams {
    /// Size of the disk: a multiple of 512, at most [`MAX_LEN`]. It is kept exactly, not rounded
    /// to whole cylinders.
    pub len: u64,
    /// Identity of the image; its children will name it.
    pub unique_id: Uuid,
    /// Seconds since the beginning of 2000, UTC.
    pub timestamp: u32,
    /// How the disk is stored.
    pub layout: VhdLayout,
}

/// How a new VHD stores its disk.
#[derive(Debug, Clone)]
pub enum VhdLayout {
    /// All of the disk, in place.
    Fixed,
    /// Only the blocks that were written.
    Dynamic {
        /// A power of two from 4 KiB to 256 MiB; 2 MiB is what Windows uses.
        block_size: u32,
    },
    /// Only the sectors that differ from a parent's.
    Differencing {
        /// As for a dynamic image.
        block_size: u32,
        /// The parent: one identity, and at least one relative or absolute path.
        parent: ParentLink,
    },
}

/// A new VHD being written.
pub struct VhdWriter<F> {
    dense: Dense<F>,
    footer: Footer,
    sparse: Option<Sparse>,
}

struct Sparse {
    header: DynamicHeader,
    /// Locators' bytes and where they go.
    locators: Vec<(u64, Vec<u8>)>,
    bat: Vec<u32>,
    bitmap_len: usize,
    /// Where the next block may begin.
    end: u64,
    /// The differencing block written last, with its bitmap.
    open: Option<(usize, Vec<u8>)>,
}

impl<F: WriteAt> VhdWriter<F> {
    /// Starts an image on an empty file.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the format cannot express what is asked for, or the file already
    /// holds bytes.
    pub fn create(file: F, params: &VhdParams) -> Result<Self> {
        let len = params.len;
        if len == 0 || !len.is_multiple_of(SECTOR) || len > MAX_LEN {
            let why =
                format!("a VHD of {len} bytes: it takes whole sectors of 512, up to 2040 GiB");
            return Err(Error::Invalid(why));
        }
        let (kind, sparse) = match &params.layout {
            VhdLayout::Fixed => (VhdKind::Fixed, None),
            VhdLayout::Dynamic { block_size } => {
                (VhdKind::Dynamic, Some(Sparse::new(len, *block_size, None)?))
            }
            VhdLayout::Differencing { block_size, parent } => (
                VhdKind::Differencing,
                Some(Sparse::new(len, *block_size, Some(parent))?),
            ),
        };
        Ok(Self {
            dense: Dense::new(file)?,
            footer: Footer {
                features: 2,
                data_offset: sparse.as_ref().map_or(u64::MAX, |_| FOOTER_LEN as u64),
                timestamp: params.timestamp,
                // Some readers trust the size only of creators that they know to be exact, and
                // round it to cylinders otherwise.
                creator_app: *b"win ",
                creator_version: 0x000A_0000,
                creator_os: *b"Wi2k",
                original_size: len,
                current_size: len,
                chs: Chs::of(len),
                kind,
                unique_id: params.unique_id,
                saved_state: 0,
            },
            sparse,
        })
    }

    /// Makes the footer say what a recorded image said of itself, beyond what the parameters of
    /// [`create`](Self::create) tell.
    pub(crate) fn describe_as(&mut self, info: &VhdInfo) {
        let (cylinders, heads, sectors) = info.chs;
        self.footer = Footer {
            features: info.features,
            creator_app: info.creator_app,
            creator_version: info.creator_version,
            creator_os: info.creator_os,
            original_size: info.original_len,
            chs: Chs {
                cylinders,
                heads,
                sectors,
            },
            saved_state: info.saved_state.into(),
            ..self.footer.clone()
        };
    }

    fn check(&self, offset: u64, len: u64) -> Result<()> {
        check_bounds(self.footer.current_size, offset, len)?;
        let whole_sectors = offset.is_multiple_of(SECTOR) && len.is_multiple_of(SECTOR);
        if self.footer.kind == VhdKind::Differencing && !whole_sectors {
            let why = format!("{len} bytes at {offset} are not whole sectors of 512");
            return Err(Error::Invalid(why));
        }
        Ok(())
    }
}

impl<F: WriteAt> DiskWrite for VhdWriter<F> {
    fn geometry(&self) -> Geometry {
        geometry(&self.footer)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        self.check(offset, data.len() as u64)?;
        let Some(sparse) = &mut self.sparse else {
            return self.dense.write(offset, data);
        };
        let block_size = u64::from(sparse.header.block_size);
        let (mut at, mut rest) = (offset, data);
        while !rest.is_empty() {
            let (index, within) = ((at / block_size) as usize, at % block_size);
            let (now, later) = rest.split_at(rest.len().min((block_size - within) as usize));
            let data_at = sparse.place(index)?;
            self.dense.write(data_at + within, now)?;
            if self.footer.kind == VhdKind::Differencing {
                sparse.mark(&mut self.dense, index, within, now.len() as u64)?;
            }
            at += now.len() as u64;
            rest = later;
        }
        Ok(())
    }

    fn write_zeros(&mut self, range: ByteRange) -> Result<()> {
        self.check(range.start, range.len())?;
        let Some(sparse) = &mut self.sparse else {
            return self.dense.zero(range.start, range.len());
        };
        let block_size = u64::from(sparse.header.block_size);
        let mut at = range.start;
        while at < range.end {
            let (index, within) = ((at / block_size) as usize, at % block_size);
            let take = (range.end - at).min(block_size - within);
            if self.footer.kind == VhdKind::Differencing {
                let data_at = sparse.place(index)?;
                self.dense.zero(data_at + within, take)?;
                sparse.mark(&mut self.dense, index, within, take)?;
            } else if sparse.bat[index] != ABSENT {
                let data_at = sparse.place(index)?;
                self.dense.zero(data_at + within, take)?;
            }
            at += take;
        }
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<()> {
        if let Some(sparse) = &mut self.sparse {
            sparse.settle(&mut self.dense)?;
        }
        self.dense.settle()?;
        self.dense.sync()
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        let end = match &mut self.sparse {
            None => self.footer.current_size,
            Some(sparse) => {
                sparse.settle(&mut self.dense)?;
                if self.footer.kind == VhdKind::Dynamic {
                    let all = vec![0xFF; sparse.bitmap_len];
                    for sector in sparse.bat.iter().filter(|s| **s != ABSENT) {
                        self.dense.write(u64::from(*sector) * SECTOR, &all)?;
                    }
                }
                self.dense
                    .write(FOOTER_LEN as u64, &sparse.header.encode())?;
                for (at, bytes) in &sparse.locators {
                    self.dense.write(*at, bytes)?;
                }
                let mut bat: Vec<u8> = sparse.bat.iter().flat_map(|s| s.to_be_bytes()).collect();
                bat.resize(bat.len().next_multiple_of(SECTOR as usize), 0xFF);
                self.dense.write(sparse.header.table_offset, &bat)?;
                sparse.end
            }
        };
        self.dense.fill(end)?;
        self.dense.sync()?;

        let footer = self.footer.encode();
        let write = |at| {
            self.dense
                .file()
                .write_all_at(&footer, at)
                .map_err(Error::io("writing the VHD's footer"))
        };
        if self.sparse.is_some() {
            write(0)?;
        }
        write(end)?;
        self.dense.sync()
    }
}

impl Sparse {
    fn new(len: u64, block_size: u32, parent: Option<&ParentLink>) -> Result<Self> {
        if !block_size.is_power_of_two() || !(4096..=256 << 20).contains(&block_size) {
            let why =
                format!("a VHD block size of {block_size}: a power of two from 4 KiB to 256 MiB");
            return Err(Error::Invalid(why));
        }
        let blocks = len.div_ceil(block_size.into());
        // 16 Mi blocks of 128 KiB make the largest disk; smaller blocks only make sense on
        // smaller disks, and their BAT would not be read back.
        let max_table_entries = u32::try_from(blocks)
            .ok()
            .filter(|n| *n <= 16 << 20)
            .ok_or_else(|| {
                Error::Invalid(format!("{blocks} blocks in one VHD: use larger ones"))
            })?;

        let mut end = (FOOTER_LEN + HEADER_LEN) as u64;
        let mut entries = [LocatorEntry::default(); 8];
        let mut locators = Vec::new();
        let mut name = String::new();
        if let Some(parent) = parent {
            if parent.identities.len() != 1 {
                let why = "a differencing VHD names its parent by exactly one unique id";
                return Err(Error::Invalid(why.into()));
            }
            for path in parent.paths.iter().filter(|path| !path.path.is_empty()) {
                // Windows keeps the absolute path in the name field; anything is better there
                // than nothing.
                if name.is_empty() || matches!(path.kind, PathKind::Absolute) {
                    name.clone_from(&path.path);
                }
                let Some((code, bytes)) = LocatorEntry::express(path) else {
                    continue;
                };
                if bytes.len() > MAX_LOCATOR as usize {
                    return Err(Error::Invalid("a parent path of over 64 KiB".into()));
                }
                let space = bytes.len().next_multiple_of(SECTOR as usize);
                let Some(entry) = entries.get_mut(locators.len()) else {
                    return Err(Error::Invalid("more than 8 paths of a parent".into()));
                };
                *entry = LocatorEntry {
                    code,
                    data_space: space as u32,
                    data_length: bytes.len() as u32,
                    data_offset: end,
                };
                locators.push((end, bytes));
                end += space as u64;
            }
            if locators.is_empty() {
                let why = "a differencing VHD needs a relative or an absolute path of its parent";
                return Err(Error::Invalid(why.into()));
            }
        }
        let bat_len = (blocks * 4).next_multiple_of(SECTOR);
        Ok(Self {
            header: DynamicHeader {
                table_offset: end,
                max_table_entries,
                block_size,
                parent_id: parent.map_or(Uuid::nil(), |parent| parent.identities[0]),
                parent_timestamp: parent.and_then(|parent| parent.timestamp).unwrap_or(0),
                parent_name: name,
                locators: entries,
            },
            locators,
            bat: vec![ABSENT; blocks as usize],
            bitmap_len: bitmap_len(block_size.into()),
            end: end + bat_len,
            open: None,
        })
    }

    /// Where a block's data are, after giving it a place if it has none.
    fn place(&mut self, index: usize) -> Result<u64> {
        let bitmap_len = self.bitmap_len as u64;
        if self.bat[index] == ABSENT {
            let data_at = (self.end + bitmap_len).next_multiple_of(4096);
            let sector = u32::try_from((data_at - bitmap_len) / SECTOR)
                .ok()
                .filter(|sector| *sector != ABSENT)
                .ok_or_else(|| Error::Invalid("a VHD file of over 2 TiB".into()))?;
            self.bat[index] = sector;
            self.end = data_at + u64::from(self.header.block_size);
        }
        Ok(u64::from(self.bat[index]) * SECTOR + bitmap_len)
    }

    /// Sets the bits of `len` bytes at `within` of a differencing block.
    fn mark<F: WriteAt>(
        &mut self,
        dense: &mut Dense<F>,
        index: usize,
        within: u64,
        len: u64,
    ) -> Result<()> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != index) {
            self.settle(dense)?;
            let mut bitmap = vec![0; self.bitmap_len];
            dense.read(u64::from(self.bat[index]) * SECTOR, &mut bitmap)?;
            self.open = Some((index, bitmap));
        }
        if let Some((_, bitmap)) = &mut self.open {
            for sector in within / SECTOR..(within + len) / SECTOR {
                bitmap[(sector / 8) as usize] |= 0x80 >> (sector % 8);
            }
        }
        Ok(())
    }

    /// Writes the bitmap that [`mark`](Self::mark) keeps.
    fn settle<F: WriteAt>(&mut self, dense: &mut Dense<F>) -> Result<()> {
        match self.open.take() {
            Some((index, bitmap)) => dense.write(u64::from(self.bat[index]) * SECTOR, &bitmap),
            None => Ok(()),
        }
    }
}
