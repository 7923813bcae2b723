//! TLS, and whom it trusts.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use data_encoding::HEXLOWER;
use ring::digest;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring as provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};

use crate::transport::TransportProblem;

/// Certificates that a file of roots may have.
const MOST_ROOTS: usize = 1024;

/// Which certificates are trusted.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Those that the operating system trusts, for the host's name.
    System,
    /// Those that these authorities have signed, for the host's name.
    Roots(Arc<RootCertStore>),
    /// One, by the SHA-256 of its bytes, whatever its name, signer and dates: for hosts that
    /// signed it themselves.
    Pinned([u8; 32]),
}

/// Why something cannot be trusted in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadTrust {
    /// No certificate is in a file of roots, or one cannot be read.
    #[error("the roots cannot be read: {0}")]
    Roots(String),
    /// Text that is no fingerprint.
    #[error("{0:?} is no SHA-256 fingerprint: 64 hexadecimal digits are wanted")]
    Fingerprint(String),
}

/// Reads a fingerprint: 64 hexadecimal digits of either case, with or without colons or blanks.
pub fn parse_fingerprint(text: &str) -> Result<[u8; 32], BadTrust> {
    let digits: String = text
        .chars()
        .filter(|c| !matches!(c, ':' | ' ' | '-'))
        .collect();
    let bytes = HEXLOWER.decode(digits.to_ascii_lowercase().as_bytes());
    let bytes = bytes.ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| BadTrust::Fingerprint(crate::value::shorten(text)))
}

impl Trust {
    /// Trusts the authorities in PEM text.
    pub fn from_pem(pem: &[u8]) -> Result<Self, BadTrust> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem).take(MOST_ROOTS) {
            let certificate = certificate.map_err(|e| BadTrust::Roots(e.to_string()))?;
            roots
                .add(certificate)
                .map_err(|e| BadTrust::Roots(e.to_string()))?;
        }
        if roots.is_empty() {
            return Err(BadTrust::Roots(
                "there is no certificate in them".to_owned(),
            ));
        }
        Ok(Self::Roots(Arc::new(roots)))
    }

    /// A session of TLS that has not begun; `witness` sees the host's certificate.
    pub(super) fn connect(
        &self,
        host: &str,
        witness: &Witness,
    ) -> Result<ClientConnection, TransportProblem> {
        let failed = |error: &dyn std::error::Error| TransportProblem::Tls(error.to_string());
        let provider = Arc::new(provider::default_provider());
        let verifier = Verifier {
            chain: self.verifier(&provider)?,
            pin: match self {
                Self::Pinned(pin) => Some(*pin),
                _ => None,
            },
            provider: Arc::clone(&provider),
            witness: witness.clone(),
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| failed(&e))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        let name = ServerName::try_from(host.to_owned()).map_err(|e| failed(&e))?;
        ClientConnection::new(Arc::new(config), name).map_err(|e| failed(&e))
    }

    fn verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Option<Arc<WebPkiServerVerifier>>, TransportProblem> {
        let roots = match self {
            Self::Pinned(_) => return Ok(None),
            Self::Roots(roots) => Arc::clone(roots),
            Self::System => {
                let mut roots = RootCertStore::empty();
                // Systems carry some that nobody can read; those trust nobody.
                let found = rustls_native_certs::load_native_certs();
                roots.add_parsable_certificates(found.certs);
                Arc::new(roots)
            }
        };
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider));
        let problem = "there are no trusted authorities on this machine: give their certificates, or pin the host's";
        let verifier = verifier
            .build()
            .map_err(|_| TransportProblem::Tls(problem.to_owned()))?;
        Ok(Some(verifier))
    }
}

/// Remembers the fingerprint of the certificate that a host showed.
#[derive(Clone, Debug, Default)]
pub(super) struct Witness(Arc<Mutex<Option<String>>>);

impl Witness {
    fn see(&self, certificate: &CertificateDer<'_>) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, certificate).as_ref());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(HEXLOWER.encode(&hash));
        hash
    }

    /// What went wrong while agreeing on TLS.
    pub(super) fn problem(&self, error: &io::Error, patience: Duration) -> TransportProblem {
        let inner = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Error>());
        let seen = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match (inner, seen) {
            (Some(Error::InvalidCertificate(problem)), Some(sha256)) => {
                let problem = match problem {
                    CertificateError::Other(ours) => ours.0.to_string(),
                    known => known.to_string(),
                };
                TransportProblem::Certificate { problem, sha256 }
            }
            (Some(error), _) => TransportProblem::Tls(error.to_string()),
            (None, _) if error.kind() == io::ErrorKind::TimedOut => {
                TransportProblem::TimedOut(patience)
            }
            (None, _) => TransportProblem::Tls(error.to_string()),
        }
    }
}

/// Trusts by chain or by pin; the host's proof that it has the key is checked either way.
#[derive(Debug)]
struct Verifier {
    chain: Option<Arc<WebPkiServerVerifier>>,
    pin: Option<[u8; 32]>,
    provider: Arc<CryptoProvider>,
    witness: Witness,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let seen = self.witness.see(certificate);
        match (&self.chain, self.pin) {
            (_, Some(pin)) if pin == seen => Ok(ServerCertVerified::assertion()),
            (_, Some(_)) => {
                Err(CertificateError::Other(rustls::OtherError(Arc::new(NotPinned))).into())
            }
            (Some(chain), None) => {
                chain.verify_server_cert(certificate, intermediates, name, ocsp, now)
            }
            (None, None) => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("it is not the one that was pinned")]
struct NotPinned;
