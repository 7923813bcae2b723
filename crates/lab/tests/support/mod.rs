//! A lab that listens, and the files around it.

#![allow(dead_code)]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cim::http::{Credentials, Endpoint, HttpTransport, Logon, Secret, Trust};
use cim::job::{self, JobEnd, Pace, Patience};
use cim::{CimError, CimSession, Instance, MethodResult, ObjectPath, WsmanSession};
use data_encoding::BASE64;
use hyperkeep_lab::scenario::Scenario;
use hyperkeep_lab::schema::HYPER_V;
use hyperkeep_lab::server::{Account, Identity, Server};
use hyperkeep_lab::wsman::Rights;
use hyperkeep_lab::{Clock, ManualClock};
use jiff::Timestamp;

/// Longer than any job takes, and all that follows it.
pub(crate) const A_WHILE: Duration = Duration::from_secs(1);

/// The host's time, which passes only while somebody waits.
#[derive(Clone)]
pub(crate) struct Time(pub(crate) ManualClock);

impl Time {
    pub(crate) fn new() -> Self {
        Self(ManualClock::new("2026-11-22T12:00:00Z".parse().unwrap()))
    }

    pub(crate) fn follow(&self, session: &WsmanSession, job: &ObjectPath) -> JobEnd {
        job::follow(session, job, self, &Patience::default(), &mut |_| ()).unwrap()
    }
}

impl Pace for Time {
    fn now(&self) -> Duration {
        let now = Clock::now(&self.0).duration_since(Timestamp::UNIX_EPOCH);
        now.try_into().unwrap()
    }

    fn sleep(&self, span: Duration) {
        self.0.advance(span);
    }
}

/// A page is small enough that answers have several.
pub(crate) const SCENARIO: &str = r#"{
    "accounts": [],
    "switches": ["LAN"],
    "vms": [
        {"name": "wéb & <co>", "disks": [{"path": "D:\\VMs\\web\\a.vhdx", "size": 8388608},
                                         {"path": "D:\\VMs\\web\\b.vhdx", "size": 4194304}],
         "adapters": [{"switch": "LAN"}]},
        {"name": "off", "generation": 1, "version": "5.0", "state": "off",
         "disks": [{"path": "D:\\VMs\\off\\a.vhdx", "size": 4194304}]}
    ],
    "rules": {"checkpoint-ms": 100, "destroy-ms": 40, "merge-ms": 40, "tracking-unit": 4096}
}"#;

/// Of the account of the domain, and of the host's own: what requests can send with Basic.
pub(crate) const PASSWORD: &str = "geh€im:mit \"allem\"";
pub(crate) const PLAIN: &str = "plain:pass word";

/// A host that listens, in a folder that goes with it.
pub(crate) struct Lab {
    pub(crate) server: Server,
    pub(crate) certificate: String,
    pub(crate) time: Time,
    folder: tempfile::TempDir,
}

impl Lab {
    pub(crate) fn start(tls: bool) -> Self {
        Self::of(SCENARIO, tls)
    }

    pub(crate) fn of(scenario: &str, tls: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scenario = Scenario::read(scenario).unwrap();
        let time = Time::new();
        let host = scenario.build(folder.path(), Arc::new(time.0.clone()));
        let host = host.unwrap();
        let account = |user: &str, password: &str, rights| Account {
            user: user.to_owned(),
            password: password.to_owned(),
            rights,
        };
        let accounts = vec![
            account("LAB\\Bäcker", PASSWORD, Rights::Administrator),
            account("admin", PLAIN, Rights::Administrator),
            account("gast", PLAIN, Rights::Filtered),
        ];
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let pem = |der: &[u8], what: &str| {
            format!(
                "-----BEGIN {what}-----\n{}\n-----END {what}-----\n",
                BASE64.encode(der)
            )
        };
        let certificate = pem(made.cert.der(), "CERTIFICATE");
        let key = pem(&made.signing_key.serialize_der(), "PRIVATE KEY");
        let identity = Identity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
        let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let service = scenario.service(host).unwrap();
        let server = Server::start(address, service, accounts, tls.then_some(identity)).unwrap();
        Self {
            server,
            certificate,
            time,
            folder,
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Our client's way to a lab.
pub(crate) fn transport(lab: &Lab, tls: bool, user: &str, password: &str) -> HttpTransport {
    transport_by(lab, lab.server.address().port(), tls, (user, password))
}

/// The same by a port that leads there.
pub(crate) fn transport_by(
    lab: &Lab,
    port: u16,
    tls: bool,
    (user, password): (&str, &str),
) -> HttpTransport {
    let port = Some(port);
    let (endpoint, trust, logon) = if tls {
        let trust = Trust::from_pem(lab.certificate.as_bytes()).unwrap();
        (Endpoint::https("localhost", port), trust, Logon::Basic)
    } else {
        (
            Endpoint::http("127.0.0.1", port),
            Trust::System,
            Logon::Ntlm,
        )
    };
    let who = Credentials {
        user: user.into(),
        password: Secret::new(password.into()),
    };
    HttpTransport::new(endpoint.unwrap(), trust, who, logon).unwrap()
}

/// Asks for a checkpoint of the VM “web”.
pub(crate) fn create(session: &WsmanSession) -> Result<MethodResult, CimError> {
    let query = "SELECT * FROM Msvm_ComputerSystem WHERE ElementName = 'web'";
    let vm = session.query_paths(HYPER_V, query)?.remove(0);
    let service = ObjectPath::new(HYPER_V, "Msvm_VirtualSystemSnapshotService");
    let inputs = Instance::new("")
        .with("AffectedSystem", vm)
        .with("SnapshotType", 32768_u16);
    session.invoke(&service, "CreateSnapshot", &inputs)
}

/// The checkpoints, once nothing is under way any more.
pub(crate) fn checkpoints(lab: &Lab) -> usize {
    lab.time.sleep(A_WHILE);
    let mut service = lab.server.service();
    let host = &mut service.repository.host;
    host.advance();
    let vm = &host.vms()[0];
    assert_eq!(vm.busy, None);
    vm.checkpoints.len()
}
