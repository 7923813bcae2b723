//! Messages over TLS with Basic: who is trusted, what is sent, and what breaks.

mod support;

use std::sync::Arc;
use std::time::Duration;

use hyperkeep_cim::http::{
    Credentials, Endpoint, HttpTransport, Logon, Secret, Trust, parse_fingerprint,
};
use hyperkeep_cim::{Transport, TransportProblem};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use support::{Handler, Sent, Server};

const PATIENCE: Duration = Duration::from_secs(20);

fn identity(name: &str) -> (Arc<ServerConfig>, String) {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let der = made.cert.der().clone();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![der.clone()], PrivateKeyDer::from(key))
        .unwrap();
    let base64 = data_encoding::BASE64.encode(&der);
    let pem = format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n");
    (Arc::new(config), pem)
}

fn client(server: &Server, host: &str, trust: Trust) -> HttpTransport {
    let endpoint = Endpoint::https(host, Some(server.port)).unwrap();
    let who = Credentials {
        user: "admin".into(),
        password: Secret::new("pass:wörd".into()),
    };
    HttpTransport::new(endpoint, trust, who, Logon::Basic).unwrap()
}

fn echo() -> Handler {
    Box::new(|got| Sent::soap(&format!("<e>{}</e>", String::from_utf8_lossy(&got.body))))
}

#[test]
fn the_password_goes_only_to_whom_we_trust() {
    let (config, pem) = identity("localhost");
    let server = Server::start(Some(config), echo);
    // The system does not know it, and the error tells what there is to pin.
    let error = client(&server, "localhost", Trust::System).exchange(b"<a/>", PATIENCE);
    let error = error.unwrap_err();
    assert!(!error.maybe_sent);
    let sha256 = match &error.problem {
        TransportProblem::Certificate { sha256, .. } => sha256.clone(),
        // A machine without any authority trusts nobody, and says so.
        TransportProblem::Tls(told) if told.contains("no trusted authorities") => {
            let Err(error) =
                client(&server, "localhost", Trust::Pinned([0; 32])).exchange(b"<a/>", PATIENCE)
            else {
                panic!("trusted")
            };
            let TransportProblem::Certificate { sha256, .. } = error.problem else {
                panic!("{error}")
            };
            sha256
        }
        other => panic!("{other}"),
    };
    // Its own authority, for its own name.
    let roots = Trust::from_pem(pem.as_bytes()).unwrap();
    let reply = client(&server, "localhost", roots.clone()).exchange(b"<a/>", PATIENCE);
    assert_eq!(reply.unwrap(), b"<e><a/></e>");
    let other_name = client(&server, "127.0.0.1", roots)
        .exchange(b"<a/>", PATIENCE)
        .unwrap_err();
    assert!(
        matches!(other_name.problem, TransportProblem::Certificate { .. }),
        "{other_name}"
    );
    // The fingerprint that the error told, under any name.
    let pinned = Trust::Pinned(parse_fingerprint(&sha256).unwrap());
    let reply = client(&server, "127.0.0.1", pinned).exchange(b"<a/>", PATIENCE);
    assert_eq!(reply.unwrap(), b"<e><a/></e>");
    let wrong = client(&server, "localhost", Trust::Pinned([7; 32])).exchange(b"<a/>", PATIENCE);
    let wrong = wrong.unwrap_err();
    assert!(
        wrong.to_string().contains("not the one that was pinned"),
        "{wrong}"
    );
    assert!(wrong.to_string().contains(&sha256), "{wrong}");
    assert_eq!(
        server.got.lock().unwrap().len(),
        2,
        "nobody else got a message"
    );
}

#[test]
fn what_is_sent() {
    let (config, pem) = identity("localhost");
    let server = Server::start(Some(config), || {
        let mut count = 0;
        Box::new(move |_| {
            count += 1;
            let cookie = format!(
                "Content-Type: application/soap+xml\r\nSet-Cookie: MS-WSMAN={count}; secure\r\n"
            );
            Sent::reply(200, &cookie, b"<a/>")
        })
    });
    let mut client = client(
        &server,
        "localhost",
        Trust::from_pem(pem.as_bytes()).unwrap(),
    );
    client.exchange(b"<m/>", PATIENCE).unwrap();
    client.exchange(b"<m/>", PATIENCE).unwrap();
    let got = server.got.lock().unwrap().clone();
    let port = server.port;
    let version = env!("CARGO_PKG_VERSION");
    let base64 = data_encoding::BASE64.encode("admin:pass:wörd".as_bytes());
    assert_eq!(
        got[1].head,
        format!(
            "POST /wsman HTTP/1.1\r\nHost: localhost:{port}\r\nUser-Agent: Hyperkeep/{version}\r\n\
             Accept-Encoding: identity\r\nConnection: Keep-Alive\r\nAuthorization: Basic {base64}\r\n\
             Content-Type: application/soap+xml;charset=UTF-8\r\nCookie: MS-WSMAN=1\r\nContent-Length: 4\r\n\r\n"
        )
    );
    assert_eq!(got[0].header("cookie"), None);
    assert_eq!(server.shape(), [(1, true), (1, true)], "one connection");
}

#[test]
fn answers_are_judged() {
    let (config, pem) = identity("localhost");
    let server = Server::start(Some(config), || {
        Box::new(|got| match &got.body[..] {
            b"fault" => Sent::reply(500, "Content-Type: application/soap+xml\r\n", b"<f/>"),
            b"large" => Sent::reply(413, "", b""),
            b"busy" => Sent::reply(503, "Content-Type: text/html\r\n", b"<html>"),
            b"empty" => Sent::reply(200, "", b""),
            b"who" => Sent::reply(
                401,
                "WWW-Authenticate: Negotiate\r\nWWW-Authenticate: Basic realm=\"W\"\r\n",
                b"",
            ),
            b"cut" => Sent {
                bytes: b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<a".to_vec(),
                close: true,
            },
            _ => Sent::default(),
        })
    });
    let trust = Trust::from_pem(pem.as_bytes()).unwrap();
    let ask =
        |message: &[u8]| client(&server, "localhost", trust.clone()).exchange(message, PATIENCE);
    assert_eq!(ask(b"fault").unwrap(), b"<f/>");
    for (message, sent, why) in [
        (&b"large"[..], false, "refuses a message of this size"),
        (b"busy", true, "HTTP status 503"),
        (b"empty", true, "HTTP status 200"),
        (b"who", false, "it offers: Negotiate, Basic"),
        (b"cut", true, "connection broke"),
        (b"drop", true, "connection broke"),
    ] {
        let error = ask(message).unwrap_err();
        assert_eq!(error.maybe_sent, sent, "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn a_connection_that_the_host_closed_is_made_anew() {
    let (config, pem) = identity("localhost");
    let server = Server::start(Some(config), || Box::new(|_| Sent::soap("<a/>").closing()));
    let mut client = client(
        &server,
        "localhost",
        Trust::from_pem(pem.as_bytes()).unwrap(),
    );
    for _ in 0..3 {
        // Whether the host's end has arrived in time to be seen is chance; if not, the message
        // breaks, and the client above repeats it if it may.
        if client.exchange(b"<m/>", PATIENCE).is_err() {
            assert_eq!(client.exchange(b"<m/>", PATIENCE).unwrap(), b"<a/>");
        }
    }
}

#[test]
fn nobody_there_and_nobody_answering() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    let who = || Credentials {
        user: "u".into(),
        password: Secret::new("p".into()),
    };
    let endpoint = Endpoint::http("127.0.0.1", Some(port)).unwrap();
    drop(free);
    let mut client = HttpTransport::new(endpoint, Trust::System, who(), Logon::Ntlm).unwrap();
    let error = client.exchange(b"<m/>", PATIENCE).unwrap_err();
    assert!(
        matches!(error.problem, TransportProblem::Connect(_)),
        "{error}"
    );
    assert!(error.is_transient() && !error.maybe_sent);
}
