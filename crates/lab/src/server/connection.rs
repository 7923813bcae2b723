//! One connection: requests, logon, messages.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use rustls::StreamOwned;

use super::http::{Rejected, Reply, read_body, read_head};
use super::logon::{Logon, Realm, Step, unauthorized};
use super::{Event, Shared, sealed};
use crate::wsman::{Answer, Caller, Held, Notice};

const SOAP: &str = "application/soap+xml;charset=UTF-8";

pub(super) fn serve(socket: TcpStream, shared: &Shared) -> io::Result<()> {
    let client = Client {
        shared,
        socket: socket.try_clone()?,
    };
    match &shared.tls {
        None => talk(socket, &client, None),
        Some(identity) => {
            let session = identity.connection().map_err(io::Error::other)?;
            let stream = StreamOwned::new(session, socket);
            talk(stream, &client, Some(identity.binding()))
        }
    }
}

/// Whoever asks, and whom it asks.
struct Client<'a> {
    shared: &'a Shared,
    /// The connection below whatever is spoken on it.
    socket: TcpStream,
}

impl Client<'_> {
    /// The answer to a message, once whoever listens was told of it. An error if the client is gone
    /// before it has one.
    fn ask(&self, message: &[u8], caller: Caller) -> io::Result<Answer> {
        let answer = self.shared.service().answer(message, caller);
        let Some(Notice { request, held }) = &answer.notice else {
            return Ok(answer);
        };
        let Some(held) = held else {
            self.shared.tell(Event::Told, request);
            return Ok(answer);
        };
        self.shared.tell(Event::Held, request);
        self.await_end();
        if *held == Held::Late {
            self.shared.service().do_late(message, caller);
        }
        self.shared.tell(Event::Gone, request);
        Err(io::ErrorKind::ConnectionAborted.into())
    }

    /// Waits until the client has closed its connection, or lost it. What it sends until then is
    /// nobody's.
    fn await_end(&self) {
        let mut part = [0; 512];
        loop {
            match (&self.socket).read(&mut part) {
                Ok(0) => return,
                Ok(_) => {}
                // It may be silent as long as it likes.
                Err(error) if matches!(error.kind(), SILENT | SILENT_TOO | BROKEN_INTO) => {}
                Err(_) => return,
            }
        }
    }
}

const SILENT: io::ErrorKind = io::ErrorKind::WouldBlock;
const SILENT_TOO: io::ErrorKind = io::ErrorKind::TimedOut;
const BROKEN_INTO: io::ErrorKind = io::ErrorKind::Interrupted;

fn talk(
    mut stream: impl Read + Write,
    client: &Client<'_>,
    binding: Option<&[u8]>,
) -> io::Result<()> {
    let shared = client.shared;
    let (mut left, mut logon) = (Vec::new(), Logon::None);
    loop {
        let head = match read_head(&mut stream, &mut left)? {
            None => return Ok(()),
            Some(Ok(head)) => head,
            Some(Err(Rejected(status))) => return close(&mut stream, status),
        };
        // Room for what encryption adds.
        if head.length > shared.service().most_request() + 1024 {
            return close(&mut stream, 413);
        }
        let body = read_body(&mut stream, &mut left, head.length)?;
        let reply =
            if head.header("wsmanidentify").is_some() && head.header("authorization").is_none() {
                Some(plain(client, &body, Caller::Anonymous)?)
            } else {
                None
            };
        let reply = match reply {
            Some(reply) => reply,
            None => {
                let (host, nonce, now) = {
                    let mut service = shared.service();
                    let host = &mut service.repository.host;
                    // The first bytes of an id, of which all are random or counted.
                    let nonce = host.new_id().as_u128().to_be_bytes();
                    let nonce = std::array::from_fn(|at| nonce[at] ^ nonce[at + 8]);
                    (host.name.clone(), nonce, host.now())
                };
                let realm = Realm {
                    host: &host,
                    accounts: &shared.accounts,
                    binding,
                    nonce,
                    now,
                };
                match (logon.step(&head, &realm), &mut logon) {
                    (Step::Reply(reply), _) => reply,
                    (Step::Go(rights), _) if binding.is_some() => {
                        plain(client, &body, Caller::Account(rights))?
                    }
                    // Over plain HTTP a message is encrypted or refused.
                    (Step::Go(rights), Logon::Done(_, session)) => {
                        let kind = head.header("content-type").unwrap_or("");
                        let message = match sealed::is_sealed(kind) {
                            true => sealed::unpack(&body).ok(),
                            false => None,
                        };
                        let message =
                            message.and_then(|(signature, data)| session.unseal(&signature, data));
                        match message {
                            None => return close(&mut stream, 400),
                            Some(message) => {
                                let answer = client.ask(&message, Caller::Account(rights))?;
                                let (signature, data) = session.seal(answer.envelope.as_bytes());
                                Reply {
                                    status: answer.status,
                                    body: sealed::pack(&signature, &data),
                                    cut: answer.cut,
                                    ..Reply::default()
                                }
                                .with("Content-Type", sealed::content_type())
                            }
                        }
                    }
                    (Step::Go(_), _) => unauthorized(false),
                }
            }
        };
        let (closes, cut) = (head.closes(), reply.cut.is_some());
        Reply { closes, ..reply }.write(&mut stream)?;
        if closes || cut {
            return Ok(());
        }
    }
}

fn plain(client: &Client<'_>, body: &[u8], caller: Caller) -> io::Result<Reply> {
    let answer = client.ask(body, caller)?;
    let reply = Reply {
        status: answer.status,
        body: answer.envelope.into_bytes(),
        cut: answer.cut,
        ..Reply::default()
    };
    Ok(reply.with("Content-Type", SOAP))
}

fn close(stream: &mut impl Write, status: u16) -> io::Result<()> {
    let reply = Reply {
        closes: true,
        ..Reply::bare(status)
    };
    reply.write(stream)
}
