//! Recipients: X25519 key pairs of people or machines that a slot is sealed for.
//!
//! Both halves have a text form: a prefix that says what it is, then base 32 (RFC 4648, lower
//! case, no padding) of the 32 bytes and the first 5 bytes of the SHA-256 of prefix and bytes.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use zeroize::Zeroizing;

use crate::crypto::{sha256, x25519_public};
use crate::entropy::Entropy;
use crate::error::{Error, Result};
use crate::secret::Secret;

const PUBLIC_PREFIX: &str = "hyperkeep-recipient-";
const SECRET_PREFIX: &str = "hyperkeep-secret-";
const CHECK_LEN: usize = 5;

/// The public half: everything needed to make a slot for its owner.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecipientPublic(pub [u8; 32]);

/// The private half.
#[derive(Clone, PartialEq, Eq)]
pub struct RecipientSecret(Secret);

impl RecipientSecret {
    /// A fresh key pair.
    pub fn generate(rng: &mut dyn Entropy) -> Self {
        Self(Secret::random(rng))
    }

    /// The public half.
    pub fn public(&self) -> RecipientPublic {
        RecipientPublic(x25519_public(&self.0))
    }

    /// The text form, as secret as the key.
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(encode(SECRET_PREFIX, self.0.expose()))
    }

    /// Reads the text form.
    pub fn parse(text: &str) -> Result<Self> {
        decode("recipient's secret key", SECRET_PREFIX, text).map(|bytes| Self(Secret::new(bytes)))
    }

    pub(crate) fn secret(&self) -> &Secret {
        &self.0
    }
}

impl fmt::Debug for RecipientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecipientSecret(of {})", self.public())
    }
}

impl fmt::Display for RecipientPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode(PUBLIC_PREFIX, &self.0))
    }
}

impl fmt::Debug for RecipientPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecipientPublic({self})")
    }
}

impl FromStr for RecipientPublic {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        decode("recipient", PUBLIC_PREFIX, text).map(Self)
    }
}

fn check(prefix: &str, key: &[u8]) -> [u8; CHECK_LEN] {
    let mut out = [0; CHECK_LEN];
    out.copy_from_slice(&sha256(&[prefix.as_bytes(), key])[..CHECK_LEN]);
    out
}

fn encode(prefix: &str, key: &[u8; 32]) -> String {
    let bytes = Zeroizing::new([&key[..], &check(prefix, key)].concat());
    let body = Zeroizing::new(BASE32_NOPAD.encode(&bytes));
    format!(
        "{prefix}{}",
        Zeroizing::new(body.to_ascii_lowercase()).as_str()
    )
}

fn decode(what: &'static str, prefix: &'static str, text: &str) -> Result<[u8; 32]> {
    let bad = |why: &str| Error::Typed {
        what,
        why: why.to_owned(),
    };
    let text = Zeroizing::new(text.trim().to_ascii_lowercase());
    let body = text
        .strip_prefix(prefix)
        .ok_or_else(|| bad(&format!("it does not begin with {prefix}")))?;
    let upper = Zeroizing::new(body.to_ascii_uppercase());
    let bytes = Zeroizing::new(
        BASE32_NOPAD
            .decode(upper.as_bytes())
            .map_err(|_| bad("it is mistyped"))?,
    );
    let (key, given) = bytes
        .split_at_checked(32)
        .filter(|(_, given)| given.len() == CHECK_LEN)
        .ok_or_else(|| bad("it has the wrong length"))?;
    if check(prefix, key) != *given {
        return Err(bad("it is mistyped"));
    }
    let mut out = [0; 32];
    out.copy_from_slice(key);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::counter;

    #[test]
    fn both_halves_survive_as_text_and_are_not_mixed_up() {
        let secret = RecipientSecret::generate(&mut counter(1));
        let (public, text) = (secret.public().to_string(), secret.to_text());
        assert_eq!(
            RecipientSecret::parse(&text.to_uppercase()).unwrap(),
            secret
        );
        assert_eq!(public.parse::<RecipientPublic>().unwrap(), secret.public());
        assert!(text.parse::<RecipientPublic>().is_err());
        assert!(RecipientSecret::parse(&public).is_err());
        assert!(!format!("{secret:?}").contains(&text[SECRET_PREFIX.len()..]));
    }

    #[test]
    fn typing_errors_are_found() {
        let public = RecipientSecret::generate(&mut counter(1))
            .public()
            .to_string();
        for i in 0..public.len() {
            let mut typed = public.clone().into_bytes();
            typed[i] = if typed[i] == b'a' { b'b' } else { b'a' };
            let typed = String::from_utf8(typed).unwrap();
            assert!(typed.parse::<RecipientPublic>().is_err(), "{typed}");
            assert!(public[..i].parse::<RecipientPublic>().is_err());
        }
    }
}
