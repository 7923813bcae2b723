//! The metadata region (MS-VHDX 2.6): what the disk is.
//!
//! A table of 64 KiB, which no checksum protects, and the items that it points to. What is not
//! known here is carried as it is; only what says that it must be known is refused.

use uuid::{Uuid, uuid};

use crate::error::{Error, Result};
use crate::io::ReadAt;
use crate::layer::MetadataItem;
use crate::vhdx::MIB;
use crate::vhdx::bytes::{guid_at, put, u16_at, u32_at, u64_at};
use crate::vhdx::locator::ParentLocator;
use crate::vhdx::region::Region;

/// Bytes of the table; items come behind it.
pub const TABLE_LEN: usize = 64 << 10;

/// The most entries of a table.
pub const MAX_ITEMS: usize = 2047;

/// The longest item.
pub const MAX_ITEM_LEN: u32 = 1 << 20;

/// The longest region that is accepted, as in Microsoft's implementation.
pub const MAX_REGION_LEN: u32 = 128 << 20;

/// The most bytes of user items, and again of other items, as in Microsoft's implementation.
const MAX_CATEGORY_LEN: u64 = 40 << 20;

/// Block size and flags.
pub const FILE_PARAMETERS: Uuid = uuid!("CAA16737-FA36-4D43-B3B6-33F0AA44E76B");
/// Size of the disk.
pub const DISK_SIZE: Uuid = uuid!("2FA54224-CD1B-4876-B211-5DBED83BF4B8");
/// The disk's id, SCSI VPD page 0x83.
pub const DISK_ID: Uuid = uuid!("BECA12AB-B2E6-4523-93EF-C309E000C746");
/// Logical sector size.
pub const LOGICAL_SECTOR: Uuid = uuid!("8141BF1D-A96F-4709-BA47-F233A8FAAB5F");
/// Physical sector size.
pub const PHYSICAL_SECTOR: Uuid = uuid!("CDA348C7-445D-4471-9CC9-E9885251C556");
/// Parent locator.
pub const PARENT_LOCATOR: Uuid = uuid!("A8D35F2D-B30B-454D-ABF7-D3D84834AB0C");
/// CHS parameters: optional, not in the specification, carried as they are.
pub const CHS_PARAMETERS: Uuid = uuid!("DA02D7BC-3D3A-423C-AC88-2A36AB21479B");
/// PMEM label area: optional, not in the specification, carried as it is.
pub const PMEM_LABEL_AREA: Uuid = uuid!("10E1AE8A-4B7E-4169-A40F-CD70DE928393");
/// Marks a file whose creation has not finished; it must not be opened.
pub const INCOMPLETE: Uuid = uuid!("71CC85F0-1B69-4E28-9558-C3BF83AE75D3");

const USER: u32 = 1;
const VIRTUAL_DISK: u32 = 2;
const REQUIRED: u32 = 4;

/// The items of the metadata region. Sizes are as stored: whether they make sense together is
/// judged by [`BatGeometry::new`](crate::vhdx::bat::BatGeometry::new).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Bytes of a payload block.
    pub block_size: u32,
    /// All blocks are to stay allocated: a fixed disk.
    pub leave_allocated: bool,
    /// The parent, of a differencing file.
    pub parent: Option<ParentLocator>,
    /// Bytes of the disk.
    pub disk_len: u64,
    /// The disk's id, SCSI VPD page 0x83.
    pub disk_id: Uuid,
    /// 512 or 4096.
    pub logical_sector: u32,
    /// 512 or 4096.
    pub physical_sector: u32,
    /// All other items in the order of the table.
    pub other: Vec<MetadataItem>,
}

/// An entry of the table.
struct Entry {
    id: Uuid,
    offset: u32,
    len: u32,
    flags: u32,
}

impl Metadata {
    /// Reads the region from `file`.
    ///
    /// # Errors
    /// [`Error::Damaged`] for a table or items that break a rule of the format or are missing;
    /// [`Error::Unsupported`], naming it, for an item that is required and unknown, and for a
    /// file whose creation has not finished.
    pub fn read(file: &impl ReadAt, region: &Region) -> Result<Self> {
        if region.len > MAX_REGION_LEN {
            return damaged(format!("a region of {} bytes", region.len));
        }
        let mut table = [0; TABLE_LEN];
        file.read_exact_at(&mut table, region.offset)
            .map_err(Error::io("reading the metadata table"))?;
        let entries = read_table(&table, region.len)?;
        let mut fixed = Fixed::default();
        let mut other = Vec::new();
        for entry in &entries {
            let mut data = vec![0; entry.len as usize];
            // An item without bytes has no place either.
            if !data.is_empty() {
                file.read_exact_at(&mut data, region.offset + u64::from(entry.offset))
                    .map_err(Error::io("reading a metadata item"))?;
            }
            if entry.flags & USER != 0 || !fixed.take(entry.id, &data)? {
                other.push(carry(entry, data)?);
            }
        }
        fixed.finish(other)
    }

    /// Writes the region, whole MiB long.
    ///
    /// # Errors
    /// [`Error::Invalid`] for items that the format cannot hold.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let flags = u32::from(self.leave_allocated) | u32::from(self.parent.is_some()) << 1;
        let mut parameters = self.block_size.to_le_bytes().to_vec();
        parameters.extend(flags.to_le_bytes());
        let disk = VIRTUAL_DISK | REQUIRED;
        let mut items = vec![
            (FILE_PARAMETERS, REQUIRED, parameters),
            (DISK_SIZE, disk, self.disk_len.to_le_bytes().to_vec()),
            (DISK_ID, disk, self.disk_id.to_bytes_le().to_vec()),
            (
                LOGICAL_SECTOR,
                disk,
                self.logical_sector.to_le_bytes().to_vec(),
            ),
            (
                PHYSICAL_SECTOR,
                disk,
                self.physical_sector.to_le_bytes().to_vec(),
            ),
        ];
        if let Some(parent) = &self.parent {
            items.push((PARENT_LOCATOR, REQUIRED, parent.encode()?));
        }
        for item in &self.other {
            let flags = u32::from(item.user)
                | u32::from(item.virtual_disk) << 1
                | u32::from(item.required) << 2;
            items.push((item.id, flags, item.data.clone()));
        }
        encode_items(&items)
    }
}

fn damaged<T>(why: String) -> Result<T> {
    Err(Error::damaged("metadata", why))
}

fn read_table(table: &[u8; TABLE_LEN], region_len: u32) -> Result<Vec<Entry>> {
    if !table.starts_with(b"metadata") {
        return damaged("wrong signature of the table".into());
    }
    let count = usize::from(u16_at(table, 10));
    if count > MAX_ITEMS {
        return damaged(format!("{count} items where {MAX_ITEMS} fit"));
    }
    let entries: Vec<_> = table[32..]
        .chunks_exact(32)
        .take(count)
        .map(|bytes| Entry {
            id: guid_at(bytes, 0),
            offset: u32_at(bytes, 16),
            len: u32_at(bytes, 20),
            flags: u32_at(bytes, 24),
        })
        .collect();

    let mut placed: Vec<_> = entries.iter().filter(|entry| entry.len > 0).collect();
    placed.sort_by_key(|entry| entry.offset);
    let mut free = TABLE_LEN as u64;
    let mut sums = [0; 2];
    for entry in placed {
        let (offset, len) = (u64::from(entry.offset), u64::from(entry.len));
        if offset < free || entry.len > MAX_ITEM_LEN || offset + len > u64::from(region_len) {
            return damaged(format!(
                "item {} of {len} bytes at {offset} is too long, outside the region, or \
                 overlaps another",
                entry.id
            ));
        }
        free = offset + len;
        sums[(entry.flags & USER) as usize] += len;
    }
    if sums.iter().any(|sum| *sum > MAX_CATEGORY_LEN) {
        return damaged("more than 40 MiB of items of one category".into());
    }
    let mut names: Vec<_> = entries
        .iter()
        .map(|entry| (entry.id, entry.flags & USER))
        .collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return damaged(format!("item {} is listed twice", pair[0].0));
    }
    Ok(entries)
}

fn carry(entry: &Entry, data: Vec<u8>) -> Result<MetadataItem> {
    let item = MetadataItem {
        id: entry.id,
        user: entry.flags & USER != 0,
        virtual_disk: entry.flags & VIRTUAL_DISK != 0,
        required: entry.flags & REQUIRED != 0,
        data,
    };
    if item.id == INCOMPLETE && !item.user {
        return Err(Error::Unsupported(
            "the file's creation has not finished; make it again".into(),
        ));
    }
    match (item.user, item.required) {
        (true, true) => damaged(format!("user item {} claims to be required", item.id)),
        (false, true) if ![CHS_PARAMETERS, PMEM_LABEL_AREA].contains(&item.id) => {
            let why = format!("the file requires the unknown metadata item {}", item.id);
            Err(Error::Unsupported(why))
        }
        _ => Ok(item),
    }
}

/// The items that are interpreted, as they are found.
#[derive(Default)]
struct Fixed {
    parameters: Option<[u8; 8]>,
    disk_len: Option<[u8; 8]>,
    disk_id: Option<[u8; 16]>,
    logical: Option<[u8; 4]>,
    physical: Option<[u8; 4]>,
    parent: Option<ParentLocator>,
}

impl Fixed {
    /// Keeps an item, unless it is none of these.
    fn take(&mut self, id: Uuid, data: &[u8]) -> Result<bool> {
        fn sized<const N: usize>(name: &str, data: &[u8]) -> Result<Option<[u8; N]>> {
            match data.try_into() {
                Ok(bytes) => Ok(Some(bytes)),
                Err(_) => damaged(format!("{name} of {} bytes, not {N}", data.len())),
            }
        }
        match id {
            FILE_PARAMETERS => self.parameters = sized("file parameters", data)?,
            DISK_SIZE => self.disk_len = sized("disk size", data)?,
            DISK_ID => self.disk_id = sized("disk id", data)?,
            LOGICAL_SECTOR => self.logical = sized("logical sector size", data)?,
            PHYSICAL_SECTOR => self.physical = sized("physical sector size", data)?,
            PARENT_LOCATOR => self.parent = Some(ParentLocator::decode(data)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn finish(self, other: Vec<MetadataItem>) -> Result<Metadata> {
        fn need<T>(name: &str, item: Option<T>) -> Result<T> {
            item.ok_or_else(|| Error::damaged("metadata", format!("no item for {name}")))
        }
        let parameters = need("file parameters", self.parameters)?;
        let flags = u32_at(&parameters, 4);
        let has_parent = flags & 2 != 0;
        // Were the flag to lose its bit unnoticed, everything that the parent holds would read
        // as zeros.
        if has_parent != self.parent.is_some() {
            return damaged(if has_parent {
                "a differencing file without a parent locator".into()
            } else {
                "a parent locator in a file that claims to have no parent".into()
            });
        }
        let physical = u32::from_le_bytes(need("physical sector size", self.physical)?);
        if !matches!(physical, 512 | 4096) {
            return damaged(format!("physical sector size {physical}"));
        }
        Ok(Metadata {
            block_size: u32_at(&parameters, 0),
            leave_allocated: flags & 1 != 0,
            parent: self.parent,
            disk_len: u64_at(&need("disk size", self.disk_len)?, 0),
            disk_id: guid_at(&need("disk id", self.disk_id)?, 0),
            logical_sector: u32::from_le_bytes(need("logical sector size", self.logical)?),
            physical_sector: physical,
            other,
        })
    }
}

fn encode_items(items: &[(Uuid, u32, Vec<u8>)]) -> Result<Vec<u8>> {
    let invalid = |why: String| Err(Error::Invalid(why));
    if items.len() > MAX_ITEMS {
        return invalid(format!("{} metadata items", items.len()));
    }
    let mut names: Vec<_> = items
        .iter()
        .map(|(id, flags, _)| (id, flags & USER))
        .collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return invalid(format!("metadata item {} twice", pair[0].0));
    }
    let mut out = vec![0; TABLE_LEN];
    put(&mut out, 0, b"metadata");
    put(&mut out, 10, &(items.len() as u16).to_le_bytes());
    for (i, (id, flags, data)) in items.iter().enumerate() {
        if data.len() > MAX_ITEM_LEN as usize {
            return invalid(format!("metadata item {id} of {} bytes", data.len()));
        }
        if out.len() + data.len() > MAX_REGION_LEN as usize {
            return invalid("more than 128 MiB of metadata items".into());
        }
        let entry = 32 + 32 * i;
        put(&mut out, entry, &id.to_bytes_le());
        if !data.is_empty() {
            let offset = out.len() as u32;
            put(&mut out, entry + 16, &offset.to_le_bytes());
            put(&mut out, entry + 20, &(data.len() as u32).to_le_bytes());
        }
        put(&mut out, entry + 24, &flags.to_le_bytes());
        out.extend(data);
    }
    out.resize(out.len().next_multiple_of(MIB as usize), 0);
    Ok(out)
}

#[cfg(test)]
mod tests;
