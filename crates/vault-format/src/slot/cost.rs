//! How much work a passphrase takes.

use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result, limit};
use crate::secret::Secret;

const WHAT: &str = "key slot";

/// Parameters of Argon2id (RFC 9106).
///
/// They are stored in the slot and believed only within bounds: a hostile slot must not make its
/// reader allocate or compute without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Argon2Cost {
    /// Memory in KiB; at most 1 GiB.
    pub memory_kib: u32,
    /// Passes over it; at most 64, and memory times passes at most 4 GiB.
    pub passes: u32,
    /// Lanes; at most 16.
    pub lanes: u32,
}

impl Default for Argon2Cost {
    /// RFC 9106's second recommended option: 64 MiB, 3 passes, 4 lanes.
    fn default() -> Self {
        Self {
            memory_kib: 64 << 10,
            passes: 3,
            lanes: 4,
        }
    }
}

impl Argon2Cost {
    /// The least that Argon2id allows. For tests; never for a real vault.
    pub const LEAST: Self = Self {
        memory_kib: 8,
        passes: 1,
        lanes: 1,
    };
    const MAX_MEMORY_KIB: u32 = 1 << 20;
    const MAX_PASSES: u32 = 64;
    const MAX_LANES: u32 = 16;
    const MAX_WORK_KIB: u64 = 4 << 20;

    fn check(&self) -> Result<()> {
        limit(
            WHAT,
            "Argon2id memory in KiB",
            self.memory_kib.into(),
            Self::MAX_MEMORY_KIB.into(),
        )?;
        limit(
            WHAT,
            "number of Argon2id passes",
            self.passes.into(),
            Self::MAX_PASSES.into(),
        )?;
        limit(
            WHAT,
            "number of Argon2id lanes",
            self.lanes.into(),
            Self::MAX_LANES.into(),
        )?;
        let work = u64::from(self.memory_kib) * u64::from(self.passes);
        limit(
            WHAT,
            "Argon2id memory times passes, in KiB,",
            work,
            Self::MAX_WORK_KIB,
        )?;
        if self.passes == 0 || self.lanes == 0 || self.memory_kib < 8 * self.lanes {
            return Err(Error::damaged(
                WHAT,
                format!("Argon2id cannot run with {self:?}"),
            ));
        }
        Ok(())
    }

    pub(super) fn to_value(self) -> Value {
        serde_json::to_value(self).expect("plain data")
    }

    pub(super) fn from_value(value: &Value) -> Result<Self> {
        let cost = Self::deserialize(value)
            .map_err(|e| Error::damaged(WHAT, format!("its member \"argon2id\": {e}")))?;
        cost.check()?;
        Ok(cost)
    }

    pub(super) fn stretch(&self, passphrase: &[u8], salt: &[u8; 32]) -> Result<Secret> {
        self.check()?;
        let refused = |e: argon2::Error| Error::damaged(WHAT, format!("Argon2id: {e}"));
        let params =
            Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).map_err(refused)?;
        let mut out = Secret::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase, salt, out.expose_mut())
            .map_err(refused)?;
        Ok(out)
    }
}
