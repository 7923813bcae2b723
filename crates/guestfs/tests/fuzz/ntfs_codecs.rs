//! What holds for any bytes that are unpacked as Windows packs: an end, and nothing behind the output.

use hyperkeep_guestfs::ntfs::{lznt1, lzx, xpress};

/// The first byte says how, the next two how long the output is; the rest is the input.
pub(crate) fn check(data: &[u8]) {
    let [how, low, high, input @ ..] = data else {
        return;
    };
    let len = usize::from(u16::from_le_bytes([*low, *high]));
    let unpack = match how % 3 {
        0 => lznt1::decompress,
        1 => xpress::decompress,
        _ => lzx::decompress,
    };
    let (mut zeros, mut ones) = (vec![0; len], vec![1; len]);
    let done = unpack(input, &mut zeros);
    assert_eq!(done, unpack(input, &mut ones));
    if done.is_ok() {
        assert!(zeros == ones, "what was there before shows through");
    }
}
