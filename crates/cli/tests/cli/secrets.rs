//! Secrets in the system's keyring: put there, used, removed, and shown by nothing.

use std::fs;

use serde_json::{Value, json};

use crate::bench::{Answer, Bench, PASSPHRASE};
use crate::lab::{Lab, PASSWORD, scenario};

/// The program, with no secret but what the keyring has.
fn run(bench: &Bench, args: &[&str]) -> Answer {
    let mut command = bench.command(args);
    command.env_remove("HYPERKEEP_PASSPHRASE_FILE");
    let answer = Answer::of(&command.output().unwrap());
    for secret in [PASSPHRASE, PASSWORD] {
        assert!(!format!("{answer:?}").contains(secret), "{args:?}");
    }
    answer
}

/// Whether there is a keyring that takes a secret.
fn usable(bench: &Bench) -> bool {
    fs::write(bench.path("wrong"), "not the passphrase").unwrap();
    let set = run(bench, &["secret", "set", "--from", "wrong"]);
    if set.code != 0 && set.err.contains("the system's keyring cannot be used") {
        // No tool is missing: many containers keep their programs from the kernel's keyring.
        eprintln!("skipped: keyring ({})", set.err.trim());
        return false;
    }
    set.ends(0);
    true
}

fn shown(bench: &Bench, which: &[&str]) -> (Value, Value) {
    let seen = run(bench, &[&["secret", "show", "--json"], which].concat());
    let seen = seen.ends(0).json();
    (seen["from"].clone(), seen["kept"].clone())
}

#[test]
fn a_vault_is_opened_by_what_the_keyring_has_until_it_is_removed() {
    let bench = Bench::new();
    let none = run(&bench, &["points"]).ends(1);
    assert!(none.err.contains("secret set"), "{none:?}");
    if !usable(&bench) {
        return;
    }
    assert_eq!(shown(&bench, &[]), (json!("keyring"), json!(true)));
    let wrong = run(&bench, &["points"]).ends(1);
    assert!(wrong.err.contains("secret remove"), "{wrong:?}");

    run(&bench, &["secret", "set", "--from", "passphrase"]).ends(0);
    run(&bench, &["points"]).ends(0);
    // The same vault, as it is named from where we are; and another one.
    run(&bench, &["--vault", "vault", "points"]).ends(0);
    let other = shown(&bench, &["--vault", "other"]);
    assert_eq!(other, (json!("terminal"), json!(false)));
    // What is given counts before it.
    run(&bench, &["--passphrase-file", "wrong", "points"]).ends(1);
    let given = shown(&bench, &["--passphrase-file", "wrong"]);
    assert_eq!(given, (json!("file"), json!(true)));

    fs::write(bench.path("second"), "another one").unwrap();
    let change = [
        "keys",
        "change-passphrase",
        "--new-passphrase-file",
        "second",
    ];
    let changed = run(&bench, &change).ends(0);
    assert!(changed.err.contains("still has the old"), "{changed:?}");
    run(&bench, &["points"]).ends(1);
    run(&bench, &["secret", "set", "--from", "second"]).ends(0);
    run(&bench, &["points"]).ends(0);

    run(&bench, &["secret", "remove"]).ends(0);
    assert_eq!(shown(&bench, &[]), (json!("terminal"), json!(false)));
    run(&bench, &["points"]).ends(1);
    run(&bench, &["secret", "remove"]).ends(1);
}

#[test]
fn an_account_logs_on_with_what_the_keyring_has() {
    let bench = Bench::new();
    let disk = json!([{"path": "D:\\VMs\\web\\a.vhdx", "size": 1 << 20}]);
    let vms = json!([{"name": "web", "disks": disk}]);
    let lab = Lab::start(&bench, &scenario(vms, json!({})));
    let host = format!("winrm+http://LAB\\backup@127.0.0.1:{}", lab.port);
    let hosts = format!("[hosts.hv01]\naddress = '{host}'\n");
    fs::write(bench.path("hosts.toml"), hosts).unwrap();
    let list = || bench_vms(&bench, &host);
    let none = list().ends(1);
    assert!(none.err.contains("secret set"), "{none:?}");
    if !usable(&bench) {
        return;
    }
    run(&bench, &["secret", "remove"]).ends(0);
    // By its name, which stands for the same account.
    let named = ["hv01", "--hosts", "hosts.toml"];
    let set = [&["secret", "set", "--from", "password"], &named[..]].concat();
    run(&bench, &set).ends(0);
    let from = (json!("keyring"), json!(true));
    assert_eq!(shown(&bench, &[&host]), from);
    list().ends(0);
    // Another account of the same host is another secret.
    let other = host.replace("backup", "other");
    assert_eq!(shown(&bench, &[&other]), (json!("terminal"), json!(false)));
    run(&bench, &["secret", "remove", &host]).ends(0);
    list().ends(1);
}

/// The VMs of a host, without a vault.
fn bench_vms(bench: &Bench, host: &str) -> Answer {
    let mut command = bench.command(&["vms", host]);
    command.env_remove("HYPERKEEP_PASSPHRASE_FILE");
    command.env_remove("HYPERKEEP_VAULT");
    Answer::of(&command.output().unwrap())
}
