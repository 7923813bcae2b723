//! The hash by which names are found, in folders as among attributes.

/// The hash of a name; `folded` where the file system does not tell case of letters apart.
pub(super) fn of(name: &[u8], folded: bool) -> u32 {
    let fold = |byte: &u8| if folded { lower(*byte) } else { *byte };
    let step = |hash: u32, byte: &u8| u32::from(fold(byte)) ^ hash.rotate_left(7);
    name.iter().fold(0, step)
}

/// Whether two names are the same where case is not told apart.
pub(super) fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| lower(*a) == lower(*b))
}

/// Small letters of ASCII and Latin-1.
fn lower(byte: u8) -> u8 {
    match byte {
        b'A'..=b'Z' | 0xc0..=0xd6 | 0xd8..=0xde => byte + 32,
        _ => byte,
    }
}
