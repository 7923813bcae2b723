//! Identifiers: fixed-size values that print as lower-case hexadecimal.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::entropy::{Entropy, random};
use crate::error::Error;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $len:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Size in bytes.
            pub const LEN: usize = $len;

            /// The bytes.
            pub fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&HEXLOWER.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        /// Exactly the form that `Display` prints; upper case is refused, so that every
        /// identifier has one spelling.
        impl FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self, Error> {
                let mut out = [0; $len];
                if text.len() != 2 * $len || HEXLOWER.decode_mut(text.as_bytes(), &mut out).is_err() {
                    return Err(Error::Typed {
                        what: $what,
                        why: format!("expected {} lower-case hexadecimal digits", 2 * $len),
                    });
                }
                Ok(Self(out))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

macro_rules! random {
    ($($name:ident),*) => {$(
        impl $name {
            /// A fresh random one.
            pub fn random(rng: &mut dyn Entropy) -> Self {
                Self(random(rng))
            }
        }
    )*};
}

id!(
    /// A vault: a commitment to its keys (see [`VaultKeys`](crate::VaultKeys)).
    VaultId, 16, "vault id"
);
id!(
    /// A chunk: the keyed BLAKE3 hash of its plain bytes.
    ChunkId, 32, "chunk id"
);
id!(
    /// A node of a disk map: the keyed BLAKE3 hash of its encoded bytes, with another key than
    /// chunks have, so that a node is never mistaken for data.
    NodeId, 32, "node id"
);
id!(
    /// The SHA-256 of an object's bytes, which is its name or a part of it.
    ObjectHash, 32, "object hash"
);
id!(
    /// A VM inside the vault's names: a keyed hash of its identity that tells nothing about it.
    VmKey, 16, "VM key"
);
id!(
    /// A restore point.
    PointId, 16, "point id"
);
id!(
    /// A writer: the first bytes of the SHA-256 of its public key.
    WriterId, 16, "writer id"
);
id!(
    /// A key slot.
    SlotId, 8, "slot id"
);
id!(
    /// A writer's session.
    SessionId, 16, "session id"
);
id!(
    /// A marker of packs that are about to be deleted.
    RetireId, 16, "retire id"
);
random!(PointId, SlotId, SessionId, RetireId);

impl ObjectHash {
    /// The hash of an object's bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(crate::crypto::sha256(&[bytes]))
    }
}

/// A node travels in a map pack like any chunk, and is listed there under these bytes.
impl From<NodeId> for ChunkId {
    fn from(node: NodeId) -> Self {
        Self(node.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_each() {
        let id = SlotId([0xab; 8]);
        assert_eq!(id.to_string(), "abababababababab");
        assert_eq!(id.to_string().parse::<SlotId>().unwrap(), id);
        for bad in [
            "ABABABABABABABAB",
            "abababababababa",
            "ababababababababab",
            "gg",
            "",
        ] {
            assert!(bad.parse::<SlotId>().is_err(), "{bad}");
        }
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, "\"abababababababab\"");
        assert_eq!(serde_json::from_str::<SlotId>(&json).unwrap(), id);
    }
}
