//! One connection: requests, logon, messages.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use rustls::StreamOwned;

use super::http::{Rejected, Reply, read_body, read_head};
use super::logon::{Logon, Realm, Step, unauthorized};
use super::{Shared, sealed};
use crate::wsman::Caller;

const SOAP: &str = "application/soap+xml;charset=UTF-8";

pub(super) fn serve(socket: TcpStream, shared: &Shared) -> io::Result<()> {
    match &shared.tls {
        None => talk(socket, shared, None),
        Some(identity) => {
            let session = identity.connection().map_err(io::Error::other)?;
            talk(
                StreamOwned::new(session, socket),
                shared,
                Some(identity.binding()),
            )
        }
    }
}

fn talk(mut stream: impl Read + Write, shared: &Shared, binding: Option<&[u8]>) -> io::Result<()> {
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
                Some(plain(shared, &body, Caller::Anonymous))
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
                        plain(shared, &body, Caller::Account(rights))
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
                                let answer =
                                    shared.service().answer(&message, Caller::Account(rights));
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

fn plain(shared: &Shared, body: &[u8], caller: Caller) -> Reply {
    let answer = shared.service().answer(body, caller);
    Reply {
        status: answer.status,
        body: answer.envelope.into_bytes(),
        cut: answer.cut,
        ..Reply::default()
    }
    .with("Content-Type", SOAP)
}

fn close(stream: &mut impl Write, status: u16) -> io::Result<()> {
    let reply = Reply {
        closes: true,
        ..Reply::bare(status)
    };
    reply.write(stream)
}
