//! What is sealed: bytes, compressed or not, behind one flag byte.
//!
//! | offset | size | field |
//! |---:|---:|---|
//! | 0 | 1 | 0: the plain bytes follow; 1: one Zstandard frame of them follows |
//! | 1 | … | the bytes |
//!
//! The flag lies inside the encryption, so nothing outside tells how compressible data is but
//! its stored length.

use zstd::bulk::{Compressor, Decompressor};

use crate::error::{Error, Result, limit};

const RAW: u8 = 0;
const ZSTD: u8 = 1;

/// Plain bytes, compressed where it helps, ready to be sealed.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload {
    pub(crate) bytes: Vec<u8>,
    plain_len: usize,
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Payload({} of {} bytes)",
            self.bytes.len(),
            self.plain_len
        )
    }
}

impl Payload {
    fn new(flag: u8, rest: &[u8], plain_len: usize) -> Self {
        let mut bytes = Vec::with_capacity(1 + rest.len() + crate::crypto::TAG_LEN);
        bytes.push(flag);
        bytes.extend_from_slice(rest);
        Self { bytes, plain_len }
    }

    /// The plain bytes as they are: for data that is known not to compress.
    pub fn raw(plain: &[u8]) -> Self {
        Self::new(RAW, plain, plain.len())
    }

    /// Number of plain bytes.
    pub fn plain_len(&self) -> usize {
        self.plain_len
    }

    /// Number of bytes that sealing will store.
    pub fn stored_len(&self) -> usize {
        self.bytes.len() + crate::crypto::TAG_LEN
    }

    /// Whether compression was worth it.
    pub fn is_compressed(&self) -> bool {
        self.bytes.first() == Some(&ZSTD)
    }
}

/// Makes payloads; keeps the compressor's tables between them. One for each thread.
pub struct Encoder {
    zstd: Compressor<'static>,
    // Compressed here and copied out, so that a payload holds no more memory than it has bytes.
    scratch: Vec<u8>,
}

impl Encoder {
    /// An encoder with this Zstandard level (1–19; others are brought into that range).
    ///
    /// # Panics
    /// If the process is out of memory.
    pub fn new(level: i32) -> Self {
        let zstd = Compressor::new(level.clamp(1, 19)).expect("memory for a compressor");
        Self {
            zstd,
            scratch: Vec::new(),
        }
    }

    /// Compresses `plain`, unless that saves less than 1/32 of it: then reading it back faster
    /// is worth more.
    pub fn encode(&mut self, plain: &[u8]) -> Payload {
        self.scratch.clear();
        self.scratch
            .reserve(zstd::zstd_safe::compress_bound(plain.len()));
        match self.zstd.compress_to_buffer(plain, &mut self.scratch) {
            Ok(len) if len < plain.len() - plain.len() / 32 => {
                Payload::new(ZSTD, &self.scratch, plain.len())
            }
            _ => Payload::raw(plain),
        }
    }
}

/// Reads payloads; keeps the decompressor's tables between them. One for each thread.
pub struct Decoder {
    zstd: Decompressor<'static>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder.
    ///
    /// # Panics
    /// If the process is out of memory.
    pub fn new() -> Self {
        Self {
            zstd: Decompressor::new().expect("memory for a decompressor"),
        }
    }

    /// The plain bytes of an opened payload. `max` bounds what is allocated; a payload that
    /// holds more is refused.
    ///
    /// # Errors
    /// When the flag is unknown, the frame is damaged, or the plain bytes are more than `max`.
    pub fn decode(&mut self, what: &'static str, payload: &[u8], max: usize) -> Result<Vec<u8>> {
        let len = plain_len(what, payload)?;
        limit(what, "length", len, max as u64)?;
        let mut plain = vec![0; len as usize];
        self.decode_into(what, payload, &mut plain)?;
        Ok(plain)
    }

    /// Fills `plain` with the plain bytes of an opened payload.
    ///
    /// # Errors
    /// When the flag is unknown, the frame is damaged, or the plain bytes do not fill `plain`
    /// exactly. Then its contents are unspecified.
    pub fn decode_into(
        &mut self,
        what: &'static str,
        payload: &[u8],
        plain: &mut [u8],
    ) -> Result<()> {
        let len = plain_len(what, payload)?;
        if len != plain.len() as u64 {
            let why = format!("it has {len} plain bytes where {} were listed", plain.len());
            return Err(Error::damaged(what, why));
        }
        match payload.split_first() {
            Some((&ZSTD, frame)) => {
                let written = self.zstd.decompress_to_buffer(frame, plain).map_err(|e| {
                    Error::damaged(what, format!("its frame does not decompress: {e}"))
                })?;
                if written != plain.len() {
                    let why = "its frame tells another size than it has";
                    return Err(Error::damaged(what, why));
                }
            }
            Some((_, rest)) => plain.copy_from_slice(rest),
            None => {}
        }
        Ok(())
    }
}

/// How many plain bytes a payload claims to hold.
fn plain_len(what: &'static str, payload: &[u8]) -> Result<u64> {
    match payload.split_first() {
        Some((&RAW, rest)) => Ok(rest.len() as u64),
        Some((&ZSTD, frame)) => zstd::zstd_safe::get_frame_content_size(frame)
            .map_err(|_| Error::damaged(what, "it is not a Zstandard frame"))?
            .ok_or_else(|| Error::damaged(what, "its frame does not tell its size")),
        Some((flag, _)) => Err(Error::damaged(what, format!("unknown compression {flag}"))),
        None => Err(Error::damaged(what, "it is empty")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(testkit::vary::config(256))]
        #[test]
        fn payloads_come_back(data in prop::collection::vec(any::<u8>(), 0..300), reps in 1usize..200, level in -3i32..30) {
            let plain = data.repeat(reps);
            for payload in [Encoder::new(level).encode(&plain), Payload::raw(&plain)] {
                prop_assert_eq!(payload.plain_len(), plain.len());
                let back = Decoder::new().decode("chunk", &payload.bytes, plain.len()).unwrap();
                prop_assert_eq!(&back, &plain);
                if !plain.is_empty() {
                    prop_assert!(Decoder::new().decode("chunk", &payload.bytes, plain.len() - 1).is_err());
                }
            }
        }

        #[test]
        fn damage_gives_an_error_or_bounded_bytes(at in any::<prop::sample::Index>(), bit in 0u8..8, cut in any::<prop::sample::Index>()) {
            let plain = b"twelve bytes".repeat(100);
            let good = Encoder::new(3).encode(&plain).bytes;
            let mut bad = good.clone();
            bad[at.index(good.len())] ^= 1 << bit;
            if let Ok(out) = Decoder::new().decode("chunk", &bad, 4096) {
                prop_assert!(out.len() <= 4096);
            }
            prop_assert!(Decoder::new().decode("chunk", &good[..cut.index(good.len())], 4096).is_err());
        }
    }

    #[test]
    fn compression_is_used_only_where_it_helps() {
        assert!(Encoder::new(3).encode(&[7; 4096]).is_compressed());
        let mut x = 1u64;
        let noise: Vec<u8> = (0..4096)
            .map(|_| {
                x = x
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                (x >> 56) as u8
            })
            .collect();
        assert!(!Encoder::new(3).encode(&noise).is_compressed());
        assert!(!Encoder::new(3).encode(b"").is_compressed());
    }

    #[test]
    fn a_frame_that_claims_a_petabyte_is_refused_before_it_is_believed() {
        // Magic, single segment with an 8-byte content size of 2^50, then nothing.
        let mut payload = vec![1, 0x28, 0xb5, 0x2f, 0xfd, 0xe0];
        payload.extend_from_slice(&(1u64 << 50).to_le_bytes());
        assert!(matches!(
            Decoder::new().decode("chunk", &payload, 1 << 20),
            Err(Error::TooLarge { .. })
        ));
    }
}
