//! A host whose disks are read from its shares: a real Samba in front of the simulated host's drive.

use std::fs;

use serde_json::json;
use testkit::image::noise;
use testkit::samba::{self, Samba};

use crate::bench::{Bench, files_below, vm};
use crate::lab::{Lab, scenario, texts};

const SIZE: usize = 4 << 20;

#[test]
fn a_host_is_backed_up_from_its_shares_and_not_begun_without_them() {
    let bench = Bench::new();
    // The folder is there before the simulated host fills it.
    let drive = bench.path("host/D");
    fs::create_dir_all(&drive).unwrap();
    let lines = format!(
        "server smb encrypt = required\n[D$]\npath = {}\nread only = yes",
        drive.display()
    );
    let Some(samba) = Samba::start("samba", &lines) else {
        return;
    };
    let mut disk = noise(1, SIZE);
    let mut images = Vec::new();
    for number in 0..4_u64 {
        let at = usize::try_from(number).unwrap() * 300 * 1024;
        disk[at..at + 4096].copy_from_slice(&noise(100 + number, 4096));
        let path = bench.path(&format!("web.{number}.img"));
        fs::write(&path, &disk).unwrap();
        images.push((path, disk.clone()));
    }
    let paths: Vec<_> = images.iter().map(|(path, _)| path).collect();
    let vms = json!([{
        "name": "web",
        "guest": {"name": "Windows Server 2022", "version": "10.0.20348", "platform": 2},
        "disks": [{"path": "D:\\VMs\\web\\web.vhdx", "size": SIZE,
                   "guest": {"images": paths, "every-ms": 300}}],
    }]);
    let accounts = json!([
        {"user": samba.user, "password": samba::PASSWORD},
        {"user": "LAB\\backup", "password": crate::lab::PASSWORD},
    ]);
    let lab = Lab::start(&bench, &scenario(vms, json!({"accounts": accounts})));
    fs::write(bench.path("password"), samba::PASSWORD).unwrap();
    let host = format!("winrm+http://{}@127.0.0.1:{}", samba.user, lab.port);
    let port = samba.port.to_string();
    let args = [
        "backup",
        &host,
        "--password-file",
        "password",
        "--state",
        "state",
        "--smb-port",
        &port,
        "--audit",
        "0",
        "--json",
    ];
    for how in ["full", "ranges"] {
        let report = bench.run(&args).ends(0).json();
        assert_eq!(report["outcome"], "ok", "{report:#}");
        let web = vm(&report, "web");
        assert_eq!(web["layers"][0]["reading"]["how"], how, "{web:#}");
        let point = web["point"].as_str().unwrap();
        let restored = bench.restore(point, &["--flatten", "--format", "raw"]);
        let files = files_below(&restored);
        let restored = fs::read(&files[0]).unwrap();
        assert!(
            images.iter().any(|(_, image)| *image == restored),
            "{how}: it is no whole image"
        );
        assert_eq!(lab_left(&lab), (0, 0, 1));
    }
    // Without its shares nothing is begun on the host.
    samba.kill();
    let answer = bench.run(&args[..args.len() - 1]).ends(1);
    assert!(
        answer.err.contains("no server of files answers") && answer.err.contains("--map"),
        "{answer:?}"
    );
    assert!(!format!("{answer:?}").contains(samba::PASSWORD));
    assert_eq!(lab_left(&lab), (0, 0, 1));
    samba.launch();
    // Nor with a server that does not take the account.
    let wrong: Vec<String> = args
        .iter()
        .map(|arg| {
            arg.replace(
                &host,
                &format!("winrm+http://LAB\\backup@127.0.0.1:{}", lab.port),
            )
        })
        .collect();
    fs::write(bench.path("password"), crate::lab::PASSWORD).unwrap();
    let answer = bench.run(&texts(&wrong)).ends(1);
    assert!(format!("{answer:?}").contains("logon of"), "{answer:?}");
    assert_eq!(lab_left(&lab), (0, 0, 1));
}

/// Recovery checkpoints, other checkpoints and reference points of the only VM.
fn lab_left(lab: &Lab) -> (usize, usize, usize) {
    let (_, ours, theirs, points) = lab.left().remove(0);
    (ours, theirs, points)
}
