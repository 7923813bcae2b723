//! Messages to a host over HTTP: connecting when needed, and judging what comes back.

use std::time::Duration;

use super::auth::{Credentials, Logon};
use super::connection::{Connection, unauthorized};
use super::endpoint::Endpoint;
use super::reply::HttpReply;
use super::tls::Trust;
use crate::transport::{Transport, TransportError, TransportProblem};

/// How long connecting and logging on may take.
const CONNECT: Duration = Duration::from_secs(30);
/// A connection that was idle for longer is made anew: hosts close theirs after two minutes, and
/// a message sent into a connection that closes may or may not have arrived.
const MOST_IDLE: Duration = Duration::from_secs(45);
/// Cookies that are kept, and bytes of each.
const MOST_COOKIES: usize = 8;
const MOST_COOKIE_BYTES: usize = 1024;

/// A host over HTTP.
pub struct HttpTransport {
    endpoint: Endpoint,
    url: String,
    trust: Trust,
    credentials: Credentials,
    logon: Logon,
    connection: Option<Connection>,
    cookies: Vec<String>,
}

/// A way to log on that must not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadSetup {
    /// Basic gives the password to whoever listens.
    #[error("Basic sends the password itself: use it over TLS only, or use NTLM or Kerberos")]
    BasicInClear,
    /// Kerberos knows hosts by name.
    #[error("Kerberos needs the host's name, not its address")]
    KerberosToAddress,
}

impl HttpTransport {
    /// A host at an endpoint. Nothing is sent yet.
    pub fn new(
        endpoint: Endpoint,
        trust: Trust,
        credentials: Credentials,
        logon: Logon,
    ) -> Result<Self, BadSetup> {
        let address = endpoint.host().parse::<std::net::IpAddr>().is_ok();
        match &logon {
            Logon::Basic if !endpoint.is_tls() => return Err(BadSetup::BasicInClear),
            Logon::Kerberos { .. } if address => return Err(BadSetup::KerberosToAddress),
            _ => {}
        }
        Ok(Self {
            url: endpoint.url(),
            endpoint,
            trust,
            credentials,
            logon,
            connection: None,
            cookies: Vec::new(),
        })
    }

    fn connect(&self) -> Result<Connection, TransportProblem> {
        Connection::open(
            &self.endpoint,
            &self.trust,
            &self.credentials,
            &self.logon,
            CONNECT,
        )
    }

    /// One message on a connection that is there or is made; `sent` as in [`TransportError`].
    fn attempt(
        &mut self,
        message: &[u8],
        patience: Duration,
        sent: &mut bool,
    ) -> Result<Vec<u8>, TransportProblem> {
        let mut kept = self.connection.take();
        if let Some(connection) = &mut kept
            && !connection.is_usable(MOST_IDLE)
        {
            kept = None;
        }
        loop {
            let reused = kept.is_some();
            let mut connection = match kept.take() {
                Some(connection) => connection,
                None => self.connect()?,
            };
            let cookies: String = match self.cookies.is_empty() {
                true => String::new(),
                false => format!("Cookie: {}\r\n", self.cookies.join("; ")),
            };
            let (reply, trusted) = connection.exchange(message, &cookies, patience, sent)?;
            self.keep_cookies(&reply);
            if reply.status == 401 {
                // Whoever is on the way can say so in clear, and pass the message on all the same.
                *sent = !trusted;
                return Err(match (reused, trusted) {
                    // The host has forgotten this connection's logon; a new one may do.
                    (true, true) => continue,
                    (true, false) => TransportProblem::Broken(FORGOTTEN.to_owned()),
                    (false, _) => unauthorized(&reply),
                });
            }
            if reply.keep {
                self.connection = Some(connection);
            }
            return judge(reply, trusted, sent);
        }
    }

    fn keep_cookies(&mut self, reply: &HttpReply) {
        for value in reply.header("set-cookie") {
            let pair = value.split(';').next().unwrap_or("").trim();
            let Some((name, _)) = pair.split_once('=') else {
                continue;
            };
            let printable = pair.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
            if pair.len() > MOST_COOKIE_BYTES || !printable {
                continue;
            }
            let other = |kept: &String| kept.split_once('=').is_none_or(|(n, _)| n != name);
            self.cookies.retain(other);
            if self.cookies.len() < MOST_COOKIES {
                self.cookies.push(pair.to_owned());
            }
        }
    }
}

impl Transport for HttpTransport {
    fn endpoint(&self) -> &str {
        &self.url
    }

    fn exchange(&mut self, message: &[u8], patience: Duration) -> Result<Vec<u8>, TransportError> {
        let mut sent = false;
        let reply = self.attempt(message, patience, &mut sent);
        reply.map_err(|problem| TransportError {
            endpoint: self.url.clone(),
            problem,
            maybe_sent: sent,
        })
    }
}

const FORGOTTEN: &str = "the host does not know its logon any more";

/// What of a reply is a SOAP message that may be believed. Faults come with status 400 or 500.
fn judge(reply: HttpReply, trusted: bool, sent: &mut bool) -> Result<Vec<u8>, TransportProblem> {
    match reply.status {
        413 => {
            *sent = !trusted;
            Err(TransportProblem::RequestTooLarge)
        }
        200 | 400 | 500 if !reply.body.is_empty() => {
            if trusted {
                return Ok(reply.body);
            }
            let problem = "an answer in clear to an encrypted message is not believed";
            Err(TransportProblem::Protocol(problem.to_owned()))
        }
        status => Err(TransportProblem::Status(status)),
    }
}
