//! Security descriptors: each is stored once in `$Secure`, and files have its number.
//!
//! `$SII` is the index from the number to the place in `$SDS`; what is there repeats number, hash and
//! size, and is checked against them. A file of before NTFS 3.0 has a descriptor of its own.

use super::attribute::{DATA, SECURITY_DESCRIPTOR, STANDARD_INFORMATION};
use super::file::File;
use super::index::Index;
use super::le::{le32, le64};
use super::stored::Body;
use super::volume::{Via, Volume};
use crate::error::{Error, Result};

const SECURE: u64 = 9;
const HEADER: usize = 20;
/// `$SDS` has a copy of itself at every second quarter of a MiB, so no entry is longer.
const MOST: usize = 256 << 10;

/// The descriptor of a file, self-relative; `None` if it has none.
pub(super) fn of(volume: &Volume, file: &File) -> Result<Option<Vec<u8>>> {
    let standard = file.value(volume, STANDARD_INFORMATION)?;
    let number = standard.map_or(0, |standard| le32(&standard, 0x34));
    if number != 0 {
        return by_number(volume, number).map(Some);
    }
    let Some(stored) = file.stored(volume, SECURITY_DESCRIPTOR, &[])? else {
        return Ok(None);
    };
    let what = format!(
        "security descriptor of MFT record {}",
        file.record().number()
    );
    stored.whole(volume, MOST as u64, &what).map(Some)
}

fn by_number(volume: &Volume, number: u32) -> Result<Vec<u8>> {
    let damaged = |why: &str| Error::damaged(format!("security descriptor {number}"), why);
    let missing = || damaged("there is no $Secure");
    let secure = File::find(volume, SECURE)?.ok_or_else(missing)?;
    let index = Index::open(volume, &secure, "$SII")?.ok_or_else(missing)?;
    let found = index.from(&|key| le32(key, 0).cmp(&number))?.next()?;
    let found = found.filter(|found| found.key.len() == 4 && le32(&found.key, 0) == number);
    let found = found.ok_or_else(|| damaged("it is not in $SII"))?;
    let header = found
        .data
        .get(..HEADER)
        .ok_or_else(|| damaged("its entry in $SII is cut short"))?;
    let (place, size) = (le64(header, 8), le32(header, 16) as usize);
    if !(HEADER..=MOST).contains(&size) {
        return Err(damaged(&format!("its entry in $SDS has {size} bytes")));
    }
    let name: Vec<u8> = "$SDS".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let stream = secure.stored(volume, DATA, &name)?.ok_or_else(missing)?;
    let Body::Clusters(stream) = stream.body else {
        return Err(damaged("$SDS is in its record"));
    };
    if place
        .checked_add(size as u64)
        .is_none_or(|end| end > stream.len)
    {
        return Err(damaged(&format!(
            "{size} bytes at {place}, behind the end of $SDS"
        )));
    }
    let mut entry = vec![0; size];
    stream.read(volume, Via::Kept, place, &mut entry)?;
    if !entry.starts_with(header) {
        return Err(damaged("$SDS and $SII say different things of it"));
    }
    let descriptor = entry.split_off(HEADER);
    if hash(&descriptor) != le32(header, 0) {
        return Err(damaged("its hash is another"));
    }
    Ok(descriptor)
}

/// NTFS' hash of a descriptor.
fn hash(descriptor: &[u8]) -> u32 {
    let words = descriptor.chunks_exact(4);
    words.fold(0, |sum: u32, word| {
        le32(word, 0).wrapping_add(sum.rotate_left(3))
    })
}
