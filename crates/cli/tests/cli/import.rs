//! `restore folder`: what an import on a Windows host will read of where the disks are.

use std::fs;
use std::path::Path;

use serde_json::Value;
use testkit::image::{Image, Kind, noise};
use testkit::vm::{Layout, Vm};

use crate::bench::{Bench, files_below};

/// A VM with one disk in the vault.
fn backed_up() -> Bench {
    let bench = Bench::new();
    let source = bench.path("source");
    let machine = Vm::generation2("web", 1).disk("web.vhdx");
    machine.write_to(&source, Layout::Export).unwrap();
    let disks = source.join(machine.disk_folder(Layout::Export));
    Image::new(Kind::Vhdx, 16 << 20, 1)
        .data(0, &noise(1, 100_000))
        .write(&disks.join("web.vhdx"));
    bench.backup(0);
    bench
}

/// Whether the configuration in a restored folder has this text in it.
fn configuration_has(to: &Path, text: &str) -> bool {
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let files = files_below(&to.join("Virtual Machines"));
    let [config] = &files
        .iter()
        .filter(|f| f.extension().is_some_and(|e| e == "vmcx"))
        .collect::<Vec<_>>()[..]
    else {
        panic!("{files:?}");
    };
    let bytes = fs::read(config).unwrap();
    bytes.windows(wide.len()).any(|part| part == wide)
}

const ORIGINAL: &str = r"D:\Hyper-V\web\Virtual Hard Disks\web.vhdx";

fn codes(document: &Value) -> Vec<&str> {
    let findings = document["findings"].as_array().unwrap().iter();
    findings
        .map(|finding| finding["code"].as_str().unwrap())
        .collect()
}

/// All is restored, so this is no warning; but whoever imports it must know.
#[test]
fn who_names_no_place_is_told_where_the_disks_are_said_to_be() {
    let bench = backed_up();
    let args = ["restore", "folder", "web@latest", "--to"];
    let told = bench.run(&[&args[..], &["people"]].concat()).ends(0);
    let document = bench
        .run(&[&args[..], &["scripts", "--json"]].concat())
        .ends(0)
        .json();
    assert_eq!(document["outcome"], "ok");
    // On Windows the place is known.
    let known = cfg!(windows);
    assert_eq!(configuration_has(&bench.path("people"), ORIGINAL), !known);
    if known {
        assert_eq!(codes(&document), [""; 0]);
        assert!(!told.out.contains("note: "), "{told:?}");
        return;
    }
    assert_eq!(codes(&document), ["original-paths"]);
    let finding = &document["findings"][0];
    assert_eq!(finding["severity"], "info");
    let message = finding["message"].as_str().unwrap();
    assert!(message.contains(ORIGINAL), "{message}");
    assert!(finding["hint"].as_str().unwrap().contains("--windows-path"));
    assert!(
        told.out
            .contains(&format!("note: web: {message}\n  hint: ")),
        "{told:?}"
    );
}

#[test]
fn who_names_the_place_gets_configurations_for_it() {
    let bench = backed_up();
    let args = [
        "restore",
        "folder",
        "web@latest",
        "--to",
        "to",
        "--json",
        "--windows-path",
    ];
    let restore = |path: &str| bench.run(&[&args[..], &[path]].concat());
    for path in [
        r"E:Restored",
        r"Restored\web",
        "/srv/restored",
        r"E:\a\..\b",
        "",
    ] {
        let refused = restore(path).ends(2).json();
        let message = refused["error"]["message"].as_str().unwrap();
        assert!(message.contains(r"E:\Restored\VM"), "{message}");
        assert!(!bench.path("to").exists());
    }
    let document = restore(r"E:\Restored\web").ends(0).json();
    assert_eq!(codes(&document), [""; 0]);
    let to = bench.path("to");
    assert!(configuration_has(
        &to,
        r"E:\Restored\web\Virtual Hard Disks\web.vhdx"
    ));
    assert!(!configuration_has(&to, r"D:\Hyper-V"));
    // And it is the same VM.
    let again = bench.run(&["backup", "folder:to", "--json"]).ends(0).json();
    assert_eq!(again["vms"][0]["name"], "web");
}
