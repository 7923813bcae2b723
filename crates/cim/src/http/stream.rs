//! A connection to a host, plain or TLS, whose every read and write ends by a deadline.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use rustls::{ClientConnection, StreamOwned};

use super::endpoint::Endpoint;
use super::tls::{Trust, Witness};
use crate::transport::TransportProblem;

/// A TCP connection with a deadline.
pub(super) struct Timed {
    socket: TcpStream,
    deadline: Instant,
}

/// A connection that bytes go through.
pub(super) enum Stream {
    Plain(Timed),
    Tls(Box<StreamOwned<ClientConnection, Timed>>),
}

impl Timed {
    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(left)
    }
}

/// Systems tell a timeout of a socket in two ways.
fn timeout(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(Some(self.left()?))?;
        self.socket.read(buffer).map_err(timeout)
    }
}

impl Write for Timed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(Some(self.left()?))?;
        self.socket.write(buffer).map_err(timeout)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

impl Stream {
    /// Connects, and agrees on TLS where the endpoint wants it.
    pub(super) fn open(
        endpoint: &Endpoint,
        trust: &Trust,
        patience: Duration,
    ) -> Result<Self, TransportProblem> {
        let deadline = Instant::now() + patience;
        let socket = connect(endpoint, deadline)?;
        let timed = Timed { socket, deadline };
        if !endpoint.is_tls() {
            return Ok(Self::Plain(timed));
        }
        let witness = Witness::default();
        let session = trust.connect(endpoint.host(), &witness)?;
        let mut stream = StreamOwned::new(session, timed);
        while stream.conn.is_handshaking() {
            let done = stream.conn.complete_io(&mut stream.sock);
            if let Err(error) = done {
                return Err(witness.problem(&error, patience));
            }
        }
        Ok(Self::Tls(Box::new(stream)))
    }

    /// By when all that follows must be done.
    pub(super) fn set_deadline(&mut self, deadline: Instant) {
        match self {
            Self::Plain(timed) => timed.deadline = deadline,
            Self::Tls(stream) => stream.sock.deadline = deadline,
        }
    }

    /// The host's certificate.
    pub(super) fn certificate(&self) -> Option<&[u8]> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(stream) => stream.conn.peer_certificates()?.first().map(AsRef::as_ref),
        }
    }

    /// Whether the host still holds its end, as far as can be seen without asking, and has said
    /// nothing unasked.
    pub(super) fn is_alive(&mut self) -> bool {
        match self {
            Self::Plain(timed) => {
                let look = |socket: &TcpStream| {
                    socket.set_nonblocking(true)?;
                    let seen = socket.peek(&mut [0]);
                    socket.set_nonblocking(false)?;
                    seen
                };
                // Nothing there to read is what a connection that is alive looks like.
                look(&timed.socket).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
            }
            Self::Tls(stream) => tls_is_alive(stream).unwrap_or(false),
        }
    }
}

/// TLS has messages of its own, which are read on the way.
fn tls_is_alive(stream: &mut StreamOwned<ClientConnection, Timed>) -> io::Result<bool> {
    let socket = &stream.sock.socket;
    socket.set_nonblocking(true)?;
    let mut raw: &TcpStream = socket;
    let alive = loop {
        match stream.conn.read_tls(&mut raw) {
            Ok(0) => break false,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break true,
            Err(_) => break false,
        }
        let Ok(state) = stream.conn.process_new_packets() else {
            break false;
        };
        if state.peer_has_closed() || state.plaintext_bytes_to_read() > 0 {
            break false;
        }
    };
    socket.set_nonblocking(false)?;
    Ok(alive)
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(timed) => timed.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(timed) => timed.write(buffer),
            Self::Tls(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(timed) => timed.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// Tries each address of the host's name.
fn connect(endpoint: &Endpoint, deadline: Instant) -> Result<TcpStream, TransportProblem> {
    let failed = |error: io::Error| TransportProblem::Connect(error.to_string());
    let addresses = (endpoint.host(), endpoint.port()).to_socket_addrs();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses.map_err(failed)?.take(16) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            last = io::ErrorKind::TimedOut.into();
            break;
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(socket) => {
                socket.set_nodelay(true).map_err(failed)?;
                return Ok(socket);
            }
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}
