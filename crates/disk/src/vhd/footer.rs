//! The footer: what the disk is, in the last 512 bytes of the file.

use uuid::Uuid;

use crate::error::{Error, Result};
use crate::layer::VhdKind;
use crate::vhd::{Chs, checksum, field};

/// Bytes in a footer.
pub const FOOTER_LEN: usize = 512;

const COOKIE: &[u8; 8] = b"conectix";

/// A footer, decoded. Fields that nothing depends on are kept as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footer {
    /// Bit 1 is always set; bit 0 marks a temporary disk.
    pub features: u32,
    /// Offset of the dynamic header; all ones in a fixed image.
    pub data_offset: u64,
    /// Seconds since the beginning of 2000, UTC.
    pub timestamp: u32,
    /// Program that made the image, such as `win `.
    pub creator_app: [u8; 4],
    /// Its version.
    pub creator_version: u32,
    /// System it ran on, such as `Wi2k`.
    pub creator_os: [u8; 4],
    /// Size of the disk when it was made.
    pub original_size: u64,
    /// Size of the disk: the one that counts.
    pub current_size: u64,
    /// Geometry for BIOS calls.
    pub chs: Chs,
    /// How the disk is stored.
    pub kind: VhdKind,
    /// Identity of this image, which its children name.
    pub unique_id: Uuid,
    /// Whether the image belongs to a saved state.
    pub saved_state: u8,
}

impl Footer {
    /// Decodes a footer. `Ok(None)` when the bytes do not begin like one.
    ///
    /// The second value tells whether the checksum is right; whether that matters is the
    /// reader's decision.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for another major version, [`Error::Damaged`] for an unknown type.
    pub fn decode(bytes: &[u8; FOOTER_LEN]) -> Result<Option<(Self, bool)>> {
        if &field(bytes, 0) != COOKIE {
            return Ok(None);
        }
        let mut summed = *bytes;
        summed[64..68].fill(0);
        let sound = checksum(&summed) == u32::from_be_bytes(field(bytes, 64));

        let version = u32::from_be_bytes(field(bytes, 12));
        if version >> 16 != 1 {
            return Err(Error::Unsupported(format!("VHD version {version:#010x}")));
        }
        let kind = match u32::from_be_bytes(field(bytes, 60)) {
            2 => VhdKind::Fixed,
            3 => VhdKind::Dynamic,
            4 => VhdKind::Differencing,
            other => {
                return Err(Error::damaged("VHD footer", format!("disk type {other}")));
            }
        };
        let footer = Self {
            features: u32::from_be_bytes(field(bytes, 8)),
            data_offset: u64::from_be_bytes(field(bytes, 16)),
            timestamp: u32::from_be_bytes(field(bytes, 24)),
            creator_app: field(bytes, 28),
            creator_version: u32::from_be_bytes(field(bytes, 32)),
            creator_os: field(bytes, 36),
            original_size: u64::from_be_bytes(field(bytes, 40)),
            current_size: u64::from_be_bytes(field(bytes, 48)),
            chs: Chs {
                cylinders: u16::from_be_bytes(field(bytes, 56)),
                heads: bytes[58],
                sectors: bytes[59],
            },
            kind,
            unique_id: Uuid::from_bytes(field(bytes, 68)),
            saved_state: bytes[84],
        };
        Ok(Some((footer, sound)))
    }

    /// Encodes the footer with its checksum.
    pub fn encode(&self) -> [u8; FOOTER_LEN] {
        let mut out = [0; FOOTER_LEN];
        out[0..8].copy_from_slice(COOKIE);
        out[8..12].copy_from_slice(&self.features.to_be_bytes());
        out[12..16].copy_from_slice(&0x0001_0000u32.to_be_bytes());
        out[16..24].copy_from_slice(&self.data_offset.to_be_bytes());
        out[24..28].copy_from_slice(&self.timestamp.to_be_bytes());
        out[28..32].copy_from_slice(&self.creator_app);
        out[32..36].copy_from_slice(&self.creator_version.to_be_bytes());
        out[36..40].copy_from_slice(&self.creator_os);
        out[40..48].copy_from_slice(&self.original_size.to_be_bytes());
        out[48..56].copy_from_slice(&self.current_size.to_be_bytes());
        out[56..58].copy_from_slice(&self.chs.cylinders.to_be_bytes());
        out[58] = self.chs.heads;
        out[59] = self.chs.sectors;
        let kind: u32 = match self.kind {
            VhdKind::Fixed => 2,
            VhdKind::Dynamic => 3,
            VhdKind::Differencing => 4,
        };
        out[60..64].copy_from_slice(&kind.to_be_bytes());
        out[68..84].copy_from_slice(self.unique_id.as_bytes());
        out[84] = self.saved_state;
        let sum = checksum(&out);
        out[64..68].copy_from_slice(&sum.to_be_bytes());
        out
    }
}
