//! A lab that listens, and the files around it.

#![allow(dead_code)]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use data_encoding::BASE64;
use hyperkeep_lab::SystemClock;
use hyperkeep_lab::scenario::Scenario;
use hyperkeep_lab::server::{Account, Identity, Server};
use hyperkeep_lab::wsman::Rights;

/// Jobs are quick here, and a page is small enough that answers have several.
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
    folder: tempfile::TempDir,
}

impl Lab {
    pub(crate) fn start(tls: bool) -> Self {
        Self::of(SCENARIO, tls)
    }

    pub(crate) fn of(scenario: &str, tls: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scenario = Scenario::read(scenario).unwrap();
        let host = scenario
            .build(folder.path(), Arc::new(SystemClock))
            .unwrap();
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
            folder,
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}
