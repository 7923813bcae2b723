//! The host's listener: HTTP or HTTPS, one thread for each connection.
//!
//! A connection authenticates once, with Basic over TLS only or with NTLM; over plain HTTP
//! everything after that is encrypted message by message, and what is not is refused. One host's
//! requests are answered one after the other.

mod connection;
mod http;
mod logon;
mod ntlm;
mod rc4;
mod sealed;
mod spnego;
mod tls;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::wsman::Service;

pub use logon::{Account, log_on};
pub use sealed::{BadSealed, unpack};
pub use tls::{BadIdentity, Identity};

/// Connections at once.
const MOST_CONNECTIONS: usize = 128;
/// How long a connection may be silent.
const PATIENCE: Duration = Duration::from_secs(120);

/// What whoever listens is told of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It came, and is answered as ever.
    Told,
    /// It came, and its client waits for an answer that it will not have.
    Held,
    /// Such a client is gone, and what was to be done then is done.
    Gone,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Told => "told",
            Self::Held => "held",
            Self::Gone => "gone",
        })
    }
}

/// Who is told what happens to a request, of which the name comes second.
pub type Listener = Box<dyn Fn(Event, &str) + Send + Sync>;

/// What all connections share.
struct Shared {
    service: Mutex<Service>,
    accounts: Vec<Account>,
    tls: Option<Identity>,
    stopping: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
    listener: OnceLock<Listener>,
}

impl Shared {
    fn tell(&self, event: Event, request: &str) {
        if let Some(listener) = self.listener.get() {
            listener(event, request);
        }
    }

    fn service(&self) -> MutexGuard<'_, Service> {
        // A panic while answering leaves the state as it was between two steps.
        self.service.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A host that listens. Dropping it stops it.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens for a host's clients, over TLS if there is an identity.
    pub fn start(
        address: SocketAddr,
        service: Service,
        accounts: Vec<Account>,
        tls: Option<Identity>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            service: Mutex::new(service),
            accounts,
            tls,
            stopping: AtomicBool::new(false),
            open: Mutex::new(Vec::new()),
            listener: OnceLock::new(),
        });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("lab listener".to_owned())
            .spawn(move || listen(&listener, &of_thread))?;
        Ok(Self {
            address,
            shared,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Says who is told of requests that a scenario wants to be told of. Who was said first stays.
    pub fn listen(&self, listener: Listener) {
        let _ = self.shared.listener.set(listener);
    }

    /// The host, to look at it or to change it between two requests.
    pub fn service(&self) -> MutexGuard<'_, Service> {
        self.shared.service()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // The listener wakes up for a connection.
        let _ = TcpStream::connect(self.address);
        let open = self
            .shared
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for connection in open.iter() {
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
        drop(open);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn listen(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    for socket in listener.incoming() {
        if shared.stopping.load(Ordering::SeqCst) {
            break;
        }
        threads.retain(|thread| !thread.is_finished());
        let Ok(socket) = socket else { continue };
        // A client that is refused here sees its connection closed.
        if threads.len() >= MOST_CONNECTIONS || prepare(&socket, shared).is_err() {
            continue;
        }
        let shared = Arc::clone(shared);
        let thread = std::thread::Builder::new().name("lab connection".to_owned());
        // Whatever goes wrong with a connection shows at its client.
        let spawned = thread.spawn(move || {
            let peer = socket.peer_addr();
            let _ = connection::serve(socket, &shared);
            let mut open = shared.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.retain(|known| {
                known
                    .peer_addr()
                    .is_ok_and(|known| Some(known) != peer.as_ref().ok().copied())
            });
        });
        threads.extend(spawned);
    }
    for thread in threads {
        let _ = thread.join();
    }
}

fn prepare(socket: &TcpStream, shared: &Shared) -> io::Result<()> {
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.set_nodelay(true)?;
    let mut open = shared.open.lock().unwrap_or_else(PoisonError::into_inner);
    open.push(socket.try_clone()?);
    Ok(())
}

#[cfg(test)]
mod tests;
