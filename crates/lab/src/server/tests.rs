//! The listener, asked over bare sockets.

use std::io::{Read, Write};
use std::sync::Arc;

use data_encoding::BASE64;
use proptest::prelude::*;

use super::ntlm::Acceptor;
use super::*;
use crate::clock::SystemClock;
use crate::scenario::Scenario;
use crate::wsman::Rights;

fn start() -> Server {
    let scenario = Scenario::read(r#"{"limits": {"envelope-kib": 16}}"#).unwrap();
    // Without VMs nothing is written into the folder.
    let host = scenario
        .build(std::path::Path::new("/nowhere"), Arc::new(SystemClock))
        .unwrap();
    let account = Account {
        user: "admin".into(),
        password: "geheim".into(),
        rights: Rights::Administrator,
    };
    let service = scenario.service(host).unwrap();
    Server::start("127.0.0.1:0".parse().unwrap(), service, vec![account], None).unwrap()
}

/// Sends bytes and reads until the connection ends or a whole reply is there.
fn send(server: &Server, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(server.address()).unwrap();
    socket.write_all(bytes).unwrap();
    let mut reply = Vec::new();
    while !reply.windows(4).any(|w| w == b"\r\n\r\n") {
        let mut part = [0; 4096];
        match socket.read(&mut part).unwrap() {
            0 => break,
            len => reply.extend_from_slice(&part[..len]),
        }
    }
    String::from_utf8(reply).unwrap()
}

fn post(headers: &str, body: &str) -> Vec<u8> {
    let len = body.len();
    format!("POST /wsman HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {len}\r\n\r\n{body}")
        .into_bytes()
}

const IDENTIFY: &str = "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\"><s:Body><i:Identify xmlns:i=\"http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd\"/></s:Body></s:Envelope>";

#[test]
fn strangers_are_told_how_to_log_on_and_what_the_host_is() {
    let server = start();
    let reply = send(&server, &post("", IDENTIFY));
    assert!(
        reply.starts_with("HTTP/1.1 401 ") && reply.contains("WWW-Authenticate: Negotiate\r\n"),
        "{reply}"
    );
    assert!(!reply.contains("Basic"), "not where everybody can listen");
    let basic = format!(
        "Authorization: Basic {}\r\n",
        BASE64.encode(b"admin:geheim")
    );
    assert!(send(&server, &post(&basic, IDENTIFY)).starts_with("HTTP/1.1 401 "));
    let reply = send(
        &server,
        &post("WSMANIDENTIFY: unauthenticated\r\n", IDENTIFY),
    );
    assert!(reply.starts_with("HTTP/1.1 200 "), "{reply}");
    for token in ["", "!!", "TlRMTVNTUAAD", "TlRMTVNTUAABAAAA"] {
        let header = format!("Authorization: Negotiate {token}\r\n");
        assert!(
            send(&server, &post(&header, "")).starts_with("HTTP/1.1 401 "),
            "{token}"
        );
    }
}

#[test]
fn what_is_too_large_is_not_read() {
    let server = start();
    let head = "POST /wsman HTTP/1.1\r\nContent-Length: 20000\r\n\r\n";
    assert!(send(&server, head.as_bytes()).starts_with("HTTP/1.1 413 "));
    let head = "POST /wsman HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert!(send(&server, head.as_bytes()).starts_with("HTTP/1.1 400 "));
}

#[test]
fn a_connection_can_be_used_again_and_stopping_ends_it() {
    let server = start();
    let mut socket = TcpStream::connect(server.address()).unwrap();
    for _ in 0..3 {
        socket
            .write_all(&post("WSMANIDENTIFY: unauthenticated\r\n", IDENTIFY))
            .unwrap();
        let mut start = [0; 12];
        socket.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"HTTP/1.1 200");
        let mut rest = Vec::new();
        while !rest.ends_with(b"</s:Envelope>") {
            let mut part = [0; 4096];
            let len = socket.read(&mut part).unwrap();
            assert!(len > 0);
            rest.extend_from_slice(&part[..len]);
        }
    }
    drop(server);
    assert_eq!(socket.read(&mut [0; 10]).unwrap_or(0), 0);
}

fn first_message() -> Vec<u8> {
    let mut message = b"NTLMSSP\0\x01\0\0\0".to_vec();
    message.extend_from_slice(&0xe20a_8237_u32.to_le_bytes());
    message.extend_from_slice(&[0; 24]);
    message
}

#[test]
fn a_client_that_offers_too_little_gets_no_challenge() {
    let good = first_message();
    assert!(Acceptor::challenge(&good, "HV01", [7; 8], 1).is_ok());
    // Without sealing, without 128 bits, without key exchange.
    for bit in [0x20_u32, 0x2000_0000, 0x4000_0000] {
        let mut weak = good.clone();
        weak[12..16].copy_from_slice(&(0xe20a_8237 & !bit).to_le_bytes());
        assert!(
            Acceptor::challenge(&weak, "HV01", [7; 8], 1).is_err(),
            "{bit:#x}"
        );
    }
}

proptest! {
    /// Whatever comes as the last message, it is refused and nothing worse.
    #[test]
    fn any_last_message_is_refused(mut message in proptest::collection::vec(any::<u8>(), 0..300), shape in any::<bool>()) {
        let (acceptor, _) = Acceptor::challenge(&first_message(), "HV01", [7; 8], 1).unwrap();
        if shape && message.len() > 100 {
            message[..12].copy_from_slice(b"NTLMSSP\0\x03\0\0\0");
            message[60..64].copy_from_slice(&0xe28a_8235_u32.to_le_bytes());
            // Fields that lie within, now and then.
            for at in [20, 28, 36, 52] {
                let (len, from) = (message[at] % 60, message[at + 4] % 100);
                message[at..at + 8].copy_from_slice(&[len, 0, len, 0, from, 0, 0, 0]);
            }
        }
        let refused = acceptor.accept(&message, |_| Some("geheim".into()), None).is_err();
        prop_assert!(refused);
    }

    #[test]
    fn any_body_is_unpacked_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = unpack(&body);
    }
}
