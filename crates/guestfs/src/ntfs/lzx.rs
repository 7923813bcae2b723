//! LZX with a window of 32 KiB, as WIM images and CompactOS have it.
//!
//! Each chunk stands for itself: nothing is carried over. Blocks have Huffman codes whose lengths are told
//! by their difference to the block before. At last the targets of what could be x86's CALL are made
//! relative again.
//!
//! Sources: Microsoft, [MS-PATCH] 2 (LZX DELTA's ground), and the public description of how WIM's variant
//! differs: no bit for CALLs, which are always taken to be in a file of 12 000 000 bytes; a size of block
//! that is left out is 32768.

use super::bits::{Bits, Code, repeat};
use super::le::le32;

/// Bytes of a window, and of a chunk at most.
pub const WINDOW: usize = 32768;
const SLOTS: usize = 30;
const MAIN: usize = 256 + SLOTS * 8;
const LENGTHS: usize = 249;
const FILE: i32 = 12_000_000;

/// Fills `out` with exactly what the input stands for.
///
/// # Errors
/// What is wrong with the input.
pub fn decompress(input: &[u8], out: &mut [u8]) -> Result<(), &'static str> {
    if out.len() > WINDOW {
        return Err("more than a window");
    }
    let mut chunk = Chunk {
        bits: Bits::new(input),
        main: [0; MAIN],
        lengths: [0; LENGTHS],
        recent: [1; 3],
    };
    let mut at = 0;
    while at < out.len() {
        at = chunk.block(out, at)?;
    }
    calls(out);
    Ok(())
}

struct Chunk<'a> {
    bits: Bits<'a>,
    /// Lengths of codes in the block before.
    main: [u8; MAIN],
    lengths: [u8; LENGTHS],
    /// Distances that were used last.
    recent: [u32; 3],
}

impl Chunk<'_> {
    fn block(&mut self, out: &mut [u8], at: usize) -> Result<usize, &'static str> {
        let kind = self.bits.take(3);
        let len = match self.bits.take(1) {
            1 => WINDOW,
            _ => self.bits.take(16) as usize,
        };
        let end = at + len;
        if len == 0 || end > out.len() {
            return Err("a block of an impossible size");
        }
        if kind == 3 {
            return self.stored(out, at, end);
        }
        let aligned = match kind {
            1 => None,
            2 => {
                let mut lens = [0; 8];
                lens.fill_with(|| self.bits.take(3) as u8);
                Some(Code::new(&lens)?)
            }
            _ => return Err("a block of an unknown kind"),
        };
        let (bytes, matches) = self.main.split_at_mut(256);
        lens(&mut self.bits, bytes)?;
        lens(&mut self.bits, matches)?;
        lens(&mut self.bits, &mut self.lengths)?;
        let main = Code::new(&self.main)?;
        let lengths = Code::new(&self.lengths)?;
        let mut at = at;
        let out = out.get_mut(..end).unwrap_or_default();
        while at < end {
            let symbol = main.next(&mut self.bits)?;
            if symbol < 256 {
                *out.get_mut(at).ok_or("more than there is room for")? = symbol as u8;
                at += 1;
            } else {
                let symbol = symbol - 256;
                let mut len = symbol & 7;
                if len == 7 {
                    len += lengths.next(&mut self.bits)?;
                }
                let distance = self.distance(symbol >> 3, aligned.as_ref())?;
                at = repeat(out, at, distance as usize, len as usize + 2)?;
            }
            if self.bits.ended() {
                return Err("input that is cut short");
            }
        }
        Ok(end)
    }

    fn distance(&mut self, slot: u32, aligned: Option<&Code>) -> Result<u32, &'static str> {
        if let Some(recent) = self.recent.get(slot as usize).copied() {
            self.recent.swap(0, slot as usize);
            return Ok(recent);
        }
        let extra = if slot < 4 { 0 } else { slot / 2 - 1 };
        let base = if slot < 4 {
            slot
        } else {
            (2 | slot & 1) << extra
        };
        let more = match aligned {
            Some(code) if extra >= 3 => {
                let high = self.bits.take(extra - 3) << 3;
                high | code.next(&mut self.bits)?
            }
            _ => self.bits.take(extra),
        };
        let distance = base + more - 2;
        self.recent = [distance, self.recent[0], self.recent[1]];
        Ok(distance)
    }

    /// A block that is stored as it is, and three distances before it.
    fn stored(&mut self, out: &mut [u8], at: usize, end: usize) -> Result<usize, &'static str> {
        let cut = "a stored block that is cut short";
        self.bits.align();
        for recent in &mut self.recent {
            *recent = self.bits.le32().ok_or(cut)?;
        }
        let bytes = self.bits.bytes(end - at).ok_or(cut)?;
        out.get_mut(at..end).ok_or(cut)?.copy_from_slice(bytes);
        if !(end - at).is_multiple_of(2) && end < out.len() {
            self.bits.byte().ok_or(cut)?;
        }
        Ok(end)
    }
}

/// Reads lengths of codes, told by their difference to what `lens` has.
fn lens(bits: &mut Bits<'_>, lens: &mut [u8]) -> Result<(), &'static str> {
    let mut own = [0; 20];
    own.fill_with(|| bits.take(4) as u8);
    let code = Code::new(&own)?;
    let changed = |before: u8, by: u32| ((u32::from(before) + 17 - by) % 17) as u8;
    let mut rest = lens;
    while let Some(first) = rest.first().copied() {
        let (count, len) = match code.next(bits)? {
            17 => (bits.take(4) + 4, 0),
            18 => (bits.take(5) + 20, 0),
            19 => {
                let count = bits.take(1) + 4;
                let by = code.next(bits)?;
                if by > 16 {
                    return Err("a length of a code that is none");
                }
                (count, changed(first, by))
            }
            by => (1, changed(first, by)),
        };
        let run = rest.split_at_mut_checked(count as usize);
        let (run, behind) = run.ok_or("more lengths than codes")?;
        run.fill(len);
        rest = behind;
        if bits.ended() {
            return Err("input that is cut short");
        }
    }
    Ok(())
}

/// Makes targets of calls relative again; what begins in the last ten bytes was never changed.
fn calls(out: &mut [u8]) {
    let mut at = 0;
    while at + 10 < out.len() {
        let Some([0xe8, target @ ..]) = out.get_mut(at..at + 5) else {
            at += 1;
            continue;
        };
        let place = at as i32;
        let absolute = le32(target, 0) as i32;
        let relative = match absolute {
            0..FILE => absolute - place,
            _ if (-place..0).contains(&absolute) => absolute + FILE,
            _ => absolute,
        };
        target.copy_from_slice(&relative.to_le_bytes());
        at += 5;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// wimlib makes no stored blocks, so these are by hand: their size, three distances, and bytes.
    fn stored(bytes: &[u8]) -> Vec<u8> {
        let size = bytes.len() as u32;
        // 3 bits of kind, 1 that a size follows, 16 of size; the rest of the word is not used.
        let bits = 3_u32 << 29 | size << 12;
        let words = [(bits >> 16) as u16, bits as u16];
        let mut packed: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        packed.extend([1_u32, 2, 3].iter().flat_map(|recent| recent.to_le_bytes()));
        packed.extend(bytes);
        packed
    }

    #[test]
    fn stored_blocks_follow_each_other() {
        let packed = [stored(b"abcde"), b"\0".to_vec(), stored(b"fghi")].concat();
        let mut out = [0; 9];
        decompress(&packed, &mut out).unwrap();
        assert_eq!(&out, b"abcdefghi");
        assert!(decompress(&packed[..packed.len() - 1], &mut out).is_err());
        assert!(decompress(&packed, &mut [0; 10]).is_err());
        assert!(decompress(&packed, &mut [0; 8]).is_err());
        assert!(decompress(&[], &mut out).is_err());
        assert!(decompress(&packed, &mut [0; WINDOW + 1]).is_err());
    }

    #[test]
    fn targets_of_calls_are_relative_again() {
        let mut out = [0; 40];
        out[3..8].copy_from_slice(&[0xe8, 0x10, 0, 0, 0]);
        out[12..17].copy_from_slice(&[0xe8, 0xff, 0xff, 0xff, 0xff]);
        out[20..25].copy_from_slice(&[0xe8, 0, 0, 0, 0x80]);
        out[30..35].copy_from_slice(&[0xe8, 0x10, 0, 0, 0]);
        calls(&mut out);
        assert_eq!(out[4..8], (0x10_i32 - 3).to_le_bytes());
        assert_eq!(out[13..17], (FILE - 1).to_le_bytes());
        assert_eq!(out[21..25], [0, 0, 0, 0x80]);
        assert_eq!(out[31..35], [0x10, 0, 0, 0]);
    }
}
