//! What is on a device, by its signatures.
//!
//! Containers go before file systems: the bytes of what they hold may show through. A signature alone is
//! believed nowhere; a second field must fit. What was formatted over leaves signatures behind, so where
//! two fit, the one that comes first in [`What`] is taken.
//!
//! Sources: libblkid's and the formats' own public descriptions, as `docs/guest-disks.md` names them.

use disk::BlockRead;

use crate::error::Result;

/// What is on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum What {
    /// A volume encrypted by BitLocker.
    BitLocker,
    /// A volume encrypted by LUKS, of version 1 or 2.
    Luks(u16),
    /// A physical volume of LVM2.
    Lvm,
    /// A member of a software RAID of Linux.
    MdRaid,
    /// A part of Windows' Storage Spaces.
    StorageSpaces,
    /// A cache or backing device of bcache.
    Bcache,
    /// NTFS.
    Ntfs,
    /// exFAT.
    ExFat,
    /// ReFS.
    Refs,
    /// ext2, ext3 or ext4.
    Ext,
    /// XFS.
    Xfs,
    /// btrfs.
    Btrfs,
    /// FAT12, FAT16 or FAT32.
    Fat,
    /// Swap space of Linux.
    Swap,
    /// Another file system, by its name, which is recognised and not read.
    Other(&'static str),
    /// Nothing but zeros where signatures are.
    Blank,
    /// Something without a signature that is known.
    Unknown,
}

impl What {
    /// Its name, as people know it.
    pub fn name(self) -> &'static str {
        match self {
            Self::BitLocker => "BitLocker",
            Self::Luks(1) => "LUKS1",
            Self::Luks(_) => "LUKS2",
            Self::Lvm => "LVM2",
            Self::MdRaid => "Linux RAID",
            Self::StorageSpaces => "Storage Spaces",
            Self::Bcache => "bcache",
            Self::Ntfs => "NTFS",
            Self::ExFat => "exFAT",
            Self::Refs => "ReFS",
            Self::Ext => "ext",
            Self::Xfs => "XFS",
            Self::Btrfs => "btrfs",
            Self::Fat => "FAT",
            Self::Swap => "swap",
            Self::Other(name) => name,
            Self::Blank => "nothing",
            Self::Unknown => "something unknown",
        }
    }
}

/// Where signatures are looked at: all within these many bytes of the start.
const HEAD: usize = 68 << 10;

/// Tells what is on a device.
///
/// # Errors
/// When it cannot be read.
pub fn what(device: &dyn BlockRead) -> Result<What> {
    let len = usize::try_from(device.len())
        .unwrap_or(usize::MAX)
        .min(HEAD);
    let mut head = vec![0; len];
    device.read_at(0, &mut head)?;
    let head = Head(&head);
    if let Some(what) = container(&head) {
        return Ok(what);
    }
    // What such a RAID holds begins where its members do.
    if raid_at_the_end(device)? {
        return Ok(What::MdRaid);
    }
    if let Some(what) = file_system(&head) {
        return Ok(what);
    }
    Ok(match head.0.iter().all(|byte| *byte == 0) {
        true => What::Blank,
        false => What::Unknown,
    })
}

/// The first bytes of a device. What lies behind them is no signature.
struct Head<'a>(&'a [u8]);

impl Head<'_> {
    fn has(&self, at: usize, bytes: &[u8]) -> bool {
        self.0.get(at..at + bytes.len()) == Some(bytes)
    }

    fn le16(&self, at: usize) -> u16 {
        self.array(at).map_or(0, u16::from_le_bytes)
    }

    fn be16(&self, at: usize) -> u16 {
        self.array(at).map_or(0, u16::from_be_bytes)
    }

    fn le32(&self, at: usize) -> u32 {
        self.array(at).map_or(0, u32::from_le_bytes)
    }

    fn be32(&self, at: usize) -> u32 {
        self.array(at).map_or(0, u32::from_be_bytes)
    }

    fn byte(&self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or(0)
    }

    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..at + N)?.try_into().ok()
    }
}

const BITLOCKER: [u8; 16] = [
    0x3b, 0xd6, 0x67, 0x49, 0x29, 0x2e, 0xd8, 0x4a, 0x83, 0x99, 0xf6, 0xa3, 0x39, 0xe3, 0xd0, 0x01,
];
const BITLOCKER_USED_SPACE: [u8; 16] = [
    0x3b, 0x4d, 0xa8, 0x92, 0x80, 0xdd, 0x0e, 0x4d, 0x9e, 0x4e, 0xb1, 0xe3, 0x28, 0x4e, 0xae, 0xd8,
];
const BCACHE: [u8; 16] = [
    0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca, 0x82, 0x65, 0xf5, 0x7f, 0x48, 0xba, 0x6d, 0x81,
];
const MD: [u8; 4] = [0xfc, 0x4e, 0x2b, 0xa9];

fn container(head: &Head<'_>) -> Option<What> {
    let guid = |at| head.has(at, &BITLOCKER) || head.has(at, &BITLOCKER_USED_SPACE);
    if head.has(3, b"-FVE-FS-") || (head.has(3, b"MSWIN4.1") && guid(424)) {
        return Some(What::BitLocker);
    }
    let version = head.be16(6);
    if head.has(0, b"LUKS\xba\xbe") && matches!(version, 1 | 2) {
        return Some(What::Luks(version));
    }
    let labelled = |sector: usize| {
        let at = sector * 512;
        head.has(at, b"LABELONE") && head.has(at + 24, b"LVM2 001")
    };
    if (0..4).any(labelled) {
        return Some(What::Lvm);
    }
    // A superblock says at which sector it is.
    let raid = |at: usize| {
        head.has(at, &MD) && head.le32(at + 4) == 1 && head.le32(at + 144) as usize == at / 512
    };
    if raid(0) || raid(4096) {
        return Some(What::MdRaid);
    }
    if head.has(0, b"SPACEDB ") || head.has(4096, b"SPACEDB ") {
        return Some(What::StorageSpaces);
    }
    head.has(4096 + 24, &BCACHE).then_some(What::Bcache)
}

fn file_system(head: &Head<'_>) -> Option<What> {
    let signed = head.has(510, &[0x55, 0xaa]);
    let sector = head.le16(11);
    let sectors = matches!(sector, 256 | 512 | 1024 | 2048 | 4096);
    if head.has(3, b"NTFS    ") && sectors {
        return Some(What::Ntfs);
    }
    let blank = |range| {
        head.0
            .get(range)
            .is_some_and(|all: &[u8]| all.iter().all(|b| *b == 0))
    };
    // mkswap leaves the boot sector alone, and writes where the rest of exFAT's boot region is.
    if head.has(3, b"EXFAT   ") && blank(11..64) && !is_swap(head) {
        return Some(What::ExFat);
    }
    if head.has(3, b"ReFS\0\0\0\0") && head.has(16, b"FSRS") {
        return Some(What::Refs);
    }
    // No file system of this kind has blocks of more than 64 KiB.
    if head.has(1024 + 56, &[0x53, 0xef]) && head.le32(1024 + 24) <= 6 {
        return Some(What::Ext);
    }
    let block = head.be32(4);
    if head.has(0, b"XFSB") && block.is_power_of_two() && (512..=65536).contains(&block) {
        return Some(What::Xfs);
    }
    if head.has(65536 + 64, b"_BHRfS_M") {
        return Some(What::Btrfs);
    }
    if let Some(what) = other(head) {
        return Some(what);
    }
    let jump = head.byte(0) == 0xeb && head.byte(2) == 0x90 || head.byte(0) == 0xe9;
    let media = matches!(head.byte(21), 0xf0 | 0xf8..=0xff);
    let fats = (1..=2).contains(&head.byte(16));
    let cluster = head.byte(13).is_power_of_two();
    let fat = jump && signed && sectors && media && fats && cluster && head.le16(14) > 0;
    fat.then_some(What::Fat)
}

fn is_swap(head: &Head<'_>) -> bool {
    let pages = [4096, 8192, 16384, 65536];
    let signed =
        |page: usize| head.has(page - 10, b"SWAPSPACE2") || head.has(page - 10, b"SWAP-SPACE");
    pages.into_iter().any(signed)
}

fn other(head: &Head<'_>) -> Option<What> {
    if is_swap(head) {
        return Some(What::Swap);
    }
    let udf = [32769, 34817, 36865]
        .into_iter()
        .any(|at| head.has(at, b"NSR02") || head.has(at, b"NSR03"));
    let all: [(bool, &'static str); 8] = [
        (head.has(1024, &[0x10, 0x20, 0xf5, 0xf2]), "F2FS"),
        (udf, "UDF"),
        (head.has(32769, b"CD001"), "ISO 9660"),
        (
            head.has(1024, b"H+\0\x04") || head.has(1024, b"HX\0\x05"),
            "HFS+",
        ),
        (head.has(32, b"NXSB"), "APFS"),
        (head.has(32768, b"JFS1"), "JFS"),
        (head.has(65536 + 52, b"ReIsEr"), "ReiserFS"),
        (head.has(0, b"hsqs"), "squashfs"),
    ];
    let found = all.into_iter().find(|(found, _)| *found);
    found.map(|(_, name)| What::Other(name))
}

/// Software RAID of Linux may have its superblock at the end: version 1.0, and 0.90.
fn raid_at_the_end(device: &dyn BlockRead) -> Result<bool> {
    let len = device.len();
    let places = [
        (len.saturating_sub(8 << 10) & !4095, 1),
        ((len & !65535).saturating_sub(64 << 10), 0),
    ];
    for (at, version) in places {
        let mut bytes = [0; 152];
        if at == 0 || at + 152 > len {
            continue;
        }
        device.read_at(at, &mut bytes)?;
        let head = Head(&bytes);
        let fits = match version {
            0 => head.le32(8) == 90,
            _ => u64::from(head.le32(144)) | u64::from(head.le32(148)) << 32 == at / 512,
        };
        if head.has(0, &MD) && head.le32(4) == version && fits {
            return Ok(true);
        }
    }
    Ok(false)
}
