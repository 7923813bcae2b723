//! One connection to a server with one logon: requests go out without waiting for each other,
//! replies find who waits for them.
//!
//! Invariants:
//!
//! - From the logon on, each message is signed or encrypted, and none that is not is understood:
//!   such a message ends the connection.
//! - Each request ends: by its reply, by the end of the connection, or by the end of patience,
//!   which ends the connection.
//! - No more is asked for than the server has granted credits for.

mod logon;
mod reader;
mod setup;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashMap;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub(crate) use setup::connect;

use crate::crypt::Keys;
use crate::fault::Fault;
use crate::wire::{Command, FLAG_SIGNED, FileId, Header, Malformed, Status, close};

/// Bytes that one credit pays for.
const PER_CREDIT: usize = 1 << 16;
/// Credits that we like to have.
const WANTED: u32 = 512;
/// Bytes of a file that are asked for at once: more are several requests under way.
const MOST_CHUNK: u32 = 512 << 10;
/// Bytes that a server must be able to send at once: others are not worth a connection.
const LEAST_CHUNK: u32 = 4096;
/// How long closing a file may take.
const CLOSING: Duration = Duration::from_secs(5);
/// Bytes of a reply besides those of a file.
const OVERHEAD: usize = 1 << 16;

/// A connection with a logon.
pub(crate) struct Conn {
    shared: Arc<Shared>,
    writer: Mutex<TcpStream>,
    patience: Duration,
    most_read: u32,
    most_output: u32,
}

struct Shared {
    socket: TcpStream,
    session: u64,
    keys: Keys,
    state: Mutex<State>,
    /// Told when credits come, and when the connection ends.
    changed: Condvar,
}

struct State {
    credits: u32,
    /// Credits that we have or have spent on requests under way.
    circulating: u32,
    next: u64,
    waiting: HashMap<u64, Waiting>,
    dead: Option<String>,
}

struct Waiting {
    command: u16,
    charge: u32,
    tell: SyncSender<Reply>,
}

/// A reply, whole and verified.
pub(crate) struct Reply {
    pub(crate) status: Status,
    /// The share that it is about.
    pub(crate) tree: u32,
    bytes: Vec<u8>,
    from: usize,
}

impl Reply {
    /// The message from its header on.
    fn bytes(&self) -> &[u8] {
        self.bytes.get(self.from..).unwrap_or(&[])
    }

    /// The message of a request that was carried out.
    pub(crate) fn success(&self) -> Result<&[u8], Fault> {
        match self.status {
            Status::SUCCESS => Ok(self.bytes()),
            status => Err(Fault::Status(status)),
        }
    }
}

/// Whether to wait for credits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hands {
    /// Nothing is held that others may need: waiting is fine.
    Empty,
    /// Waiting could make everybody wait for each other.
    Full,
    /// Something is given back, which does not wait for long.
    Closing,
}

/// A request under way.
pub(crate) struct Ticket {
    reply: Receiver<Reply>,
    shared: Arc<Shared>,
    patience: Duration,
}

impl Conn {
    /// Whether it has not ended.
    pub(crate) fn is_alive(&self) -> bool {
        self.shared.lock().dead.is_none()
    }

    /// Ends it.
    pub(crate) fn end(&self, why: &str) {
        self.shared.end(why);
    }

    /// Bytes of a file that may be asked for at once.
    pub(crate) fn chunk(&self) -> u32 {
        let credits = self.shared.lock().circulating.max(1);
        let paid = credits.saturating_mul(1 << 16);
        self.most_read.min(MOST_CHUNK).min(paid)
    }

    /// Bytes of an answer that may be asked for at once.
    pub(crate) fn output(&self) -> u32 {
        self.most_output.min(1 << 16)
    }

    /// Sends a request and waits for its reply, which may carry `expected` bytes.
    pub(crate) fn ask(
        &self,
        command: Command,
        tree: u32,
        body: &[u8],
        expected: u32,
    ) -> Result<Reply, Fault> {
        match self.start(command, tree, body, expected, Hands::Empty)? {
            Some(ticket) => ticket.wait(),
            None => Err(Fault::Lost("no request can be made".to_owned())),
        }
    }

    /// Closes a file and waits until it is: a host cannot merge what is open. Where that takes too
    /// long the connection ends, and with it all that is open on it.
    pub(crate) fn close(&self, tree: u32, file: &FileId) {
        let body = close(file);
        // A connection that has ended has nothing open.
        let Ok(started) = self.start(Command::Close, tree, &body, 0, Hands::Closing) else {
            return;
        };
        match started {
            Some(ticket) => drop(ticket.wait()),
            None => self.end("no file can be closed"),
        }
    }

    /// Sends a request; `None` when that had to wait and `hands` are full, or when it can never be
    /// sent because the server lets us have less at once than before.
    pub(crate) fn start(
        &self,
        command: Command,
        tree: u32,
        body: &[u8],
        expected: u32,
        hands: Hands,
    ) -> Result<Option<Ticket>, Fault> {
        let most = body
            .len()
            .max(usize::try_from(expected).unwrap_or(usize::MAX));
        let charge = u16::try_from(most.div_ceil(PER_CREDIT).max(1)).unwrap_or(u16::MAX);
        let (tell, reply) = sync_channel(1);
        let waiting = Waiting {
            command: command as u16,
            charge: charge.into(),
            tell,
        };
        let Some((message, credits)) = self.reserve(waiting, hands)? else {
            return Ok(None);
        };
        let header = Header {
            charge,
            status: Status::SUCCESS,
            command: command as u16,
            credits,
            flags: 0,
            message,
            tree,
            session: self.shared.session,
            signature: [0; 16],
        };
        self.send(header, body)?;
        Ok(Some(Ticket {
            reply,
            shared: Arc::clone(&self.shared),
            patience: self.patience(hands),
        }))
    }

    fn patience(&self, hands: Hands) -> Duration {
        match hands {
            Hands::Closing => self.patience.min(CLOSING),
            Hands::Empty | Hands::Full => self.patience,
        }
    }

    /// Spends credits on a number for a request, and tells how many to ask for.
    fn reserve(&self, waiting: Waiting, hands: Hands) -> Result<Option<(u64, u16)>, Fault> {
        let until = Instant::now() + self.patience(hands);
        let charge = waiting.charge;
        let mut state = self.shared.lock();
        loop {
            if let Some(why) = &state.dead {
                return Err(Fault::Lost(why.clone()));
            }
            if state.credits >= charge {
                break;
            }
            // Credits that have all come back may still be too few: servers take some away.
            if hands == Hands::Full || charge > state.circulating.max(1) {
                return Ok(None);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(state);
                let why = "the server lets us send nothing";
                self.end(why);
                return Err(Fault::Lost(why.to_owned()));
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let number = state.next;
        let Some(next) = number.checked_add(charge.into()) else {
            return Err(Fault::Lost(
                "the numbers of requests are used up".to_owned(),
            ));
        };
        state.next = next;
        state.credits -= charge;
        let more = WANTED.saturating_sub(state.circulating).min(64);
        state.waiting.insert(number, waiting);
        let ask = u16::try_from(charge + more).unwrap_or(u16::MAX);
        Ok(Some((number, ask)))
    }

    fn send(&self, mut header: Header, body: &[u8]) -> Result<(), Fault> {
        let keys = &self.shared.keys;
        let message = match &keys.seal {
            Some((sealer, _)) => sealer.seal(header.with(body), header.session),
            None => {
                header.flags |= FLAG_SIGNED;
                let mut message = header.with(body);
                keys.signer.sign(&mut message, header.message);
                Some(message)
            }
        };
        let framed = message.and_then(|message| framed(&message));
        let framed = framed.ok_or(Fault::Malformed(Malformed("a request is too long")))?;
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let written = writer.write_all(&framed);
        written.map_err(|error| {
            self.end(&error.to_string());
            Fault::Lost(error.to_string())
        })
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.end("it is no longer needed");
    }
}

impl Ticket {
    /// Waits for the reply.
    pub(crate) fn wait(self) -> Result<Reply, Fault> {
        match self.reply.recv_timeout(self.patience) {
            Ok(reply) if reply.status.is_lost() => {
                self.shared.end(&reply.status.to_string());
                Err(Fault::Lost(reply.status.to_string()))
            }
            Ok(reply) => Ok(reply),
            Err(RecvTimeoutError::Timeout) => {
                let why = format!("no answer within {} s", self.patience.as_secs());
                self.shared.end(&why);
                Err(Fault::Lost(why))
            }
            Err(RecvTimeoutError::Disconnected) => {
                let why = self.shared.lock().dead.clone();
                Err(Fault::Lost(
                    why.unwrap_or_else(|| "it has ended".to_owned()),
                ))
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, why: &str) {
        let mut state = self.lock();
        if state.dead.is_none() {
            state.dead = Some(why.to_owned());
        }
        // Who waits is told by the other end of the channel going away.
        state.waiting.clear();
        drop(state);
        self.changed.notify_all();
        // It may be closed already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

/// A message with its length in front (2.1).
fn framed(message: &[u8]) -> Option<Vec<u8>> {
    let len = u32::try_from(message.len())
        .ok()
        .filter(|len| *len < 1 << 24)?;
    let mut out = Vec::with_capacity(4 + message.len());
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(message);
    Some(out)
}
