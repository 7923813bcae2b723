//! `browse` by commands, on any system.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use testkit::image::{Image, Kind};
use testkit::vm::{Layout, Vm};

use crate::bench::{Answer, Bench};
use crate::floppy::{HELLO, floppy};

/// Where the file's only cluster lies.
const FILE: u64 = 33 * 512;
/// What is in it after the checkpoint, as long as it was before.
const LATER: &[u8] = b"later\n";

/// A VM whose file was another one at a checkpoint.
pub(crate) fn machine(bench: &Bench) {
    let source = bench.path("source");
    let machine = Vm::generation2("web", 1)
        .disk("web_1.avhdx")
        .checkpoint("before it", &["web.vhdx"]);
    machine.write_to(&source, Layout::Export).unwrap();
    let disks = source.join(machine.disk_folder(Layout::Export));
    let base = Image::new(Kind::Vhdx, 16 << 20, 1)
        .data(0, &floppy())
        .write(&disks.join("web.vhdx"));
    Image::child(&base, "web.vhdx", 2)
        .data(FILE, &[LATER, &[0; 512 - LATER.len()]].concat())
        .write(&disks.join("web_1.avhdx"));
    bench.backup(0);
}

/// Runs commands that come on standard input.
fn browse(bench: &Bench, args: &[&str], script: &str) -> Answer {
    let mut command = bench.command(&[&["browse", "web@latest"], args].concat());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Who ends early does not read all of it.
    let _ = child.stdin.take().unwrap().write_all(script.as_bytes());
    Answer::of(&child.wait_with_output().unwrap())
}

#[test]
fn commands_go_through_a_guest_and_restore_what_is_marked() {
    let bench = Bench::new();
    machine(&bench);
    let script = "\
# nothing is done by a remark
pwd
ls
cd d0
pwd
ls
find '*.TXT'
mark HELLO.TXT
lsmark
estimate
checkpoint 'before it'
pwd
checkpoint
checkpoint now
help
restore to out
unmark
lsmark
quit
nonsense
";
    let answer = browse(&bench, &[], script).ends(0);
    let out = answer.out;
    for words in [
        "SMALL",
        "/d0\n",
        "d0/HELLO.TXT\n",
        "/d0/HELLO.TXT\n",
        "1 file, 0 folders, 0 links, 6 B; 6 B of it stored, which would be read",
        "/d0  (at checkpoint before it)",
        "unmark [PATH…]",
        "ok: 1 file, 0 folders, 0 links, 6 B",
    ] {
        assert!(out.contains(words), "{words}: {out}");
    }
    assert_eq!(fs::read(bench.path("out/d0/HELLO.TXT")).unwrap(), LATER);

    // `done` ends, and takes what the command line says.
    let script = "mark /d0\ndone\nnonsense\n";
    let then = ["--checkpoint", "before it", "--to", "then"];
    browse(&bench, &then, script).ends(0);
    assert_eq!(fs::read(bench.path("then/d0/HELLO.TXT")).unwrap(), HELLO);

    // The same file of two moments, each in a folder of its own.
    let script = "mark /d0/HELLO.TXT\ncheckpoint 'BEFORE it'\nmark /d0/HELLO.TXT\nlsmark\nestimate\ndone to both\n";
    let out = browse(&bench, &[], script).ends(0).out;
    assert!(
        out.contains("/d0/HELLO.TXT  (at checkpoint before it)"),
        "{out}"
    );
    assert!(
        out.contains("2 files, 0 folders, 0 links, 12 B; 12 B of it stored"),
        "{out}"
    );
    let both: Vec<_> = fs::read_dir(bench.path("both")).unwrap().collect();
    assert_eq!(both.len(), 2);
    assert_eq!(fs::read(bench.path("both/d0/HELLO.TXT")).unwrap(), LATER);
    let mut other = both.into_iter().map(|one| one.unwrap().path());
    let other = other.find(|path| !path.ends_with("d0")).unwrap();
    assert!(
        other
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("d0@")
    );
    assert_eq!(fs::read(other.join("HELLO.TXT")).unwrap(), HELLO);
}

#[test]
fn what_cannot_be_done_ends_the_script_and_says_what_to_do() {
    let bench = Bench::new();
    machine(&bench);
    for (script, code, words) in [
        ("pwd\nnonsense\n", 2, "line 2: nonsense"),
        ("cd a b\n", 2, "“cd” does not take these words"),
        ("cd 'a\n", 2, "' is opened and not closed"),
        ("cd /d0/NONE\n", 1, "/NONE is not there"),
        ("cd /d0/HELLO.TXT\n", 1, "no folder"),
        ("cd d7\n", 1, "there are d0"),
        ("ls /d0/NONE\n", 1, "/NONE is not there"),
        ("mark /d0/HELLO.TXT /d0/NONE\n", 1, "/NONE is not there"),
        ("mark /\n", 2, "names no volume"),
        ("unmark /d0\n", 2, "/d0 is not marked"),
        ("estimate\n", 2, "nothing is marked"),
        ("done to x\n", 2, "nothing is marked"),
        ("mark /d0\nrestore\n", 2, "nothing says where to"),
        (
            "mark /d0\nrestore zip -\n",
            2,
            "here answers go to standard output",
        ),
        (
            "mark /d0\nrestore onto x\n",
            2,
            "that is no place for files",
        ),
        ("mark /d0\nrestore to vault/x\n", 2, "lies in the vault"),
        ("checkpoint never\n", 1, "never"),
        ("find '[a'\n", 2, "is no pattern"),
    ] {
        let answer = browse(&bench, &[], script).ends(code);
        assert!(answer.err.contains(words), "{script}: {}", answer.err);
        assert!(answer.err.contains("hint: "), "{script}: {}", answer.err);
    }
    assert!(!bench.path("x").exists());
    let json = bench.run(&["browse", "web@latest", "--json"]).ends(2);
    assert!(json.err.contains("prints no JSON"));
    let both = ["browse", "web@latest", "--passphrase-file", "-"];
    assert!(bench.run(&both).ends(2).err.contains("cannot both come"));
    bench
        .run(&["browse", "web@latest", "--script", "none"])
        .ends(1);
    // A target that is there already is left alone, and that is how it ends.
    fs::write(bench.path("a.zip"), b"mine").unwrap();
    browse(&bench, &["--zip", "a.zip"], "mark d0\ndone\n").ends(1);
    assert_eq!(fs::read(bench.path("a.zip")).unwrap(), b"mine");
}

#[test]
fn an_archive_on_standard_output_is_alone_there() {
    let bench = Bench::new();
    machine(&bench);
    fs::write(
        bench.path("script"),
        "ls\nmark /d0/HELLO.TXT\nrestore\nlsmark\nrestore\n",
    )
    .unwrap();
    let words = ["browse", "web@latest", "--script", "script", "--tar", "-"];
    let output = bench.command(&words).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    for words in [
        "SMALL",
        "ok: 1 file",
        "has its end already",
        "line 5: restore",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_eq!(&output.stdout[257..262], b"ustar");
    assert!(
        output.stdout.len().is_multiple_of(512) && output.stdout[512..].starts_with(b"later\n")
    );
}
