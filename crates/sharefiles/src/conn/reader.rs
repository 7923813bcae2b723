//! Replies as they come.

use std::io::{self, Read};
use std::net::TcpStream;
use std::sync::Arc;

use super::{Reply, Shared};
use crate::wire::{FLAG_SIGNED, HEADER, Header, Malformed, Status, TRANSFORM};

/// Messages that no request asked for: we asked for none of those that there are.
const UNASKED: u64 = u64::MAX;

/// Why no more replies come.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// Hands out replies until the connection ends.
pub(super) fn run(shared: &Arc<Shared>, mut socket: TcpStream, most: usize) {
    loop {
        let outcome = frame(&mut socket, most).map_err(End::from);
        let outcome = outcome.and_then(|bytes| Ok(dispatch(shared, bytes)?));
        if let Err(end) = outcome {
            shared.end(&end.to_string());
            return;
        }
    }
}

/// Reads one message, of `most` bytes at most.
pub(super) fn frame(socket: &mut impl Read, most: usize) -> io::Result<Vec<u8>> {
    let mut head = [0; 4];
    socket.read_exact(&mut head)?;
    let len = usize::try_from(u32::from_be_bytes(head)).unwrap_or(usize::MAX);
    if len > most {
        let problem = "the server sent a message that is too long";
        return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
    }
    let mut bytes = Vec::with_capacity(len);
    let read = socket.by_ref().take(len as u64).read_to_end(&mut bytes)?;
    if read < len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

fn dispatch(shared: &Shared, mut bytes: Vec<u8>) -> Result<(), Malformed> {
    let (header, from) = verified(shared, &mut bytes)?;
    if header.message == UNASKED {
        return Ok(());
    }
    let mut state = shared.lock();
    state.credits = state.credits.saturating_add(header.credits.into());
    state.circulating = state.circulating.saturating_add(header.credits.into());
    let interim = header.status == Status::PENDING;
    let unknown = Malformed("it answers a request that nobody made");
    let told = if interim {
        state.waiting.contains_key(&header.message).then_some(None)
    } else {
        state.waiting.remove(&header.message).map(Some)
    };
    let told = told.ok_or(unknown)?;
    if let Some(waiting) = &told {
        state.circulating = state.circulating.saturating_sub(waiting.charge);
    }
    drop(state);
    shared.changed.notify_all();
    if let Some(waiting) = told {
        if waiting.command != header.command {
            return Err(Malformed(
                "it answers another request than the one that it names",
            ));
        }
        // Who asked may have gone.
        let _ = waiting.tell.send(Reply {
            status: header.status,
            tree: header.tree,
            bytes,
            from,
        });
    }
    Ok(())
}

/// The header of a message that is the server's own, and where the message begins.
fn verified(shared: &Shared, bytes: &mut [u8]) -> Result<(Header, usize), Malformed> {
    let (header, from) = match &shared.keys.seal {
        Some((_, opener)) => {
            opener.open(bytes, shared.session)?;
            let message = bytes.get(TRANSFORM..).unwrap_or(&[]);
            (Header::read(message)?, TRANSFORM)
        }
        None => {
            let header = Header::read(bytes)?;
            // Of these alone a server signs none (3.2.5.1.3).
            let interim = header.status == Status::PENDING;
            let signed = header.flags & FLAG_SIGNED != 0;
            let verify = || {
                let signer = &shared.keys.signer;
                signed && signer.verify(bytes, header.message, &header.signature)
            };
            if !(interim || verify()) {
                return Err(Malformed("it is not signed as it must be"));
            }
            (header, 0)
        }
    };
    if bytes.len() < from + HEADER {
        return Err(Malformed("it is too short"));
    }
    if header.message != UNASKED && header.session != shared.session {
        return Err(Malformed("it is of another logon"));
    }
    Ok((header, from))
}
