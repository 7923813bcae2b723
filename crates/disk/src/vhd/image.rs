//! Reading a VHD.

use std::sync::Mutex;

use crate::bits::run;
use crate::block::{BlockRead, Geometry, check_bounds};
use crate::error::{Error, Result};
use crate::extent::{Content, Extent, ExtentList};
use crate::io::ReadAt;
use crate::layer::{Format, Layer, LayerInfo, ParentLink, ParentPath, PathKind, VhdInfo, VhdKind};
use crate::overlap;
use crate::range::ByteRange;
use crate::vhd::{Chs, DynamicHeader, FOOTER_LEN, Footer, HEADER_LEN, MAX_LEN, SECTOR};

/// A BAT slot without a block.
pub(crate) const ABSENT: u32 = u32::MAX;

/// Most blocks of one image: a 2040 GiB disk in blocks of 128 KiB. Images in the wild have
/// blocks of 512 KiB or 2 MiB.
const MAX_BLOCKS: u64 = 16 << 20;

/// What to do about a footer or header whose checksum is wrong when no sound copy exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Checksums {
    /// Refuse the image.
    #[default]
    Enforce,
    /// Read it all the same and report a finding. For images edited by hand, or salvage.
    Report,
}

/// A VHD open for reading. Alone it shows its own layer: what is left to a parent is a hole.
pub struct VhdImage<F> {
    file: F,
    footer: Footer,
    sparse: Option<Sparse>,
    info: LayerInfo,
    findings: Vec<String>,
}

/// What a dynamic or differencing image has beyond a fixed one.
struct Sparse {
    header: DynamicHeader,
    /// First sector of each block's bitmap, or [`ABSENT`].
    bat: Vec<u32>,
    bitmap_len: usize,
    /// The bitmap read last: neighbouring reads meet the same block.
    last: Mutex<Option<(usize, Vec<u8>)>>,
}

impl<F: ReadAt> VhdImage<F> {
    /// Opens an image and checks that every block lies in the file, alone.
    ///
    /// # Errors
    /// [`Error::NotThisFormat`] without a footer, [`Error::Damaged`] when the image contradicts
    /// itself or was truncated, [`Error::Unsupported`] for another version.
    pub fn open(file: F) -> Result<Self> {
        Self::open_with(file, Checksums::Enforce)
    }

    /// As [`open`](Self::open), with a choice about wrong checksums.
    pub fn open_with(file: F, checksums: Checksums) -> Result<Self> {
        let file_len = file
            .len()
            .map_err(Error::io("asking for the VHD's length"))?;
        let mut findings = Vec::new();
        let (footer, data_end) = find_footer(&file, file_len, checksums, &mut findings)?;

        let size = footer.current_size;
        if size == 0 || !size.is_multiple_of(SECTOR) || size > MAX_LEN {
            return Err(Error::damaged("VHD footer", format!("disk size {size}")));
        }
        // Disks beyond what a geometry can express, and disks whose maker wants readers to
        // ignore it, carry the largest one.
        let chs = footer.chs;
        if chs.bytes().abs_diff(size) > chs.cylinder() && chs != Chs::of(MAX_LEN) {
            findings.push(format!(
                "the footer's geometry describes {} bytes, its size {size}; the size is used",
                chs.bytes()
            ));
        }
        let sparse = match footer.kind {
            VhdKind::Fixed if size > data_end => {
                let why =
                    format!("the disk has {size} bytes, the file holds {data_end}: truncated");
                return Err(Error::damaged("VHD", why));
            }
            VhdKind::Fixed => None,
            VhdKind::Dynamic | VhdKind::Differencing => Some(Sparse::read(
                &file,
                &footer,
                data_end,
                checksums,
                &mut findings,
            )?),
        };
        let header = sparse.as_ref().map(|sparse| &sparse.header);
        let info = info(&file, &footer, header, &mut findings);
        Ok(Self {
            file,
            footer,
            sparse,
            info,
            findings,
        })
    }

    /// The footer in use.
    pub fn footer(&self) -> &Footer {
        &self.footer
    }

    /// The dynamic header; `None` in a fixed image.
    pub fn header(&self) -> Option<&DynamicHeader> {
        self.sparse.as_ref().map(|sparse| &sparse.header)
    }

    /// Calls `visit` for each piece of `range`, in order, with its offset in the file, or `None`
    /// where the image stores nothing.
    fn pieces(
        &self,
        range: ByteRange,
        mut visit: impl FnMut(ByteRange, Option<u64>) -> Result<()>,
    ) -> Result<()> {
        check_bounds(self.footer.current_size, range.start, range.len())?;
        let Some(sparse) = &self.sparse else {
            return visit(range, Some(range.start));
        };
        let block_size = u64::from(sparse.header.block_size);
        let mut at = range.start;
        while at < range.end {
            let index = (at / block_size) as usize;
            let start = index as u64 * block_size;
            let end = range.end.min(start + block_size);
            let sector = sparse.bat[index];
            if sector == ABSENT {
                visit(ByteRange::new(at, end), None)?;
            } else {
                let bitmap_at = u64::from(sector) * SECTOR;
                let data_at = bitmap_at + sparse.bitmap_len as u64;
                sparse.with_bitmap(&self.file, index, bitmap_at, |bitmap| {
                    let mut from = at;
                    while from < end {
                        let first = (from - start) / SECTOR;
                        let (here, next) =
                            run(bitmap, first, (end - start).div_ceil(SECTOR), |n| {
                                0x80 >> (n % 8)
                            });
                        let to = end.min(start + next * SECTOR);
                        let offset = here.then(|| data_at + (from - start));
                        visit(ByteRange::new(from, to), offset)?;
                        from = to;
                    }
                    Ok(())
                })?;
            }
            at = end;
        }
        Ok(())
    }
}

impl<F: ReadAt> Layer for VhdImage<F> {
    fn info(&self) -> &LayerInfo {
        &self.info
    }

    fn findings(&self) -> &[String] {
        &self.findings
    }
}

/// All that the image says about itself. A parent locator that cannot be read is a finding: the
/// others may do.
fn info(
    file: &impl ReadAt,
    footer: &Footer,
    header: Option<&DynamicHeader>,
    findings: &mut Vec<String>,
) -> LayerInfo {
    let parent = header
        .filter(|_| footer.kind == VhdKind::Differencing)
        .map(|header| {
            let mut paths = Vec::new();
            for locator in header.locators.iter().filter(|locator| locator.is_used()) {
                match locator.read(file) {
                    Ok(path) => paths.extend(path),
                    Err(e) => findings.push(e.to_string()),
                }
            }
            if !header.parent_name.is_empty() {
                paths.push(ParentPath {
                    kind: PathKind::Name,
                    path: header.parent_name.clone(),
                });
            }
            ParentLink {
                identities: vec![header.parent_id],
                paths,
                other: Vec::new(),
                timestamp: Some(header.parent_timestamp),
            }
        });
    LayerInfo {
        geometry: geometry(footer),
        format: Format::Vhd(VhdInfo {
            kind: footer.kind,
            unique_id: footer.unique_id,
            timestamp: footer.timestamp,
            creator_app: footer.creator_app,
            creator_version: footer.creator_version,
            creator_os: footer.creator_os,
            original_len: footer.original_size,
            chs: (footer.chs.cylinders, footer.chs.heads, footer.chs.sectors),
            features: footer.features,
            saved_state: footer.saved_state != 0,
            block_size: header.map(|header| header.block_size),
        }),
        parent,
    }
}

pub(crate) fn geometry(footer: &Footer) -> Geometry {
    Geometry {
        len: footer.current_size,
        logical_sector: SECTOR as u32,
        physical_sector: SECTOR as u32,
    }
}

impl<F: ReadAt> BlockRead for VhdImage<F> {
    fn geometry(&self) -> Geometry {
        geometry(&self.footer)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        check_bounds(self.footer.current_size, offset, buf.len() as u64)?;
        let range = ByteRange::new(offset, offset + buf.len() as u64);
        self.pieces(range, |piece, place| {
            let from = (piece.start - offset) as usize;
            let out = &mut buf[from..from + piece.len() as usize];
            match place {
                Some(at) => self
                    .file
                    .read_exact_at(out, at)
                    .map_err(Error::io("reading a VHD block")),
                None => {
                    out.fill(0);
                    Ok(())
                }
            }
        })
    }

    fn extents(&self, range: ByteRange) -> Result<Vec<Extent>> {
        let mut list = ExtentList::new();
        self.pieces(range, |piece, place| {
            let content = match place {
                Some(_) => Content::Data,
                None => Content::Hole,
            };
            list.push(piece, content);
            Ok(())
        })?;
        Ok(list.into_vec())
    }
}

impl Sparse {
    fn read(
        file: &impl ReadAt,
        footer: &Footer,
        data_end: u64,
        checksums: Checksums,
        findings: &mut Vec<String>,
    ) -> Result<Self> {
        let damaged = |why: String| Error::damaged("VHD dynamic header", why);
        let mut bytes = [0; HEADER_LEN];
        file.read_exact_at(&mut bytes, footer.data_offset)
            .map_err(|_| damaged(format!("none at offset {}", footer.data_offset)))?;
        let (header, sound) = DynamicHeader::decode(&bytes)?;
        if !sound {
            let why = "its checksum is wrong";
            match checksums {
                Checksums::Enforce => return Err(damaged(why.into())),
                Checksums::Report => findings.push(format!("VHD dynamic header: {why}")),
            }
        }

        let block_size = u64::from(header.block_size);
        let blocks = footer.current_size.div_ceil(block_size);
        if blocks > u64::from(header.max_table_entries) {
            let why = format!(
                "{blocks} blocks, but {} BAT entries",
                header.max_table_entries
            );
            return Err(damaged(why));
        }
        if blocks > MAX_BLOCKS {
            let why = format!("{blocks} blocks of {block_size} bytes in one VHD");
            return Err(Error::Unsupported(why));
        }
        let bat_range = ByteRange::at(header.table_offset, blocks * 4)
            .filter(|range| range.end <= data_end)
            .ok_or_else(|| Error::damaged("VHD BAT", "it lies outside the file"))?;
        let bat = read_bat(file, bat_range)?;
        let bitmap_len = bitmap_len(block_size);
        let stored = bitmap_len as u64 + block_size;
        let header_end = footer.data_offset + HEADER_LEN as u64;
        let fixed = [
            ("the footer's copy", ByteRange::new(0, FOOTER_LEN as u64)),
            (
                "the dynamic header",
                ByteRange::new(footer.data_offset, header_end),
            ),
            ("the BAT", bat_range),
        ];
        for (n, (name, range)) in fixed.iter().enumerate() {
            if let Some((other, _)) = fixed[..n]
                .iter()
                .find(|(_, other)| other.intersect(range).is_some())
            {
                let why = format!("{other} and {name} overlap");
                return Err(Error::damaged("VHD BAT", why));
            }
        }
        let present = bat.iter().filter(|sector| **sector != ABSENT).count();
        let mut starts = Vec::with_capacity(present);
        for (index, sector) in bat.iter().enumerate().filter(|(_, s)| **s != ABSENT) {
            let start = u64::from(*sector) * SECTOR;
            let block = ByteRange::new(start, start + stored);
            if block.end > data_end {
                let end = block.end;
                let why = format!("block {index} ends at {end}, the file at {data_end}: truncated");
                return Err(Error::damaged("VHD BAT", why));
            }
            if let Some((name, _)) = fixed
                .iter()
                .find(|(_, range)| range.intersect(&block).is_some())
            {
                let why = format!("block {index} and {name} overlap");
                return Err(Error::damaged("VHD BAT", why));
            }
            starts.push(*sector);
        }
        if let Some((one, other)) = overlap::equal(&mut starts, stored / SECTOR) {
            let why = format!("the blocks at the sectors {one} and {other} overlap");
            return Err(Error::damaged("VHD BAT", why));
        }
        Ok(Self {
            header,
            bat,
            bitmap_len,
            last: Mutex::new(None),
        })
    }

    fn with_bitmap<T>(
        &self,
        file: &impl ReadAt,
        index: usize,
        at: u64,
        use_it: impl FnOnce(&[u8]) -> Result<T>,
    ) -> Result<T> {
        let cached = {
            let mut last = self.last.lock().unwrap_or_else(|e| e.into_inner());
            last.take_if(|(of, _)| *of == index)
        };
        let bitmap = match cached {
            Some((_, bitmap)) => bitmap,
            None => {
                let mut bitmap = vec![0; self.bitmap_len];
                file.read_exact_at(&mut bitmap, at)
                    .map_err(Error::io("reading a VHD block's bitmap"))?;
                bitmap
            }
        };
        let answer = use_it(&bitmap);
        *self.last.lock().unwrap_or_else(|e| e.into_inner()) = Some((index, bitmap));
        answer
    }
}

/// Reads the BAT a piece at a time, so that it is in memory once.
fn read_bat(file: &impl ReadAt, range: ByteRange) -> Result<Vec<u32>> {
    let mut bat = Vec::with_capacity((range.len() / 4) as usize);
    let mut bytes = vec![0; range.len().min(1 << 20) as usize];
    let mut at = range.start;
    while at < range.end {
        let part = &mut bytes[..(range.end - at).min(1 << 20) as usize];
        file.read_exact_at(part, at)
            .map_err(Error::io("reading the VHD's BAT"))?;
        let entries = part.chunks_exact(4);
        bat.extend(entries.map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]])));
        at += part.len() as u64;
    }
    Ok(bat)
}

/// Bytes of a block's bitmap: a bit for each sector, in whole sectors.
pub(crate) fn bitmap_len(block_size: u64) -> usize {
    (block_size / SECTOR).div_ceil(8).next_multiple_of(SECTOR) as usize
}

/// Finds the footer at the end, or its copy at the beginning, and where the data before it end.
fn find_footer(
    file: &impl ReadAt,
    file_len: u64,
    checksums: Checksums,
    findings: &mut Vec<String>,
) -> Result<(Footer, u64)> {
    let read = |offset: u64, bytes: &mut [u8]| {
        file.read_exact_at(bytes, offset)
            .map_err(Error::io("reading the VHD's footer"))
    };
    let mut unsound = None;
    let mut failure = None;
    let full = FOOTER_LEN as u64;
    // Virtual PC before 2004 left out the last byte, which is always zero.
    for (len, last_resort) in [(full, false), (full - 1, false), (full, true)] {
        if file_len < len {
            continue;
        }
        let mut bytes = [0; FOOTER_LEN];
        let at = if last_resort { 0 } else { file_len - len };
        read(at, &mut bytes[..len as usize])?;
        let (footer, sound) = match Footer::decode(&bytes) {
            Ok(Some(found)) => found,
            Ok(None) => continue,
            Err(e) => {
                failure.get_or_insert(e);
                continue;
            }
        };
        // At the beginning of a fixed image is the disk itself, whatever it looks like.
        if last_resort && footer.kind == VhdKind::Fixed {
            continue;
        }
        let data_end = if last_resort { file_len } else { at };
        if !sound {
            unsound.get_or_insert((footer, data_end));
            continue;
        }
        if last_resort {
            findings.push(
                "the VHD's footer at the end of the file is missing or damaged; its copy at the \
                 beginning was used"
                    .into(),
            );
        }
        return Ok((footer, data_end));
    }
    match (unsound, failure) {
        (Some(found), _) if checksums == Checksums::Report => {
            findings.push("the VHD footer's checksum is wrong".into());
            Ok(found)
        }
        (Some(_), _) => Err(Error::damaged("VHD footer", "its checksum is wrong")),
        (None, Some(failure)) => Err(failure),
        (None, None) => Err(Error::NotThisFormat {
            format: "VHD",
            why: "no footer at the end and no copy at the beginning".into(),
        }),
    }
}
