//! What holds for any bytes that are read as a guest state file.

use std::cell::Cell;
use std::io;

use hyperkeep_vmconfig::ReadAt;
use hyperkeep_vmconfig::vmgs::{self, Error, Vmgs};

/// Two headers, a file table, the first bytes of a footer.
const MOST: usize = 2 * 168 + 4096 + 8;

/// Reads `data` as it is, and again with the checksums of both headers made right, without which
/// nothing behind them would be met.
///
/// # Panics
/// When more is read than the structures have, an answer has no ground in the bytes, or bytes in
/// memory give an error of reading.
pub(crate) fn check(data: &[u8]) {
    check_one(data);
    let mut mended = data.to_vec();
    for at in [0, 4096] {
        mend(&mut mended, at);
    }
    if let Some(found) = check_one(&mended) {
        // What is said of the table is there wherever the table lies.
        let tpm = found.tpm_state.is_some();
        assert_eq!(tpm, found.key_protector.is_some(), "one table for both");
        assert!(!tpm || mended.len() >= 4096, "a table in a shorter file");
    }
}

fn check_one(data: &[u8]) -> Option<Vmgs> {
    let file = Metered(data, Cell::new(0));
    let read = vmgs::read(&file);
    assert!(file.1.get() <= MOST, "{} bytes were read", file.1.get());
    let signed = [0, 4096].iter().any(|at| {
        data.get(*at..*at + 168)
            .is_some_and(|h| h.starts_with(b"GUESTRTS"))
    });
    match read {
        Ok(found) => {
            assert!(signed, "{found:?} without a header");
            assert_eq!(
                found.vhd_footer,
                data[data.len().saturating_sub(512)..].starts_with(b"conectix")
                    && data.len() >= 512
            );
            Some(found)
        }
        Err(Error::Io(error)) => panic!("reading memory fails: {error}"),
        Err(Error::NotVmgs) => {
            assert!(!signed, "a header was passed over");
            None
        }
        Err(_) => {
            assert!(signed);
            None
        }
    }
}

/// Bytes, and how many of them were asked for.
struct Metered<'a>(&'a [u8], Cell<usize>);

impl ReadAt for Metered<'_> {
    fn len(&self) -> io::Result<u64> {
        ReadAt::len(self.0)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.1.set(self.1.get() + buf.len());
        self.0.read_exact_at(buf, offset)
    }
}

/// Puts the right checksum into the header at `at`.
fn mend(file: &mut [u8], at: usize) {
    let Some(header) = file.get_mut(at..at + 168) else {
        return;
    };
    header[12..16].fill(0);
    let crc = crc32(header);
    header[12..16].copy_from_slice(&crc.to_le_bytes());
}

/// CRC-32 bit by bit: another implementation than the one under test.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 0 {
                crc >> 1
            } else {
                crc >> 1 ^ 0xedb8_8320
            }
        })
    })
}
