//! Any bytes as the log of a VHDX: replayed, and the file read through it.

use hyperkeep_disk::ReadAt;
use hyperkeep_disk::vhdx::header::{HEADER_LEN, HEADER_OFFSETS, Header};
use hyperkeep_disk::vhdx::log::replay;

use crate::vhdx_file::Sparse;

/// Replays the log that the second header names.
///
/// # Panics
/// When the replayed file cannot be read over its whole length.
pub(crate) fn check(data: &[u8]) {
    let file = Sparse::decode(data);
    let mut slot = [0; HEADER_LEN];
    if file.read_exact_at(&mut slot, HEADER_OFFSETS[1]).is_err() {
        return;
    }
    let Ok(header) = Header::decode(&slot) else {
        return;
    };
    let stored = file.len().expect("a length");
    let Ok(view) = replay(file, &header) else {
        return;
    };
    assert!(view.virtual_len() >= stored);
    let mut buf = vec![0; 1 << 20];
    let mut at = 0;
    while at < view.virtual_len().min(16 << 20) {
        let part = (view.virtual_len() - at).min(buf.len() as u64);
        view.read_exact_at(&mut buf[..part as usize], at)
            .expect("the file is all there");
        at += part;
    }
}
