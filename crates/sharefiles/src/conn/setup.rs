//! From an address to a connection with a logon (3.2.4.2, 3.2.5.2, 3.2.5.3).

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::logon::Logon;
use super::{Conn, LEAST_CHUNK, MOST_CHUNK, OVERHEAD, Shared, State, framed, reader};
use crate::crypt::{Keys, Transcript};
use crate::fault::Fault;
use crate::settings::{Encryption, Settings};
use crate::wire::{
    Agreed, Command, FLAG_SIGNED, Header, Malformed, Status, negotiate, read_setup, session_setup,
};

/// Bytes that a message may have before the logon.
const MOST_EARLY: usize = 128 << 10;
/// Steps that a logon may have.
const MOST_STEPS: usize = 8;
/// Replies that may say that the reply comes later.
const MOST_INTERIM: usize = 16;
/// Addresses that a name may have.
const MOST_ADDRESSES: usize = 8;
/// `STATUS_NOT_SUPPORTED`: of dialects.
const NOT_SUPPORTED: Status = Status(0xC000_00BB);

/// Messages before there is anything to protect them with: one after the other.
struct Early {
    socket: TcpStream,
    next: u64,
    credits: u32,
    session: u64,
}

impl Early {
    fn request(&mut self, command: Command, body: &[u8]) -> Vec<u8> {
        let header = Header {
            charge: 1,
            status: Status::SUCCESS,
            command: command as u16,
            credits: 64,
            flags: 0,
            message: self.next,
            tree: 0,
            session: self.session,
            signature: [0; 16],
        };
        header.with(body)
    }

    fn exchange(&mut self, command: Command, request: &[u8]) -> Result<(Header, Vec<u8>), Fault> {
        let lost = |error: io::Error| Fault::Lost(error.to_string());
        let sent = framed(request).ok_or(Fault::Malformed(Malformed("a request is too long")))?;
        self.socket.write_all(&sent).map_err(lost)?;
        for _ in 0..MOST_INTERIM {
            let reply = reader::frame(&mut self.socket, MOST_EARLY).map_err(lost)?;
            let header = Header::read(&reply)?;
            if header.message != self.next || header.command != command as u16 {
                return Err(Malformed("it answers another request").into());
            }
            self.credits = self.credits.saturating_add(header.credits.into());
            if header.status == Status::PENDING {
                continue;
            }
            self.credits = self.credits.saturating_sub(1);
            self.next += 1;
            return Ok((header, reply));
        }
        Err(Fault::Lost("the server puts us off".to_owned()))
    }
}

/// Connects to a server and logs on.
pub(crate) fn connect(server: &str, settings: &Settings) -> Result<Conn, Fault> {
    let socket = socket(server, settings)?;
    let mut early = Early {
        socket,
        next: 0,
        credits: 1,
        session: 0,
    };
    let mut transcript = Transcript::new();
    let agreed = agree(&mut early, &mut transcript, server)?;
    if agreed.most_read < LEAST_CHUNK || agreed.most_output < LEAST_CHUNK {
        return Err(Malformed("the server sends next to nothing at once").into());
    }
    if agreed.cipher.is_none() && settings.encryption == Encryption::Required {
        return Err(Fault::Refused(
            "the server does not encrypt: enable SMB encryption with AES-GCM there, or ask for \
             encryption to be preferred only"
                .to_owned(),
        ));
    }
    let keys = log_on(&mut early, transcript, &agreed, server, settings)?;
    let lost = |error: io::Error| Fault::Lost(error.to_string());
    // From here on the reader waits as long as the connection lives; requests have deadlines.
    early.socket.set_read_timeout(None).map_err(lost)?;
    let incoming = early.socket.try_clone().map_err(lost)?;
    let writer = early.socket.try_clone().map_err(lost)?;
    let shared = Arc::new(Shared {
        socket: early.socket,
        session: early.session,
        keys,
        state: Mutex::new(State {
            credits: early.credits,
            circulating: early.credits,
            next: early.next,
            waiting: HashMap::new(),
            dead: None,
        }),
        changed: Condvar::new(),
    });
    let most = usize::try_from(MOST_CHUNK).unwrap_or(usize::MAX) + OVERHEAD * 2;
    let reading = Arc::clone(&shared);
    std::thread::Builder::new()
        .name("smb-replies".to_owned())
        .spawn(move || reader::run(&reading, incoming, most))
        .map_err(lost)?;
    Ok(Conn {
        shared,
        writer: Mutex::new(writer),
        patience: settings.patience,
        most_read: agreed.most_read,
        most_output: agreed.most_output,
    })
}

fn socket(server: &str, settings: &Settings) -> Result<TcpStream, Fault> {
    let lost = |error: io::Error| Fault::Lost(format!("{server}: {error}"));
    let wait = settings.patience.min(Duration::from_secs(10));
    let host = server.trim_start_matches('[').trim_end_matches(']');
    let addresses = (host, settings.port).to_socket_addrs().map_err(lost)?;
    let mut last = Fault::Lost(format!("{server} has no address"));
    for address in addresses.take(MOST_ADDRESSES) {
        match TcpStream::connect_timeout(&address, wait) {
            Ok(socket) => {
                // Small requests wait for nothing.
                socket.set_nodelay(true).map_err(lost)?;
                socket
                    .set_read_timeout(Some(settings.patience))
                    .map_err(lost)?;
                socket
                    .set_write_timeout(Some(settings.patience))
                    .map_err(lost)?;
                return Ok(socket);
            }
            Err(error) => last = Fault::Lost(format!("{address}: {error}")),
        }
    }
    Err(last)
}

fn agree(early: &mut Early, transcript: &mut Transcript, server: &str) -> Result<Agreed, Fault> {
    let mut random = [0; 48];
    getrandom::fill(&mut random)
        .map_err(|error| Fault::Refused(format!("no random numbers: {error}")))?;
    let (mut client, mut salt) = ([0; 16], [0; 32]);
    let (first, rest) = random.split_at(16);
    client.copy_from_slice(first);
    salt.copy_from_slice(rest);
    let request = early.request(Command::Negotiate, &negotiate(server, &client, &salt));
    let (header, reply) = early.exchange(Command::Negotiate, &request)?;
    match header.status {
        Status::SUCCESS => {}
        NOT_SUPPORTED | Status::INVALID_PARAMETER => {
            return Err(Fault::Refused(
                "the server does not speak SMB 3.1.1, as Windows has since 2016: mount its shares \
                 here, and map the folders to where they are mounted"
                    .to_owned(),
            ));
        }
        status => return Err(Fault::Lost(format!("{server} lets nobody in: {status}"))),
    }
    transcript.add(&request);
    transcript.add(&reply);
    Ok(Agreed::read(&reply)?)
}

fn log_on(
    early: &mut Early,
    mut transcript: Transcript,
    agreed: &Agreed,
    server: &str,
    settings: &Settings,
) -> Result<Keys, Fault> {
    let refused = |why: String| {
        let user = &settings.credentials.user;
        Fault::Refused(format!("the logon of {user} at {server} failed: {why}"))
    };
    let mut logon = Logon::new(&settings.credentials, server).map_err(refused)?;
    let mut token = logon.step(&[]).map_err(refused)?;
    for _ in 0..MOST_STEPS {
        let request = early.request(Command::SessionSetup, &session_setup(&token));
        let (header, reply) = early.exchange(Command::SessionSetup, &request)?;
        early.session = header.session;
        transcript.add(&request);
        match header.status {
            Status::MORE_PROCESSING_REQUIRED => {
                transcript.add(&reply);
                token = logon.step(read_setup(&reply)?.1).map_err(refused)?;
            }
            Status::SUCCESS => {
                let (nobody, last) = read_setup(&reply)?;
                if nobody {
                    return Err(refused("the server took us for a guest".to_owned()));
                }
                let key = logon.key().ok_or_else(|| {
                    refused("the server let us in before it knew who we are".to_owned())
                })?;
                let keys = Keys::derive(&key, &transcript, agreed)
                    .ok_or_else(|| refused("the session's key is too short".to_owned()))?;
                // Only who knows the password's secret can have signed this: the server is the one
                // that it says, and nobody changed what was agreed upon.
                let signed = header.flags & FLAG_SIGNED != 0
                    && keys
                        .signer
                        .verify(&reply, header.message, &header.signature);
                if !signed {
                    return Err(refused("the server does not prove who it is".to_owned()));
                }
                if !last.is_empty() && !logon.is_complete() {
                    logon.step(last).map_err(refused)?;
                }
                return Ok(keys);
            }
            status if status.is_about_the_account() => return Err(refused(status.to_string())),
            status => return Err(Fault::Lost(format!("{server} lets nobody in: {status}"))),
        }
    }
    Err(refused("it has no end".to_owned()))
}
