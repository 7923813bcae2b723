//! NTLM and Kerberos, by the library sspi.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use sspi::generator::{GeneratorState, NetworkRequest};
use sspi::network_client::NetworkProtocol;
use sspi::{
    AuthIdentity, BufferType, ClientRequestFlags, CredentialUse, CredentialsBuffers,
    DataRepresentation, EncryptionFlags, Kerberos, KerberosConfig, Ntlm, SecurityBuffer,
    SecurityBufferRef, SecurityStatus, Sspi, SspiImpl, Username,
};

use super::auth::{Credentials, SecurityContext};
use super::sealed::Sealed;

/// Bytes that a token of a host or an answer of a KDC may have.
const MOST_TOKEN: usize = 128 << 10;
/// How long a KDC may take for one answer.
const KDC_PATIENCE: Duration = Duration::from_secs(10);
/// Questions that one step of a logon may have for a KDC.
const MOST_QUESTIONS: usize = 16;

/// A logon by NTLM or Kerberos.
pub(super) struct SspiContext {
    mechanism: Mechanism,
    target: String,
    binding: Option<Vec<u8>>,
    complete: bool,
}

enum Mechanism {
    Ntlm(Box<Ntlm>, Option<sspi::AuthIdentityBuffers>),
    Kerberos(Box<Kerberos>, Option<CredentialsBuffers>, String),
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn identity(credentials: &Credentials) -> Result<AuthIdentity, String> {
    Ok(AuthIdentity {
        username: Username::parse(&credentials.user).map_err(told)?,
        password: credentials.password.expose().to_owned().into(),
    })
}

impl SspiContext {
    /// NTLM. `binding` ties it to a TLS connection.
    pub(super) fn ntlm(
        credentials: &Credentials,
        host: &str,
        binding: Option<&[u8]>,
    ) -> Result<Self, String> {
        let mut ntlm = Ntlm::new();
        let identity = identity(credentials)?;
        let handle = ntlm
            .acquire_credentials_handle()
            .with_credential_use(CredentialUse::Outbound)
            .with_auth_data(&identity)
            .execute(&mut ntlm)
            .map_err(told)?
            .credentials_handle;
        if let Some(token) = binding {
            ntlm.set_channel_bindings(token);
        }
        Ok(Self {
            mechanism: Mechanism::Ntlm(Box::new(ntlm), handle),
            target: format!("HTTP/{host}"),
            binding: None,
            complete: false,
        })
    }

    /// Kerberos, with tickets from the KDC at `kdc`.
    pub(super) fn kerberos(
        credentials: &Credentials,
        host: &str,
        kdc: &str,
        service: &str,
        binding: Option<&[u8]>,
    ) -> Result<Self, String> {
        let config =
            KerberosConfig::new_with_kdc_url(&format!("tcp://{kdc}"), "hyperkeep".to_owned());
        let mut kerberos = Kerberos::new_client_from_config(config).map_err(told)?;
        let identity = identity(credentials)?;
        let handle = kerberos
            .acquire_credentials_handle()
            .with_credential_use(CredentialUse::Outbound)
            .with_auth_data(&identity.into())
            .execute(&mut kerberos)
            .map_err(told)?
            .credentials_handle;
        Ok(Self {
            mechanism: Mechanism::Kerberos(Box::new(kerberos), handle, kdc.to_owned()),
            target: format!("{service}/{host}"),
            binding: binding.map(<[u8]>::to_vec),
            complete: false,
        })
    }
}

impl SecurityContext for SspiContext {
    fn step(&mut self, token: Option<&[u8]>) -> Result<Option<Vec<u8>>, String> {
        if token.is_some_and(|token| token.len() > MOST_TOKEN) {
            return Err("the host's token is too large".to_owned());
        }
        if self.complete {
            return Ok(None);
        }
        let mut input = vec![SecurityBuffer::new(
            token.unwrap_or_default().to_vec(),
            BufferType::Token,
        )];
        if let Some(binding) = &self.binding {
            let bytes = channel_bindings(binding);
            input.push(SecurityBuffer::new(bytes, BufferType::ChannelBindings));
        }
        let mut output = vec![SecurityBuffer::new(Vec::new(), BufferType::Token)];
        let wanted = ClientRequestFlags::CONFIDENTIALITY
            | ClientRequestFlags::INTEGRITY
            | ClientRequestFlags::MUTUAL_AUTH
            | ClientRequestFlags::ALLOCATE_MEMORY;
        let result = match &mut self.mechanism {
            Mechanism::Ntlm(ntlm, handle) => {
                let mut builder = ntlm
                    .initialize_security_context()
                    .with_credentials_handle(handle)
                    .with_context_requirements(wanted)
                    .with_target_data_representation(DataRepresentation::Native)
                    .with_target_name(&self.target)
                    .with_input(&mut input)
                    .with_output(&mut output);
                let mut steps = ntlm
                    .initialize_security_context_impl(&mut builder)
                    .map_err(told)?;
                steps.resolve_to_result().map_err(told)?
            }
            Mechanism::Kerberos(kerberos, handle, kdc) => {
                let mut builder = kerberos
                    .initialize_security_context()
                    .with_credentials_handle(handle)
                    .with_context_requirements(wanted)
                    .with_target_data_representation(DataRepresentation::Native)
                    .with_target_name(&self.target)
                    .with_input(&mut input)
                    .with_output(&mut output);
                let mut steps = kerberos
                    .initialize_security_context_impl(&mut builder)
                    .map_err(told)?;
                let mut state = steps.start();
                let mut questions = 0;
                loop {
                    match state {
                        GeneratorState::Completed(result) => break result.map_err(told)?,
                        GeneratorState::Suspended(request) => {
                            questions += 1;
                            if questions > MOST_QUESTIONS {
                                return Err("the KDC asks without end".to_owned());
                            }
                            let answer = ask_kdc(kdc, &request)?;
                            state = steps.resume(Ok(answer));
                        }
                    }
                }
            }
        };
        if matches!(
            result.status,
            SecurityStatus::CompleteNeeded | SecurityStatus::CompleteAndContinue
        ) {
            match &mut self.mechanism {
                Mechanism::Ntlm(ntlm, _) => ntlm.complete_auth_token(&mut output),
                Mechanism::Kerberos(kerberos, ..) => kerberos.complete_auth_token(&mut output),
            }
            .map_err(told)?;
        }
        self.complete = matches!(
            result.status,
            SecurityStatus::Ok | SecurityStatus::CompleteNeeded
        );
        let token = output.swap_remove(0).buffer;
        Ok((!token.is_empty()).then_some(token))
    }

    fn is_complete(&self) -> bool {
        self.complete
    }

    fn seal(&mut self, plain: &[u8]) -> Result<Sealed, String> {
        match &mut self.mechanism {
            Mechanism::Ntlm(ntlm, _) => seal(&mut **ntlm, plain),
            Mechanism::Kerberos(kerberos, ..) => seal(&mut **kerberos, plain),
        }
    }

    fn unseal(&mut self, sealed: Sealed) -> Result<Vec<u8>, String> {
        match &mut self.mechanism {
            Mechanism::Ntlm(ntlm, _) => unseal(&mut **ntlm, sealed),
            Mechanism::Kerberos(kerberos, ..) => unseal(&mut **kerberos, sealed),
        }
    }
}

fn seal<S: Sspi>(sspi: &mut S, plain: &[u8]) -> Result<Sealed, String> {
    let trailer = sspi.query_context_sizes().map_err(told)?.security_trailer;
    let mut signature = vec![0; usize::try_from(trailer).map_err(told)?];
    let mut data = plain.to_vec();
    let mut message = [
        SecurityBufferRef::token_buf(&mut signature),
        SecurityBufferRef::data_buf(&mut data),
    ];
    let sealed = sspi.encrypt_message(EncryptionFlags::empty(), &mut message);
    sealed.map_err(told)?;
    let [token, data] = message;
    Ok(Sealed {
        signature: token.data().to_vec(),
        data: data.data().to_vec(),
    })
}

fn unseal<S: Sspi>(sspi: &mut S, sealed: Sealed) -> Result<Vec<u8>, String> {
    let Sealed {
        mut signature,
        mut data,
    } = sealed;
    let mut message = [
        SecurityBufferRef::token_buf(&mut signature),
        SecurityBufferRef::data_buf(&mut data),
    ];
    sspi.decrypt_message(&mut message).map_err(told)?;
    let [_, plain] = message;
    Ok(plain.data().to_vec())
}

/// `SEC_CHANNEL_BINDINGS` with nothing but application data.
fn channel_bindings(token: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(32 + token.len());
    let len = u32::try_from(token.len()).unwrap_or(0);
    for field in [0, 0, 0, 0, 0, 0, len, 32] {
        bytes.extend_from_slice(&u32::to_le_bytes(field));
    }
    bytes.extend_from_slice(token);
    bytes
}

/// One question to the KDC over TCP: both ways a length in front, which stays there.
fn ask_kdc(kdc: &str, request: &NetworkRequest) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("the KDC {kdc} does not answer: {error}");
    if request.protocol != NetworkProtocol::Tcp {
        return Err(format!(
            "the KDC {kdc} is to be asked in a way that is not supported"
        ));
    }
    let host = request.url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let addresses = (host, request.url.port().unwrap_or(88))
        .to_socket_addrs()
        .map_err(failed)?;
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    for address in addresses.take(8) {
        let mut socket = match TcpStream::connect_timeout(&address, KDC_PATIENCE) {
            Ok(socket) => socket,
            Err(error) => {
                last = error;
                continue;
            }
        };
        socket
            .set_read_timeout(Some(KDC_PATIENCE))
            .map_err(failed)?;
        socket
            .set_write_timeout(Some(KDC_PATIENCE))
            .map_err(failed)?;
        socket.write_all(&request.data).map_err(failed)?;
        let mut len = [0; 4];
        socket.read_exact(&mut len).map_err(failed)?;
        let size = usize::try_from(u32::from_be_bytes(len)).unwrap_or(usize::MAX);
        if size > MOST_TOKEN {
            return Err(format!("the answer of the KDC {kdc} is too large"));
        }
        let mut answer = vec![0; 4 + size];
        answer[..4].copy_from_slice(&len);
        socket.read_exact(&mut answer[4..]).map_err(failed)?;
        return Ok(answer);
    }
    Err(failed(last))
}
