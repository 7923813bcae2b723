//! XPRESS with Huffman codes: one of the ways in which Windows compresses its own files (CompactOS), and
//! WIM images.
//!
//! Source: Microsoft, [MS-XCA] 2.1 and 2.2.

use super::bits::{Bits, Code, repeat};

/// Bytes that the lengths of all codes take: 512 of 4 bits.
const TABLE: usize = 256;
/// Bytes of output that one table is for; no chunk of a file has more.
pub const MOST: usize = 65536;

/// Fills `out` with exactly what the input stands for.
///
/// # Errors
/// What is wrong with the input.
pub fn decompress(input: &[u8], out: &mut [u8]) -> Result<(), &'static str> {
    if out.len() > MOST {
        return Err("more than one table is for");
    }
    let mut bits = Bits::new(input);
    let table = bits.bytes(TABLE).ok_or("a table that is cut short")?;
    let lens: Vec<u8> = table.iter().flat_map(|two| [two & 15, two >> 4]).collect();
    let code = Code::new(&lens)?;
    let mut at = 0;
    while at < out.len() {
        at = one(&mut bits, &code, out, at)?;
        if bits.ended() {
            return Err("input that is cut short");
        }
    }
    Ok(())
}

/// Puts out what one symbol stands for.
fn one(bits: &mut Bits<'_>, code: &Code, out: &mut [u8], at: usize) -> Result<usize, &'static str> {
    let symbol = code.next(bits)?;
    if symbol < 256 {
        *out.get_mut(at).ok_or("more than there is room for")? = symbol as u8;
        return Ok(at + 1);
    }
    let mut len = symbol & 15;
    let of_distance = symbol >> 4 & 15;
    bits.need(16);
    let cut = "a length that is cut short";
    if len == 15 {
        let more = bits.byte().ok_or(cut)?;
        len += more;
        if more == 255 {
            len = bits.le16().ok_or(cut)?;
            if len == 0 {
                len = bits.le32().ok_or(cut)?;
            }
            if len < 15 {
                return Err("a length that is too short");
            }
        }
    }
    let distance = 1 << of_distance | bits.take(of_distance);
    let len = (len as usize)
        .checked_add(3)
        .ok_or("a match behind the end")?;
    repeat(out, at, distance as usize, len)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MS-XCA 3.2: the alphabet.
    #[test]
    fn the_example_of_the_specification() {
        let mut packed = vec![0; 256];
        packed[48..62].copy_from_slice(&[
            0x50, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x45, 0x44, 0x04,
        ]);
        packed[128] = 0x04;
        packed.extend([
            0xd8, 0x52, 0x3e, 0xd7, 0x94, 0x11, 0x5b, 0xe9, 0x19, 0x5f, 0xf9, 0xd6, 0x7c, 0xdf,
            0x8d, 0x04, 0x00, 0x00, 0x00, 0x00,
        ]);
        let mut out = [0; 26];
        decompress(&packed, &mut out).unwrap();
        assert_eq!(&out, b"abcdefghijklmnopqrstuvwxyz");
        assert!(decompress(&packed[..265], &mut out).is_err());
        assert!(decompress(&packed[..200], &mut out).is_err());
        assert!(decompress(&packed, &mut [0; 4096]).is_err());
    }
}
