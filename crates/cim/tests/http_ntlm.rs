//! NTLM against two servers: one of pyspnego, which shares nothing with ours, and one of the
//! library that we use ourselves, which is there everywhere and can be made to misbehave.

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use data_encoding::BASE64;
use hyperkeep_cim::http::{Credentials, Endpoint, HttpTransport, Logon, Sealed, Secret, Trust};
use hyperkeep_cim::{Transport, TransportProblem};
use sspi::{
    AuthIdentity, BufferType, CredentialUse, DataRepresentation, EncryptionFlags, Ntlm,
    SecurityBuffer, SecurityBufferRef, SecurityStatus, ServerRequestFlags, Sspi, SspiImpl,
    Username,
};
use support::{Got, Handler, Sent, Server};

const PATIENCE: Duration = Duration::from_secs(60);
const PROTOCOL: &str = "application/HTTP-SPNEGO-session-encrypted";

fn client(endpoint: Endpoint, trust: Trust, user: &str, password: &str) -> HttpTransport {
    let who = Credentials {
        user: user.into(),
        password: Secret::new(password.into()),
    };
    HttpTransport::new(endpoint, trust, who, Logon::Ntlm).unwrap()
}

fn plain(port: u16, user: &str, password: &str) -> HttpTransport {
    let endpoint = Endpoint::http("127.0.0.1", Some(port)).unwrap();
    client(endpoint, Trust::System, user, password)
}

/// One connection of a server that knows one account.
struct Host {
    ntlm: Ntlm,
    done: bool,
}

impl Host {
    fn new() -> Self {
        Self {
            ntlm: Ntlm::new(),
            done: false,
        }
    }

    fn accept(&mut self, token: &[u8]) -> Option<Vec<u8>> {
        let identity = AuthIdentity {
            username: Username::parse("LAB\\backup").unwrap(),
            password: "geheim".to_owned().into(),
        };
        let mut handle = self
            .ntlm
            .acquire_credentials_handle()
            .with_credential_use(CredentialUse::Inbound)
            .with_auth_data(&identity)
            .execute(&mut self.ntlm)
            .unwrap()
            .credentials_handle;
        let mut input = [SecurityBuffer::new(token.to_vec(), BufferType::Token)];
        let mut output = [SecurityBuffer::new(Vec::new(), BufferType::Token)];
        let builder = self
            .ntlm
            .accept_security_context()
            .with_credentials_handle(&mut handle)
            .with_context_requirements(ServerRequestFlags::ALLOCATE_MEMORY)
            .with_target_data_representation(DataRepresentation::Native)
            .with_input(&mut input)
            .with_output(&mut output);
        let result = self.ntlm.accept_security_context_impl(builder);
        let status = result.ok()?.resolve_to_result().ok()?.status;
        if status == SecurityStatus::CompleteNeeded || status == SecurityStatus::CompleteAndContinue
        {
            self.ntlm.complete_auth_token(&mut output).ok()?;
        }
        self.done = status != SecurityStatus::ContinueNeeded
            && status != SecurityStatus::CompleteAndContinue;
        let [token] = output;
        Some(token.buffer)
    }

    fn unseal(&mut self, body: &[u8]) -> Vec<u8> {
        let Sealed {
            mut signature,
            mut data,
        } = Sealed::from_body(body).unwrap();
        let mut message = [
            SecurityBufferRef::token_buf(&mut signature),
            SecurityBufferRef::data_buf(&mut data),
        ];
        self.ntlm.decrypt_message(&mut message).unwrap();
        message[1].data().to_vec()
    }

    fn seal(&mut self, plain: &[u8]) -> Sent {
        let (mut signature, mut data) = (vec![0; 16], plain.to_vec());
        let mut message = [
            SecurityBufferRef::token_buf(&mut signature),
            SecurityBufferRef::data_buf(&mut data),
        ];
        self.ntlm
            .encrypt_message(EncryptionFlags::empty(), &mut message)
            .unwrap();
        let body = Sealed { signature, data }.to_body(PROTOCOL, plain.len());
        let kind = format!(
            "Content-Type: multipart/encrypted;protocol=\"{PROTOCOL}\";boundary=\"Encrypted Boundary\"\r\n"
        );
        Sent::reply(200, &kind, &body)
    }

    /// Answers a logon's messages; `None` for others.
    fn log_on(&mut self, got: &Got) -> Option<Sent> {
        let token = got.header("authorization")?.strip_prefix("Negotiate ")?;
        assert!(got.body.is_empty(), "tokens go alone");
        let answer = self.accept(&BASE64.decode(token.as_bytes()).unwrap());
        Some(match answer {
            Some(_) if self.done => Sent::reply(200, "", b""),
            Some(token) => {
                let header = format!("WWW-Authenticate: Negotiate {}\r\n", BASE64.encode(&token));
                Sent::reply(401, &header, b"")
            }
            None => Sent::reply(401, "WWW-Authenticate: Negotiate\r\n", b""),
        })
    }
}

fn hosts(mut answer: impl FnMut(&mut Host, Vec<u8>) -> Sent + Send + Clone + 'static) -> Server {
    Server::start(None, move || -> Handler {
        let mut host = Host::new();
        let mut answer = answer_of(&mut answer);
        Box::new(move |got| {
            if let Some(sent) = host.log_on(got) {
                return sent;
            }
            if !host.done {
                return Sent::reply(401, "WWW-Authenticate: Negotiate\r\n", b"");
            }
            let message = host.unseal(&got.body);
            answer(&mut host, message)
        })
    })
}

fn answer_of<F: Clone>(answer: &mut F) -> F {
    answer.clone()
}

#[test]
fn messages_are_encrypted_one_after_the_other() {
    let server = hosts(|host, message| host.seal(&[b"<e>", &message[..], b"</e>"].concat()));
    let mut client = plain(server.port, "LAB\\backup", "geheim");
    let long = vec![b'x'; 100_000];
    for message in [&b"<m1/>"[..], b"<m2/>", &long] {
        let reply = client.exchange(message, PATIENCE).unwrap();
        assert_eq!(reply, [b"<e>", message, b"</e>"].concat());
    }
    let shape = [(1, false), (1, false), (1, true), (1, true), (1, true)];
    assert_eq!(
        server.shape(),
        shape,
        "two tokens, three messages, one connection"
    );
    let got = server.got.lock().unwrap();
    assert_eq!(got[2].header("authorization"), None);
    assert!(
        got.iter()
            .all(|got| !got.body.windows(3).any(|w| w == b"<m1")),
        "nothing in clear"
    );
}

#[test]
fn a_wrong_password_is_told_as_such() {
    let server = hosts(|host, message| host.seal(&message));
    let error = plain(server.port, "LAB\\backup", "falsch")
        .exchange(b"<m/>", PATIENCE)
        .unwrap_err();
    assert!(
        matches!(&error.problem, TransportProblem::Unauthorized { offered } if offered == "Negotiate"),
        "{error}"
    );
    assert!(!error.maybe_sent && !error.is_transient());
    assert!(!error.to_string().contains("falsch"));
}

#[test]
fn an_answer_in_clear_is_not_believed() {
    let server = hosts(|_, _| Sent::soap("<forged/>"));
    let error = plain(server.port, "LAB\\backup", "geheim")
        .exchange(b"<m/>", PATIENCE)
        .unwrap_err();
    assert!(error.to_string().contains("not believed"), "{error}");
    let altered = hosts(|host, message| {
        let mut sent = host.seal(&message);
        // Within the encrypted bytes, which end before the last boundary.
        let at = sent.bytes.len() - b"--Encrypted Boundary--\r\n".len() - 1;
        sent.bytes[at] ^= 1;
        sent
    });
    let error = plain(altered.port, "LAB\\backup", "geheim")
        .exchange(b"<m/>", PATIENCE)
        .unwrap_err();
    assert!(
        matches!(error.problem, TransportProblem::Security(_)),
        "{error}"
    );
    assert!(error.maybe_sent);
    let replayed = {
        let mut first: Option<Sent> = None;
        hosts(move |host, message| first.get_or_insert_with(|| host.seal(&message)).clone())
    };
    let mut client = plain(replayed.port, "LAB\\backup", "geheim");
    client.exchange(b"<m/>", PATIENCE).unwrap();
    assert!(
        client.exchange(b"<m/>", PATIENCE).is_err(),
        "the same answer twice"
    );
}

#[test]
fn a_forgotten_logon_is_made_again_for_what_may_be_sent_twice() {
    let server = Server::start(None, || {
        let mut host = Host::new();
        let mut messages = 0;
        Box::new(move |got| {
            if let Some(sent) = host.log_on(got) {
                return sent;
            }
            messages += 1;
            if messages > 1 {
                return Sent::reply(401, "WWW-Authenticate: Negotiate\r\n", b"").closing();
            }
            let message = host.unseal(&got.body);
            host.seal(&message)
        })
    });
    let mut client = plain(server.port, "LAB\\backup", "geheim");
    assert_eq!(client.exchange(b"<m1/>", PATIENCE).unwrap(), b"<m1/>");
    // That the host refused it is said in clear: somebody else may say so, and pass it on.
    let error = client.exchange(b"<m2/>", PATIENCE).unwrap_err();
    assert!(error.maybe_sent && error.is_transient(), "{error:?}");
    assert_eq!(client.exchange(b"<m2/>", PATIENCE).unwrap(), b"<m2/>");
    let second = server
        .shape()
        .iter()
        .filter(|(connection, _)| *connection == 2)
        .count();
    assert_eq!(second, 3, "logged on and sent again on a second connection");
}

/// The oracle's process, which ends with the test.
struct Oracle {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Oracle {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

fn oracle(name: &str, tls: Option<(&str, &str, &[u8])>) -> Option<Oracle> {
    let python = testkit::vhd::oracle::python(name, "spnego")?;
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users");
    std::fs::write(&users, "LAB:backup:gehéim\n").unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracles/winrm_server.py");
    let mut command = Command::new(python.program());
    command.arg(script).arg(&users);
    if let Some((certificate, key, binding)) = tls {
        for (file, text) in [("certificate.pem", certificate), ("key.pem", key)] {
            std::fs::write(folder.path().join(file), text).unwrap();
            command.arg(folder.path().join(file));
        }
        command.arg(data_encoding::HEXLOWER.encode(binding));
    }
    let mut process = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    Some(Oracle {
        port: line.trim().parse().unwrap(),
        process,
        _folder: folder,
    })
}

#[test]
fn pyspnego_agrees_on_logon_and_encryption() {
    let Some(oracle) = oracle("cim ntlm: pyspnego over http", None) else {
        return;
    };
    let mut client = plain(oracle.port, "LAB\\backup", "gehéim");
    for n in 0..20_usize {
        let message = format!("<m n='{n}'>{}</m>", "ä".repeat(n * n * 50));
        let reply = client.exchange(message.as_bytes(), PATIENCE).unwrap();
        assert_eq!(reply, format!("<e>{message}</e>").into_bytes());
    }
    let error = plain(oracle.port, "LAB\\backup", "gehEim")
        .exchange(b"<m/>", PATIENCE)
        .unwrap_err();
    assert!(
        matches!(error.problem, TransportProblem::Unauthorized { .. }),
        "{error}"
    );
}

#[test]
fn pyspnego_agrees_on_the_channel_binding() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let base64 = |der: &[u8], what: &str| {
        format!(
            "-----BEGIN {what}-----\n{}\n-----END {what}-----\n",
            BASE64.encode(der)
        )
    };
    let der = made.cert.der();
    let certificate = base64(der, "CERTIFICATE");
    let key = base64(&made.signing_key.serialize_der(), "PRIVATE KEY");
    let binding = |der: &[u8]| {
        let hash = ring::digest::digest(&ring::digest::SHA256, der);
        [b"tls-server-end-point:", hash.as_ref()].concat()
    };
    let trust = Trust::from_pem(certificate.as_bytes()).unwrap();
    let ask = |oracle: &Oracle| {
        let endpoint = Endpoint::https("localhost", Some(oracle.port)).unwrap();
        client(endpoint, trust.clone(), "LAB\\backup", "gehéim").exchange(b"<m/>", PATIENCE)
    };
    let name = "cim ntlm: pyspnego over tls";
    let Some(right) = oracle(name, Some((&certificate, &key, &binding(der)))) else {
        return;
    };
    assert_eq!(ask(&right).unwrap(), b"<e><m/></e>");
    let Some(wrong) = oracle(name, Some((&certificate, &key, &binding(b"another")))) else {
        return;
    };
    assert!(ask(&wrong).is_err(), "a logon for another connection");
}
