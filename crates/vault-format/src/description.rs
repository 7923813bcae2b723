//! `vault.json`: what a vault is, before any key is at hand.
//!
//! It names the vault, the cryptographic suite, the features that a reader must know, and how
//! disks are cut. Its proof (HMAC-SHA256 under a key derived from the map key) is checked once
//! the keys are there; the vault id itself commits to the keys.

use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::document::Document;
use crate::error::{Error, Result};
use crate::id::VaultId;
use crate::keys::VaultKeys;
use crate::map::{DEFAULT_SEGMENT, check_segment};
use crate::pack::MAX_CHUNK_LEN;

const WHAT: &str = "vault description";
/// Features that this program knows; a vault that requires another one is refused.
pub const FEATURES: &[&str] = &[];
/// The cryptographic suite of format version 1.
pub const SUITE: &str = "hkdf-sha256 aes-256-gcm hpke-x25519 ed25519 blake3 zstd";
/// The cutter that this program writes with.
pub const CUTTER: &str = "page-xxh3-64";

/// How disks are cut into chunks. Readers need none of it; all writers must use the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cutter {
    /// Name of the algorithm: [`CUTTER`].
    pub algorithm: String,
    /// Cuts lie only at multiples of this many bytes.
    pub page: u32,
    /// Least bytes of a chunk, but for the last of a run.
    pub min: u32,
    /// Mean bytes of a chunk.
    pub average: u32,
    /// Most bytes of a chunk.
    pub max: u32,
}

impl Default for Cutter {
    fn default() -> Self {
        Self::average_64k()
    }
}

impl Cutter {
    /// The usual choice: chunks of 64 KiB.
    pub fn average_64k() -> Self {
        Self {
            algorithm: CUTTER.to_owned(),
            page: 4 << 10,
            min: 32 << 10,
            average: 64 << 10,
            max: 256 << 10,
        }
    }

    /// The choice for little space at the price of twice the index: chunks of 32 KiB.
    pub fn average_32k() -> Self {
        Self {
            min: 16 << 10,
            average: 32 << 10,
            max: 128 << 10,
            ..Self::average_64k()
        }
    }

    /// Checks that this program can cut like that. Readers need not ask.
    pub fn check(&self, segment: u32) -> Result<()> {
        if self.algorithm != CUTTER {
            return Err(Error::UnknownFeature {
                object: WHAT,
                names: vec![format!("cutter \"{}\" for writing", self.algorithm)],
            });
        }
        let sizes = [self.page, self.min, self.average, self.max];
        let fine = sizes.is_sorted()
            && self.page >= 512
            && self.page.is_power_of_two()
            && sizes.iter().all(|size| size.is_multiple_of(self.page))
            && self.max as usize <= MAX_CHUNK_LEN
            && self.max <= segment;
        if !fine {
            return Err(Error::damaged(
                WHAT,
                format!("the cutter's sizes {sizes:?} do not fit"),
            ));
        }
        Ok(())
    }
}

/// What `vault.json` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The vault.
    pub vault: VaultId,
    /// Segment size of all disk maps, in bytes.
    pub segment: u32,
    /// How disks are cut.
    pub cutter: Cutter,
    /// When the vault was made, in milliseconds since 1970-01-01 UTC, by its maker's clock.
    pub created: u64,
    /// Features that are in use and that a reader may ignore.
    pub optional: Vec<String>,
}

impl Description {
    /// The description of a new vault with these keys and the usual parameters.
    pub fn new(keys: &VaultKeys, created: u64) -> Self {
        Self {
            vault: keys.vault(),
            segment: DEFAULT_SEGMENT,
            cutter: Cutter::default(),
            created,
            optional: Vec::new(),
        }
    }

    /// The bytes of `vault.json`.
    ///
    /// # Errors
    /// When a parameter is out of its range, or the keys are those of another vault.
    pub fn encode(&self, keys: &VaultKeys) -> Result<Vec<u8>> {
        check_segment(self.segment).map_err(Error::into_invalid)?;
        self.cutter
            .check(self.segment)
            .map_err(Error::into_invalid)?;
        if self.vault != keys.vault() {
            return Err(Error::invalid(WHAT, "these are the keys of another vault"));
        }
        let mut document = Document::new(WHAT, "vault");
        document.set("vault", self.vault.to_string());
        document.set("suite", SUITE);
        document.set("segment", self.segment);
        document.set(
            "cutter",
            serde_json::to_value(&self.cutter).expect("plain data"),
        );
        document.set("created", self.created);
        document.set("optional", self.optional.clone());
        let proof = hmac::sign(&proof_key(keys), &document.proven_text("proof")?);
        document.set_bytes("proof", proof.as_ref());
        Ok(document.to_bytes())
    }

    /// Reads `vault.json` without keys: enough to say what it is and to find the key slots.
    /// Nothing in it is proven until [`verify`](Self::verify).
    ///
    /// # Errors
    /// When it is of a later version, or requires features that this program does not know.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let document = Document::parse(WHAT, "vault", FEATURES, bytes)?;
        let suite = document.text("suite")?;
        if suite != SUITE {
            return Err(Error::UnknownFeature {
                object: WHAT,
                names: vec![format!("the cryptographic suite \"{suite}\"")],
            });
        }
        let segment = document.u32("segment")?;
        check_segment(segment)?;
        let cutter = Cutter::deserialize(document.get("cutter")?)
            .map_err(|e| Error::damaged(WHAT, format!("its member \"cutter\": {e}")))?;
        Ok(Self {
            vault: document.parsed("vault")?,
            segment,
            cutter,
            created: document.integer("created")?,
            optional: document.strings("optional")?,
        })
    }

    /// Reads `vault.json` and checks with the vault's keys that it is the one that was written.
    pub fn verify(keys: &VaultKeys, bytes: &[u8]) -> Result<Self> {
        let description = Self::decode(bytes)?;
        if description.vault != keys.vault() {
            return Err(Error::OtherVault {
                object: WHAT,
                expected: keys.vault(),
                found: description.vault,
            });
        }
        let document = Document::parse(WHAT, "vault", FEATURES, bytes)?;
        let text = document.proven_text("proof")?;
        hmac::verify(&proof_key(keys), &text, &document.bytes("proof")?)
            .map_err(|_| Error::NotAuthentic { object: WHAT })?;
        Ok(description)
    }
}

fn proof_key(keys: &VaultKeys) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, keys.proof_key("vault.json").expose())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{flips, keys};

    #[test]
    fn descriptions_come_back() {
        let keys = keys();
        let description = Description {
            cutter: Cutter::average_32k(),
            optional: vec!["hints".into()],
            ..Description::new(&keys, 1_700_000_000_000)
        };
        let bytes = description.encode(&keys).unwrap();
        assert_eq!(Description::decode(&bytes).unwrap(), description);
        assert_eq!(Description::verify(&keys, &bytes).unwrap(), description);
        let other = VaultKeys::generate(&mut crate::testing::counter(3));
        assert!(Description::verify(&other, &bytes).is_err());
        assert!(description.encode(&other).is_err());
    }

    #[test]
    fn changes_are_noticed_once_the_keys_are_there() {
        let keys = keys();
        let bytes = Description::new(&keys, 0).encode(&keys).unwrap();
        let value = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).ok();
        for bad in flips(&bytes) {
            let read = Description::verify(&keys, &bad);
            // White space may change: it carries nothing.
            assert!(
                read.is_err() || value(&bad) == value(&bytes),
                "{}",
                bad.escape_ascii()
            );
        }
        let text = String::from_utf8(bytes).unwrap();
        let added = text.replacen("\"cutter\"", "\"extra\": 1, \"cutter\"", 1);
        assert!(Description::decode(added.as_bytes()).is_ok());
        assert!(Description::verify(&keys, added.as_bytes()).is_err());
    }

    #[test]
    fn unknown_cutters_stop_writers_and_not_readers() {
        let keys = keys();
        let text = String::from_utf8(Description::new(&keys, 0).encode(&keys).unwrap()).unwrap();
        let text = text.replace("page-xxh3-64", "page-future");
        let description = Description::decode(text.as_bytes()).unwrap();
        let refusal = description.cutter.check(description.segment).unwrap_err();
        assert!(refusal.to_string().contains("page-future"));
        let suite = text.replace("blake3", "blake9");
        let refusal = Description::decode(suite.as_bytes())
            .unwrap_err()
            .to_string();
        assert!(refusal.contains("blake9"), "{refusal}");
    }
}
