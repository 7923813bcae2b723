//! Reading anywhere in what is only had by whole sectors.

/// Bytes that are read together.
const PIECE: usize = 256 << 10;

/// Fills `buf` from `offset` by `read`, which is asked for whole sectors alone.
pub(crate) fn whole_sectors(
    sector: u32,
    offset: u64,
    buf: &mut [u8],
    read: impl Fn(u64, &mut [u8]) -> disk::Result<()>,
) -> disk::Result<()> {
    let size = sector as usize;
    let (mut at, mut rest) = (offset, buf);
    let mut whole = Vec::new();
    while !rest.is_empty() {
        let within = (at % u64::from(sector)) as usize;
        if within == 0 && rest.len() >= size {
            let len = rest.len().min(PIECE) / size * size;
            let (now, later) = std::mem::take(&mut rest).split_at_mut(len);
            read(at, now)?;
            rest = later;
            at += len as u64;
            continue;
        }
        whole.resize(size, 0);
        read(at - within as u64, &mut whole)?;
        let len = rest.len().min(size - within);
        let (now, later) = std::mem::take(&mut rest).split_at_mut(len);
        now.copy_from_slice(&whole[within..within + len]);
        rest = later;
        at += len as u64;
    }
    Ok(())
}
