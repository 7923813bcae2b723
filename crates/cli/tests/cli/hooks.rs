//! Programs of people around the backup of a host's VM.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::bench::{Bench, vm};
use crate::lab::{Lab, scenario, texts};

/// A script beside the file that names it: it writes down what it learns, and ends with a code that
/// depends on when it runs.
fn write(bench: &Bench, failing: &str) {
    let script = format!(
        "#!/bin/sh\n\
         echo \"$HYPERKEEP_HOOK $HYPERKEEP_VM $HYPERKEEP_OUTCOME $1\" >> lines\n\
         env | grep -i passw >> secrets\n\
         echo the database is gone >&2\n\
         test \"$HYPERKEEP_HOOK\" != {failing}\n"
    );
    fs::write(bench.path("around.sh"), script).unwrap();
    let executable = fs::Permissions::from_mode(0o700);
    fs::set_permissions(bench.path("around.sh"), executable).unwrap();
    let hook = |moment| format!("[{moment}]\nprogram = './around.sh'\nargs = ['$HOME; x']\n");
    let all = ["before", "after-freeze", "after"].map(hook).concat();
    fs::write(bench.path("hooks.toml"), all).unwrap();
}

#[test]
fn a_hook_decides_about_a_backup_and_the_last_one_runs_on_every_path() {
    let bench = Bench::new();
    let vms = json!([{"name": "db", "disks": [{"path": "D:\\VMs\\db.vhdx", "size": 1 << 20}]}]);
    let lab = Lab::start(&bench, &scenario(vms, json!({})));
    let backup = lab.backup(&["--hooks", "hooks.toml"]);

    write(&bench, "after-freeze");
    let report = bench.run(&texts(&backup)).ends(1).json();
    let db = vm(&report, "db");
    assert_eq!(db["findings"][0]["code"], "hook", "{report:#}");
    let told = db["findings"][0]["message"].as_str().unwrap();
    assert!(told.contains("the database is gone"), "{told}");
    assert_eq!(lab.left(), [("db".to_owned(), 0, 0, 0)]);

    write(&bench, "never");
    let report = bench.run(&texts(&backup)).ends(0).json();
    assert!(vm(&report, "db")["point"].is_string(), "{report:#}");
    let lines = fs::read_to_string(bench.path("lines")).unwrap();
    let expected = "before db  $HOME; x\nafter-freeze db  $HOME; x\nafter db failed $HOME; x\n\
                    before db  $HOME; x\nafter-freeze db  $HOME; x\nafter db ok $HOME; x\n";
    assert_eq!(lines, expected);
    assert_eq!(fs::read_to_string(bench.path("secrets")).unwrap(), "");

    fs::write(bench.path("hooks.toml"), "[before]\nprogramme = 'x'\n").unwrap();
    bench.run(&texts(&backup)).ends(2);
}
