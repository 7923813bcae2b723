//! Who logs on, and how.

use super::sealed::Sealed;
use super::secret::Secret;

/// An account and its password.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// `DOMAIN\user`, `user@realm`, `HOST\user` or `user`.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// How to log on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Logon {
    /// The password itself, only over TLS; for accounts of the host only.
    Basic,
    /// NTLMv2 by Negotiate.
    Ntlm,
    /// Kerberos by Negotiate; the host must be given by its name.
    Kerberos {
        /// The key distribution centre, `HOST` or `HOST:PORT`.
        kdc: String,
        /// The service of the host's principal: `HTTP`, or `WSMAN` for hosts that lack it.
        service: String,
    },
}

/// A logon in progress and the keys that come of it. Each connection needs its own.
pub(super) trait SecurityContext: Send {
    /// Takes the host's token, none to begin with, and gives the next for it; `None` when there
    /// is nothing more to send.
    fn step(&mut self, token: Option<&[u8]>) -> Result<Option<Vec<u8>>, String>;

    /// Whether the logon is complete on our side.
    fn is_complete(&self) -> bool;

    /// Encrypts the next message.
    fn seal(&mut self, plain: &[u8]) -> Result<Sealed, String>;

    /// Decrypts the next message.
    fn unseal(&mut self, sealed: Sealed) -> Result<Vec<u8>, String>;
}

/// What Negotiate's encrypted messages say of themselves.
pub(super) const SPNEGO: &str = "application/HTTP-SPNEGO-session-encrypted";
