//! Contents that will hardly compress.

/// Whether the bytes of a sample are about equally frequent, as in encrypted or compressed data.
/// Such chunks are tried with the fastest level, which gives up on them early; should they
/// compress after all, by repetition, it still finds that.
pub(crate) fn looks_random(plain: &[u8]) -> bool {
    const SAMPLE: usize = 4096;
    if plain.len() < 4 * SAMPLE {
        return false;
    }
    let mut counts = [0u32; 256];
    let step = plain.len() / 8;
    for part in plain.chunks(step).take(8) {
        for byte in part.iter().take(SAMPLE / 8) {
            counts[usize::from(*byte)] += 1;
        }
    }
    // The sum of squares is 4096 * 16 + 4096 on average for even chances, and spreads by 360.
    let squares: u32 = counts.iter().map(|n| n * n).sum();
    squares < 72_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_looks_random_and_text_does_not() {
        let mut x = 1u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            x = x
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (x >> 56) as u8
        })
        .take(64 << 10)
        .collect();
        assert!(looks_random(&noise));
        let mut half = noise.clone();
        half.iter_mut().for_each(|b| *b &= 0x7f);
        assert!(!looks_random(&half));
        assert!(!looks_random(&b"some text, again and again ".repeat(3000)));
        assert!(!looks_random(&noise[..1000]));
    }
}
