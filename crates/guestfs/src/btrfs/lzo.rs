//! Unpacking LZO1X, and how btrfs frames it.
//!
//! Sources: the description of the stream in the Linux kernel's documentation (`lzo.rst`); the frame, from
//! the on-disk format's public description.

/// The most bytes that packing may make of one sector.
fn most_packed(sector: usize) -> usize {
    sector + sector / 16 + 64 + 3 + 2
}

/// Unpacks a frame: its length, then a segment for each sector, with its length. No length lies across
/// the end of a sector.
pub(super) fn frame(bytes: &[u8], len: usize, sector: usize) -> Option<Vec<u8>> {
    let word = |at: usize| -> Option<usize> {
        let bytes = bytes.get(at..at.checked_add(4)?)?;
        usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    let end = word(0).filter(|end| *end <= bytes.len())?;
    let mut unpacked = Vec::with_capacity(len);
    let mut at = 4;
    while unpacked.len() < len && at < end {
        let left = sector - at % sector;
        if left < 4 {
            at += left;
        }
        let packed = word(at).filter(|packed| *packed <= most_packed(sector))?;
        at += 4;
        let segment = bytes.get(at..at + packed).filter(|_| at + packed <= end)?;
        let most = (unpacked.len() + sector).min(len.next_multiple_of(sector));
        segment_into(segment, &mut unpacked, most)?;
        at += packed;
    }
    unpacked.truncate(len);
    Some(unpacked)
}

/// Unpacks one stream behind what is there, up to `most` bytes in all.
fn segment_into(bytes: &[u8], out: &mut Vec<u8>, most: usize) -> Option<()> {
    let begin = out.len();
    let mut input = Input { bytes, at: 0 };
    // Literals that the last instruction copied: 4 stands for four and more.
    let mut state = 0;
    let first = input.peek()?;
    if first > 17 {
        input.byte()?;
        let count = usize::from(first) - 17;
        input.literals(out, count, most)?;
        state = count.min(4);
    }
    loop {
        let code = usize::from(input.byte()?);
        let (len, distance, after) = match code {
            0..16 if state == 0 => {
                let count = 3 + input.long(code, 15)?;
                input.literals(out, count, most)?;
                state = 4;
                continue;
            }
            0..16 => {
                let high = usize::from(input.byte()?) << 2;
                let near = high + (code >> 2) + 1;
                match state {
                    4 => (3, near + 2048, code & 3),
                    _ => (2, near, code & 3),
                }
            }
            16..32 => {
                let len = 2 + input.long(code & 7, 7)?;
                let low = input.word()?;
                let distance = 16384 + ((code & 8) << 11) + (low >> 2);
                if distance == 16384 {
                    return (input.at == bytes.len()).then_some(());
                }
                (len, distance, low & 3)
            }
            32..64 => {
                let len = 2 + input.long(code & 31, 31)?;
                let low = input.word()?;
                (len, (low >> 2) + 1, low & 3)
            }
            _ => {
                let len = match code {
                    64..128 => 3 + (code >> 5 & 1),
                    _ => 5 + (code >> 5 & 3),
                };
                let high = usize::from(input.byte()?) << 3;
                (len, high + (code >> 2 & 7) + 1, code & 3)
            }
        };
        if out.len() + len > most || distance > out.len() - begin {
            return None;
        }
        for _ in 0..len {
            out.push(*out.get(out.len() - distance)?);
        }
        input.literals(out, after, most)?;
        state = after;
    }
}

struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Input<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn word(&mut self) -> Option<usize> {
        Some(usize::from(self.byte()?) | usize::from(self.byte()?) << 8)
    }

    /// A length whose first bits are `low`: where they are nought, `all` and what follows.
    fn long(&mut self, low: usize, all: usize) -> Option<usize> {
        if low > 0 {
            return Some(low);
        }
        let mut len = all;
        loop {
            match self.byte()? {
                0 => len += 255,
                last => return Some(len + usize::from(last)),
            }
        }
    }

    fn literals(&mut self, out: &mut Vec<u8>, count: usize, most: usize) -> Option<()> {
        let literals = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        if out.len() + count > most {
            return None;
        }
        out.extend_from_slice(literals);
        self.at += count;
        Some(())
    }
}
