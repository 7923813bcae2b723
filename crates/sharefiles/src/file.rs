//! A file on a server, read at any place by any thread, over any number of connections.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use disk::ReadAt;
use hyperv::files::{FileError, FileProblem, HostPath};

use crate::budget::{Budget, Lease};
use crate::conn::{Hands, Ticket};
use crate::fault::Fault;
use crate::place::Place;
use crate::server::{Live, Losses, Server};
use crate::wire::{
    Command, FileId, Malformed, Opened, Status, Want, open, query_about, read, read_about,
    read_data, read_opened, read_output,
};

/// Requests of one read that are under way at once.
const MOST_UNDER_WAY: usize = 16;

/// A file that was opened for reading.
///
/// When its connection is lost it is opened again, and must be the file that it was.
pub(crate) struct RemoteFile {
    host: HostPath,
    server: Arc<Server>,
    place: Place,
    budget: Arc<Budget>,
    /// What it was when it was opened first.
    first: Opened,
    handle: Mutex<Handle>,
}

/// The file as it is open on one connection.
#[derive(Clone)]
struct Handle {
    live: Arc<Live>,
    tree: u32,
    id: FileId,
}

/// A part of a read that is under way.
struct Under {
    part: Range<usize>,
    ticket: Ticket,
    _lease: Lease,
}

/// What came of going on with a read.
enum Step {
    /// Bytes came.
    Read,
    /// Nothing could be asked for: less may be, the next time.
    Waits,
}

/// Opens what is at a place over one connection.
pub(crate) fn open_at(live: &Live, place: &Place, want: Want) -> Result<(u32, Opened), Fault> {
    let tree = live.tree(&place.share)?;
    let reply = live
        .conn
        .ask(Command::Create, tree, &open(&place.path, want), 0)?;
    Ok((tree, read_opened(reply.success()?)?))
}

impl RemoteFile {
    pub(crate) fn open(
        host: HostPath,
        server: Arc<Server>,
        place: Place,
        budget: Arc<Budget>,
    ) -> Result<Self, Fault> {
        let (handle, first) = server.persist(|live| {
            let (tree, opened) = open_at(live, &place, Want::Data)?;
            let handle = Handle {
                live: Arc::clone(live),
                tree,
                id: opened.id,
            };
            Ok((handle, opened))
        })?;
        Ok(Self {
            host,
            server,
            place,
            budget,
            first,
            handle: Mutex::new(handle),
        })
    }

    /// The file over a connection that lives, opened again if need be.
    fn handle(&self) -> Result<Handle, Fault> {
        let mut handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner);
        if handle.live.conn.is_alive() {
            return Ok(handle.clone());
        }
        let found = self.server.persist(|live| {
            let (tree, opened) = open_at(live, &self.place, Want::Data)?;
            let handle = Handle {
                live: Arc::clone(live),
                tree,
                id: opened.id,
            };
            Ok((handle, opened))
        });
        let gone = "it is gone since the connection was lost".to_owned();
        let (again, opened) = found.map_err(|fault| match FileProblem::from(fault.clone()) {
            FileProblem::NotFound => Fault::Replaced(gone),
            _ => fault,
        })?;
        if let Some(why) = differs(&self.first, &opened) {
            again.live.conn.close(again.tree, &again.id);
            let why = format!("since the connection was lost, {why}");
            return Err(Fault::Replaced(why));
        }
        *handle = again.clone();
        Ok(again)
    }

    /// Asks for a part; `None` when that had to wait and `hands` are full.
    fn start(
        &self,
        handle: &Handle,
        part: Range<usize>,
        offset: u64,
        hands: Hands,
    ) -> Result<Option<Under>, Fault> {
        let Some(lease) = self.budget.take(part.len() as u64, hands) else {
            return Ok(None);
        };
        let len = u32::try_from(part.len()).map_err(|_| Malformed("a read is too long"))?;
        let body = read(&handle.id, offset, len);
        let conn = &handle.live.conn;
        let ticket = conn.start(Command::Read, handle.tree, &body, len, hands)?;
        Ok(ticket.map(|ticket| Under {
            part,
            ticket,
            _lease: lease,
        }))
    }

    fn fill(&self, buf: &mut [u8], offset: u64) -> Result<(), Fault> {
        let mut left = VecDeque::new();
        left.push_back(0..buf.len());
        let mut under: VecDeque<Under> = VecDeque::new();
        let mut losses = Losses::default();
        while !(left.is_empty() && under.is_empty()) {
            let outcome = self.advance(buf, offset, &mut left, &mut under);
            match outcome {
                Ok(Step::Read) => self.server.answered(&mut losses),
                Ok(Step::Waits) => {}
                Err(Fault::Lost(why)) => {
                    // Of what was under way nothing was taken: all of it is asked for again.
                    left.extend(under.drain(..).map(|under| under.part));
                    self.server.lost(&mut losses, why)?;
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    /// Asks for what may be asked for, and takes the oldest answer.
    fn advance(
        &self,
        buf: &mut [u8],
        offset: u64,
        left: &mut VecDeque<Range<usize>>,
        under: &mut VecDeque<Under>,
    ) -> Result<Step, Fault> {
        if !left.is_empty() {
            let handle = self.handle()?;
            let chunk = usize::try_from(handle.live.conn.chunk()).unwrap_or(usize::MAX);
            while under.len() < MOST_UNDER_WAY
                && let Some(part) = left.pop_front()
            {
                let end = part.end.min(part.start.saturating_add(chunk));
                if end < part.end {
                    left.push_front(end..part.end);
                }
                if part.start == end {
                    continue;
                }
                let place = offset.saturating_add(part.start as u64);
                let hands = match under.is_empty() {
                    true => Hands::Empty,
                    false => Hands::Full,
                };
                match self.start(&handle, part.start..end, place, hands) {
                    Ok(Some(started)) => under.push_back(started),
                    Ok(None) => {
                        left.push_front(part.start..end);
                        break;
                    }
                    Err(fault) => {
                        left.push_front(part.start..end);
                        return Err(fault);
                    }
                }
            }
        }
        let Some(Under {
            part,
            ticket,
            _lease,
        }) = under.pop_front()
        else {
            return Ok(Step::Waits);
        };
        let reply = match ticket.wait() {
            Ok(reply) => reply,
            Err(fault) => {
                left.push_front(part);
                return Err(fault);
            }
        };
        let data = read_data(reply.success()?)?;
        let into = buf.get_mut(part.clone()).unwrap_or(&mut []);
        if data.is_empty() {
            return Err(Fault::Status(Status::END_OF_FILE));
        }
        let into = into
            .get_mut(..data.len())
            .ok_or(Malformed("it has more bytes than were asked for"))?;
        into.copy_from_slice(data);
        if data.len() < part.len() {
            left.push_front(part.start + data.len()..part.end);
        }
        Ok(Step::Read)
    }

    fn failed(&self, fault: Fault) -> io::Error {
        if fault == Fault::Status(Status::END_OF_FILE) {
            return io::ErrorKind::UnexpectedEof.into();
        }
        let problem = FileProblem::from(fault);
        let kind = match problem {
            FileProblem::NotFound => io::ErrorKind::NotFound,
            FileProblem::Denied(_) | FileProblem::Refused(_) => io::ErrorKind::PermissionDenied,
            FileProblem::Replaced(_) => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        };
        let path = self.host.to_string();
        io::Error::new(kind, FileError { path, problem })
    }
}

/// How a file differs from what it was.
fn differs(was: &Opened, is: &Opened) -> Option<String> {
    let identities = was.on_disk.zip(is.on_disk);
    if let Some((was, is)) = identities
        && was != is
    {
        return Some("another file was put in its place".to_owned());
    }
    let (was, is) = (was.about, is.about);
    if was.len != is.len {
        return Some(format!(
            "its length went from {} to {} bytes",
            was.len, is.len
        ));
    }
    if was.written != is.written {
        return Some("it was written to".to_owned());
    }
    // Servers whose file system has no such time make it up, and not always in the same way: it
    // counts only where there is nothing better.
    let other = identities.is_none() && was.created != is.created;
    other.then(|| "it was created at another time".to_owned())
}

impl ReadAt for RemoteFile {
    fn len(&self) -> io::Result<u64> {
        let mut losses = Losses::default();
        loop {
            let asked = self.handle().and_then(|handle| {
                let body = query_about(&handle.id);
                let conn = &handle.live.conn;
                let reply = conn.ask(Command::QueryInfo, handle.tree, &body, 56)?;
                Ok(read_about(read_output(reply.success()?)?)?)
            });
            match asked {
                Err(Fault::Lost(why)) => {
                    let again = self.server.lost(&mut losses, why);
                    again.map_err(|fault| self.failed(fault))?;
                }
                Ok(about) => {
                    self.server.answered(&mut losses);
                    return Ok(about.len);
                }
                Err(fault) => return Err(self.failed(fault)),
            }
        }
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.fill(buf, offset).map_err(|fault| self.failed(fault))
    }
}

impl Drop for RemoteFile {
    fn drop(&mut self) {
        let handle = self
            .handle
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        handle.live.conn.close(handle.tree, &handle.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::About;

    #[test]
    fn a_file_is_the_same_as_far_as_a_server_tells() {
        let about = About {
            created: 1,
            written: 2,
            len: 3,
        };
        let file = |about, on_disk: Option<u8>| Opened {
            id: [0; 16],
            about,
            on_disk: on_disk.map(|byte| [byte; 32]),
        };
        let was = file(about, Some(7));
        let same = |is: Opened| differs(&was, &is).is_none();
        assert!(same(file(about, Some(7))));
        assert!(!same(file(about, Some(8))));
        assert!(!same(file(About { len: 4, ..about }, Some(7))));
        assert!(!same(file(
            About {
                written: 9,
                ..about
            },
            Some(7)
        )));
        let other = About {
            created: 9,
            ..about
        };
        // Its identity says more than its time of creation.
        assert!(same(file(other, Some(7))));
        assert!(!same(file(other, None)));
        assert!(same(file(about, None)));
    }
}
