//! What carries envelopes to a host and back.
//!
//! A trait, so that the client above it is tested with recorded exchanges, and so that what is
//! below it can authenticate and encrypt as it must.

use std::time::Duration;

/// A way to a host: one request, one reply, one after the other.
///
/// A transport connects when it must, and again after an error. It never sends a message twice:
/// only the client knows which may be.
pub trait Transport: Send {
    /// The address that messages are for: `http://hv01:5985/wsman`.
    fn endpoint(&self) -> &str;

    /// Sends a message and waits at most `patience` for the reply.
    ///
    /// The reply is whatever SOAP message came back, a fault as well.
    fn exchange(&mut self, message: &[u8], patience: Duration) -> Result<Vec<u8>, TransportError>;
}

/// A message that got no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{endpoint}: {problem}")]
pub struct TransportError {
    /// The address.
    pub endpoint: String,
    /// What went wrong.
    pub problem: TransportProblem,
    /// Whether the host may have got the message, and with it may have carried it out.
    pub maybe_sent: bool,
}

/// What went wrong on the way to a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransportProblem {
    /// Nobody answers there.
    #[error(
        "cannot connect: {0}; is the host up, is WinRM set up on it, and does its firewall allow it?"
    )]
    Connect(String),
    /// The certificate is not trusted. The fingerprint is what to pin once it has been compared.
    #[error(
        "the host's certificate is not trusted: {problem}; its SHA-256 fingerprint is {sha256}: \
         compare it with the host's own before you pin it"
    )]
    Certificate {
        /// What is wrong with it.
        problem: String,
        /// Its fingerprint in hexadecimal.
        sha256: String,
    },
    /// TLS failed for another reason.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// The host does not accept the account.
    #[error("the host does not accept the account or this way to log on; it offers: {offered}")]
    Unauthorized {
        /// The ways that it offers.
        offered: String,
    },
    /// Logging on or encrypting failed on our side.
    #[error("logging on failed: {0}")]
    Security(String),
    /// The message is larger than the host takes.
    #[error("the host refuses a message of this size")]
    RequestTooLarge,
    /// An answer that is no SOAP message.
    #[error("HTTP status {0} without a SOAP message")]
    Status(u16),
    /// An answer that is no HTTP, or more than is accepted.
    #[error("the answer is not what HTTP allows: {0}")]
    Protocol(String),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// No reply in time.
    #[error("no reply within {} seconds", .0.as_secs())]
    TimedOut(Duration),
}

impl TransportError {
    /// Whether another attempt may go better without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(
            self.problem,
            TransportProblem::Connect(_)
                | TransportProblem::Broken(_)
                | TransportProblem::TimedOut(_)
                | TransportProblem::Status(500..)
        )
    }
}
