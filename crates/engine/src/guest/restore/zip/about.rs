//! What an entry tells of a file besides its bytes.
//!
//! Times stand three times, for whoever reads which: the old one of DOS (which is local time by its words, and
//! UTC here), Unix' in seconds (1901 to 2038), and Windows' in 100 ns where that says more.

use guestfs::{Node, Owner, Time};
use rawzip::Header;
use rawzip::extra_fields::ExtraFieldId;
use rawzip::time::UtcDateTime;

/// `S_IFMT` and of it: file, folder, link.
pub(super) const KINDS: u32 = 0o170_000;
pub(super) const FILE: u32 = 0o100_000;
pub(super) const FOLDER: u32 = 0o040_000;
pub(super) const LINK: u32 = 0o120_000;

/// Seconds from 1601 to 1970.
const TO_1970: i64 = 11_644_473_600;

/// What is told.
pub(super) struct About {
    modified: Option<Time>,
    accessed: Option<Time>,
    created: Option<Time>,
    owner: Option<Owner>,
}

/// A field, and where it stands.
type Field = (ExtraFieldId, Vec<u8>, Header);

impl About {
    pub(super) fn of(node: &Node) -> Self {
        Self {
            modified: node.times.modified,
            accessed: node.times.accessed,
            created: node.times.created,
            owner: node.owner,
        }
    }

    /// Whether Unix' field has no room for its time.
    pub(super) fn loses_time(&self) -> bool {
        let seconds = self.modified.map(|time| time.seconds);
        seconds.is_some_and(|seconds| i32::try_from(seconds).is_err())
    }

    /// The time of DOS. With it the library writes that of Unix into the directory at the end, and has no room
    /// there for what is before 1970.
    pub(super) fn dos(&self) -> Option<UtcDateTime> {
        let seconds = self.modified?.seconds;
        let told = (0..=i64::from(i32::MAX)).contains(&seconds);
        told.then(|| UtcDateTime::from_unix(seconds))
    }

    /// The fields.
    pub(super) fn fields(&self) -> Vec<Field> {
        let both = Header::default();
        let mut fields = Vec::new();
        if let Some(seconds) = self
            .modified
            .and_then(|time| i32::try_from(time.seconds).ok())
        {
            let mut bytes = vec![1];
            bytes.extend(seconds.to_le_bytes());
            let place = match self.dos() {
                Some(_) => Header::LOCAL,
                None => both,
            };
            fields.push((ExtraFieldId::EXTENDED_TIMESTAMP, bytes, place));
        }
        if let Some(modified) = self.modified
            && (modified.nanos > 0 || i32::try_from(modified.seconds).is_err())
            && let Some(ticks) = ticks(modified)
        {
            // Reserved, then the first attribute and its length.
            let mut bytes = vec![0, 0, 0, 0, 1, 0, 24, 0];
            let other = |time: Option<Time>| time.and_then(self::ticks).unwrap_or(ticks);
            for ticks in [ticks, other(self.accessed), other(self.created)] {
                bytes.extend(ticks.to_le_bytes());
            }
            fields.push((ExtraFieldId::NTFS, bytes, both));
        }
        if let Some(owner) = self.owner {
            let mut bytes = vec![1, 4];
            bytes.extend(owner.uid.to_le_bytes());
            bytes.push(4);
            bytes.extend(owner.gid.to_le_bytes());
            fields.push((ExtraFieldId::INFO_ZIP_UNIX_UID_GID, bytes, both));
        }
        fields
    }
}

/// 100 ns since 1601, where there are.
fn ticks(time: Time) -> Option<u64> {
    let seconds = u64::try_from(time.seconds.checked_add(TO_1970)?).ok()?;
    let ticks = seconds.checked_mul(10_000_000)?;
    ticks.checked_add(u64::from(time.nanos / 100))
}
