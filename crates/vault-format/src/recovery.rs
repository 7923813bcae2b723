//! The recovery code: a secret that a person can write down and type back.
//!
//! 160 random bits as eight groups of five characters of Crockford's base 32 alphabet (no I, L,
//! O, U; case does not matter; I and L read as 1, O as 0; hyphens and spaces are ignored):
//!
//! ```text
//! 3F7QA-XX1K2-…-…-…-…-…-…
//! ```
//!
//! The first four characters of a group carry 20 bits, most significant first; the fifth is a
//! check over GF(32): a typing error in one group, neighbours exchanged, or two groups exchanged
//! are found, and the group that is wrong can be named. The bits are random enough that no slow
//! key derivation is needed.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::entropy::{Entropy, random};
use crate::error::{Error, Result};

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const GROUPS: usize = 8;
const GROUP_LEN: usize = 5;

/// A recovery code.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct RecoveryCode([u8; 20]);

impl RecoveryCode {
    /// A fresh code.
    pub fn random(rng: &mut dyn Entropy) -> Self {
        Self(random(rng))
    }

    /// The 20 bytes that the slot's key is derived from.
    pub(crate) fn bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// The code as a person is to write it down. It is as secret as the code.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(GROUPS * (GROUP_LEN + 1)));
        for (group, symbols) in self.groups().iter().enumerate() {
            if group > 0 {
                text.push('-');
            }
            for symbol in symbols.iter().chain([&check(group, symbols)]) {
                text.push(char::from(ALPHABET[usize::from(symbol & 31)]));
            }
        }
        text
    }

    /// Two groups in five bytes: 40 bits, 8 symbols.
    fn groups(&self) -> Zeroizing<[[u8; 4]; GROUPS]> {
        let mut groups = Zeroizing::new([[0; 4]; GROUPS]);
        for (bytes, pair) in self.0.chunks_exact(5).zip(groups.chunks_exact_mut(2)) {
            let bits = bytes
                .iter()
                .fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
            for (i, symbol) in pair.as_flattened_mut().iter_mut().enumerate() {
                *symbol = (bits >> (35 - 5 * i)) as u8 & 31;
            }
        }
        groups
    }

    /// Reads what a person typed.
    ///
    /// # Errors
    /// [`Error::Typed`] says which group is wrong, and never what was typed.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |why: String| Error::Typed {
            what: "recovery code",
            why,
        };
        let mut symbols = Zeroizing::new(Vec::with_capacity(GROUPS * GROUP_LEN));
        for letter in text.chars().filter(|c| !c.is_whitespace() && *c != '-') {
            let at = symbols.len();
            let upper = match letter.to_ascii_uppercase() {
                'I' | 'L' => '1',
                'O' => '0',
                other => other,
            };
            let symbol = ALPHABET
                .iter()
                .position(|a| char::from(*a) == upper)
                .ok_or_else(|| {
                    bad(format!(
                        "character {} of group {} is none that a recovery code has",
                        at % GROUP_LEN + 1,
                        at / GROUP_LEN + 1
                    ))
                })?;
            if at == GROUPS * GROUP_LEN {
                return Err(bad(format!(
                    "it has more than {} characters",
                    GROUPS * GROUP_LEN
                )));
            }
            symbols.push(symbol as u8);
        }
        if symbols.len() != GROUPS * GROUP_LEN {
            return Err(bad(format!(
                "it has {} characters, and {} are needed (8 groups of 5)",
                symbols.len(),
                GROUPS * GROUP_LEN
            )));
        }
        let mut code = Self([0; 20]);
        let mut bits = Zeroizing::new(0u64);
        for (group, typed) in symbols.chunks_exact(GROUP_LEN).enumerate() {
            let [a, b, c, d, given] = *typed else {
                continue;
            };
            if check(group, &[a, b, c, d]) != given {
                return Err(bad(format!("group {} is mistyped", group + 1)));
            }
            for symbol in [a, b, c, d] {
                *bits = *bits << 5 | u64::from(symbol);
            }
            if group % 2 == 1 {
                let at = group / 2 * 5;
                code.0[at..at + 5].copy_from_slice(&bits.to_be_bytes()[3..]);
                *bits = 0;
            }
        }
        Ok(code)
    }
}

/// The check symbol of a group: Σ aᵢ·2^(i+1) + 2^(g+5) over GF(32), where 2 generates the field.
fn check(group: usize, symbols: &[u8; 4]) -> u8 {
    let power = |n: usize| (0..n).fold(1, |x, _| times_two(x));
    let sum = symbols
        .iter()
        .enumerate()
        .fold(power(group + 5), |sum, (i, symbol)| {
            sum ^ (0..=i).fold(*symbol, |x, _| times_two(x))
        });
    sum & 31
}

/// Doubling in GF(32), which is `GF(2)[x] / (x⁵ + x² + 1)`.
fn times_two(x: u8) -> u8 {
    // Branch-free: the symbols are secret.
    let carry = x >> 4 & 1;
    ((x << 1) & 31) ^ (carry * 0b00101)
}

impl PartialEq for RecoveryCode {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for RecoveryCode {}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_code() {
        let code = RecoveryCode(std::array::from_fn(|i| i as u8 * 13));
        let text = code.to_text();
        assert_eq!(
            text.as_str(),
            "006HD-M9SMQ-8575Q-PT3NC-GA7S6-SADPE-RF8DF-VTQQ1"
        );
        assert_eq!(RecoveryCode::parse(&text).unwrap(), code);
    }

    proptest! {
        #![proptest_config(testkit::vary::config(256))]
        #[test]
        fn codes_survive_people(bytes in any::<[u8; 20]>(), lower in any::<bool>()) {
            let code = RecoveryCode(bytes);
            let mut text = code.to_text().replace('-', "  ").replace('1', "l").replace('0', "o");
            if lower {
                text.make_ascii_lowercase();
            }
            prop_assert_eq!(RecoveryCode::parse(&text).unwrap(), code);
        }

        #[test]
        fn one_wrong_character_is_found_in_its_group(bytes in any::<[u8; 20]>(), at in 0usize..40, to in 0usize..32) {
            let code = RecoveryCode(bytes);
            let mut typed: Vec<u8> = code.to_text().replace('-', "").into_bytes();
            if typed[at] != ALPHABET[to] {
                typed[at] = ALPHABET[to];
                let error = RecoveryCode::parse(std::str::from_utf8(&typed).unwrap()).unwrap_err();
                let expected = format!("group {} is mistyped", at / 5 + 1);
                prop_assert!(error.to_string().contains(&expected), "{}", error);
            }
        }

        #[test]
        fn exchanged_neighbours_and_groups_are_found(bytes in any::<[u8; 20]>(), at in 0usize..39, groups in (0usize..8, 0usize..8)) {
            let code = RecoveryCode(bytes);
            let text = code.to_text().replace('-', "");
            let parse = |typed: &[u8]| RecoveryCode::parse(std::str::from_utf8(typed).unwrap());
            let mut typed = text.clone().into_bytes();
            typed.swap(at, at + 1);
            // Neighbours of two groups may by chance fit both checks; within one they cannot.
            if at % 5 != 4 && typed[at] != typed[at + 1] {
                prop_assert!(parse(&typed).is_err());
            }
            let mut order: Vec<usize> = (0..8).collect();
            order.swap(groups.0, groups.1);
            let typed: Vec<u8> = order.iter().flat_map(|g| text.as_bytes()[g * 5..][..5].to_vec()).collect();
            prop_assert_eq!(parse(&typed).is_ok(), groups.0 == groups.1);
        }

        #[test]
        fn any_text_is_a_code_or_an_error(text in "\\PC*") {
            let _ = RecoveryCode::parse(&text);
        }
    }

    #[test]
    fn errors_and_debug_tell_no_secret() {
        let code = RecoveryCode([7; 20]);
        let text = code.to_text();
        let cut = RecoveryCode::parse(&text[..20]).unwrap_err().to_string();
        assert!(
            cut.contains("17 characters") && !cut.contains(&text[..5]),
            "{cut}"
        );
        assert_eq!(format!("{code:?}"), "RecoveryCode(…)");
        assert!(
            RecoveryCode::parse("UUUUU")
                .unwrap_err()
                .to_string()
                .contains("group 1")
        );
    }
}
