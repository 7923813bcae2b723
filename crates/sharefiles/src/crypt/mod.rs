//! Keys of a session (3.1.4.2), signatures (3.1.4.1) and encryption (3.1.4.3).
//!
//! A key is wiped when it is dropped as far as it is ours; expanded ones are the library's.

mod seal;
mod sign;

use ring::{digest, hmac};
use zeroize::Zeroizing;

pub(crate) use seal::{Opener, Sealer};
pub(crate) use sign::Signer;

use crate::wire::{Agreed, Cipher};

/// The sum of all messages up to a moment: whoever changed one on the way has other keys.
#[derive(Clone)]
pub(crate) struct Transcript([u8; 64]);

impl Transcript {
    pub(crate) fn new() -> Self {
        Self([0; 64])
    }

    pub(crate) fn add(&mut self, message: &[u8]) {
        let mut sum = digest::Context::new(&digest::SHA512);
        sum.update(&self.0);
        sum.update(message);
        self.0.copy_from_slice(sum.finish().as_ref());
    }
}

/// What a session's messages are protected with.
pub(crate) struct Keys {
    pub(crate) signer: Signer,
    /// None when the server does not encrypt.
    pub(crate) seal: Option<(Sealer, Opener)>,
}

impl Keys {
    /// Derives them from what the logon gave. `None` when that is too short.
    pub(crate) fn derive(secret: &[u8], transcript: &Transcript, agreed: &Agreed) -> Option<Self> {
        let short = secret.get(..16)?;
        let key = |from, label: &[u8], len| derive(from, label, &transcript.0, len);
        let signer = Signer::new(agreed.signing, &key(short, b"SMBSigningKey\0", 16));
        let seal = agreed.cipher.map(|cipher| {
            // Keys of 256 bits come of all that the logon gave.
            let (from, len) = match cipher {
                Cipher::Aes128Gcm => (short, 16),
                Cipher::Aes256Gcm => (secret, 32),
            };
            let ours = key(from, b"SMBC2SCipherKey\0", len);
            let theirs = key(from, b"SMBS2CCipherKey\0", len);
            (Sealer::new(cipher, &ours), Opener::new(cipher, &theirs))
        });
        Some(Self { signer, seal })
    }
}

/// SP 800-108 with HMAC-SHA-256 in counter mode; one block is enough for 32 bytes.
fn derive(key: &[u8], label: &[u8], context: &[u8], len: u8) -> Zeroizing<Vec<u8>> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let mut sum = hmac::Context::with_key(&key);
    sum.update(&1u32.to_be_bytes());
    sum.update(label);
    sum.update(&[0]);
    sum.update(context);
    sum.update(&(u32::from(len) * 8).to_be_bytes());
    let block = sum.sign();
    Zeroizing::new(block.as_ref().iter().copied().take(len.into()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example that Microsoft published for SMB 3.1.1 with AES-128-CMAC.
    #[test]
    fn keys_are_those_of_the_published_example() {
        let hex = |text: &str| data_encoding::HEXUPPER.decode(text.as_bytes()).unwrap();
        let secret = hex("270E1BA896585EEB7AF3472D3B4C75A7");
        let mut transcript = Transcript::new();
        let sum = concat!(
            "0DD13628CC3ED218EF9DF9772D436D0887AB9814BFAE63A80AA845F36909DB79",
            "28622DDDAD522D9751640A459762C5A9D6BB084CBB3CE6BDADEF5D5BCE3C6C01"
        );
        transcript.0.copy_from_slice(&hex(sum));
        let key = |label: &[u8]| {
            data_encoding::HEXUPPER.encode(&derive(&secret, label, &transcript.0, 16))
        };
        assert_eq!(key(b"SMBSigningKey\0"), "73FE7A9A77BEF0BDE49C650D8CCB5F76");
    }
}
