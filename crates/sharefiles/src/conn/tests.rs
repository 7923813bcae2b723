//! Connections to a server of the test's own, after a logon that was none.

use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::crypt::Transcript;
use crate::wire::{Agreed, Signing};

/// A connection that has so many credits, and the server's end of it.
pub(crate) fn pair(credits: u32, patience: Duration) -> (Conn, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    let incoming = socket.try_clone().unwrap();
    let writer = Mutex::new(socket.try_clone().unwrap());
    let shared = Arc::new(Shared {
        socket,
        session: 7,
        keys: keys(),
        state: Mutex::new(State {
            credits,
            circulating: credits,
            next: 3,
            waiting: HashMap::new(),
            dead: None,
        }),
        changed: Condvar::new(),
    });
    let reading = Arc::clone(&shared);
    std::thread::spawn(move || reader::run(&reading, incoming, 1 << 20));
    let conn = Conn {
        shared,
        writer,
        patience,
        most_read: MOST_CHUNK,
        most_output: 1 << 16,
    };
    (conn, server)
}

fn keys() -> Keys {
    let agreed = Agreed {
        cipher: None,
        signing: Signing::Cmac,
        most_read: MOST_CHUNK,
        most_output: 1 << 16,
        token: Vec::new(),
    };
    Keys::derive(&[5; 16], &Transcript::new(), &agreed).unwrap()
}

/// Waits for a request and answers it with a success about a share.
pub(crate) fn answer(server: &mut TcpStream, tree: u32, body: &[u8]) -> u16 {
    let mut request = reader::frame(server, 1 << 20).unwrap();
    // Requests differ from replies by a flag alone.
    request[16] |= 1;
    let asked = Header::read(&request).unwrap();
    let reply = Header {
        tree,
        credits: 1,
        flags: 1 | FLAG_SIGNED,
        ..asked
    };
    let mut message = reply.with(body);
    keys().signer.sign(&mut message, asked.message);
    server.write_all(&framed(&message).unwrap()).unwrap();
    asked.command
}

#[test]
fn a_file_is_closed_when_that_is_answered() {
    let (conn, mut server) = pair(1, Duration::from_secs(60));
    let answered = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..2 {
                // Another one may have had the only credit: closing waits for it as well.
                let command = answer(&mut server, 0, &[0; 60]);
                assert_eq!(command, Command::Close as u16);
                answered.fetch_add(1, Ordering::SeqCst);
            }
        });
        conn.close(1, &[1; 16]);
        assert!(conn.is_alive());
        conn.close(1, &[2; 16]);
        assert!(conn.is_alive());
    });
    assert_eq!(answered.load(Ordering::SeqCst), 2);
}

#[test]
fn a_connection_on_which_nothing_can_be_closed_ends() {
    let short = Duration::from_millis(20);
    // No credit to ask with; no answer.
    for credits in [0, 5] {
        let (conn, mut server) = pair(credits, short);
        conn.close(1, &[1; 16]);
        assert!(!conn.is_alive(), "{credits}");
        let mut rest = Vec::new();
        std::io::Read::read_to_end(&mut server, &mut rest).unwrap();
        assert_eq!(rest.is_empty(), credits == 0);
    }
}

#[test]
fn what_can_never_be_sent_is_asked_for_in_parts() {
    let (conn, _server) = pair(2, Duration::from_millis(20));
    let ask = |len| conn.start(Command::Read, 1, &[0; 48], len, Hands::Empty);
    // It would have eight credits to wait for, of which there are two.
    assert!(ask(512 << 10).unwrap().is_none());
    assert!(conn.is_alive());
    assert_eq!(conn.chunk(), 128 << 10);
    assert!(ask(conn.chunk()).unwrap().is_some());
}
