//! Certificates: which writers a vault knows.
//!
//! Whoever has full access certifies a writer with the vault's authority key, which is derived
//! from the private data key and whose public half every holder has. So a host that can only
//! write cannot make up another one, and the store none at all. A writer's label (its host's
//! name, say) is sealed under the map key.

use data_encoding::HEXLOWER;

use crate::crypto::Sealer;
use crate::document::Document;
use crate::entropy::{Entropy, random};
use crate::error::{Error, Result};
use crate::id::{VaultId, WriterId};
use crate::keys::{VaultKeys, WriterPublic};
use crate::slot::MAX_LABEL_LEN;

const WHAT: &str = "writer certificate";
const DOMAIN: &str = "hyperkeep/v1 writer";

/// A writer that the vault's authority vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writer {
    /// Its public key.
    pub public: WriterPublic,
    /// What it was called.
    pub label: String,
    /// When it was certified, in milliseconds since 1970-01-01 UTC, by the certifier's clock.
    pub created: u64,
}

impl Writer {
    /// The writer's id, which names the certificate.
    pub fn id(&self) -> WriterId {
        self.public.id()
    }

    /// Makes the certificate.
    ///
    /// # Errors
    /// [`Error::NoKey`] without full access; and when the label is too long.
    pub fn certify(&self, keys: &VaultKeys, rng: &mut dyn Entropy) -> Result<Vec<u8>> {
        if self.label.len() > MAX_LABEL_LEN {
            return Err(Error::invalid(
                WHAT,
                format!("a label longer than {MAX_LABEL_LEN} bytes"),
            ));
        }
        let authority = keys.authority("certifying a writer")?;
        let salt: [u8; 32] = random(rng);
        let mut label = self.label.clone().into_bytes();
        label_sealer(keys, &salt, &self.public).seal(0, &mut label);
        let mut document = Document::new(WHAT, "writer");
        document.set("vault", keys.vault().to_string());
        document.set("public", HEXLOWER.encode(&self.public.0));
        document.set("created", self.created);
        document.set_bytes("salt", &salt);
        document.set_bytes("label", &label);
        let signature = authority.sign(DOMAIN, &[&document.proven_text("signature")?]);
        document.set_bytes("signature", &signature);
        Ok(document.to_bytes())
    }

    /// Reads and verifies a certificate.
    pub fn decode(keys: &VaultKeys, bytes: &[u8]) -> Result<Self> {
        let document = Document::parse(WHAT, "writer", &[], bytes)?;
        let vault: VaultId = document.parsed("vault")?;
        if vault != keys.vault() {
            return Err(Error::OtherVault {
                object: WHAT,
                expected: keys.vault(),
                found: vault,
            });
        }
        let text = document.proven_text("signature")?;
        let signature: [u8; 64] = document.array("signature")?;
        keys.authority_public()
            .verify(WHAT, DOMAIN, &[&text], &signature)?;
        let public = HEXLOWER
            .decode(document.text("public")?.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(WriterPublic)
            .ok_or_else(|| Error::damaged(WHAT, "its public key is malformed"))?;
        let salt = document.array("salt")?;
        let label = label_sealer(keys, &salt, &public).open(
            "writer's label",
            0,
            &document.bytes("label")?,
        )?;
        let label =
            String::from_utf8(label).map_err(|_| Error::damaged(WHAT, "its label is not UTF-8"))?;
        Ok(Self {
            public,
            label,
            created: document.integer("created")?,
        })
    }
}

fn label_sealer(keys: &VaultKeys, salt: &[u8; 32], public: &WriterPublic) -> Sealer {
    let aad = [&keys.vault().0[..], &public.0].concat();
    Sealer::new(&keys.map_subkey(salt, "writer label"), &aad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::WriterKey;
    use crate::testing::{counter, flips, keys};

    fn writer() -> Writer {
        let public = WriterKey::generate(&mut counter(2)).public();
        Writer {
            public,
            label: "höst 7".into(),
            created: 5,
        }
    }

    #[test]
    fn certificates_come_back_for_every_holder_and_hide_the_label() {
        let keys = keys();
        let bytes = writer().certify(&keys, &mut counter(3)).unwrap();
        assert_eq!(Writer::decode(&keys, &bytes).unwrap(), writer());
        assert_eq!(
            Writer::decode(&keys.without_private(None), &bytes).unwrap(),
            writer()
        );
        assert!(!String::from_utf8(bytes).unwrap().contains("höst"));
    }

    #[test]
    fn only_full_access_certifies() {
        let keys = keys();
        let host = keys.without_private(keys.writer().cloned());
        assert!(matches!(
            writer().certify(&host, &mut counter(3)),
            Err(Error::NoKey { .. })
        ));
        let other = VaultKeys::generate(&mut counter(9));
        let foreign = writer().certify(&other, &mut counter(3)).unwrap();
        assert!(Writer::decode(&keys, &foreign).is_err());
    }

    #[test]
    fn any_change_is_noticed() {
        let keys = keys();
        let bytes = writer().certify(&keys, &mut counter(3)).unwrap();
        let value = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).ok();
        for bad in flips(&bytes) {
            let read = Writer::decode(&keys, &bad);
            assert!(
                read.is_err() || value(&bad) == value(&bytes),
                "{}",
                bad.escape_ascii()
            );
        }
    }
}
