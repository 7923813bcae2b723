//! One connection: its stream, its logon, and what was said on it.

use std::io::Write;
use std::time::{Duration, Instant};

use data_encoding::BASE64;

use super::auth::{Credentials, Logon, SPNEGO, SecurityContext};
use super::endpoint::Endpoint;
use super::reply::{HttpReply, MalformedReply, read_reply};
use super::sealed::{self, Sealed};
use super::sspi::SspiContext;
use super::stream::Stream;
use super::tls::Trust;
use super::{MOST_BYTES, binding};
use crate::transport::TransportProblem;

/// Tokens back and forth before a logon is taken to have no end.
const MOST_LEGS: usize = 8;
/// Bytes that the answer to a logon may have.
const MOST_LOGON_BYTES: usize = 1 << 20;
/// The scheme of HTTP by which tokens go.
const NEGOTIATE: &str = "Negotiate";

/// A connection that is logged on.
pub(super) struct Connection {
    stream: Stream,
    head: String,
    authority: Authority,
    used: Instant,
}

/// What makes each message ours.
enum Authority {
    /// A header on each.
    Header(String),
    /// The connection itself, under TLS.
    Connection,
    /// Encryption by the logon's keys.
    Sealing(Box<dyn SecurityContext>),
}

impl Connection {
    /// Connects and logs on.
    pub(super) fn open(
        endpoint: &Endpoint,
        trust: &Trust,
        credentials: &Credentials,
        logon: &Logon,
        patience: Duration,
    ) -> Result<Self, TransportProblem> {
        let stream = Stream::open(endpoint, trust, patience)?;
        let host = endpoint.authority();
        let version = env!("CARGO_PKG_VERSION");
        let mut connection = Self {
            stream,
            head: format!(
                "POST /wsman HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Hyperkeep/{version}\r\n\
                 Accept-Encoding: identity\r\nConnection: Keep-Alive\r\n"
            ),
            authority: Authority::Connection,
            used: Instant::now(),
        };
        connection.stream.set_deadline(Instant::now() + patience);
        let name = endpoint.host();
        let token = connection.stream.certificate().and_then(binding::token);
        let context = match logon {
            Logon::Basic => {
                let pair = zeroize::Zeroizing::new(format!(
                    "{}:{}",
                    credentials.user,
                    credentials.password.expose()
                ));
                connection.authority = Authority::Header(BASE64.encode(pair.as_bytes()));
                return Ok(connection);
            }
            Logon::Ntlm => SspiContext::ntlm(credentials, name, token.as_deref()),
            Logon::Kerberos { kdc, service } => {
                SspiContext::kerberos(credentials, name, kdc, service, token.as_deref())
            }
        };
        let mut context = context.map_err(TransportProblem::Security)?;
        connection.log_on(&mut context, patience)?;
        if !endpoint.is_tls() {
            connection.authority = Authority::Sealing(Box::new(context));
        }
        Ok(connection)
    }

    /// Sends the tokens on messages without a body, as Windows' own client does.
    fn log_on(
        &mut self,
        context: &mut SspiContext,
        patience: Duration,
    ) -> Result<(), TransportProblem> {
        let mut answer: Option<Vec<u8>> = None;
        for _ in 0..MOST_LEGS {
            let token = context
                .step(answer.as_deref())
                .map_err(TransportProblem::Security)?;
            let Some(token) = token else {
                return self.logged_on(context);
            };
            let header = format!("Authorization: {NEGOTIATE} {}\r\n", BASE64.encode(&token));
            self.write(&header, b"")
                .map_err(|error| broken(&error, patience))?;
            let reply = self.read(MOST_LOGON_BYTES, patience)?;
            let given = token_of(&reply);
            match (reply.status, given) {
                (200, given) => {
                    if let (Some(given), false) = (given, context.is_complete()) {
                        context
                            .step(Some(&given))
                            .map_err(TransportProblem::Security)?;
                    }
                    return self.logged_on(context);
                }
                (401, Some(given)) if reply.keep && !context.is_complete() => answer = Some(given),
                (401, _) => return Err(unauthorized(&reply)),
                (status, _) => return Err(TransportProblem::Status(status)),
            }
        }
        Err(TransportProblem::Security("it has no end".to_owned()))
    }

    fn logged_on(&self, context: &SspiContext) -> Result<(), TransportProblem> {
        if context.is_complete() {
            return Ok(());
        }
        let problem = "the host lets us in before it has proved itself";
        Err(TransportProblem::Security(problem.to_owned()))
    }

    /// Whether the connection can be used for another message.
    pub(super) fn is_usable(&mut self, idle: Duration) -> bool {
        self.used.elapsed() < idle && self.stream.is_alive()
    }

    /// Sends a message. Once `sent` is set, some of it may have reached the host.
    pub(super) fn exchange(
        &mut self,
        message: &[u8],
        cookies: &str,
        patience: Duration,
        sent: &mut bool,
    ) -> Result<(HttpReply, bool), TransportProblem> {
        self.stream.set_deadline(Instant::now() + patience);
        let sealed;
        let (authorization, kind, body) = match &mut self.authority {
            Authority::Header(value) => {
                let header = zeroize::Zeroizing::new(format!("Authorization: Basic {value}\r\n"));
                (
                    header,
                    "application/soap+xml;charset=UTF-8".to_owned(),
                    message,
                )
            }
            Authority::Connection => (
                Default::default(),
                "application/soap+xml;charset=UTF-8".to_owned(),
                message,
            ),
            Authority::Sealing(context) => {
                let parts = context.seal(message).map_err(TransportProblem::Security)?;
                sealed = parts.to_body(SPNEGO, message.len());
                (
                    Default::default(),
                    sealed::content_type(SPNEGO),
                    &sealed[..],
                )
            }
        };
        let headers = zeroize::Zeroizing::new(format!(
            "{}Content-Type: {kind}\r\n{cookies}",
            authorization.as_str()
        ));
        *sent = true;
        self.write(&headers, body)
            .map_err(|error| broken(&error, patience))?;
        let mut reply = self.read(MOST_BYTES, patience)?;
        self.used = Instant::now();
        let kind = reply.header("content-type").next().unwrap_or("");
        let encrypted = kind
            .trim_start()
            .to_ascii_lowercase()
            .starts_with("multipart/encrypted");
        if let (Authority::Sealing(context), true) = (&mut self.authority, encrypted) {
            let parts = Sealed::from_body(&reply.body)
                .map_err(|error| TransportProblem::Protocol(error.to_string()))?;
            reply.body = context.unseal(parts).map_err(TransportProblem::Security)?;
            return Ok((reply, true));
        }
        // In clear only where TLS is around it.
        let trusted = !encrypted && !matches!(self.authority, Authority::Sealing(_));
        Ok((reply, trusted))
    }

    fn write(&mut self, headers: &str, body: &[u8]) -> std::io::Result<()> {
        let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(
            self.head.len() + headers.len() + body.len() + 64,
        ));
        bytes.extend_from_slice(self.head.as_bytes());
        bytes.extend_from_slice(headers.as_bytes());
        bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
        bytes.extend_from_slice(body);
        self.stream.write_all(&bytes)?;
        self.stream.flush()
    }

    fn read(&mut self, most: usize, patience: Duration) -> Result<HttpReply, TransportProblem> {
        read_reply(&mut self.stream, most).map_err(|error| match error {
            MalformedReply::Io(error) => broken(&error, patience),
            other => TransportProblem::Protocol(other.to_string()),
        })
    }
}

/// That the host wants another logon, with the ways that it offers.
pub(super) fn unauthorized(reply: &HttpReply) -> TransportProblem {
    let scheme = |value: &str| value.split_ascii_whitespace().next().map(str::to_owned);
    let offered: Vec<_> = reply
        .header("www-authenticate")
        .filter_map(scheme)
        .collect();
    let offered = if offered.is_empty() {
        "nothing".to_owned()
    } else {
        offered.join(", ")
    };
    TransportProblem::Unauthorized {
        offered: crate::value::shorten(&offered),
    }
}

/// The token that a reply has for us.
fn token_of(reply: &HttpReply) -> Option<Vec<u8>> {
    let values = reply.header("www-authenticate");
    let mut tokens = values
        .flat_map(|value| value.split(','))
        .filter_map(|value| {
            let (scheme, token) = value.trim().split_once(' ')?;
            let token = scheme
                .eq_ignore_ascii_case(NEGOTIATE)
                .then(|| token.trim())?;
            BASE64.decode(token.as_bytes()).ok()
        });
    tokens.next()
}

fn broken(error: &std::io::Error, patience: Duration) -> TransportProblem {
    match error.kind() {
        std::io::ErrorKind::TimedOut => TransportProblem::TimedOut(patience),
        _ => TransportProblem::Broken(error.to_string()),
    }
}
