//! Run lists: which clusters an attribute has.

use std::sync::Arc;

/// Clusters that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// The first, counted in the attribute.
    pub(super) at: u64,
    pub(super) len: u64,
    /// The first, counted on the volume; `None` for a hole.
    pub(super) lcn: Option<u64>,
}

impl Run {
    pub(super) fn end(&self) -> u64 {
        self.at + self.len
    }
}

/// Decodes a run list from `first` to `next` of a volume of so many clusters of so many bytes, or says what is
/// wrong.
pub(super) fn decode(
    bytes: &[u8],
    (first, next): (u64, u64),
    (clusters, cluster): (u64, u64),
) -> Result<Arc<[Run]>, String> {
    // Anything behind would be no number of a byte.
    if next
        .checked_mul(cluster)
        .is_none_or(|end| end > i64::MAX as u64)
    {
        return Err(format!("a run list up to {next}"));
    }
    let mut runs: Vec<Run> = Vec::new();
    let (mut at, mut lcn, mut rest) = (first, 0_i64, bytes);
    while let Some((&sizes, behind)) = rest.split_first().filter(|(sizes, _)| **sizes != 0) {
        let (of_len, of_lcn) = (usize::from(sizes & 15), usize::from(sizes >> 4));
        let fields = behind.split_at_checked(of_len);
        let fields = fields.and_then(|(len, behind)| Some((len, behind.split_at_checked(of_lcn)?)));
        let Some((len, (delta, behind))) = fields else {
            return Err("a run list without an end".into());
        };
        rest = behind;
        let len = signed(len)
            .and_then(|len| u64::try_from(len).ok())
            .filter(|len| *len > 0);
        let end = len
            .and_then(|len| at.checked_add(len))
            .filter(|end| *end <= next);
        let Some((len, end)) = len.zip(end) else {
            return Err(format!("a run of {len:?} clusters at {at} of {next}"));
        };
        let place = match delta {
            [] => None,
            delta => {
                let moved = signed(delta).and_then(|delta| lcn.checked_add(delta));
                lcn = moved.ok_or_else(|| format!("a run at {at} that is moved too far"))?;
                // Before NTFS 3.0 a hole was written as cluster -1.
                u64::try_from(lcn).ok()
            }
        };
        let on_volume = |lcn: u64| lcn.checked_add(len).is_some_and(|end| end <= clusters);
        if lcn < -1 || place.is_some_and(|lcn| !on_volume(lcn)) {
            return Err(format!(
                "{len} clusters at {lcn}, where the volume has {clusters}"
            ));
        }
        runs.push(Run {
            at,
            len,
            lcn: place,
        });
        at = end;
    }
    if at != next {
        return Err(format!("a run list up to {at} and not {next}"));
    }
    Ok(runs.into())
}

fn signed(bytes: &[u8]) -> Option<i64> {
    let top = *bytes.last()?;
    if bytes.len() > 8 {
        return None;
    }
    let sign = if top & 0x80 == 0 { 0 } else { -1 };
    Some(
        bytes
            .iter()
            .rev()
            .fold(sign, |sum, byte| sum << 8 | i64::from(*byte)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_go_forwards_backwards_and_over_holes() {
        let list = [0x21, 0x18, 0x34, 0x56, 0x01, 0x10, 0x11, 0x30, 0x80, 0];
        let run = |at, len, lcn| Run { at, len, lcn };
        let runs = decode(&list, (0, 0x58), (0x6000, 4096)).unwrap();
        let wanted = [
            run(0, 0x18, Some(0x5634)),
            run(0x18, 0x10, None),
            run(0x28, 0x30, Some(0x55b4)),
        ];
        assert_eq!(*runs, wanted);
        assert!(decode(&list, (0, 0x58), (0x5000, 4096)).is_err());
        assert!(decode(&list, (0, 0x57), (0x6000, 4096)).is_err());
        assert!(decode(&list, (0, 0x59), (0x6000, 4096)).is_err());
        assert!(decode(&list[..5], (0, 0x28), (0x6000, 4096)).is_err());
        // A hole of as many clusters as the size of a file can have, and of more.
        let hole = [0x07, 0, 0, 0, 0, 0, 0, 0x08, 0];
        assert!(decode(&hole, (0, 1 << 51), (0x6000, 2048)).is_ok());
        assert!(decode(&hole, (0, 1 << 51), (0x6000, 4096)).is_err());
    }
}
