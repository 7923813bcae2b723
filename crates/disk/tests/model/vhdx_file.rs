//! Files of megabytes from inputs of a few hundred bytes, for the fuzzers.
//!
//! A VHDX has at least 3 MiB, most of it zeros. An input is one byte of flags, four of length (in
//! KiB), and pieces: offset (four bytes, in units of 8), length (two bytes), bytes. With the lowest
//! flag, checksums are made right, since no fuzzer guesses them.

use hyperkeep_disk::ReadAt;
use std::io;

/// A file of zeros with pieces in it.
pub(crate) struct Sparse {
    len: u64,
    pieces: Vec<(u64, Vec<u8>)>,
}

impl Sparse {
    /// Takes an input apart; whatever does not fit is left out.
    pub(crate) fn decode(mut data: &[u8]) -> Self {
        let mut take = |count: usize| {
            let (taken, rest) = data.split_at(count.min(data.len()));
            data = rest;
            taken
        };
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .rev()
                .fold(0u64, |sum, byte| sum << 8 | u64::from(*byte))
        };
        let sealed = number(take(1)) & 1 == 1;
        let mut file = Self {
            // At most 256 MiB: a log may fill all of it, and is looked through.
            len: (number(take(4)) & 0x3_FFFF) << 10,
            pieces: Vec::new(),
        };
        loop {
            let offset = number(take(4)) * 8;
            let len = number(take(2)) as usize;
            let bytes = take(len).to_vec();
            if bytes.is_empty() {
                break;
            }
            file.pieces.push((offset, bytes));
        }
        if sealed {
            file.seal();
        }
        file
    }

    fn seal(&mut self) {
        for (offset, len, signature) in [
            (64, 4, b"head"),
            (128, 4, b"head"),
            (192, 64, b"regi"),
            (256, 64, b"regi"),
        ] {
            self.seal_at(offset << 10, len << 10, signature, u64::MAX);
        }
        // Entries of a log at the usual place, from 1 to 2 MiB.
        for sector in 256..512 {
            let at = sector * 4096;
            let mut len = [0; 4];
            if self.read_exact_at(&mut len, at + 8).is_ok() {
                let len = u64::from(u32::from_le_bytes(len)).min(64 << 10);
                self.seal_at(at, len, b"loge", 2 << 20);
            }
        }
    }

    /// What runs past `end` goes on 1 MiB before it.
    fn seal_at(&mut self, offset: u64, len: u64, signature: &[u8], end: u64) {
        let mut bytes = vec![0; len as usize];
        let (before, beyond) = bytes.split_at_mut((end - offset).min(len) as usize);
        let read = self.read_exact_at(before, offset);
        let wrapped = match beyond.is_empty() {
            true => Ok(()),
            false => self.read_exact_at(beyond, end - (1 << 20)),
        };
        if read.is_err() || wrapped.is_err() || len < 8 || !bytes.starts_with(signature) {
            return;
        }
        bytes[4..8].fill(0);
        let crc = crc32c(&bytes).to_le_bytes().to_vec();
        self.pieces.push((offset + 4, crc));
    }
}

fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut i = 0;
        while i < 256 {
            let mut crc = i as u32;
            let mut bit = 0;
            while bit < 8 {
                crc = (crc >> 1) ^ if crc & 1 == 1 { 0x82F6_3B78 } else { 0 };
                bit += 1;
            }
            table[i] = crc;
            i += 1;
        }
        table
    };
    let step = |crc: u32, byte: &u8| (crc >> 8) ^ TABLE[((crc ^ u32::from(*byte)) & 255) as usize];
    !bytes.iter().fold(u32::MAX, step)
}

impl ReadAt for Sparse {
    fn len(&self) -> io::Result<u64> {
        Ok(self.len)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64);
        if end.is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buf.fill(0);
        for (at, bytes) in &self.pieces {
            let from = (*at).max(offset);
            let to = (at + bytes.len() as u64).min(offset + buf.len() as u64);
            if from < to {
                let piece = &bytes[(from - at) as usize..(to - at) as usize];
                buf[(from - offset) as usize..(to - offset) as usize].copy_from_slice(piece);
            }
        }
        Ok(())
    }
}
