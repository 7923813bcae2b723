//! Logons by NTLM within SPNEGO, by the library sspi.

use cim::http::Credentials;
use sspi::ntlm::NtlmConfig;
use sspi::{
    AcquireCredentialsHandleResult, AuthIdentity, BufferType, ClientRequestFlags, CredentialUse,
    CredentialsBuffers, DataRepresentation, Negotiate, NegotiateConfig, SecurityBuffer,
    SecurityStatus, Sspi, SspiImpl, Username,
};
use zeroize::Zeroizing;

/// Bytes that a token of a server may have.
const MOST_TOKEN: usize = 64 << 10;

/// A logon in progress.
pub(super) struct Logon {
    sspi: Negotiate,
    handle: AcquireCredentialsHandleResult<Option<CredentialsBuffers>>,
    target: String,
    complete: bool,
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl Logon {
    pub(super) fn new(credentials: &Credentials, server: &str) -> Result<Self, String> {
        let config = NegotiateConfig::new(
            Box::new(NtlmConfig::default()),
            Some("ntlm,!kerberos,!pku2u".to_owned()),
            "hyperkeep".to_owned(),
        );
        let mut sspi = Negotiate::new_client(config).map_err(told)?;
        let identity = AuthIdentity {
            username: Username::parse(&credentials.user).map_err(told)?,
            password: credentials.password.expose().to_owned().into(),
        };
        let handle = sspi
            .acquire_credentials_handle()
            .with_credential_use(CredentialUse::Outbound)
            .with_auth_data(&sspi::Credentials::AuthIdentity(identity))
            .execute(&mut sspi)
            .map_err(told)?;
        Ok(Self {
            sspi,
            handle,
            target: format!("cifs/{server}"),
            complete: false,
        })
    }

    /// Takes the server's token, none to begin with, and gives the next for it.
    pub(super) fn step(&mut self, token: &[u8]) -> Result<Vec<u8>, String> {
        if token.len() > MOST_TOKEN {
            return Err("the server's token is too large".to_owned());
        }
        if self.complete {
            return Err("the server goes on with a logon that is complete".to_owned());
        }
        let mut input = vec![SecurityBuffer::new(token.to_vec(), BufferType::Token)];
        let mut output = vec![SecurityBuffer::new(Vec::new(), BufferType::Token)];
        let wanted = ClientRequestFlags::MUTUAL_AUTH
            | ClientRequestFlags::INTEGRITY
            | ClientRequestFlags::CONFIDENTIALITY
            | ClientRequestFlags::USE_SESSION_KEY;
        let mut builder = self
            .sspi
            .initialize_security_context()
            .with_credentials_handle(&mut self.handle.credentials_handle)
            .with_context_requirements(wanted)
            .with_target_data_representation(DataRepresentation::Native)
            .with_target_name(&self.target)
            .with_input(&mut input)
            .with_output(&mut output);
        let result = self
            .sspi
            .initialize_security_context_impl(&mut builder)
            .map_err(told)?
            .resolve_to_result()
            .map_err(told)?;
        self.complete = result.status == SecurityStatus::Ok;
        Ok(output.swap_remove(0).buffer)
    }

    /// The key that both sides know, when our side has it.
    pub(super) fn key(&self) -> Option<Zeroizing<Vec<u8>>> {
        let keys = self.sspi.query_context_session_key().ok()?;
        Some(Zeroizing::new(keys.session_key.as_ref().to_vec()))
    }

    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }
}
