//! A VHDX that is open for reading.

use uuid::Uuid;

use crate::bits::run;
use crate::block::{BlockRead, Geometry, check_bounds};
use crate::error::{Error, Result};
use crate::extent::{Content, Extent, ExtentList};
use crate::io::ReadAt;
use crate::layer::{Format, Layer, LayerInfo, VhdxInfo};
use crate::overlap::Claims;
use crate::range::ByteRange;
use crate::vhdx::MIB;
use crate::vhdx::bat::BatGeometry;
use crate::vhdx::header::{CurrentHeader, HEADER_LEN, HEADER_OFFSETS, Header, current};
use crate::vhdx::identifier::{IDENTIFIER_LEN, Identifier};
use crate::vhdx::log::{View, replay};
use crate::vhdx::metadata::Metadata;
use crate::vhdx::pages::PAGE;
use crate::vhdx::region::{REGION_TABLE_LEN, REGION_TABLE_OFFSETS, RegionTable};
use crate::vhdx::table::{Cursor, Place, Table};

/// A VHDX or AVHDX open for reading. Alone it shows its own layer: what is left to a parent is a
/// hole.
///
/// The file is never written; the log of a file that was not closed is applied in memory. Tables
/// are read page by page; what grows with the disk is an account of which parts of the file are
/// taken, to notice blocks that overlap: some 20 MiB for a full disk of 64 TiB.
#[derive(Debug)]
pub struct VhdxImage<F> {
    view: View<F>,
    table: Table,
    info: LayerInfo,
    findings: Vec<String>,
}

/// What stands for a piece of the disk.
enum Piece {
    Hole,
    Zero,
    /// Bytes from this offset of the file.
    Data(u64),
}

impl<F: ReadAt> VhdxImage<F> {
    /// Opens an image, alone.
    ///
    /// # Errors
    /// [`Error::NotThisFormat`] for a file without the signature, [`Error::Damaged`] when the
    /// image contradicts itself or was cut short, [`Error::Unsupported`] when it requires what
    /// is not known here.
    pub fn open(file: F) -> Result<Self> {
        let (identifier, headers) = read_head(&file)?;
        let CurrentHeader { slot, header } = headers.current()?;
        let mut findings = Vec::new();
        if let Err(e) = headers.decode(1 - slot) {
            findings.push(format!("only one of the two headers is usable ({e})"));
        }
        let view = replay(file, &header)?;
        let regions = read_regions(&view, &mut findings)?;
        let (bat, metadata) = regions.known()?;
        for (region, name) in [(bat, "BAT"), (metadata, "metadata")] {
            if region.range().end > view.virtual_len() {
                let (at, len) = (region.offset, view.virtual_len());
                let why = format!("the {name} at {at} runs past the file's end at {len}");
                return Err(Error::damaged("region table", why));
            }
        }
        let metadata = Metadata::read(&view, metadata)?;
        let geometry = BatGeometry::new(
            metadata.disk_len,
            metadata.block_size,
            metadata.logical_sector,
            metadata.parent.is_some(),
        )?;
        if geometry.table_len() > u64::from(bat.len) {
            let (needed, len) = (geometry.table_len(), bat.len);
            let why = format!("{needed} bytes are needed for the disk, the region has {len}");
            return Err(Error::damaged("BAT", why));
        }
        let table = Table::open(&view, geometry, bat.offset, claims(&header, &regions)?)?;
        let info = info(identifier, &header, metadata)?;
        Ok(Self {
            view,
            table,
            info,
            findings,
        })
    }

    /// Calls `visit` for each piece of `range`, in order.
    fn pieces(
        &self,
        range: ByteRange,
        mut visit: impl FnMut(ByteRange, Piece) -> Result<()>,
    ) -> Result<()> {
        let g = *self.table.geometry();
        check_bounds(
            g.disk_len(),
            range.start,
            range.end.saturating_sub(range.start),
        )?;
        let mut cursor = Cursor::default();
        let mut at = range.start;
        while at < range.end {
            let block = at / g.block_size();
            let start = block * g.block_size();
            let piece = ByteRange::new(at, range.end.min(start + g.block_size()));
            match self.table.place(&self.view, block, &mut cursor)? {
                Place::Hole => visit(piece, Piece::Hole)?,
                Place::Zero => visit(piece, Piece::Zero)?,
                Place::Whole(data) => visit(piece, Piece::Data(data + (at - start)))?,
                Place::Partial { data, bits } => {
                    self.runs(start, piece, bits, |run, stored| match stored {
                        true => visit(run, Piece::Data(data + (run.start - start))),
                        false => visit(run, Piece::Hole),
                    })?;
                }
            }
            at = piece.end;
        }
        Ok(())
    }

    /// Cuts `piece` of the block at `start` by the block's bits, which are at `bits` of the file.
    fn runs(
        &self,
        start: u64,
        piece: ByteRange,
        bits: u64,
        mut visit: impl FnMut(ByteRange, bool) -> Result<()>,
    ) -> Result<()> {
        let sector = self.table.geometry().logical_sector();
        let mut at = piece.start;
        while at < piece.end {
            // Counted from the first bit of the page that has the first bit of interest.
            let byte = bits + (at - start) / sector / 8;
            let page_at = byte / PAGE * PAGE;
            let page = self.table.bitmap_page(&self.view, page_at)?;
            let first = (byte - page_at) * 8 + (at - start) / sector % 8;
            let sectors = (piece.end - start).div_ceil(sector) - (at - start) / sector;
            let limit = (first + sectors).min(PAGE * 8);
            let (stored, next) = run(&page, first, limit, |n| 1 << (n % 8));
            let end = at / sector * sector + (next - first) * sector;
            let run = ByteRange::new(at, end.min(piece.end));
            visit(run, stored)?;
            at = run.end;
        }
        Ok(())
    }
}

impl<F: ReadAt> BlockRead for VhdxImage<F> {
    fn geometry(&self) -> Geometry {
        self.info.geometry
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        check_bounds(self.info.geometry.len, offset, buf.len() as u64)?;
        let range = ByteRange::new(offset, offset + buf.len() as u64);
        self.pieces(range, |run, piece| {
            let from = (run.start - offset) as usize;
            let out = &mut buf[from..from + run.len() as usize];
            match piece {
                Piece::Data(at) => self
                    .view
                    .read_exact_at(out, at)
                    .map_err(Error::io("reading a VHDX block")),
                Piece::Hole | Piece::Zero => {
                    out.fill(0);
                    Ok(())
                }
            }
        })
    }

    fn extents(&self, range: ByteRange) -> Result<Vec<Extent>> {
        let mut list = ExtentList::new();
        self.pieces(range, |run, piece| {
            let content = match piece {
                Piece::Hole => Content::Hole,
                Piece::Zero => Content::Zero,
                Piece::Data(_) => Content::Data,
            };
            list.push(run, content);
            Ok(())
        })?;
        Ok(list.into_vec())
    }
}

impl<F: ReadAt> Layer for VhdxImage<F> {
    fn info(&self) -> &LayerInfo {
        &self.info
    }

    fn findings(&self) -> &[String] {
        &self.findings
    }
}

/// The data write GUID of a file, which names its content: read from the header alone, without
/// replaying a log or looking at the rest.
///
/// # Errors
/// As for [`VhdxImage::open`], as far as the first 192 KiB go.
pub fn identity(file: &impl ReadAt) -> Result<Uuid> {
    let (_, headers) = read_head(file)?;
    Ok(headers.current()?.header.data_write_guid)
}

/// Both headers as they are stored.
pub(super) struct Headers([Vec<u8>; 2]);

impl Headers {
    fn slot(&self, slot: usize) -> Option<&[u8; HEADER_LEN]> {
        self.0.get(slot)?.as_slice().try_into().ok()
    }

    fn decode(&self, slot: usize) -> Result<Header> {
        let bytes = self.slot(slot);
        Header::decode(bytes.ok_or_else(|| Error::damaged("header", "missing"))?)
    }

    pub(super) fn current(&self) -> Result<CurrentHeader> {
        current([self.slot(0), self.slot(1)])
    }
}

pub(super) fn read_head(file: &impl ReadAt) -> Result<(Identifier, Headers)> {
    let len = file
        .len()
        .map_err(Error::io("asking for the file's length"))?;
    let mut bytes = [0; IDENTIFIER_LEN];
    let stored = len.min(IDENTIFIER_LEN as u64) as usize;
    file.read_exact_at(&mut bytes[..stored], 0)
        .map_err(Error::io("reading the file identifier"))?;
    let identifier = Identifier::decode(&bytes)?;
    if len < MIB {
        let why = format!("{len} bytes where the head alone has {MIB}: it was cut short");
        return Err(Error::damaged("file", why));
    }
    let mut headers = [vec![0; HEADER_LEN], vec![0; HEADER_LEN]];
    for (offset, bytes) in HEADER_OFFSETS.into_iter().zip(&mut headers) {
        file.read_exact_at(bytes, offset)
            .map_err(Error::io("reading a header"))?;
    }
    Ok((identifier, Headers(headers)))
}

pub(super) fn read_regions(view: &impl ReadAt, findings: &mut Vec<String>) -> Result<RegionTable> {
    let read = |offset| RegionTable::decode(&read_region_table(view, offset)?);
    let [first, second] = REGION_TABLE_OFFSETS.map(read);
    match (first, second) {
        (Ok(first), Ok(second)) => {
            if first != second {
                findings.push("the two region tables differ; the first one is used".into());
            }
            Ok(first)
        }
        (Ok(table), Err(e)) | (Err(e), Ok(table)) => {
            findings.push(format!("only one of the two region tables is usable ({e})"));
            Ok(table)
        }
        (Err(first), Err(second)) => Err(Error::damaged(
            "region table",
            format!("neither copy is usable: first: {first}; second: {second}"),
        )),
    }
}

fn read_region_table(view: &impl ReadAt, offset: u64) -> Result<[u8; REGION_TABLE_LEN]> {
    let mut bytes = [0; REGION_TABLE_LEN];
    view.read_exact_at(&mut bytes, offset)
        .map_err(Error::io("reading a region table"))?;
    Ok(bytes)
}

/// The copy of the region table that [`read_regions`] does not use, and what it should hold; `None`
/// when both copies are equal.
pub(super) fn stale_regions(view: &impl ReadAt) -> Result<Option<(u64, [u8; REGION_TABLE_LEN])>> {
    let [first, second] = REGION_TABLE_OFFSETS;
    let (one, other) = (
        read_region_table(view, first)?,
        read_region_table(view, second)?,
    );
    Ok(match RegionTable::decode(&one) {
        _ if one == other => None,
        Ok(_) => Some((second, one)),
        Err(_) => Some((first, other)),
    })
}

/// Everything in the file that is no block.
fn claims(header: &Header, regions: &RegionTable) -> Result<Claims> {
    let mut claims = Claims::default();
    claims.take(0, MIB);
    if header.log_len > 0 && !claims.take(header.log_offset, u64::from(header.log_len)) {
        let why = format!("the log at {} overlaps the file's head", header.log_offset);
        return Err(Error::damaged("header", why));
    }
    for region in &regions.regions {
        if !claims.take(region.offset, u64::from(region.len)) {
            let (id, at) = (region.id, region.offset);
            let why = format!("region {id} at {at} overlaps the log or lies beyond any file");
            return Err(Error::damaged("region table", why));
        }
    }
    Ok(claims)
}

fn info(identifier: Identifier, header: &Header, metadata: Metadata) -> Result<LayerInfo> {
    let parent = metadata.parent.map(|locator| locator.link()).transpose()?;
    Ok(LayerInfo {
        geometry: Geometry {
            len: metadata.disk_len,
            logical_sector: metadata.logical_sector,
            physical_sector: metadata.physical_sector,
        },
        format: Format::Vhdx(VhdxInfo {
            block_size: metadata.block_size,
            fixed: metadata.leave_allocated,
            disk_id: metadata.disk_id,
            data_write_guid: header.data_write_guid,
            file_write_guid: header.file_write_guid,
            creator: identifier.creator,
            metadata: metadata.other,
            dirty_log: !header.log_guid.is_nil(),
        }),
        parent,
    })
}
