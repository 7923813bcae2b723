//! As much of a reader as tests need, written from the specification: every entry and refcount is
//! looked at.

use hyperkeep_disk::{Error, Result};

const CLUSTER: usize = 64 << 10;

fn number(bytes: &[u8], at: usize, len: usize) -> Result<u64> {
    let bytes = bytes
        .get(at..at + len)
        .ok_or_else(|| refused("too short"))?;
    Ok(bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)))
}

fn refused(why: &str) -> Error {
    Error::damaged("QCOW2", why)
}

/// A cluster that is referred to, which must be in the file and not be referred to before.
fn refer(uses: &mut [u16], at: usize) -> Result<()> {
    let within = at.is_multiple_of(CLUSTER);
    match uses.get_mut(at / CLUSTER) {
        Some(uses @ 0) if within => *uses = 1,
        _ => return Err(refused("a wrong place")),
    }
    Ok(())
}

fn place(entry: u64) -> Result<usize> {
    match entry >> 63 {
        1 => Ok((entry & !(1 << 63)) as usize),
        _ => Err(refused("not the only reference")),
    }
}

/// The disk's bytes, and where clusters of it are stored.
pub(crate) fn read(file: &[u8]) -> Result<(Vec<u8>, Vec<bool>)> {
    let field = |at, len| number(file, at, len);
    if file.get(..4) != Some(b"QFI\xfb") || field(4, 4)? != 3 || field(20, 4)? != 16 {
        return Err(refused("no header"));
    }
    // Backing file, encryption, snapshots, features.
    let zero = [
        (8, 8),
        (16, 4),
        (32, 4),
        (60, 4),
        (64, 8),
        (72, 8),
        (80, 8),
        (88, 8),
    ];
    for (at, len) in zero {
        if field(at, len)? != 0 {
            return Err(refused("something that it does not have"));
        }
    }
    if (field(96, 4)?, field(100, 4)?, field(104, 8)?) != (4, 104, 0) {
        return Err(refused("the header's end"));
    }
    if !file.len().is_multiple_of(CLUSTER) {
        return Err(refused("half a cluster"));
    }
    let len = field(24, 8)? as usize;
    let mut uses = vec![0u16; file.len() / CLUSTER];
    refer(&mut uses, 0)?;

    let (entries, l1) = (field(36, 4)? as usize, field(40, 8)? as usize);
    for n in 0..(entries * 8).div_ceil(CLUSTER) {
        refer(&mut uses, l1 + n * CLUSTER)?;
    }
    let mut disk = vec![0; len.next_multiple_of(CLUSTER)];
    let mut stored = vec![false; disk.len() / CLUSTER];
    for index in 0..entries {
        let entry = field(l1 + index * 8, 8)?;
        if entry == 0 {
            continue;
        }
        let l2 = place(entry)?;
        refer(&mut uses, l2)?;
        for n in 0..CLUSTER / 8 {
            let entry = field(l2 + n * 8, 8)?;
            if entry == 0 {
                continue;
            }
            let at = place(entry)?;
            refer(&mut uses, at)?;
            let cluster = index * (CLUSTER / 8) + n;
            let to = disk.get_mut(cluster * CLUSTER..(cluster + 1) * CLUSTER);
            to.ok_or_else(|| refused("beyond the disk"))?
                .copy_from_slice(&file[at..at + CLUSTER]);
            stored[cluster] = true;
        }
    }

    let (table, clusters) = (field(48, 8)? as usize, field(56, 4)? as usize);
    let mut counts = Vec::new();
    for n in 0..clusters {
        refer(&mut uses, table + n * CLUSTER)?;
    }
    for n in 0..clusters * CLUSTER / 8 {
        let block = field(table + n * 8, 8)? as usize;
        let first = n * CLUSTER / 2;
        if block == 0 && first >= uses.len() {
            break;
        }
        refer(&mut uses, block)?;
        for n in 0..CLUSTER / 2 {
            counts.push(field(block + n * 2, 2)? as u16);
        }
    }
    let beyond = counts.split_off(uses.len().min(counts.len()));
    if uses != counts || beyond.iter().any(|count| *count != 0) {
        return Err(refused("refcounts"));
    }
    disk.truncate(len);
    Ok((disk, stored))
}
