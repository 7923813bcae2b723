//! The Elephant diffuser, which mixes the bytes of a whole sector.

const ROTATE_A: [u32; 4] = [9, 0, 13, 0];
const ROTATE_B: [u32; 4] = [0, 10, 0, 25];
const CYCLES_A: usize = 5;
const CYCLES_B: usize = 3;

/// Undoes both diffusers.
pub(super) fn undo(sector: &mut [u8]) {
    let words = sector.chunks_exact(4);
    let mut words: Vec<u32> = words
        .map(|word| {
            word.iter()
                .rev()
                .fold(0, |sum, byte| sum << 8 | u32::from(*byte))
        })
        .collect();
    let count = words.len();
    let word = |words: &[u32], at: usize| words.get(at % count).copied().unwrap_or(0);
    for _ in 0..CYCLES_B {
        for at in 0..count {
            let turned = word(&words, at + 5).rotate_left(ROTATE_B[at % 4]);
            words[at] = words[at].wrapping_add(word(&words, at + 2) ^ turned);
        }
    }
    for _ in 0..CYCLES_A {
        for at in 0..count {
            let turned = word(&words, at + count - 5 % count).rotate_left(ROTATE_A[at % 4]);
            words[at] = words[at].wrapping_add(word(&words, at + count - 2 % count) ^ turned);
        }
    }
    for (bytes, word) in sector.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
}
