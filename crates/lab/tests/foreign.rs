//! Clients that we did not write ask the lab: pypsrp and pywinrm, with their own headers, logons
//! and encryption.

mod support;

use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::{Lab, PASSWORD, PLAIN};

/// What a client was told, or `None` where it is not there.
fn ask(
    lab: &Lab,
    client: &str,
    module: &str,
    scheme: &str,
    user: &str,
) -> Option<Result<Value, String>> {
    let test = format!("lab foreign: {client} over {scheme}");
    let python = testkit::vhd::oracle::python(&test, module)?;
    let password = lab.folder().join("password");
    let secret = if user.ends_with("admin") {
        PLAIN
    } else {
        PASSWORD
    };
    std::fs::write(&password, secret).unwrap();
    let port = lab.server.address().port().to_string();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracles/foreign.py");
    let output = Command::new(python.program())
        .args([script, client, scheme, &port, user])
        .arg(&password)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    if output.status.success() {
        return Some(Ok(serde_json::from_slice(&output.stdout).unwrap()));
    }
    Some(Err(String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// What is the same whoever asks.
fn judge(said: &Value) {
    assert_eq!(said["identify"]["ProductVendor"], "Microsoft Corporation");
    assert_eq!(
        said["identify"]["ProductVersion"],
        "OS: 10.0.20348 SP: 0.0 Stack: 3.0"
    );
    let systems = said["systems"].as_array().unwrap();
    let names: Vec<_> = systems
        .iter()
        .map(|s| s["ElementName"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["HV01", "wéb & <co>", "off"]);
    assert_eq!(
        said["contexts"],
        json!([1, 1]),
        "three systems, two at once"
    );
    assert_eq!(said["slowly"], 3);
    // Null, an array of one, date and time, a number.
    assert_eq!(systems[0]["InstallDate"], Value::Null);
    assert_eq!(systems[1]["OperationalStatus"], "2");
    assert!(systems[1]["InstallDate"].as_str().unwrap().ends_with('Z'));
    assert_eq!(systems[2]["EnabledState"], "3");
    assert_eq!(said["vm"]["Name"], systems[1]["Name"]);
    let parts = json!({"EnabledState": "2", "Name": systems[1]["Name"]});
    let fragment = "{http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd}XmlFragment";
    assert_eq!(said["some"], json!([[fragment, parts]]));
    assert_eq!(
        said["settings"][0]["VirtualSystemType"],
        "Microsoft:Hyper-V:System:Realized"
    );
    // Besides those of VMs there are the host's own definitions of what a new one is like.
    let paths = said["paths"].as_array().unwrap().iter();
    let is_default = |path: &&Value| path.to_string().contains("Definition");
    let (defaults, paths): (Vec<_>, Vec<_>) = paths.partition(is_default);
    assert_eq!(defaults.len(), 2);
    let id = paths[0]["selectors"][0][1].as_str().unwrap();
    assert_eq!(paths.len(), 3);
    assert!(
        id.starts_with("Microsoft:") && !id.contains("\\\\") && id.ends_with("\\L"),
        "{id}"
    );
    assert_eq!(
        said["both"],
        json!(["Msvm_VirtualSystemSnapshotService", "EndpointReference"])
    );
    assert_eq!(said["create"]["ReturnValue"], "4096");
    assert_eq!(said["create"]["ResultingSnapshot"], Value::Null);
    let states: Vec<u64> = said["states"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s.as_u64().unwrap())
        .collect();
    assert_eq!(states, [2, 4, 7]);
    assert_eq!(said["job"]["TimeBeforeRemoval"], "P0DT0H5M0S");
    assert_eq!(said["job"]["ErrorDescription"], "", "empty, not null");
    let kinds = &said["checkpoints"][0]["VirtualSystemType"];
    assert_eq!(kinds, "Microsoft:Hyper-V:Snapshot:Recovery");
}

/// A host whose time passes with the looks at the job: half of it with each one but the first. What
/// is looked at before is a VM.
fn start(tls: bool) -> Lab {
    let half = r#"{"on": "Get", "skip": SKIP, "before": [{"time-passes-s": 50}]}"#;
    let halves = [2, 0].map(|skip: u8| half.replace("SKIP", &skip.to_string()));
    let long = support::SCENARIO.replace(r#""checkpoint-ms": 100,"#, r#""checkpoint-ms": 100000,"#);
    let mishaps = format!(r#"{{"mishaps": [{}],"#, halves.join(","));
    Lab::of(&long.replacen('{', &mishaps, 1), tls)
}

fn faults(said: &Value, with_subcodes: bool) {
    let expected = [
        ("class", 0x8004_1010_u32, "a:DestinationUnreachable"),
        ("query", 0x8004_1017, "n:CannotProcessFilter"),
        ("class with filter", 0x8033_801a, "n:CannotProcessFilter"),
        ("keys", 0x8033_805a, "w:InvalidSelectors"),
        ("gone", 0x8004_1002, "a:DestinationUnreachable"),
        ("parameter", 0x8033_8041, "w:SchemaValidationError"),
        ("type", 0x8033_8054, "w:InvalidParameter"),
        ("action", 0x8033_8013, "a:ActionNotSupported"),
    ];
    for (name, code, subcode) in expected {
        let told = &said["faults"][name];
        assert_eq!(told[0], code, "{name}");
        if with_subcodes {
            assert_eq!(told[1], subcode, "{name}");
        }
    }
}

#[test]
fn pypsrp_over_http_with_ntlm_and_encryption() {
    let lab = start(false);
    let Some(said) = ask(&lab, "pypsrp", "pypsrp", "http", "LAB\\Bäcker") else {
        return;
    };
    let said = said.unwrap();
    judge(&said);
    faults(&said, false);
}

#[test]
fn pypsrp_over_http_with_ntlm_within_spnego() {
    let lab = start(false);
    let Some(said) = ask(&lab, "wrapped", "pypsrp", "http", "LAB\\Bäcker") else {
        return;
    };
    judge(&said.unwrap());
}

#[test]
fn pypsrp_over_tls_with_basic() {
    let lab = start(true);
    let Some(said) = ask(&lab, "pypsrp", "pypsrp", "https", "admin") else {
        return;
    };
    let said = said.unwrap();
    judge(&said);
    faults(&said, false);
}

#[test]
fn pywinrm_over_http_with_ntlm_and_encryption() {
    let lab = start(false);
    let Some(said) = ask(&lab, "pywinrm", "winrm", "http", "LAB\\Bäcker") else {
        return;
    };
    let said = said.unwrap();
    judge(&said);
    faults(&said, true);
}

#[test]
fn pywinrm_over_tls_with_ntlm_bound_to_it() {
    let lab = start(true);
    let Some(said) = ask(&lab, "pywinrm", "winrm", "https", "HV01\\admin") else {
        return;
    };
    let said = said.unwrap();
    judge(&said);
    faults(&said, true);
}

#[test]
fn a_wrong_account_gets_nowhere() {
    let lab = start(false);
    for user in ["LAB\\niemand", "ANDERE\\Bäcker"] {
        let Some(said) = ask(&lab, "pypsrp", "pypsrp", "http", user) else {
            return;
        };
        let error = said.unwrap_err();
        assert!(error.contains("AuthenticationError"), "{error}");
    }
}
