//! Unpacking compressed extents.

use std::io::Read as _;

use miniz_oxide::inflate::decompress_slice_iter_to_slice;

use super::lzo;

/// Bytes of the window of any stream that btrfs makes, as a power of two.
const WINDOW: u32 = 17;

/// Unpacks an extent of `len` bytes. What was packed may end within the last sector: the rest is zeros.
pub(super) fn unpack(
    packing: u8,
    bytes: &[u8],
    len: usize,
    sector: usize,
) -> Result<Vec<u8>, String> {
    let room = len.next_multiple_of(sector);
    let unpacked = match packing {
        1 => zlib(bytes, room),
        2 => lzo::frame(bytes, room, sector),
        _ => zstd(bytes, room),
    };
    let name = ["", "zlib", "lzo", "zstd"];
    let name = name.get(usize::from(packing)).copied().unwrap_or_default();
    let mut unpacked = unpacked.ok_or_else(|| format!("it is no whole {name} stream"))?;
    if unpacked.len() + sector <= len {
        let got = unpacked.len();
        return Err(format!(
            "its {name} stream has {got} bytes and should have {len}"
        ));
    }
    unpacked.resize(len, 0);
    Ok(unpacked)
}

fn zlib(bytes: &[u8], room: usize) -> Option<Vec<u8>> {
    let mut unpacked = vec![0; room];
    let len =
        decompress_slice_iter_to_slice(&mut unpacked, [bytes].into_iter(), true, false).ok()?;
    unpacked.truncate(len);
    Some(unpacked)
}

fn zstd(bytes: &[u8], room: usize) -> Option<Vec<u8>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes)
        .ok()?
        .single_frame();
    decoder.window_log_max(WINDOW).ok()?;
    let mut unpacked = Vec::with_capacity(room);
    decoder
        .take(room as u64 + 1)
        .read_to_end(&mut unpacked)
        .ok()?;
    (unpacked.len() <= room).then_some(unpacked)
}
