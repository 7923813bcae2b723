//! Files of a guest as they were at each checkpoint, on any system.

use std::fs;

use testkit::image::{Image, Kind};
use testkit::vm::{Layout, Vm};

use crate::bench::Bench;
use crate::floppy::{HELLO, floppy};

/// Where the file's only cluster lies.
const FILE: u64 = 33 * 512;

/// What is in it after the checkpoint, as long as it was before.
const LATER: &[u8] = b"later\n";

#[test]
fn files_are_as_they_were_at_each_checkpoint() {
    let bench = Bench::new();
    let source = bench.path("source");
    let machine = Vm::generation2("web", 1)
        .disk("web_1.avhdx")
        .checkpoint("before", &["web.vhdx"]);
    machine.write_to(&source, Layout::Export).unwrap();
    let disks = source.join(machine.disk_folder(Layout::Export));
    let base = Image::new(Kind::Vhdx, 16 << 20, 1)
        .data(0, &floppy())
        .write(&disks.join("web.vhdx"));
    Image::child(&base, "web.vhdx", 2)
        .data(FILE, &[LATER, &[0; 512 - LATER.len()]].concat())
        .write(&disks.join("web_1.avhdx"));
    bench.backup(0);

    let seen = bench.run(&["ls", "web@latest:/", "--json"]).ends(0).json();
    assert_eq!(seen["volumes"][0]["label"], "SMALL", "{seen:#}");
    assert!(
        seen["disks"][0]["path"]
            .as_str()
            .unwrap()
            .ends_with("web_1.avhdx")
    );
    for (more, to, expected) in [
        (&[][..], "now", LATER),
        (&["--checkpoint", "before"], "then", HELLO),
    ] {
        let folder = bench.path(to);
        let words = [
            "restore",
            "files",
            "web@latest",
            "/d0/hello.txt",
            "--to",
            folder.to_str().unwrap(),
        ];
        bench.run(&[&words[..], more].concat()).ends(0);
        let read = fs::read(folder.join("d0/HELLO.TXT"));
        assert_eq!(read.unwrap(), expected, "{to}");
    }
    // Names are found as FAT finds them.
    bench.run(&["ls", "web@latest:/d0/hello.txt"]).ends(0);
    let listed = ["ls", "web@latest:/d0", "--checkpoint", "before"];
    assert!(bench.run(&listed).ends(0).out.contains("d0/HELLO.TXT"));
    let wrong = ["ls", "web@latest:/d0", "--checkpoint", "never"];
    assert!(bench.run(&wrong).ends(1).err.contains("never"));
    // What is in the point has no checkpoints of its own.
    bench
        .run(&["ls", "web@latest", "--checkpoint", "before"])
        .ends(2);
}
