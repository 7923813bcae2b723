//! File systems that this kernel may not mount (version 4, names without case), filled by mkfs.xfs itself.

use std::fmt::Write as _;
use std::fs;

use hyperkeep_guestfs::{FileSystem as _, How, Kind, Name};
use testkit::image::noise;

use crate::made::mkfs;
use crate::support::{self, Tree, sum};

/// What mkfs.xfs is told to put in, and the tree that it makes.
fn proto(folder: &std::path::Path, many: usize, far: bool) -> (String, Tree) {
    let mut text = "/\n0 0\nd--755 0 0\n".to_owned();
    let mut tree = Tree::new();
    let mut add = |path: String, kind: &str, what: String, len: usize, mode: u16| {
        let seen = support::Seen {
            kind: kind.into(),
            len: len as u64,
            what,
            links: (kind == "file").then_some(1),
            owner: Some((3, 4, mode)),
            modified: None,
            xattrs: Some(Default::default()),
        };
        tree.insert(path, seen);
    };
    for (index, len) in [0, 1, 5000, 300_000].into_iter().enumerate() {
        let bytes = noise(index as u64, len);
        let source = folder.join(format!("source{index}"));
        fs::write(&source, &bytes).unwrap();
        writeln!(text, "file{index} ---644 3 4 {}", source.display()).unwrap();
        add(format!("/file{index}"), "file", sum(&bytes), len, 0o644);
    }
    writeln!(text, "link l--777 3 4 {}", "t".repeat(60)).unwrap();
    add("/link".into(), "link", "t".repeat(60), 0, 0o777);
    // mkfs.xfs 6.1 leaves out the header of long targets that version 5 has.
    if far {
        writeln!(text, "far l--777 3 4 {}", "t".repeat(700)).unwrap();
        add("/far".into(), "link", "t".repeat(700), 0, 0o777);
    }
    text.push_str("block b--600 3 4 8 17\nchar c--600 3 4 4 65\nfifo p--600 3 4\n");
    add("/block".into(), "block", "8:17".into(), 0, 0o600);
    add("/char".into(), "char", "4:65".into(), 0, 0o600);
    add("/fifo".into(), "fifo", String::new(), 0, 0o600);
    for (name, count) in [("few", 2), ("block", 30), ("leaf", 250), ("many", many)] {
        writeln!(text, "{name}names d--755 3 4").unwrap();
        add(format!("/{name}names"), "folder", String::new(), 0, 0o755);
        for index in 0..count {
            writeln!(text, "Name{index:05} p--600 3 4").unwrap();
            add(
                format!("/{name}names/Name{index:05}"),
                "fifo",
                String::new(),
                0,
                0o600,
            );
        }
        text.push_str("$\n");
    }
    text.push_str("$\n");
    (text, tree)
}

#[test]
fn version_4_is_read_as_it_was_made() {
    let test = "version_4_is_read_as_it_was_made";
    let variants: [(&[&str], usize); 5] = [
        (&["-m", "crc=0", "-b", "size=512", "-i", "size=256"], 5000),
        (&["-m", "crc=0", "-n", "ftype=0"], 5000),
        (
            &[
                "-m",
                "crc=0",
                "-b",
                "size=1024",
                "-n",
                "size=16384",
                "-l",
                "version=1",
            ],
            2000,
        ),
        (&["-n", "version=ci"], 2000),
        (
            &[
                "-m",
                "crc=0,finobt=0",
                "-i",
                "attr=1,size=512,projid32bit=0",
                "-b",
                "size=32768",
            ],
            500,
        ),
    ];
    for (words, many) in variants {
        let folder = tempfile::tempdir().unwrap();
        let folded = words.contains(&"version=ci");
        let (text, tree) = proto(folder.path(), many, !folded);
        let file = folder.path().join("proto");
        fs::write(&file, text).unwrap();
        let mut all = vec!["-p", file.to_str().unwrap()];
        all.extend(words);
        let Some(made) = mkfs(test, 320, &all) else {
            return;
        };
        let fs = made.open();
        assert_eq!(fs.about().state.how, How::Clean, "{:?}", fs.about());
        let mut ours = support::read(&fs);
        ours.values_mut().for_each(|seen| seen.modified = None);
        support::same(&ours, &tree);
        let upper = fs.find(fs.root(), &Name::from("MANYNAMES")).unwrap();
        assert_eq!(upper.is_some(), folded);
        if let Some(folder) = upper {
            let one = fs.find(folder, &Name::from("nAmE00077")).unwrap().unwrap();
            assert_eq!(fs.node(one).unwrap().kind, Kind::Fifo);
        }
    }
}
