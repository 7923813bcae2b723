//! A host over the real wire: backed up while its guests write, and restored.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
#[cfg(unix)]
use std::process::Stdio;

use disk::BlockRead;
use disk::resolve::{Folders, open_chain};
use serde_json::{Value, json};
use testkit::image::noise;

use crate::bench::{Answer, Bench, files_below, vm};
use crate::lab::{Lab, PASSWORD, scenario, texts};
#[cfg(unix)]
use crate::start::Start as _;

pub(crate) const SIZE: usize = 4 << 20;

/// Images that a guest goes through: the same disk with some pages more each time.
fn images(bench: &Bench, name: &str, seed: u64) -> Vec<(PathBuf, Vec<u8>)> {
    let mut disk = noise(seed, SIZE);
    let mut images = Vec::new();
    for number in 0..4_u64 {
        for page in 0..8 {
            let at = ((number * 37 + page * 101) as usize % (SIZE / 4096)) * 4096;
            disk[at..at + 4096].copy_from_slice(&noise(seed + number * 100 + page + 1, 4096));
        }
        let path = bench.path(&format!("{name}.{number}.img"));
        fs::write(&path, &disk).unwrap();
        images.push((path, disk.clone()));
    }
    images
}

fn guest(name: &str, images: &[(PathBuf, Vec<u8>)]) -> Value {
    let paths: Vec<&PathBuf> = images.iter().map(|(path, _)| path).collect();
    json!({
        "name": name,
        "guest": {"name": "Windows Server 2022", "version": "10.0.20348", "platform": 2},
        "disks": [{"path": format!("D:\\VMs\\{name}\\{name}.vhdx"), "size": SIZE,
                   "guest": {"images": paths, "every-ms": 300}}],
    })
}

/// The last page of a disk, which no image has otherwise.
const MARK: usize = SIZE - 4096;

/// Before a checkpoint ends, while its VM holds still and is being backed up, each guest writes its
/// mark, every time another one.
fn marks(names: &[&str], times: u64) -> Value {
    let mark = |name: &str, seed| {
        json!({"writes": {"vm": name, "what":
        {"offset": MARK, "length": 4096, "seed": seed}}})
    };
    let at = |seed| {
        let all: Vec<Value> = names.iter().map(|name| mark(name, seed)).collect();
        json!({"on": "ConvertToReferencePoint", "before": all})
    };
    (1..=times).map(at).collect()
}

/// The only disk below a folder, as raw bytes.
pub(crate) fn raw(folder: &Path) -> Vec<u8> {
    let files = files_below(folder);
    assert_eq!(files.len(), 1, "{files:?}");
    fs::read(&files[0]).unwrap()
}

pub(crate) fn backup(bench: &Bench, lab: &Lab, more: &[&str]) -> Value {
    let args = lab.backup(more);
    bench.run(&texts(&args)).ends(0).json()
}

#[test]
fn guests_that_never_stop_are_backed_up_by_what_changed_and_come_back_whole() {
    let bench = Bench::new();
    let guests = [("web", 1), ("db", 1000)].map(|(name, seed)| (name, images(&bench, name, seed)));
    let vms: Vec<Value> = guests.iter().map(|(name, all)| guest(name, all)).collect();
    let more = json!({"mishaps": marks(&["db", "web"], 6)});
    let lab = Lab::that_keeps(&bench, &scenario(json!(vms), more));

    let vms_of = |args: &[String]| bench.run(&texts(args)).ends(0).json();
    let mut list = vec!["vms".to_owned()];
    list.extend(lab.reach());
    list.push("--json".to_owned());
    let before = vms_of(&list);
    assert_eq!(vm(&before, "web")["consistency"], "application");
    assert_eq!(vm(&before, "web")["mode"], "cbt");
    assert_eq!(vm(&before, "web")["last_point"], Value::Null);

    let mut levels = Vec::new();
    let mut changed = 0;
    let mut seen: BTreeMap<&str, Vec<Vec<u8>>> = BTreeMap::new();
    for run in 0..3 {
        // One after the other, and side by side.
        let parallel = ["1", "2", "2"][run];
        let report = backup(&bench, &lab, &["--audit", "0", "--parallel", parallel]);
        assert_eq!(report["outcome"], "ok", "{report:#}");
        for (name, images) in &guests {
            let vm = vm(&report, name);
            assert_eq!(vm["consistency"], "application", "{vm:#}");
            let layer = &vm["layers"][0];
            levels.push(layer["reading"]["how"].clone());
            if run > 0 {
                // Four images differ in 32 pages of 1024, and there is the mark.
                let read = layer["stats"]["read"].as_u64().unwrap();
                assert!((4096..=80 * 4096 * 2).contains(&read), "{layer:#}");
                changed += read;
            }
            let point = vm["point"].as_str().unwrap();
            let restored = bench.restore(point, &["--flatten", "--format", "raw"]);
            let restored = raw(&restored);
            let frozen = lab.frozen(&format!("VMs/{name}/{name}.vhdx"), run + 1);
            assert!(
                restored == frozen,
                "{name}, run {run}: it is not the frozen disk"
            );
            // The guest settled, so the frozen disk is one of its images and nothing between.
            let is = |image: &Vec<u8>| image[..MARK] == restored[..MARK];
            let whole = images.iter().any(|(_, image)| is(image));
            assert!(whole, "{name}, run {run}: it is no whole image");
            seen.entry(name)
                .or_default()
                .push(restored[MARK..].to_vec());
        }
        let left = lab.left();
        let ours = [("db", 0, 0, 1), ("web", 0, 0, 1)];
        assert_eq!(left, ours.map(|(n, a, b, c)| (n.to_owned(), a, b, c)));
    }
    assert!(changed > 4 * 4096, "guests write of themselves as well");
    // What was written while a VM held still is not in that point, and is in the next one.
    for (name, images) in &guests {
        let marks = &seen[name];
        assert!(marks[0] == images[0].1[MARK..] || *name == "web");
        let differ = marks.windows(2).all(|two| two[0] != two[1]);
        assert!(differ, "{name}: it wrote while it was backed up");
    }
    assert_eq!(
        levels,
        ["full", "full", "ranges", "ranges", "ranges", "ranges"]
    );
    let journals = files_below(&bench.path("state"));
    assert!(
        journals.iter().all(|file| file.extension().is_none()),
        "no journal is left: {journals:?}"
    );
    let after = vms_of(&list);
    assert!(vm(&after, "db")["last_point"].is_string());
    bench.run(&["check", "--read-data"]).ends(0);
}

/// The disk that a file of the host is, with its parents.
pub(crate) fn disk(lab: &Lab, path: &Path) -> Vec<u8> {
    let files = Folders::new().mount("D:\\", lab.file(""));
    let chain = open_chain(&files, path).unwrap();
    let mut bytes = vec![0; usize::try_from(chain.len()).unwrap()];
    chain.read_at(0, &mut bytes).unwrap();
    bytes
}

#[test]
fn a_tree_of_checkpoints_comes_back_with_each_of_them() {
    let bench = Bench::new();
    let write = |seed: u64| json!({"offset": seed * 262_144, "length": 131_072, "seed": seed});
    let tree = json!([{
        "name": "tree", "state": "off", "tpm": true,
        "disks": [{"path": "D:\\VMs\\tree\\a.vhdx", "size": SIZE}],
        "checkpoints": [{"name": "first", "writes": [write(1)], "checkpoints": [
            {"name": "dead end", "writes": [write(2)]},
            {"name": "second", "writes": [write(3)], "now": true}]}],
        "writes": [write(4)],
    }]);
    let lab = Lab::start(&bench, &scenario(tree, json!({})));
    let machine = lab.inventory().machines.remove(0);
    let local = |host: &str| lab.file(&host["D:\\".len()..].replace('\\', "/"));
    let now = disk(&lab, &local(&machine.settings.media[0].path));

    let first = backup(&bench, &lab, &["--mode", "all-checkpoints"]);
    assert_eq!(first["outcome"], "ok", "{first:#}");
    let second = backup(&bench, &lab, &["--mode", "all-checkpoints"]);
    let layers = vm(&second, "tree")["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 4);
    for layer in layers {
        assert_ne!(layer["reading"]["how"], "full", "{layer:#}");
    }
    for report in [&first, &second] {
        let point = vm(report, "tree")["point"].as_str().unwrap();
        let flat = ["--flatten", "--format", "raw"];
        assert!(raw(&bench.restore(point, &flat)) == now);
        // Under a recovery checkpoint each file of a checkpoint is at rest.
        for checkpoint in &machine.checkpoints {
            let name = checkpoint.settings.config.name.as_str();
            let host = disk(&lab, &local(&checkpoint.settings.media[0].path));
            let args = [&flat[..], &["--checkpoint", name]].concat();
            assert!(raw(&bench.restore(point, &args)) == host, "{name}");
        }
        let show = bench.run(&["show", point, "--json"]).ends(0).json();
        assert_eq!(show["mode"], "all-checkpoints", "{show:#}");
        let listed = bench.run(&["ls", point]).ends(0).out;
        assert!(!listed.contains("Hyperkeep"), "{listed}");
        assert!(listed.contains(".vmgs.keyprotector"), "{listed}");
    }
    assert_eq!(lab.left(), [("tree".to_owned(), 0, 3, 1)]);
}

/// Lines of all journals.
pub(crate) fn written(bench: &Bench) -> usize {
    let journals = files_below(&bench.path("state/hosts"));
    let journals = journals.iter().filter(|file| file.extension().is_some());
    let text = journals.map(|file| fs::read_to_string(file).unwrap_or_default());
    text.map(|text| text.lines().count()).sum()
}

/// Asked to stop while the host takes a checkpoint.
#[cfg(unix)]
#[test]
fn a_backup_that_is_asked_to_stop_leaves_nothing() {
    let bench = Bench::new();
    let disk = |name| json!([{"path": format!("D:\\VMs\\{name}.vhdx"), "size": SIZE}]);
    let vms = json!([{"name": "a", "disks": disk("a")}, {"name": "b", "disks": disk("b")}]);
    let slow = json!({"rules": {"checkpoint-ms": 3000}});
    let lab = Lab::start(&bench, &scenario(vms, slow));
    let args = lab.backup(&[]);
    let mut child = bench
        .command(&texts(&args))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .start();
    while child.try_wait().unwrap().is_none() && written(&bench) < 3 {
        std::thread::yield_now();
    }
    let interrupt = std::process::Command::new("sh")
        .args(["-c", "kill -INT \"$0\"", &child.id().to_string()])
        .status();
    assert!(interrupt.unwrap().success());
    let answer = Answer::of(&child.wait_with_output().unwrap()).ends(6);
    let report = answer.json();
    for name in ["a", "b"] {
        assert_eq!(vm(&report, name)["outcome"], "cancelled", "{report:#}");
    }
    let none = [("a", 0, 0, 0), ("b", 0, 0, 0)];
    assert_eq!(lab.left(), none.map(|(n, a, b, c)| (n.to_owned(), a, b, c)));
    assert_eq!(written(&bench), 0);
}

/// However much is read, and whatever was in between, one reference point is ours: the newest point's.
#[test]
fn backups_in_full_leave_no_more_than_one_reference_point() {
    let bench = Bench::new();
    let vms = json!([{"name": "web", "disks": [{"path": "D:\\VMs\\web\\a.vhdx", "size": SIZE}]}]);
    let lab = Lab::start(&bench, &scenario(vms, json!({})));
    for level in ["full", "full", "incremental", "full"] {
        backup(&bench, &lab, &["--level", level]);
        assert_eq!(lab.left(), [("web".to_owned(), 0, 0, 1)], "{level}");
    }
    // A run that can read no disk leaves the newest point and its reference point as they are.
    let before = lab.inventory().machines[0].reference_points.clone();
    fs::create_dir(bench.path("empty")).unwrap();
    let mut args = vec!["backup".to_owned()];
    args.extend(lab.reach());
    args.extend(["--map", "D:\\=empty", "--json"].map(str::to_owned));
    bench.run(&texts(&args)).ends(1);
    assert_eq!(lab.inventory().machines[0].reference_points, before);
    let next = backup(&bench, &lab, &[]);
    assert_eq!(
        vm(&next, "web")["layers"][0]["reading"]["how"],
        "ranges",
        "{next:#}"
    );
}

#[test]
fn a_change_that_the_host_does_not_tell_is_found_and_healed() {
    let bench = Bench::new();
    let write = json!({"writes": {"vm": "web", "what":
        {"offset": 98304, "length": 8192, "seed": 99}}});
    let vms = json!([{"name": "web", "disks": [{"path": "D:\\VMs\\web\\a.vhdx", "size": SIZE}],
        "checkpoints": [{"name": "theirs"}],
        "writes": [{"offset": 0, "length": SIZE, "seed": 7}]}]);
    // Nothing that the guest writes is tracked.
    let more = json!({"rules": {"missed-writes": 1000},
        "mishaps": [{"on": "CreateSnapshot", "skip": 1, "before": [write]}]});
    let lab = Lab::start(&bench, &scenario(vms, more));
    backup(&bench, &lab, &[]);
    // The first sweep begins where the disk does.
    let args = lab.backup(&[]);
    let report = bench.run(&texts(&args)).json();
    let web = vm(&report, "web");
    assert_eq!(web["outcome"], "warning", "{web:#}");
    let found = web["findings"].as_array().unwrap();
    assert!(
        found.iter().any(|f| f["code"] == "changes-missed"),
        "{web:#}"
    );
    assert_eq!(web["layers"][0]["reading"]["how"], "full");
    let point = web["point"].as_str().unwrap();
    let restored = raw(&bench.restore(point, &["--flatten", "--format", "raw"]));
    let machine = lab.inventory().machines.remove(0);
    let host = |path: &str| disk(&lab, &lab.file(&path["D:\\".len()..].replace('\\', "/")));
    assert!(restored == host(&machine.settings.media[0].path));
    // Nothing of ours is there but what the next one asks by, and theirs is as it was.
    assert_eq!(lab.left(), [("web".to_owned(), 0, 1, 1)]);
    let theirs = &machine.checkpoints[0].settings;
    assert_eq!(theirs.config.name, "theirs");
    assert!(host(&theirs.media[0].path).iter().all(|byte| *byte == 0));
    let next = backup(&bench, &lab, &["--audit", "0"]);
    assert_eq!(vm(&next, "web")["level"], "incremental", "{next:#}");
}

#[test]
fn a_host_that_is_not_to_be_had_and_secrets_stay_where_they_are() {
    let bench = Bench::new();
    let vms = json!([{"name": "web", "disks": [{"path": "D:\\VMs\\web\\a.vhdx", "size": SIZE}]}]);
    let lab = Lab::start(&bench, &scenario(vms, json!({})));
    // Nothing is mapped: nothing is begun.
    let mut bare = vec!["backup".to_owned()];
    bare.extend(lab.reach());
    let answer = bench.run(&texts(&bare)).ends(2);
    assert!(answer.err.contains("--map"), "{answer:?}");
    // A folder that is not the one: no disk, and that is said.
    fs::create_dir(bench.path("elsewhere")).unwrap();
    bare.extend([
        "--map".to_owned(),
        "E:\\=elsewhere".to_owned(),
        "--json".to_owned(),
    ]);
    // There is no point without a disk: it would be the newest one.
    let report = bench.run(&texts(&bare)).ends(1).json();
    let web = vm(&report, "web");
    assert_eq!(
        (&web["outcome"], &web["point"]),
        (&json!("failed"), &Value::Null)
    );
    let found = web["findings"].as_array().unwrap();
    assert!(
        found.iter().any(|f| f["code"] == "disk-unreadable"),
        "{report:#}"
    );
    assert_eq!(lab.left()[0].1, 0);
    // A wrong password.
    fs::write(bench.path("password"), "wrong\n").unwrap();
    let args = lab.backup(&[]);
    let answer = bench.run(&texts(&args)).ends(1);
    assert!(!format!("{answer:?}").contains("wrong\n"), "{answer:?}");
    // Two runs at once.
    fs::write(bench.path("password"), PASSWORD).unwrap();
    let folders = fs::read_dir(bench.path("state/hosts")).unwrap();
    let lock = folders.last().unwrap().unwrap().path().join("lock");
    let held = fs::File::open(lock).unwrap();
    held.lock().unwrap();
    let args = lab.backup(&[]);
    let answer = bench.run(&texts(&args)).ends(1);
    assert!(answer.err.contains("another run"), "{answer:?}");
}

/// The commonest first failure: the host has VMs, and the account is shown none.
#[test]
fn an_account_that_is_shown_no_vms_is_a_warning_and_not_an_empty_host() {
    let bench = Bench::new();
    let vms = json!([{"name": "web", "disks": [{"path": "D:\\VMs\\web\\a.vhdx", "size": SIZE}]}]);
    let accounts = json!({"accounts": [
        {"user": "LAB\\nobody", "password": PASSWORD, "filtered": true}]});
    let lab = Lab::start(&bench, &scenario(vms, accounts));
    let address = format!("winrm+http://LAB\\nobody@127.0.0.1:{}", lab.port);
    let reach = ["--password-file", "password", "--smb", "off", "--json"];
    for command in ["vms", "doctor"] {
        let mut look = bench.command(&[&[command, address.as_str()][..], &reach].concat());
        look.env_remove("HYPERKEEP_VAULT");
        let told = Answer::of(&look.output().unwrap()).ends(3).json();
        let found = told["findings"].as_array().unwrap();
        let warns = |f: &Value| {
            let message = f["message"].as_str().unwrap();
            f["severity"] == "warning" && message.contains("no VMs were seen")
        };
        assert!(found.iter().any(warns), "{command}: {told:#}");
    }
}

#[test]
fn over_tls_a_pinned_certificate_will_do_and_another_will_not() {
    let bench = Bench::new();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let pem = |der: &[u8], what: &str| {
        let base64 = data_encoding::BASE64.encode(der);
        format!("-----BEGIN {what}-----\n{base64}\n-----END {what}-----\n")
    };
    let key = made.signing_key.serialize_der();
    fs::write(bench.path("cert.pem"), pem(made.cert.der(), "CERTIFICATE")).unwrap();
    fs::write(bench.path("key.pem"), pem(&key, "PRIVATE KEY")).unwrap();
    let pin = vault_format::ObjectHash::of(made.cert.der()).to_string();
    let vms = json!([{"name": "web", "disks": [{"path": "D:\\VMs\\web\\a.vhdx", "size": SIZE}]}]);
    let tls = json!({"tls": {"certificate": "cert.pem", "key": "key.pem"}});
    let lab = Lab::start(&bench, &scenario(vms, tls));
    let address = format!("winrm://local@localhost:{}", lab.port);
    let list = |auth: &str, pin: &str| {
        let reach = ["--auth", auth, "--pin", pin, "--password-file", "password"];
        bench.run(&[&["vms", address.as_str(), "--json"][..], &reach].concat())
    };
    for auth in ["basic", "negotiate"] {
        let found = list(auth, &pin).ends(0).json();
        assert_eq!(vm(&found, "web")["state"], "running", "{auth}");
    }
    let other = list("basic", &"00".repeat(32)).ends(1);
    assert!(other.out.contains("certificate"), "{other:?}");
    let plain = format!("winrm+http://local@localhost:{}", lab.port);
    let basic = ["--auth", "basic", "--password-file", "password"];
    bench
        .run(&[&["vms", plain.as_str()][..], &basic].concat())
        .ends(2);
}

#[test]
fn a_host_is_known_by_its_name() {
    let bench = Bench::new();
    let vms = json!([{"name": "web", "disks": [{"path": "D:\\VMs\\web\\a.vhdx", "size": SIZE}]}]);
    let lab = Lab::start(&bench, &scenario(vms, json!({})));
    let (here, port) = (lab.file("VMs"), lab.port);
    // Beside the file: the password and the state.
    let hosts = format!(
        "[hosts.hv01]\naddress = 'winrm+http://LAB\\backup@127.0.0.1:{port}'\n\
         password-file = 'password'\nstate = 'state'\nsmb = 'off'\nmap = ['D:\\VMs={}']\n",
        here.display()
    );
    fs::write(bench.path("hosts.toml"), hosts).unwrap();
    let hosts = ["--hosts", "hosts.toml", "--json"];
    let of = |args: &[&str], code| bench.run(&[args, &hosts].concat()).ends(code).json();
    assert_eq!(vm(&of(&["backup", "hv01"], 0), "web")["outcome"], "ok");
    assert!(vm(&of(&["vms", "hv01"], 0), "web")["last_point"].is_string());
    assert_eq!(
        of(&["doctor", "hv01"], 0)["folders"][0]["folder"],
        "D:\\VMs\\web"
    );
    let other = of(&["backup", "hv02"], 2);
    let said = other["error"]["message"].as_str().unwrap();
    assert!(said.contains("hv01"), "{said}");
}
