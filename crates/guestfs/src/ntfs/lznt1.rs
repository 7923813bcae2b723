//! LZNT1: how NTFS compresses files that are marked as compressed.
//!
//! Chunks of 4096 bytes, each with a header of 16 bits; tokens are bytes, or pairs of distance and length
//! that share 16 bits the more unequally the nearer to the chunk's start.
//!
//! Source: Microsoft, [MS-XCA] 2.5.

use super::bits::repeat;
use super::le::le16;

const CHUNK: usize = 4096;

/// Fills `out`; what the input does not reach is zeros.
///
/// # Errors
/// What is wrong with the input.
pub fn decompress(input: &[u8], out: &mut [u8]) -> Result<(), &'static str> {
    let mut rest = input;
    let mut chunks = out.chunks_mut(CHUNK);
    while rest.len() >= 2 && le16(rest, 0) != 0 {
        let header = le16(rest, 0);
        let len = usize::from(header & 0xfff) + 1;
        if header & 0x7000 != 0x3000 {
            return Err("a chunk without its signature");
        }
        let chunk = rest.get(2..2 + len).ok_or("a chunk that is cut short")?;
        rest = rest.get(2 + len..).unwrap_or_default();
        let out = chunks.next().ok_or("more chunks than there is room for")?;
        let filled = if header & 0x8000 != 0 {
            unpack(chunk, out)?
        } else {
            let part = out.get_mut(..len).ok_or("a chunk that is too long")?;
            part.copy_from_slice(chunk);
            len
        };
        out.get_mut(filled..).unwrap_or_default().fill(0);
    }
    chunks.for_each(|out| out.fill(0));
    Ok(())
}

/// Unpacks one chunk, and tells how long it is.
fn unpack(chunk: &[u8], out: &mut [u8]) -> Result<usize, &'static str> {
    let mut at = 0;
    let mut rest = chunk;
    while let Some((flags, tokens)) = rest.split_first() {
        rest = tokens;
        for bit in 0..8 {
            if rest.is_empty() {
                break;
            }
            if flags >> bit & 1 == 0 {
                let (byte, behind) = rest.split_first().ok_or("a chunk that is cut short")?;
                *out.get_mut(at).ok_or("a chunk that is too long")? = *byte;
                at += 1;
                rest = behind;
                continue;
            }
            let pair = rest.get(..2).ok_or("a pair that is cut short")?;
            rest = rest.get(2..).unwrap_or_default();
            let pair = usize::from(le16(pair, 0));
            // As many bits for the distance as the chunk needs so far, and 4 at least.
            let before = at.checked_sub(1).ok_or("a match before the start")?;
            let of_distance = (usize::BITS - before.leading_zeros()).max(4);
            let of_len = 16 - of_distance;
            let distance = (pair >> of_len) + 1;
            let len = (pair & ((1 << of_len) - 1)) + 3;
            at = repeat(out, at, distance, len)?;
        }
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification() {
        // MS-XCA 3.3.
        let packed = [
            0x38, 0xb0, 0x88, 0x46, 0x23, 0x20, 0x00, 0x20, 0x47, 0x20, 0x41, 0x00, 0x10, 0xa2,
            0x47, 0x01, 0xa0, 0x45, 0x20, 0x44, 0x00, 0x08, 0x45, 0x01, 0x50, 0x79, 0x00, 0xc0,
            0x45, 0x20, 0x05, 0x24, 0x13, 0x88, 0x05, 0xb4, 0x02, 0x4a, 0x44, 0xef, 0x03, 0x58,
            0x02, 0x8c, 0x09, 0x16, 0x01, 0x48, 0x45, 0x00, 0xbe, 0x00, 0x9e, 0x00, 0x04, 0x01,
            0x18, 0x90, 0x00,
        ];
        let plain = "F# F# G A A G F# E D D E F# F# E E F# F# G A A G F# E D D E F# E D D E E F# D E \
                     F# G F# D E F# G F# E D E A F# F# G A A G F# E D D E F# E D D\0";
        let mut out = vec![1; plain.len()];
        decompress(&packed, &mut out).unwrap();
        assert_eq!(out, plain.as_bytes());
    }

    #[test]
    fn lies_are_errors() {
        let out = &mut [0; 8192];
        for lie in [
            &[0x05, 0xb0, 0, 0][..],
            &[0x02, 0xb0, 1, 0, 0],
            &[0x03, 0xb0, 2, b'a', 0, 0x10],
            &[0x00, 0x90, 1],
            &[0x03, 0xb0, 2, b'a', 0xff, 0x0f],
        ] {
            let small = &mut out[..100];
            assert!(decompress(lie, small).is_err(), "{lie:?}");
        }
        assert!(decompress(&[0x00, 0x30, 1, 0x00, 0x30, 1, 0x00, 0x30, 1], out).is_err());
        decompress(&[0x00, 0x30, 1, 0x00, 0x30, 1], out).unwrap();
        assert_eq!((out[0], out[1], out[4096], out[4097]), (1, 0, 1, 0));
    }
}
