//! Reparse points: what a file is to those who know its tag.
//!
//! Links, junctions and what the Windows Subsystem for Linux makes are told as what they are. Where the
//! contents are not in the file, that is an obstacle, and never an empty or sparse file. Compression by
//! WOF is undone, so nothing of it is told.
//!
//! Sources: Microsoft, [MS-FSCC] 2.1.2; the Windows SDK's list of tags; WSL's own announcements for its
//! tags.

use super::attribute::REPARSE_POINT;
use super::file::File;
use super::le::{le16, le32, units};
use super::volume::Volume;
use crate::error::Result;
use crate::name::Name;
use crate::node::{Obstacle, Reparse};

/// Of a tag: it is one of Microsoft's.
const MICROSOFT: u32 = 0x8000_0000;
const MOUNT_POINT: u32 = 0xa000_0003;
const SYMLINK: u32 = 0xa000_000c;
const LX_SYMLINK: u32 = 0xa000_001d;
const AF_UNIX: u32 = 0x8000_0023;
const LX_FIFO: u32 = 0x8000_0024;
const LX_CHR: u32 = 0x8000_0025;
const LX_BLK: u32 = 0x8000_0026;
const DEDUP: u32 = 0x8000_0013;
const WOF: u32 = 0x8000_0017;
/// Tags of cloud files, but for the digit that counts them.
const CLOUD: (u32, u32) = (0xffff_0fff, 0x9000_001a);
/// Tags of those who keep contents elsewhere.
const ELSEWHERE: [(u32, &str); 8] = [
    (0xc000_0004, "with a storage manager (HSM)"),
    (0x8000_0006, "with a storage manager (HSM2)"),
    (0x8000_0007, "in the single-instance store"),
    (0x8000_0018, "in a layer of a container"),
    (0x9000_1018, "in a layer of a container"),
    (0x8000_001e, "with Azure File Sync"),
    (0x8000_0021, "with OneDrive"),
    (0x9000_001c, "with who projects it (ProjFS)"),
];

/// Contents of a file are not here: `OFFLINE`, `RECALL_ON_DATA_ACCESS`.
const RECALL: u32 = 0x1000 | 0x40_0000;
/// Bytes of a reparse point.
const MOST: u64 = 16 << 10;

/// What a reparse point makes of a file or folder.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A link, and where it leads to.
    Link(Name),
    /// A junction or mounted volume, and where it leads to.
    Junction(Name),
    Fifo,
    Socket,
    /// A device; its numbers are among the extended attributes.
    Device {
        block: bool,
    },
    /// A file compressed by WOF, by this algorithm.
    Wof(u32),
    /// A file whose contents are not to be had.
    Obstacle(Obstacle),
    /// A cloud file: its contents may be here or not.
    Cloud,
    /// Somebody's own.
    Unknown(u32),
}

/// Reads the reparse point of a file.
pub(super) fn read(volume: &Volume, file: &File) -> Result<Option<Reparse>> {
    let Some(stored) = file.stored(volume, REPARSE_POINT, &[])? else {
        return Ok(None);
    };
    let what = format!("reparse point of MFT record {}", file.record().number());
    let bytes = stored.whole(volume, MOST + 24, &what)?;
    let tag = le32(&bytes, 0);
    // Tags that are not Microsoft's have the id of whose they are before their data.
    let owner = if tag & MICROSOFT == 0 { 16 } else { 0 };
    let len = owner + usize::from(le16(&bytes, 4));
    let data = bytes.get(8..8 + len);
    let data = data.ok_or_else(|| file.damaged(format!("a reparse point of {len} bytes")))?;
    Ok(Some(Reparse {
        tag,
        data: data.to_vec(),
    }))
}

/// What it means; or what is wrong with it.
pub(super) fn meaning(reparse: &Reparse) -> Result<Meaning, String> {
    let data = reparse.data.as_slice();
    let cut = || format!("a reparse point {:#x} that is cut short", reparse.tag);
    Ok(match reparse.tag {
        SYMLINK => Meaning::Link(target(data, 12).ok_or_else(cut)?),
        MOUNT_POINT => Meaning::Junction(target(data, 8).ok_or_else(cut)?),
        // A version, and bytes of UTF-8.
        LX_SYMLINK => Meaning::Link(Name::new(data.get(4..).ok_or_else(cut)?)),
        AF_UNIX => Meaning::Socket,
        LX_FIFO => Meaning::Fifo,
        LX_CHR => Meaning::Device { block: false },
        LX_BLK => Meaning::Device { block: true },
        DEDUP => Meaning::Obstacle(Obstacle::Deduplicated),
        WOF => wof(data).ok_or_else(cut)?,
        tag if tag & CLOUD.0 == CLOUD.1 => Meaning::Cloud,
        tag => match ELSEWHERE.iter().find(|(known, _)| *known == tag) {
            Some((_, place)) => Meaning::Obstacle(Obstacle::Elsewhere((*place).into())),
            None => Meaning::Unknown(tag),
        },
    })
}

/// Whether attributes or holes say that a cloud file's contents are with its cloud.
pub(super) fn recalled(attributes: u32, holes: bool) -> Option<Obstacle> {
    let away = attributes & RECALL != 0 || holes;
    away.then(|| Obstacle::Elsewhere("with a cloud (a file on demand)".into()))
}

/// Where a link leads to: what would be printed, or else what is really followed. Names lie behind `from`.
fn target(data: &[u8], from: usize) -> Option<Name> {
    if data.len() < from {
        return None;
    }
    let text = |at: usize| {
        let begin = from + usize::from(le16(data, at));
        let bytes = data.get(begin..begin + usize::from(le16(data, at + 2)))?;
        Some(units(bytes))
    };
    let printed = text(4)?;
    if !printed.is_empty() {
        return Some(Name::from_utf16(&printed));
    }
    let followed = text(0)?;
    let prefix: Vec<u16> = r"\??\".encode_utf16().collect();
    Some(Name::from_utf16(
        followed
            .strip_prefix(prefix.as_slice())
            .unwrap_or(&followed),
    ))
}

/// Windows' overlay filter: who compressed the file, and how.
fn wof(data: &[u8]) -> Option<Meaning> {
    let unknown = |how: String| Some(Meaning::Obstacle(Obstacle::Unknown(how)));
    let (version, provider) = (le32(data.get(..8)?, 0), le32(data, 4));
    match (version, provider) {
        (1, 1) => {
            let place = "in a WIM image (WIMBoot)".into();
            Some(Meaning::Obstacle(Obstacle::Elsewhere(place)))
        }
        (1, 2) => match (le32(data.get(8..16)?, 0), le32(data, 12)) {
            (1, algorithm @ 0..=3) => Some(Meaning::Wof(algorithm)),
            (version, algorithm) => unknown(format!("WOF {version}, algorithm {algorithm}")),
        },
        (version, provider) => unknown(format!("WOF {version}, provider {provider}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(from: usize, followed: &str, printed: &str) -> Vec<u8> {
        let text = |text: &str| {
            text.encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect::<Vec<_>>()
        };
        let (followed, printed) = (text(followed), text(printed));
        let lens = [0, followed.len(), followed.len(), printed.len()];
        let mut data: Vec<u8> = lens
            .iter()
            .flat_map(|len| (*len as u16).to_le_bytes())
            .collect();
        data.resize(from, 0);
        [data, followed, printed].concat()
    }

    #[test]
    fn links_lead_where_windows_prints() {
        let tell = |tag, data| meaning(&Reparse { tag, data });
        let printed = link(12, r"\??\C:\a", r"C:\a");
        assert_eq!(tell(SYMLINK, printed), Ok(Meaning::Link(r"C:\a".into())));
        let silent = link(8, r"\??\C:\b", "");
        assert_eq!(
            tell(MOUNT_POINT, silent),
            Ok(Meaning::Junction(r"C:\b".into()))
        );
        let volume = r"\??\Volume{5b0a5f3c-0000-0000-0000-100000000000}\";
        let mounted = tell(MOUNT_POINT, link(8, volume, ""));
        assert_eq!(mounted, Ok(Meaning::Junction(volume[4..].into())));
        assert!(tell(SYMLINK, link(12, "a", "b")[..13].to_vec()).is_err());
        assert!(tell(SYMLINK, vec![0; 11]).is_err());
    }

    #[test]
    fn what_is_elsewhere_is_an_obstacle() {
        for tag in [0xc000_0004, 0x8000_0013, 0x8000_0021, 0x9000_001c] {
            let data = Vec::new();
            let meaning = meaning(&Reparse { tag, data }).unwrap();
            assert!(matches!(meaning, Meaning::Obstacle(_)), "{tag:#x}");
        }
        for tag in [0x9000_001a, 0x9000_601a, 0x9000_f01a] {
            let data = Vec::new();
            assert_eq!(meaning(&Reparse { tag, data }), Ok(Meaning::Cloud));
        }
        let data = [1_u32, 1, 0, 0].map(u32::to_le_bytes).concat();
        let wim = meaning(&Reparse { tag: WOF, data });
        assert!(matches!(wim, Ok(Meaning::Obstacle(Obstacle::Elsewhere(_)))));
        let data = [1_u32, 2, 1, 7].map(u32::to_le_bytes).concat();
        let odd = meaning(&Reparse { tag: WOF, data });
        assert!(matches!(odd, Ok(Meaning::Obstacle(Obstacle::Unknown(_)))));
        assert_eq!(recalled(0x20, false), None);
        assert!(recalled(0x20, true).is_some() && recalled(0x40_0020, false).is_some());
    }
}
