//! The file header and the choice between its two copies.

use super::error::{Error, Result, Warning, Warnings};
use super::format::*;
use crate::io::ReadAt;

/// The fields of the header that reading needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) sequence: u16,
    pub(super) version: u32,
    pub(super) data_version: u32,
    pub(super) flags: u32,
    pub(super) alignment: u32,
    pub(super) log_offset: u64,
    pub(super) log_size: u64,
    pub(super) log_header_size: u32,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[0..4].copy_from_slice(&SIGNATURE.to_le_bytes());
        bytes[8..10].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[10..14].copy_from_slice(&self.version.to_le_bytes());
        bytes[14..18].copy_from_slice(&self.data_version.to_le_bytes());
        bytes[18..22].copy_from_slice(&self.flags.to_le_bytes());
        bytes[22..26].copy_from_slice(&self.alignment.to_le_bytes());
        bytes[26..34].copy_from_slice(&self.log_offset.to_le_bytes());
        bytes[34..42].copy_from_slice(&self.log_size.to_le_bytes());
        bytes[42..46].copy_from_slice(&self.log_header_size.to_le_bytes());
        let crc = crc_without(&bytes, 4);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; HEADER_LEN]) -> Option<Header> {
        Some(Header {
            sequence: u16_at(bytes, 8)?,
            version: u32_at(bytes, 10)?,
            data_version: u32_at(bytes, 14)?,
            flags: u32_at(bytes, 18)?,
            alignment: u32_at(bytes, 22)?,
            log_offset: u64_at(bytes, 26)?,
            log_size: u64_at(bytes, 34)?,
            log_header_size: u32_at(bytes, 42)?,
        })
    }
}

/// Reads both copies and gives the one that counts.
pub(super) fn read(file: &dyn ReadAt, warnings: &mut Warnings) -> Result<Header> {
    let a = read_copy(file, 0)?;
    let b = read_copy(file, HEADER_B)?;
    if matches!((&a, &b), (Copy::Foreign, Copy::Foreign)) {
        return Err(Error::NotHvs);
    }
    let header = match (a, b) {
        (Copy::Valid(a), Copy::Valid(b)) if a == b => a,
        // Two different headers, equally new: Windows calls this corrupt, and so do we.
        (Copy::Valid(a), Copy::Valid(b)) if a.sequence == b.sequence => {
            return Err(Error::AmbiguousHeaders(a.sequence));
        }
        (Copy::Valid(a), Copy::Valid(b)) => {
            if newer(a.sequence, b.sequence) {
                a
            } else {
                b
            }
        }
        (Copy::Valid(a), _) => {
            warnings.push(Warning::HeaderDamaged('B'));
            a
        }
        (_, Copy::Valid(b)) => {
            warnings.push(Warning::HeaderDamaged('A'));
            b
        }
        _ => return Err(Error::NoValidHeader),
    };
    if header.version != VERSION {
        return Err(Error::UnsupportedVersion(header.version));
    }
    if header.alignment == 0 || header.alignment > MAX_ALIGNMENT {
        return Err(Error::Damaged {
            what: "header",
            offset: 0,
            why: "the data alignment is not within 1 and 65536",
        });
    }
    Ok(header)
}

/// Whether sequence `a` is the newer one. What Windows does when the 16-bit counter wraps is not
/// public; the only reading of {65535, 0} that makes sense for a counter is that 0 is newer.
fn newer(a: u16, b: u16) -> bool {
    match (a, b) {
        (0, u16::MAX) => true,
        (u16::MAX, 0) => false,
        _ => a > b,
    }
}

enum Copy {
    Valid(Header),
    Damaged,
    Foreign,
}

fn read_copy(file: &dyn ReadAt, offset: u64) -> Result<Copy> {
    let mut bytes = [0; HEADER_LEN];
    match file.read_exact_at(&mut bytes, offset) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            return Ok(Copy::Foreign);
        }
        Err(error) => return Err(error.into()),
    }
    if u32_at(&bytes, 0) != Some(SIGNATURE) {
        return Ok(Copy::Foreign);
    }
    Ok(match Header::decode(&bytes) {
        Some(header) if u32_at(&bytes, 4) == Some(crc_without(&bytes, 4)) => Copy::Valid(header),
        _ => Copy::Damaged,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(sequence: u16) -> Header {
        Header {
            sequence,
            version: VERSION,
            data_version: 0,
            flags: 0,
            alignment: 4096,
            log_offset: 0xa000,
            log_size: 0x1000,
            log_header_size: 0x1000,
        }
    }

    fn chosen(a: &[u8], b: &[u8]) -> Result<(u16, Vec<Warning>)> {
        let mut file = vec![0; 8192];
        file[..a.len()].copy_from_slice(a);
        file[4096..4096 + b.len()].copy_from_slice(b);
        let mut warnings = Warnings::default();
        let header = read(&file, &mut warnings)?;
        Ok((header.sequence, warnings.finish()))
    }

    #[test]
    fn the_known_vector() {
        assert_eq!(u32_at(&header(1).encode(), 4), Some(0x47ba_4b90));
    }

    #[test]
    fn the_newer_valid_copy_counts() {
        let enc = |s| header(s).encode();
        assert_eq!(chosen(&enc(1), &enc(0)).unwrap(), (1, vec![]));
        assert_eq!(chosen(&enc(4), &enc(5)).unwrap(), (5, vec![]));
        assert_eq!(chosen(&enc(u16::MAX), &enc(0)).unwrap(), (0, vec![]));
        assert_eq!(chosen(&enc(0), &enc(u16::MAX)).unwrap(), (0, vec![]));
        let mut torn = enc(6);
        torn[30] ^= 1;
        assert_eq!(
            chosen(&enc(5), &torn).unwrap(),
            (5, vec![Warning::HeaderDamaged('B')])
        );
        assert_eq!(
            chosen(&torn, &enc(5)).unwrap(),
            (5, vec![Warning::HeaderDamaged('A')])
        );
        assert!(matches!(chosen(&torn, &torn), Err(Error::NoValidHeader)));
        assert!(matches!(chosen(&[0; 46], &[0; 46]), Err(Error::NotHvs)));
        let other = Header {
            data_version: 9,
            ..header(5)
        }
        .encode();
        assert!(matches!(
            chosen(&enc(5), &other),
            Err(Error::AmbiguousHeaders(5))
        ));
        let old = Header {
            version: 0x301,
            ..header(5)
        }
        .encode();
        let error = chosen(&old, &enc(4)).unwrap_err();
        assert!(error.to_string().contains("format 3.1"), "{error}");
    }
}
