//! Deflate, piece by piece.

use std::io::{self, Write};

use miniz_oxide::deflate::core::{CompressorOxide, create_comp_flags_from_zip_params};
use miniz_oxide::deflate::stream::deflate;
use miniz_oxide::{MZFlush, MZStatus};

/// How hard to compress: an archive is to be made as fast as files are read.
const LEVEL: i32 = 2;
/// Without a header and a sum of its own.
const RAW: i32 = -15;
/// Bytes that are written at once.
const PIECE: usize = 64 << 10;

/// What all entries are compressed with, one after the other.
pub(super) struct Compressor {
    state: Box<CompressorOxide>,
    buffer: Vec<u8>,
}

impl Compressor {
    pub(super) fn new() -> Self {
        let flags = create_comp_flags_from_zip_params(LEVEL, RAW, 0);
        Self {
            state: Box::new(CompressorOxide::new(flags)),
            buffer: vec![0; PIECE],
        }
    }
}

/// Compresses what is written to it.
pub(super) struct Deflating<'a, W> {
    with: &'a mut Compressor,
    out: W,
}

impl<'a, W: Write> Deflating<'a, W> {
    pub(super) fn new(with: &'a mut Compressor, out: W) -> Self {
        with.state.reset();
        Self { with, out }
    }

    /// Writes what is still held back.
    pub(super) fn end(mut self) -> io::Result<()> {
        while !self.step(&[], MZFlush::Finish)?.1 {}
        Ok(())
    }

    /// Bytes that were taken, and whether it has come to its end.
    fn step(&mut self, bytes: &[u8], flush: MZFlush) -> io::Result<(usize, bool)> {
        let Compressor { state, buffer } = &mut *self.with;
        let done = deflate(state, bytes, buffer, flush);
        let ready = buffer.get(..done.bytes_written).unwrap_or_default();
        self.out.write_all(ready)?;
        match done.status {
            Ok(status) => Ok((done.bytes_consumed, status == MZStatus::StreamEnd)),
            Err(error) => Err(io::Error::other(format!("compressing: {error:?}"))),
        }
    }
}

impl<W: Write> Write for Deflating<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        Ok(self.step(bytes, MZFlush::None)?.0)
    }

    /// Only its end has all of it.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
