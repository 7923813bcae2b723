//! The host's certificate, and what binds a logon to it.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

/// A certificate with its key.
#[derive(Clone)]
pub struct Identity {
    config: Arc<ServerConfig>,
    binding: Vec<u8>,
}

/// Why a certificate cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the certificate cannot be used: {0}")]
pub struct BadIdentity(String);

impl Identity {
    /// From the texts of a certificate and its key.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, BadIdentity> {
        let told = |error: rustls::pki_types::pem::Error| BadIdentity(error.to_string());
        let certificate = CertificateDer::from_pem_slice(certificate).map_err(told)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(told)?;
        Self::new(certificate, key)
    }

    /// From a certificate and its key.
    pub fn new(
        certificate: CertificateDer<'static>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, BadIdentity> {
        let told = |error: rustls::Error| BadIdentity(error.to_string());
        // RFC 5929 4.1: the hash of the certificate's own signature, SHA-256 at the least. The
        // lab's certificates are signed with SHA-256.
        let hash = ring::digest::digest(&ring::digest::SHA256, &certificate);
        let binding = [b"tls-server-end-point:", hash.as_ref()].concat();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(told)?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .map_err(told)?;
        Ok(Self {
            config: Arc::new(config),
            binding,
        })
    }

    /// A new connection.
    pub(super) fn connection(&self) -> Result<ServerConnection, rustls::Error> {
        ServerConnection::new(Arc::clone(&self.config))
    }

    /// What a logon over it may be bound to.
    pub(super) fn binding(&self) -> &[u8] {
        &self.binding
    }
}
