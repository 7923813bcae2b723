//! A host whose disks are read from its shares: a real Samba in front of the simulated host's drive.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};
use testkit::image::noise;
use testkit::samba::{self, Samba};

use crate::bench::{Bench, vm};
use crate::host::{disk, raw};
use crate::lab::{Lab, scenario, texts};

const SIZE: usize = 4 << 20;
const FLAT: [&str; 3] = ["--flatten", "--format", "raw"];

/// Samba in front of the host's drive.
fn share(bench: &Bench) -> Option<Arc<Samba>> {
    // The folder is there before the simulated host fills it.
    let drive = bench.path("host/D");
    fs::create_dir_all(&drive).unwrap();
    let lines = format!(
        "server smb encrypt = required\n[D$]\npath = {}\nread only = yes",
        drive.display()
    );
    Samba::start("samba", &lines)
}

/// A host that knows Samba's account.
fn start(bench: &Bench, samba: &Samba, vms: Value, more: Value) -> Lab {
    let accounts = json!([
        {"user": samba.user, "password": samba::PASSWORD},
        {"user": "LAB\\backup", "password": crate::lab::PASSWORD},
    ]);
    let mut scenario = scenario(vms, more);
    scenario["accounts"] = accounts;
    let lab = Lab::that_keeps(bench, &scenario);
    fs::write(bench.path("password"), samba::PASSWORD).unwrap();
    lab
}

#[test]
fn a_host_is_backed_up_from_its_shares_and_not_begun_without_them() {
    let bench = Bench::new();
    let Some(samba) = share(&bench) else {
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
    let lab = start(&bench, &samba, vms, json!({}));
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
    for (number, how) in [(1, "full"), (2, "ranges")] {
        let report = bench.run(&args).ends(0).json();
        assert_eq!(report["outcome"], "ok", "{report:#}");
        let web = vm(&report, "web");
        assert_eq!(web["layers"][0]["reading"]["how"], how, "{web:#}");
        let point = web["point"].as_str().unwrap();
        let restored = bench.restore(point, &["--flatten", "--format", "raw"]);
        let frozen = lab.frozen("VMs/web/web.vhdx", number);
        assert!(raw(&restored) == frozen, "{how}: it is not the frozen disk");
        // Its guest had settled.
        let whole = images.iter().any(|(_, image)| *image == frozen);
        assert!(whole, "{how}: it is no whole image");
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

/// Passes bytes on to Samba, and kills it when so many of its answers have passed; then it starts
/// again.
struct Killer {
    port: u16,
    /// Bytes of its answers.
    passed: AtomicU64,
    killed: AtomicBool,
    /// Connections that were made to it after that.
    later: AtomicU64,
}

impl Killer {
    fn new(samba: &Arc<Samba>, after: u64) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let killer = Arc::new(Self {
            port: listener.local_addr().unwrap().port(),
            passed: AtomicU64::new(0),
            killed: AtomicBool::new(false),
            later: AtomicU64::new(0),
        });
        let (told, samba) = (Arc::clone(&killer), Arc::clone(samba));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                // While there is no server, who connects is sent away.
                let Ok(server) = TcpStream::connect(("127.0.0.1", samba.port)) else {
                    continue;
                };
                if told.killed.load(Ordering::SeqCst) {
                    told.later.fetch_add(1, Ordering::SeqCst);
                }
                let asks = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || pass(asks.0, asks.1, |_| ()));
                let (told, samba) = (Arc::clone(&told), Arc::clone(&samba));
                std::thread::spawn(move || {
                    pass(server, client, |bytes| {
                        let passed = told.passed.fetch_add(bytes, Ordering::SeqCst) + bytes;
                        if passed >= after && !told.killed.swap(true, Ordering::SeqCst) {
                            samba.kill();
                            samba.launch();
                        }
                    });
                });
            }
        });
        killer
    }
}

/// Passes bytes on until one side ends, and tells how many.
fn pass(mut from: TcpStream, mut to: TcpStream, told: impl Fn(u64)) {
    let mut buf = vec![0; 64 << 10];
    while let Ok(got @ 1..) = from.read(&mut buf) {
        told(got as u64);
        if to.write_all(&buf[..got]).is_err() {
            break;
        }
    }
    // Either may have ended already.
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

#[test]
fn a_backup_goes_on_when_its_server_of_files_was_killed_in_the_middle() {
    const SIZE: u64 = 16 << 20;
    let bench = Bench::new();
    let Some(samba) = share(&bench) else {
        return;
    };
    let vms = json!([{
        "name": "web",
        "disks": [{"path": "D:\\VMs\\web\\web.vhdx", "size": SIZE}],
        "checkpoints": [{"name": "theirs"}],
        "writes": [{"offset": 0, "length": SIZE, "seed": 7}],
    }]);
    // It goes on writing while it is backed up.
    let writes = json!({"writes": {"vm": "web", "what":
        {"offset": 1 << 20, "length": 65536, "seed": 8}}});
    let more = json!({"mishaps": [{"on": "ConvertToReferencePoint", "before": [writes]}]});
    let lab = start(&bench, &samba, vms, more);
    let now = || {
        let machine = lab.inventory().machines.remove(0);
        let path = &machine.settings.media[0].path["D:\\".len()..];
        disk(&lab, &lab.file(&path.replace('\\', "/")))
    };
    let killer = Killer::new(&samba, SIZE / 4);
    let host = format!("winrm+http://{}@127.0.0.1:{}", samba.user, lab.port);
    let port = killer.port.to_string();
    let words = ["backup", &host, "--password-file", "password"];
    let more = ["--state", "state", "--smb-port", &port, "--json"];
    let args = [&words[..], &more, &["--audit", "0", "--stagger", "0"]].concat();
    let mut before = now();
    for how in ["full", "ranges"] {
        let report = bench.run(&args).ends(0).json();
        assert_eq!(report["outcome"], "ok", "{report:#}");
        let web = vm(&report, "web");
        assert_eq!(web["layers"][0]["reading"]["how"], how, "{web:#}");
        let point = web["point"].as_str().unwrap();
        let restored = bench.restore(point, &["--flatten", "--format", "raw"]);
        assert!(raw(&restored) == before, "{how}: it is not the frozen disk");
        assert_eq!(lab_left(&lab), (0, 1, 1));
        let after = now();
        assert_eq!(after != before, how == "full", "it wrote meanwhile");
        before = after;
    }
    // The first one lost its server with most of the disk still to come.
    let count = |number: &AtomicU64| number.load(Ordering::SeqCst);
    assert!(killer.killed.load(Ordering::SeqCst) && count(&killer.later) > 0);
    assert!(count(&killer.passed) > SIZE);
}

/// Every way to read a VM, from the shares and from the same folder here.
#[test]
fn each_mode_reads_from_shares_what_it_reads_from_a_mapped_folder() {
    let bench = Bench::new();
    let Some(samba) = share(&bench) else {
        return;
    };
    let write = |seed: u64| json!({"offset": seed * 262_144, "length": 131_072, "seed": seed});
    let vms = json!([
        {"name": "tree", "state": "off", "tpm": true,
         "disks": [{"path": "D:\\VMs\\tree\\a.vhdx", "size": SIZE}],
         "checkpoints": [{"name": "first", "writes": [write(1)], "checkpoints": [
             {"name": "dead end", "writes": [write(2)]},
             {"name": "second", "writes": [write(3)], "now": true}]}],
         "writes": [write(4)]},
        {"name": "web", "tpm": true, "memory": 64,
         "disks": [{"path": "D:\\VMs\\web\\a.vhdx", "size": SIZE}],
         "writes": [{"offset": 0, "length": SIZE, "seed": 7}]},
    ]);
    let lab = start(&bench, &samba, vms, json!({"rules": {"export-ms": 40}}));
    let staging = lab.file("Staging");
    fs::create_dir(&staging).unwrap();
    let here = |path: &str| disk(&lab, &lab.file(&path["D:\\".len()..].replace('\\', "/")));
    let host = format!("winrm+http://{}@127.0.0.1:{}", samba.user, lab.port);
    let port = samba.port.to_string();
    let drive = format!("D:\\={}", lab.file("").display());
    let back_up = |way: &[&str], how: &[&str], name: &str| {
        let words = ["backup", &host, "--password-file", "password"];
        let more = ["--state", "state", "--level", "full", "--vm", name];
        let rest = ["--stagger", "0", "--json"];
        let args = [&words[..], &more, &rest, way, how].concat();
        let report = bench.run(&args).ends(0).json();
        assert_eq!(report["outcome"], "ok", "{how:?}: {report:#}");
        vm(&report, name).clone()
    };
    let show = |vm: &Value| {
        let point = vm["point"].as_str().unwrap();
        bench.run(&["show", point, "--json"]).ends(0).json()
    };
    for (how, name, mode) in [
        (&["--mode", "standard"][..], "web", "standard"),
        (&["--mode", "all-checkpoints"], "tree", "all-checkpoints"),
        (&["--memory", "--staging", "D:\\Staging"], "web", "export"),
    ] {
        let there = back_up(&["--smb-port", &port], how, name);
        let mapped = back_up(&["--smb", "off", "--map", &drive], how, name);
        let (shown, expected) = (show(&there), show(&mapped));
        assert_eq!(shown["mode"], mode, "{shown:#}");
        // Everything was read both times, and the second time nothing of it was new.
        let (layers, same) = (list(&there["layers"]), list(&mapped["layers"]));
        assert_eq!(layers.len(), same.len(), "{mode}");
        for (layer, same) in layers.iter().zip(same) {
            assert_eq!(layer["reading"]["how"], "full", "{layer:#}");
            assert_eq!(same["reading"]["how"], "full", "{same:#}");
            for stat in ["data", "read"] {
                assert_eq!(layer["stats"][stat], same["stats"][stat], "{mode}");
            }
            assert_eq!(same["stats"]["new"], 0, "{mode}: {same:#}");
        }
        assert_eq!(holds(&shown), holds(&expected), "{mode}");
        assert_eq!(shown["config"], expected["config"], "{mode}");
        assert_eq!(shown["not_covered"], expected["not_covered"], "{mode}");
        let machines = lab.inventory().machines;
        let machine = machines.iter().find(|machine| machine.name() == name);
        let machine = machine.unwrap();
        let now = here(&machine.settings.media[0].path);
        for of in [&there, &mapped] {
            let point = of["point"].as_str().unwrap();
            assert!(raw(&bench.restore(point, &FLAT)) == now, "{mode}");
        }
        let point = there["point"].as_str().unwrap();
        for checkpoint in &machine.checkpoints {
            let name = checkpoint.settings.config.name.as_str();
            let args = [&FLAT[..], &["--checkpoint", name]].concat();
            let then = here(&checkpoint.settings.media[0].path);
            assert!(raw(&bench.restore(point, &args)) == then, "{name}");
        }
    }
    assert_eq!(fs::read_dir(&staging).unwrap().count(), 0);
}

/// What a point holds, without the names that files have of the checkpoint they were read under.
fn holds(shown: &Value) -> Value {
    let mut holds = shown["holds"].clone();
    for file in holds["files"].as_array_mut().unwrap() {
        let path = file["path"].as_str().unwrap();
        let (folder, name) = path.rsplit_once('/').unwrap();
        let (_, ending) = name.split_once('.').unwrap();
        file["path"] = json!(format!("{folder}/….{ending}"));
    }
    holds
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

/// Recovery checkpoints, other checkpoints and reference points of the only VM.
fn lab_left(lab: &Lab) -> (usize, usize, usize) {
    let (_, ours, theirs, points) = lab.left().remove(0);
    (ours, theirs, points)
}
