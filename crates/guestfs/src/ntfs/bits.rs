//! Bits of words of 16 bits, as XPRESS and LZX store them, and canonical Huffman codes made of them.

use super::le::{byte, le16, le32};

/// Codes have no more bits.
const LONGEST: u32 = 16;
/// Codes of so many bits are looked up at once.
const FAST: u32 = 9;

/// Bits from the highest of each little-endian word on, with bytes between them where the reader is.
///
/// Behind the end there are zeros, since decoders look ahead; [`ended`](Self::ended) tells whether such
/// zeros were used.
pub(super) struct Bits<'a> {
    input: &'a [u8],
    at: usize,
    held: u64,
    count: u32,
    /// Bits that were never there.
    made_up: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self {
            input,
            at: 0,
            held: 0,
            count: 0,
            made_up: 0,
        }
    }

    /// Sees to it that `count` bits are held, up to 32.
    pub(super) fn need(&mut self, count: u32) {
        while self.count < count {
            if self.at + 2 > self.input.len() {
                self.made_up = self.made_up.saturating_add(16);
            }
            self.held = self.held << 16 | u64::from(le16(self.input, self.at));
            self.at = self.at.saturating_add(2);
            self.count += 16;
        }
    }

    fn peek(&mut self, count: u32) -> u32 {
        self.need(count);
        (self.held >> (self.count - count)) as u32 & ((1_u64 << count) - 1) as u32
    }

    /// The next bits, up to 32.
    pub(super) fn take(&mut self, count: u32) -> u32 {
        let bits = self.peek(count);
        self.count -= count;
        bits
    }

    /// Whether bits were used that are not there.
    pub(super) fn ended(&self) -> bool {
        self.made_up > self.count
    }

    /// Goes to where the next word begins, and to the one behind it if one begins here.
    pub(super) fn align(&mut self) {
        self.need(1);
        let rest = match self.count % 16 {
            0 => 16,
            rest => rest,
        };
        self.count -= rest;
        // What was held of further words is read again, as bytes.
        self.at = self.at.saturating_sub(self.count as usize / 8);
        self.made_up = self.made_up.saturating_sub(self.count);
        self.count = 0;
    }

    /// Bytes behind the words that were met.
    pub(super) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let bytes = self.input.get(self.at..self.at.checked_add(len)?)?;
        self.at += len;
        Some(bytes)
    }

    pub(super) fn byte(&mut self) -> Option<u32> {
        self.bytes(1).map(|bytes| u32::from(byte(bytes, 0)))
    }

    pub(super) fn le16(&mut self) -> Option<u32> {
        self.bytes(2).map(|bytes| u32::from(le16(bytes, 0)))
    }

    pub(super) fn le32(&mut self) -> Option<u32> {
        self.bytes(4).map(|bytes| le32(bytes, 0))
    }
}

/// A canonical Huffman code.
pub(super) struct Code {
    /// By the next bits: a symbol and the bits that it takes, 0 if it takes more.
    fast: Vec<(u16, u8)>,
    /// By bits: the first code, how many there are, and where their symbols begin.
    lens: [(u32, u32, u32); LONGEST as usize + 1],
    symbols: Vec<u16>,
}

impl Code {
    /// The code whose symbols have these lengths; an error if there are more than fit. Codes that are
    /// left over are errors when they are met.
    pub(super) fn new(lens: &[u8]) -> Result<Self, &'static str> {
        let mut counts = [0_u32; LONGEST as usize + 1];
        for len in lens.iter().filter(|len| **len > 0) {
            *counts
                .get_mut(usize::from(*len))
                .ok_or("a code of more than 16 bits")? += 1;
        }
        let mut by_len = [(0, 0, 0); LONGEST as usize + 1];
        let (mut code, mut begin) = (0, 0);
        for ((len, count), of_len) in counts.iter().enumerate().zip(&mut by_len) {
            code <<= 1;
            *of_len = (code, *count, begin);
            code += count;
            begin += count;
            if code > 1 << len {
                return Err("more codes than there can be");
            }
        }
        let mut symbols = Vec::with_capacity(begin as usize);
        for len in 1..=LONGEST as u8 {
            let of_len = lens.iter().enumerate().filter(|(_, its)| **its == len);
            symbols.extend(of_len.map(|(symbol, _)| symbol as u16));
        }
        let mut fast = vec![(0, 0); 1 << FAST];
        for (len, (first, count, begin)) in
            by_len.iter().enumerate().take(FAST as usize + 1).skip(1)
        {
            let width = 1 << (FAST as usize - len);
            let all = symbols.iter().skip(*begin as usize).take(*count as usize);
            for (code, symbol) in (*first as usize..).zip(all) {
                let places = fast.get_mut(code * width..(code + 1) * width);
                places.unwrap_or_default().fill((*symbol, len as u8));
            }
        }
        Ok(Self {
            fast,
            lens: by_len,
            symbols,
        })
    }

    /// The next symbol.
    pub(super) fn next(&self, bits: &mut Bits<'_>) -> Result<u32, &'static str> {
        let ahead = bits.peek(LONGEST);
        let found = self.fast.get((ahead >> (LONGEST - FAST)) as usize);
        if let Some((symbol, len @ 1..)) = found {
            bits.count -= u32::from(*len);
            return Ok(u32::from(*symbol));
        }
        for (len, (first, count, begin)) in (0..).zip(&self.lens).skip(FAST as usize + 1) {
            let code = (ahead >> (LONGEST - len)).wrapping_sub(*first);
            if code < *count {
                bits.count -= len;
                let symbol = self.symbols.get((begin + code) as usize);
                return symbol
                    .map(|symbol| u32::from(*symbol))
                    .ok_or("a code of nothing");
            }
        }
        Err("a code of nothing")
    }
}

/// Repeats what was put out `distance` bytes ago, `len` bytes of it; the two may overlap.
pub(super) fn repeat(
    out: &mut [u8],
    at: usize,
    distance: usize,
    len: usize,
) -> Result<usize, &'static str> {
    if distance == 0 || distance > at {
        return Err("a match before the start");
    }
    let end = at.checked_add(len).filter(|end| *end <= out.len());
    let end = end.ok_or("a match behind the end")?;
    if distance >= len {
        out.copy_within(at - distance..at - distance + len, at);
        return Ok(end);
    }
    for to in at..end {
        out.copy_within(to - distance..to - distance + 1, to);
    }
    Ok(end)
}
