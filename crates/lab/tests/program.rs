//! The program: a host in its own process.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use cim::http::{Credentials, Endpoint, HttpTransport, Logon, Secret, Trust};
use cim::{CimSession, WsmanSession, random_ids};
use hyperkeep_lab::schema::HYPER_V;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_hyperkeep-lab"))
}

#[test]
fn it_listens_and_keeps_the_hosts_files_in_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("scenario.json");
    let text = r#"{"accounts": [{"user": "LAB\\backup", "password": "geheim"}],
        "vms": [{"name": "web", "disks": [{"path": "D:\\VMs\\web\\a.vhdx", "size": 4194304}]}]}"#;
    std::fs::write(&scenario, text).unwrap();
    let files = folder.path().join("host");
    let mut process = program()
        .args([&scenario, &files])
        .arg("127.0.0.1:0")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let address: std::net::SocketAddr = line.trim().parse().unwrap();
    let who = Credentials {
        user: "LAB\\backup".into(),
        password: Secret::new("geheim".into()),
    };
    let endpoint = Endpoint::http("127.0.0.1", Some(address.port())).unwrap();
    let transport = HttpTransport::new(endpoint, Trust::System, who, Logon::Ntlm).unwrap();
    let session = WsmanSession::new(Box::new(transport), Box::new(random_ids().unwrap()));
    let disks = session
        .query(HYPER_V, "SELECT * FROM Msvm_StorageAllocationSettingData")
        .unwrap();
    let path: Vec<String> = disks[0].get_list("HostResource").unwrap();
    assert_eq!(path, ["D:\\VMs\\web\\a.vhdx"]);
    assert!(files.join("D/VMs/web/a.vhdx").is_file());
    process.kill().unwrap();
    process.wait().unwrap();
    // The folder is not taken over by chance: what is there is not made again.
    let again = program()
        .args([&scenario, &files])
        .arg("127.0.0.1:0")
        .output()
        .unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&again.stderr).contains("a.vhdx"),
        "{again:?}"
    );
}

#[test]
fn what_it_cannot_use_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad.json");
    std::fs::write(&bad, r#"{"vms": [{"name": "a", "colour": "red"}]}"#).unwrap();
    let missing = folder.path().join("missing.json");
    for (arguments, code, says) in [
        (vec![], 2, "usage"),
        (vec![&bad], 2, "usage"),
        (vec![&bad, &bad], 1, "colour"),
        (vec![&missing, &bad], 1, "missing.json"),
        (vec![&bad, &bad, &bad], 2, "no address"),
    ] {
        let output = program().args(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains(says), "{arguments:?}: {told}");
    }
}
