//! A server of HTTP for tests, one connection after the other, plain or TLS.

#![allow(dead_code)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What came in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Got {
    /// Which connection, from 1.
    pub(crate) connection: usize,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

/// What goes out. Nothing at all closes the connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) bytes: Vec<u8>,
    pub(crate) close: bool,
}

impl Sent {
    pub(crate) fn reply(status: u16, headers: &str, body: &[u8]) -> Self {
        let len = body.len();
        let head = format!("HTTP/1.1 {status} x\r\n{headers}Content-Length: {len}\r\n\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        Self {
            bytes,
            close: false,
        }
    }

    pub(crate) fn soap(body: &str) -> Self {
        Self::reply(
            200,
            "Content-Type: application/soap+xml;charset=UTF-8\r\n",
            body.as_bytes(),
        )
    }

    pub(crate) fn closing(mut self) -> Self {
        self.close = true;
        self
    }
}

/// A server that answers each request by a function, made anew for each connection.
pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) got: Arc<Mutex<Vec<Got>>>,
    stop: Arc<Mutex<bool>>,
    thread: Option<JoinHandle<()>>,
}

pub(crate) type Handler = Box<dyn FnMut(&Got) -> Sent + Send>;

impl Server {
    pub(crate) fn start(
        tls: Option<Arc<ServerConfig>>,
        mut handlers: impl FnMut() -> Handler + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let got = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(Mutex::new(false));
        let (log, stopped) = (Arc::clone(&got), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            for (at, socket) in listener.incoming().enumerate() {
                if *stopped.lock().unwrap() {
                    break;
                }
                let socket = socket.unwrap();
                let handler = handlers();
                // Whatever goes wrong with a connection shows at the client.
                let _ = match &tls {
                    None => serve(socket, at + 1, &log, handler),
                    Some(config) => {
                        let session = ServerConnection::new(Arc::clone(config)).unwrap();
                        serve(StreamOwned::new(session, socket), at + 1, &log, handler)
                    }
                };
            }
        });
        Self {
            port,
            got,
            stop,
            thread: Some(thread),
        }
    }

    /// The requests so far: connection, and whether there was a body.
    pub(crate) fn shape(&self) -> Vec<(usize, bool)> {
        let got = self.got.lock().unwrap();
        got.iter()
            .map(|g| (g.connection, !g.body.is_empty()))
            .collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        *self.stop.lock().unwrap() = true;
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(
    mut stream: impl Read + Write,
    connection: usize,
    log: &Mutex<Vec<Got>>,
    mut handler: Handler,
) -> std::io::Result<()> {
    loop {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            let mut part = [0; 4096];
            let len = stream.read(&mut part)?;
            if len == 0 {
                return Ok(());
            }
            bytes.extend_from_slice(&part[..len]);
        };
        let mut got = Got {
            connection,
            head: String::from_utf8(bytes[..end].to_vec()).unwrap(),
            body: bytes.split_off(end),
        };
        let len: usize = got.header("content-length").unwrap().parse().unwrap();
        while got.body.len() < len {
            let mut part = [0; 4096];
            let more = stream.read(&mut part)?;
            if more == 0 {
                return Ok(());
            }
            got.body.extend_from_slice(&part[..more]);
        }
        log.lock().unwrap().push(got.clone());
        let sent = handler(&got);
        stream.write_all(&sent.bytes)?;
        stream.flush()?;
        if sent.close || sent.bytes.is_empty() {
            return Ok(());
        }
    }
}
