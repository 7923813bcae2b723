//! What holds for any bytes that are read as a HyperVStorage container.

use hyperkeep_vmconfig::hvs::{self, Error, HvsFile, Limits};
use hyperkeep_vmconfig::{ReadAt, VmConfig};

/// Reads `data` as it is, and again with the checksums of headers and log made right, without
/// which no damage behind them would be met.
///
/// # Panics
/// When what was read does not survive being written and read again.
pub(crate) fn check(data: &[u8]) {
    check_one(data);
    let mut mended = data.to_vec();
    for at in [0, 4096] {
        mend(&mut mended, at, 46);
    }
    let log = mended
        .get(26..34)
        .and_then(|bytes| bytes.try_into().ok())
        .map(u64::from_le_bytes);
    if let Some(log) = log.and_then(|log| usize::try_from(log).ok()) {
        mend(&mut mended, log, 34);
    }
    check_one(&mended);
}

/// Puts the right checksum into the structure at `at`.
fn mend(file: &mut [u8], at: usize, len: usize) {
    let Some(bytes) = at.checked_add(len).and_then(|end| file.get_mut(at..end)) else {
        return;
    };
    bytes[4..8].fill(0);
    let crc = crc32(bytes);
    bytes[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// CRC-32 bit by bit: another implementation than the one under test.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 0 {
                crc >> 1
            } else {
                crc >> 1 ^ 0xedb8_8320
            }
        })
    })
}

fn check_one(data: &[u8]) {
    let file: &dyn ReadAt = &data;
    if let Ok(open) = HvsFile::open(file, Limits::RUNTIME) {
        let _ = VmConfig::from_tree(open.tree());
    }
    let Ok((tree, _)) = hvs::read_tree(data) else {
        return;
    };
    let _ = VmConfig::from_tree(&tree);
    let written = match hvs::write_tree(&tree, 0) {
        Ok(written) => written,
        Err(Error::BadName(_)) => return,
        Err(error) => panic!("a tree that was read cannot be written: {error}"),
    };
    let (again, warnings) = hvs::read_tree(&written).expect("our own file");
    assert!(warnings.is_empty(), "{warnings:?}");
    // By their bytes, since a NaN is not equal to itself.
    let twice = hvs::write_tree(&again, 0).expect("a tree that was written before");
    assert!(twice == written, "{tree:?} became {again:?}");
}
