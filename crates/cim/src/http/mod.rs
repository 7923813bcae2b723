//! HTTP to a host: one connection, authenticated once, one message after the other.
//!
//! NTLM and Kerberos authenticate a connection, not a message, and message encryption counts the
//! messages of a connection. So the transport must know when a connection is new, which pools of
//! general clients hide; what is left of HTTP/1.1 is small. See ADR 13.
//!
//! - Basic only over TLS: it gives the password away.
//! - NTLM and Kerberos over plain HTTP encrypt each message, and answers in clear are refused.
//! - A certificate is trusted by the system's roots, by given roots, or by its fingerprint.

mod auth;
mod binding;
mod connection;
mod endpoint;
mod reply;
mod sealed;
mod secret;
mod sspi;
mod stream;
mod tls;
mod transport;

pub use auth::{Credentials, Logon};
pub use endpoint::{BadEndpoint, Endpoint};
pub use reply::{HttpReply, MalformedReply, read_reply};
pub use sealed::{MalformedSealed, Sealed};
pub use secret::Secret;
pub use tls::{BadTrust, Trust, parse_fingerprint};
pub use transport::{BadSetup, HttpTransport};

/// Bytes that a reply may have.
pub const MOST_BYTES: usize = crate::xml::MOST_BYTES;

#[cfg(test)]
mod tests;
