//! What a crash leaves: metadata that only the log knows.

use uuid::Uuid;

use crate::vhdx::{MIB, guid, put, seal};

const SECTOR: u64 = 4096;
const LOG_AT: u64 = MIB;
const LOG_SECTORS: u64 = MIB / SECTOR;

/// How the log of a dirty file is laid out.
#[derive(Debug, Clone)]
pub struct Dirty {
    /// Sector of the log where the active sequence begins; late ones go around the end.
    pub start: u64,
    /// Sectors of metadata in one entry, at least 1.
    pub per_entry: usize,
    /// Sequence number of the first entry.
    pub sequence: u64,
    /// An entry that was being written when the crash came.
    pub torn: bool,
    /// Older entries, of this log and of another, elsewhere in the ring; they say nonsense.
    pub stale: bool,
    /// The end of the file is missing and comes back by the log.
    pub shortened: bool,
}

/// Moves the metadata of a file that was closed cleanly into its log: the sectors in `ranges`, of
/// which each is whole, become nonsense in their place. The disk that the file means stays the
/// same.
///
/// # Panics
/// When the log is too small for all that.
pub fn dirty(clean: &[u8], ranges: &[(u64, u64)], how: &Dirty) -> Vec<u8> {
    let mut file = clean.to_vec();
    let id = Uuid::from_u128(0x106);
    let mut log = Log {
        ring: vec![0; MIB as usize],
        id,
        flushed: file.len() as u64,
        last: file.len() as u64,
    };
    let mut changes = Vec::new();
    for (start, end) in ranges {
        for at in (*start..*end).step_by(SECTOR as usize) {
            let place = at as usize..(at + SECTOR) as usize;
            changes.push((at, clean[place.clone()].to_vec()));
            file[place].fill(0xEE);
        }
    }
    if how.shortened {
        // Whole MiB of zeros at the end, which growing the file brings back.
        while file.len() as u64 > 4 * MIB
            && file[file.len() - MIB as usize..].iter().all(|b| *b == 0)
        {
            file.truncate(file.len() - MIB as usize);
        }
        log.flushed = file.len() as u64;
    }

    let nonsense = [(changes[0].0, vec![0xDD; SECTOR as usize])];
    let needed: u64 = changes.chunks(how.per_entry).map(sectors).sum();
    if how.stale {
        let free = (how.start + needed + 4) % LOG_SECTORS;
        log.put(free, &nonsense, how.sequence.saturating_sub(2).max(1), free);
        let other = Log {
            id: Uuid::from_u128(0x107),
            ..log.clone()
        };
        log.ring = other.with(free + 4, &nonsense, how.sequence + 1000, free + 4);
    }
    let mut at = how.start;
    let mut sequence = how.sequence;
    for chunk in changes.chunks(how.per_entry) {
        at = log.put(at, chunk, sequence, how.start);
        sequence += 1;
    }
    assert!(needed + 10 < LOG_SECTORS, "the log is too small");
    if how.torn {
        log.put(at, &nonsense, sequence, how.start);
        let second = (at + 1) % LOG_SECTORS * SECTOR;
        log.ring[second as usize + 2000] ^= 0x10;
    }
    put(&mut file, LOG_AT, &log.ring);

    // The second header is current; it names the log.
    let header = &mut file[128 << 10..(128 << 10) + 4096];
    put(header, 48, &guid(id));
    seal(header);
    file
}

/// Sectors of an entry with these changes.
fn sectors(changes: &[(u64, Vec<u8>)]) -> u64 {
    let data = changes
        .iter()
        .filter(|(_, bytes)| bytes.iter().any(|b| *b != 0));
    (64 + 32 * changes.len() as u64).div_ceil(SECTOR) + data.count() as u64
}

#[derive(Clone)]
struct Log {
    ring: Vec<u8>,
    id: Uuid,
    flushed: u64,
    last: u64,
}

impl Log {
    fn with(mut self, at: u64, changes: &[(u64, Vec<u8>)], sequence: u64, tail: u64) -> Vec<u8> {
        self.put(at, changes, sequence, tail % LOG_SECTORS);
        self.ring
    }

    /// Writes an entry at a sector of the ring and returns the sector behind it. Changes to zeros
    /// become zero descriptors.
    fn put(&mut self, at: u64, changes: &[(u64, Vec<u8>)], sequence: u64, tail: u64) -> u64 {
        let len = sectors(changes) * SECTOR;
        let mut entry = vec![0; len as usize];
        put(&mut entry, 0, b"loge");
        put(&mut entry, 8, &(len as u32).to_le_bytes());
        put(&mut entry, 12, &((tail * SECTOR) as u32).to_le_bytes());
        put(&mut entry, 16, &sequence.to_le_bytes());
        put(&mut entry, 24, &(changes.len() as u32).to_le_bytes());
        put(&mut entry, 32, &guid(self.id));
        put(&mut entry, 48, &self.flushed.to_le_bytes());
        put(&mut entry, 56, &self.last.to_le_bytes());
        let mut data_at = (64 + 32 * changes.len() as u64).next_multiple_of(SECTOR);
        for (i, (target, bytes)) in changes.iter().enumerate() {
            let descriptor = 64 + 32 * i as u64;
            put(&mut entry, descriptor + 16, &target.to_le_bytes());
            put(&mut entry, descriptor + 24, &sequence.to_le_bytes());
            if bytes.iter().all(|b| *b == 0) {
                put(&mut entry, descriptor, b"zero");
                put(&mut entry, descriptor + 8, &SECTOR.to_le_bytes());
                continue;
            }
            put(&mut entry, descriptor, b"desc");
            put(&mut entry, descriptor + 4, &bytes[4092..]);
            put(&mut entry, descriptor + 8, &bytes[..8]);
            put(&mut entry, data_at, bytes);
            put(&mut entry, data_at, b"data");
            put(
                &mut entry,
                data_at + 4,
                &((sequence >> 32) as u32).to_le_bytes(),
            );
            put(&mut entry, data_at + 4092, &(sequence as u32).to_le_bytes());
            data_at += SECTOR;
        }
        seal(&mut entry);
        let mut sector = at % LOG_SECTORS;
        for bytes in entry.chunks(SECTOR as usize) {
            put(&mut self.ring, sector * SECTOR, bytes);
            sector = (sector + 1) % LOG_SECTORS;
        }
        sector
    }
}
