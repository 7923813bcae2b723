//! Numbers within bytes. What lies behind the end is zeros: callers have checked the lengths that matter.

/// `N` bytes at a place.
pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let there = bytes.get(at..).and_then(|rest| rest.first_chunk());
    there.copied().unwrap_or([0; N])
}

macro_rules! numbers {
    ($($name:ident: $number:ty = $from:ident;)*) => {$(
        /// A number at a place.
        pub(super) fn $name(bytes: &[u8], at: usize) -> $number {
            <$number>::$from(array(bytes, at))
        }
    )*};
}
numbers! {
    le16: u16 = from_le_bytes;
    le32: u32 = from_le_bytes;
    be32: u32 = from_be_bytes;
    be64: u64 = from_be_bytes;
}
