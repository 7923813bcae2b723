//! Kerberos against MIT's: tickets from a KDC of our own, a server by python3-gssapi.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hyperkeep_cim::http::{Credentials, Endpoint, HttpTransport, Logon, Secret, Trust};
use hyperkeep_cim::{Transport, TransportError, TransportProblem};

const PATIENCE: Duration = Duration::from_secs(60);
const PYTHON: &str = "/usr/bin/python3";

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a program, and reads what it says until a line has `word` in it.
fn start(command: &mut Command, word: &str) -> (Process, String) {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut process = Process(child.unwrap());
    let mut told = String::new();
    let mut lines = BufReader::new(process.0.stdout.take().unwrap());
    while lines.read_line(&mut told).unwrap() > 0 && !told.contains(word) {}
    assert!(told.contains(word), "{command:?}: {told}");
    // Nobody else reads; what it says later must not stop it.
    std::thread::spawn(move || lines.read_to_end(&mut Vec::new()));
    (process, told)
}

struct Realm {
    folder: tempfile::TempDir,
    port: u16,
    _kdc: Process,
}

impl Realm {
    fn new(name: &str) -> Option<Self> {
        let gssapi = Command::new(PYTHON)
            .args(["-c", "import gssapi.raw"])
            .output();
        if !gssapi.is_ok_and(|out| out.status.success()) || !Path::new("/usr/sbin/krb5kdc").exists()
        {
            testkit::vhd::oracle::skip(name, "no krb5-kdc or no python3-gssapi");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().display();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        std::fs::write(
            folder.path().join("krb5.conf"),
            format!(
                "[libdefaults]\ndefault_realm = LAB.TEST\ndns_lookup_kdc = false\nrdns = false\n\
                 [realms]\nLAB.TEST = {{\nkdc = 127.0.0.1:{port}\n}}\n\
                 [domain_realm]\nlocalhost = LAB.TEST\n"
            ),
        )
        .unwrap();
        std::fs::write(
            folder.path().join("kdc.conf"),
            format!(
                "[kdcdefaults]\nkdc_listen = 127.0.0.1:{port}\nkdc_tcp_listen = 127.0.0.1:{port}\n\
                 [realms]\nLAB.TEST = {{\ndatabase_name = {at}/principal\nkey_stash_file = {at}/stash\n\
                 acl_file = {at}/acl\n}}\n"
            ),
        )
        .unwrap();
        let command = |program: &str| in_realm(folder.path(), program);
        let admin = |query: &str| {
            run(command("/usr/sbin/kadmin.local").args(["-r", "LAB.TEST", "-q", query]))
        };
        run(command("/usr/sbin/kdb5_util").args(["create", "-s", "-r", "LAB.TEST", "-P", "master"]));
        // As a domain has it: proof of the password before the first ticket.
        admin("addprinc +requires_preauth -pw gehéim backup");
        admin("addprinc -randkey HTTP/localhost");
        admin(&format!("ktadd -k {at}/keytab HTTP/localhost"));
        drop(free);
        let mut kdc = command("/bin/sh");
        kdc.args(["-c", "exec /usr/sbin/krb5kdc -n 2>&1"]);
        let (kdc, _) = start(&mut kdc, "starting");
        Some(Self {
            folder,
            port,
            _kdc: kdc,
        })
    }

    fn server(&self) -> (Process, u16) {
        let mut server = in_realm(self.folder.path(), PYTHON);
        server.arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/oracles/kerberos_server.py"
        ));
        let (process, told) = start(&mut server, "\n");
        (process, told.trim().parse().unwrap())
    }

    fn client(&self, port: u16, password: &str, service: &str) -> HttpTransport {
        let who = Credentials {
            user: "LAB.TEST\\backup".into(),
            password: Secret::new(password.into()),
        };
        let logon = Logon::Kerberos {
            kdc: format!("127.0.0.1:{}", self.port),
            service: service.into(),
        };
        let endpoint = Endpoint::http("localhost", Some(port)).unwrap();
        HttpTransport::new(endpoint, Trust::System, who, logon).unwrap()
    }
}

fn in_realm(folder: &Path, program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("KRB5_CONFIG", folder.join("krb5.conf"));
    command.env("KRB5_KDC_PROFILE", folder.join("kdc.conf"));
    command.env("KRB5_KTNAME", folder.join("keytab"));
    command.env("KRB5RCACHETYPE", "none");
    command
}

fn run(command: &mut Command) {
    let out = command.output().unwrap();
    assert!(
        out.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
}

#[test]
fn mit_agrees_on_logon_and_encryption() {
    let Some(realm) = Realm::new("cim kerberos") else {
        return;
    };
    let (_server, port) = realm.server();
    let mut client = realm.client(port, "gehéim", "HTTP");
    for n in 0..20_usize {
        let message = format!("<m n='{n}'>{}</m>", "ä".repeat(n * n * 50));
        let reply = client.exchange(message.as_bytes(), PATIENCE).unwrap();
        assert_eq!(reply, format!("<e>{message}</e>").into_bytes());
    }
    let refused = |client: &mut HttpTransport| -> TransportError {
        let error = client.exchange(b"<m/>", PATIENCE).unwrap_err();
        assert!(
            matches!(error.problem, TransportProblem::Security(_)),
            "{error}"
        );
        assert!(!error.maybe_sent);
        error
    };
    let error = refused(&mut realm.client(port, "gehEim", "HTTP"));
    assert!(!error.to_string().contains("gehEim"), "{error}");
    refused(&mut realm.client(port, "gehéim", "NOBODY"));
}

#[test]
fn no_kdc_is_told_as_such() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let kdc = free.local_addr().unwrap().to_string();
    drop(free);
    // Something to connect to, which is never asked anything.
    let host = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = Endpoint::http("localhost", Some(host.local_addr().unwrap().port())).unwrap();
    let who = Credentials {
        user: "LAB.TEST\\backup".into(),
        password: Secret::new("p".into()),
    };
    let logon = Logon::Kerberos {
        kdc: kdc.clone(),
        service: "HTTP".into(),
    };
    let mut client = HttpTransport::new(endpoint, Trust::System, who, logon).unwrap();
    let error = client.exchange(b"<m/>", PATIENCE).unwrap_err().to_string();
    assert!(
        error.contains(&format!("the KDC {kdc} does not answer")),
        "{error}"
    );
}
