//! The program: a host in its own process.

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Command, Stdio};

use cim::http::{Credentials, Endpoint, HttpTransport, Logon, Secret, Trust};
use cim::{CimSession, WsmanSession, random_ids};
use hyperkeep_lab::schema::HYPER_V;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_hyperkeep-lab"))
}

fn session(address: std::net::SocketAddr) -> WsmanSession {
    let who = Credentials {
        user: "LAB\\backup".into(),
        password: Secret::new("geheim".into()),
    };
    let endpoint = Endpoint::http("127.0.0.1", Some(address.port())).unwrap();
    let transport = HttpTransport::new(endpoint, Trust::System, who, Logon::Ntlm).unwrap();
    WsmanSession::new(Box::new(transport), Box::new(random_ids().unwrap()))
}

#[test]
fn it_listens_and_keeps_the_hosts_files_in_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("scenario.json");
    let text = r#"{"accounts": [{"user": "LAB\\backup", "password": "geheim"}],
        "vms": [{"name": "web", "disks": [{"path": "D:\\VMs\\web\\a.vhdx", "size": 4194304}]}],
        "mishaps": [{"on": "Enumerate", "skip": 1, "before": [
            {"takes-checkpoint": {"vm": "web", "name": "theirs", "kind": "recovery"}}]}]}"#;
    std::fs::write(&scenario, text).unwrap();
    let files = folder.path().join("host");
    let kept = folder.path().join("kept");
    let mut process = program()
        .arg("--keep-frozen")
        .args([&kept, &scenario, &files])
        .arg("127.0.0.1:0")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let address: std::net::SocketAddr = line.trim().parse().unwrap();
    let session = session(address);
    let disks = session
        .query(HYPER_V, "SELECT * FROM Msvm_StorageAllocationSettingData")
        .unwrap();
    let path: Vec<String> = disks[0].get_list("HostResource").unwrap();
    assert_eq!(path, ["D:\\VMs\\web\\a.vhdx"]);
    assert!(files.join("D/VMs/web/a.vhdx").is_file());
    // What a checkpoint for a backup freezes is kept, and nothing else.
    assert!(!kept.exists());
    let systems = "SELECT * FROM Msvm_ComputerSystem";
    session.query(HYPER_V, systems).unwrap();
    let of_vm = std::fs::read_dir(&kept).unwrap().next().unwrap().unwrap();
    let copy = of_vm.path().join("1/D/VMs/web/a.vhdx");
    assert_eq!(
        std::fs::read(copy).unwrap(),
        std::fs::read(files.join("D/VMs/web/a.vhdx")).unwrap()
    );
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
fn it_takes_orders_and_says_what_becomes_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("scenario.json");
    let text = r#"{"cluster": {"name": "CL1", "nodes": ["HV01", "HV02"]},
        "accounts": [{"user": "LAB\\backup", "password": "geheim"}]}"#;
    std::fs::write(&scenario, text).unwrap();
    let mut process = program()
        .arg("--orders")
        .args([&scenario, &folder.path().join("host")])
        .arg("127.0.0.1:0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut given = process.stdin.take().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut line = || lines.next().unwrap().unwrap();
    let addresses: [std::net::SocketAddr; 2] = [line(), line()].map(|a| a.parse().unwrap());
    let mut order = |order: &str| writeln!(given, "{order}").unwrap();
    for (wrong, why) in [
        ("", "cannot be read"),
        (r#"{"on": "Get"}"#, "nothing happens"),
        (r#"{"on": "Get", "node": "HV03", "does": "told"}"#, "HV03"),
        (r#"{"on": "Get", "does": "what?"}"#, "what?"),
    ] {
        order(wrong);
        let said = line();
        assert!(said.starts_with("refused ") && said.contains(why), "{said}");
    }
    for (node, address) in ["HV01", "HV02"].into_iter().zip(addresses) {
        let session = session(address);
        let look = || {
            let query = "SELECT * FROM Msvm_ComputerSystem";
            session.query(HYPER_V, query)
        };
        // The later order counts before the earlier one.
        order(&format!(
            r#"{{"on": "any", "node": "{node}", "times": 100, "does": "told"}}"#
        ));
        assert_eq!(line(), "ordered");
        order(&format!(
            r#"{{"on": "Enumerate", "node": "{node}", "does": {{"refused": "access-denied"}}}}"#
        ));
        assert_eq!(line(), "ordered");
        look().unwrap_err();
        look().unwrap();
        assert_eq!(line(), format!("told {node} Enumerate"));
        order("forget");
        assert_eq!(line(), "ordered");
        look().unwrap();
    }
    order("forget");
    assert_eq!(line(), "ordered", "it has said no more");
    // Who gives no more orders has a host all the same, and who reads nothing.
    order(r#"{"on": "any", "does": "told"}"#);
    drop((given, lines));
    let query = "SELECT * FROM Msvm_ComputerSystem";
    session(addresses[0]).query(HYPER_V, query).unwrap();
    process.kill().unwrap();
    process.wait().unwrap();
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
