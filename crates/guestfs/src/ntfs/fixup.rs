//! Fix-ups: how a record that a power cut tore is told from a whole one.
//!
//! The last two bytes of every 512 of a record are on the disk the number of its last write; what belongs
//! there is kept at the record's start. That is so with sectors of any size.

use super::le::le16;
use crate::error::{Error, Result};

const STRIDE: usize = 512;

/// Checks the signature of a record, puts its bytes where they belong, and says what is wrong otherwise.
pub(super) fn mend(bytes: &mut [u8], signature: &[u8; 4], what: &dyn Fn() -> String) -> Result<()> {
    let damaged = |why: String| Error::damaged(what(), why);
    let found = bytes.get(..4).unwrap_or_default();
    if found == b"BAAD" {
        return Err(damaged("Windows has marked it as torn".into()));
    }
    if found != signature {
        let signature = signature.escape_ascii();
        let found = found.escape_ascii();
        return Err(damaged(format!(
            "its signature is {found} and not {signature}"
        )));
    }
    let at = usize::from(le16(bytes, 4));
    let count = usize::from(le16(bytes, 6));
    if count != bytes.len() / STRIDE + 1
        || !at.is_multiple_of(2)
        || at + count * 2 > STRIDE.min(bytes.len()) - 2
    {
        return Err(damaged(format!("{count} fix-ups at {at}")));
    }
    let number = le16(bytes, at);
    for stride in 1..count {
        let end = stride * STRIDE - 2;
        if le16(bytes, end) != number {
            let is = le16(bytes, end);
            return Err(damaged(format!(
                "it is torn: part {stride} was written as {is:#06x} and the whole as {number:#06x}"
            )));
        }
        let kept = at + stride * 2;
        bytes.copy_within(kept..kept + 2, end);
    }
    Ok(())
}
