//! Ids of sessions and messages: different from each other, and no more than that.

use uuid::{Builder, Uuid};

/// Ids that begin at a random place. What fails is the system's source of randomness.
pub fn random_ids() -> std::io::Result<impl FnMut() -> Uuid + Send + 'static> {
    let mut seed = [0; 16];
    getrandom::fill(&mut seed).map_err(|error| std::io::Error::other(error.to_string()))?;
    let mut next = u128::from_be_bytes(seed);
    Ok(move || {
        // An odd step walks through all numbers, and changes every byte of neighbours.
        next = next.wrapping_add(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        Builder::from_random_bytes(next.to_be_bytes()).into_uuid()
    })
}
