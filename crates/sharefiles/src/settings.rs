//! How servers are reached.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cim::http::Credentials;
use cim::job::{Pace, SystemPace};

/// Whether what is read may go over the wire in the clear. It is signed in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// Servers that do not encrypt are refused.
    #[default]
    Required,
    /// Encrypted where the server can, signed only where it cannot.
    Preferred,
}

/// How long a server may be away before reading is given up, once it was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// Attempts to connect again.
    pub attempts: u32,
    /// The wait after the first of them; each wait is twice as long as the one before.
    pub first: Duration,
    /// The longest wait.
    pub most: Duration,
    /// How long it is tried in all. Attempts to connect have their own time besides the waits.
    pub total: Duration,
}

impl Default for Outage {
    /// 12 attempts within about 3 minutes, which is above a restart of a server's service.
    fn default() -> Self {
        Self {
            attempts: 12,
            first: Duration::from_millis(250),
            most: Duration::from_secs(30),
            total: Duration::from_secs(180),
        }
    }
}

/// How servers are reached, the same for all of them.
#[derive(Clone)]
pub struct Settings {
    /// Who logs on.
    pub credentials: Credentials,
    /// The TCP port; 445 unless a server is a special one.
    pub port: u16,
    /// Whether encryption is required.
    pub encryption: Encryption,
    /// How long an answer may take.
    pub patience: Duration,
    /// How long a server may be away.
    pub outage: Outage,
    /// Bytes that may be under way at once, over all files.
    pub budget: u64,
    /// The clock, the sleep, and whether somebody wants it to stop.
    pub pace: Arc<dyn Pace + Send + Sync>,
}

impl Settings {
    /// With the account, and else what suits: encryption required, 60 s of patience, 16 MiB
    /// under way.
    pub fn new(credentials: Credentials) -> Self {
        Self {
            credentials,
            port: 445,
            encryption: Encryption::Required,
            patience: Duration::from_secs(60),
            outage: Outage::default(),
            budget: 16 << 20,
            pace: Arc::new(SystemPace::default()),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("user", &self.credentials.user)
            .field("port", &self.port)
            .field("encryption", &self.encryption)
            .finish_non_exhaustive()
    }
}
