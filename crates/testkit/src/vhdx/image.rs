//! What a file is to hold, and its bytes.

use std::collections::BTreeMap;

use uuid::{Uuid, uuid};

use crate::vhdx::{MIB, guid, put, seal};

/// A payload block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// State 1, with or without an offset left behind.
    Undefined {
        /// Keep an offset.
        anchor: bool,
    },
    /// State 2.
    Zero,
    /// State 3, with or without an offset left behind.
    Unmapped {
        /// Keep an offset.
        anchor: bool,
    },
    /// State 6: these bytes, then zeros.
    Full(Vec<u8>),
    /// State 7: these bytes, then zeros, of which only the sectors count whose bit is set.
    Partial {
        /// One for each sector of the block; those missing are not set.
        bits: Vec<bool>,
        /// The bytes.
        data: Vec<u8>,
    },
    /// An entry as it is, for lies.
    Raw(u64),
}

/// A VHDX file to be made.
#[derive(Debug, Clone)]
pub struct Image {
    /// Bytes of the disk.
    pub disk_len: u64,
    /// Bytes of a payload block.
    pub block_size: u32,
    /// Logical sector size.
    pub logical: u32,
    /// Physical sector size.
    pub physical: u32,
    /// The LeaveBlocksAllocated flag.
    pub fixed: bool,
    /// Data write GUID.
    pub data_write: Uuid,
    /// Page 83 id.
    pub disk_id: Uuid,
    /// The blocks that are not in state 0.
    pub blocks: BTreeMap<u64, Block>,
    /// Keys and values of a parent locator.
    pub parent: Option<Vec<(String, String)>>,
    /// More metadata items: id, flags, bytes.
    pub items: Vec<(Uuid, u32, Vec<u8>)>,
    /// Blocks are stored from the last to the first.
    pub backwards: bool,
}

impl Image {
    /// An empty dynamic disk.
    pub fn new(disk_len: u64, block_size: u32) -> Self {
        Self {
            disk_len,
            block_size,
            logical: 512,
            physical: 4096,
            fixed: false,
            data_write: Uuid::from_u128(0xD001),
            disk_id: Uuid::from_u128(0xD15C),
            blocks: BTreeMap::new(),
            parent: None,
            items: Vec::new(),
            backwards: false,
        }
    }

    /// Payload blocks of the disk.
    pub fn block_count(&self) -> u64 {
        self.disk_len.div_ceil(self.block_size.into())
    }

    /// The file, closed cleanly.
    pub fn build(&self) -> Vec<u8> {
        let ratio = (1u64 << 23) * u64::from(self.logical) / u64::from(self.block_size);
        let chunks = self.block_count().div_ceil(ratio);
        // A slot for each block of whole chunks: as long as any kind of file needs.
        let mut bat = vec![0u64; (chunks * (ratio + 1)) as usize];
        let bat_len = (bat.len() as u64 * 8).next_multiple_of(MIB);
        let metadata = self.metadata();
        let metadata_at = 2 * MIB;
        let bat_at = metadata_at + metadata.len() as u64;
        let mut file = vec![0; (bat_at + bat_len) as usize];

        put(&mut file, 0, b"vhdxfile");
        for (i, unit) in "testkit".encode_utf16().enumerate() {
            put(&mut file, 8 + 2 * i as u64, &unit.to_le_bytes());
        }
        put(&mut file, 64 << 10, &self.header(1));
        put(&mut file, 128 << 10, &self.header(2));
        let regions = regions(bat_at, bat_len, metadata_at, metadata.len() as u64);
        put(&mut file, 192 << 10, &regions);
        put(&mut file, 256 << 10, &regions);
        put(&mut file, metadata_at, &metadata);

        let mut append = |bytes: &[u8], len: u64| {
            let at = file.len() as u64;
            file.extend(bytes);
            file.resize((at + len) as usize, 0);
            at
        };
        let mut bitmaps: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        let mut order: Vec<_> = self.blocks.iter().collect();
        if self.backwards {
            order.reverse();
        }
        let size = u64::from(self.block_size);
        for (number, block) in order {
            let chunk = number / ratio;
            bat[(number + chunk) as usize] = match block {
                Block::Undefined { anchor } => 1 | u64::from(*anchor) << 20,
                Block::Zero => 2,
                Block::Unmapped { anchor } => 3 | u64::from(*anchor) << 20,
                Block::Full(data) => 6 | append(data, size),
                Block::Partial { bits, data } => {
                    let bitmap = bitmaps.entry(chunk).or_insert_with(|| vec![0; 1 << 20]);
                    let first = number % ratio * size / u64::from(self.logical);
                    for (bit, _) in (first as usize..).zip(bits).filter(|(_, set)| **set) {
                        bitmap[bit / 8] |= 1 << (bit % 8);
                    }
                    7 | append(data, size)
                }
                Block::Raw(entry) => *entry,
            };
        }
        for (chunk, bitmap) in bitmaps {
            bat[((chunk + 1) * ratio + chunk) as usize] = 6 | append(&bitmap, MIB);
        }
        for (i, entry) in bat.iter().enumerate() {
            put(&mut file, bat_at + 8 * i as u64, &entry.to_le_bytes());
        }
        file
    }

    fn header(&self, sequence: u64) -> Vec<u8> {
        let mut header = vec![0; 4096];
        put(&mut header, 0, b"head");
        put(&mut header, 8, &sequence.to_le_bytes());
        put(&mut header, 16, &guid(Uuid::from_u128(0xF11E)));
        put(&mut header, 32, &guid(self.data_write));
        put(&mut header, 66, &1u16.to_le_bytes());
        put(&mut header, 68, &(MIB as u32).to_le_bytes());
        put(&mut header, 72, &MIB.to_le_bytes());
        seal(&mut header);
        header
    }

    fn metadata(&self) -> Vec<u8> {
        let flags = u32::from(self.fixed) | if self.parent.is_some() { 2 } else { 0 };
        let parameters = [self.block_size.to_le_bytes(), flags.to_le_bytes()].concat();
        let system = |id, flags, data: &[u8]| (id, flags, data.to_vec());
        let mut items = vec![
            system(
                uuid!("caa16737-fa36-4d43-b3b6-33f0aa44e76b"),
                4,
                &parameters,
            ),
            system(
                uuid!("2fa54224-cd1b-4876-b211-5dbed83bf4b8"),
                6,
                &self.disk_len.to_le_bytes(),
            ),
            system(
                uuid!("beca12ab-b2e6-4523-93ef-c309e000c746"),
                6,
                &guid(self.disk_id),
            ),
            system(
                uuid!("8141bf1d-a96f-4709-ba47-f233a8faab5f"),
                6,
                &self.logical.to_le_bytes(),
            ),
            system(
                uuid!("cda348c7-445d-4471-9cc9-e9885251c556"),
                6,
                &self.physical.to_le_bytes(),
            ),
        ];
        if let Some(pairs) = &self.parent {
            let id = uuid!("a8d35f2d-b30b-454d-abf7-d3d84834ab0c");
            items.push(system(id, 4, &locator(pairs)));
        }
        items.extend(self.items.iter().cloned());

        let mut out = vec![0; 64 << 10];
        put(&mut out, 0, b"metadata");
        put(&mut out, 10, &(items.len() as u16).to_le_bytes());
        for (i, (id, flags, data)) in items.iter().enumerate() {
            let entry = 32 + 32 * i as u64;
            put(&mut out, entry, &guid(*id));
            if !data.is_empty() {
                let at = out.len() as u32;
                put(&mut out, entry + 16, &at.to_le_bytes());
                put(&mut out, entry + 20, &(data.len() as u32).to_le_bytes());
                out.extend(data);
            }
            put(&mut out, entry + 24, &flags.to_le_bytes());
        }
        out.resize(out.len().next_multiple_of(MIB as usize), 0);
        out
    }
}

fn regions(bat_at: u64, bat_len: u64, metadata_at: u64, metadata_len: u64) -> Vec<u8> {
    let mut table = vec![0; 64 << 10];
    put(&mut table, 0, b"regi");
    put(&mut table, 8, &2u32.to_le_bytes());
    let entries = [
        (
            uuid!("2dc27766-f623-4200-9d64-115e9bfd4a08"),
            bat_at,
            bat_len,
        ),
        (
            uuid!("8b7ca206-4790-4b9a-b8fe-575f050f886e"),
            metadata_at,
            metadata_len,
        ),
    ];
    for (i, (id, at, len)) in entries.into_iter().enumerate() {
        let entry = 16 + 32 * i as u64;
        put(&mut table, entry, &guid(id));
        put(&mut table, entry + 16, &at.to_le_bytes());
        put(&mut table, entry + 24, &(len as u32).to_le_bytes());
        put(&mut table, entry + 28, &1u32.to_le_bytes());
    }
    seal(&mut table);
    table
}

fn locator(pairs: &[(String, String)]) -> Vec<u8> {
    let mut out = vec![0; 20 + 12 * pairs.len()];
    put(
        &mut out,
        0,
        &guid(uuid!("b04aefb7-d19e-4a81-b789-25b8e9445913")),
    );
    put(&mut out, 18, &(pairs.len() as u16).to_le_bytes());
    for (i, (key, value)) in pairs.iter().enumerate() {
        for (text, offset_at, len_at) in [(key, 0, 8), (value, 4, 10)] {
            let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let (entry, at) = (20 + 12 * i as u64, out.len() as u32);
            put(&mut out, entry + offset_at, &at.to_le_bytes());
            put(
                &mut out,
                entry + len_at,
                &(bytes.len() as u16).to_le_bytes(),
            );
            out.extend(bytes);
        }
    }
    out
}
