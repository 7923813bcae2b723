//! Images that mkfs.btrfs makes and the kernel fills.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::image::noise;
use testkit::vhd::oracle;

use crate::support::kernel::Mounted;

/// An image in a folder of its own.
pub(crate) struct Image {
    _folder: tempfile::TempDir,
    pub(crate) path: PathBuf,
}

impl Image {
    /// Made by mkfs.btrfs; `None` where there is none.
    pub(crate) fn new(test: &str, mib: u64, options: &[&str]) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        File::create(&path).unwrap().set_len(mib << 20).unwrap();
        let mut command = Command::new("mkfs.btrfs");
        match command.arg("-q").args(options).arg(&path).output() {
            Err(error) => {
                oracle::skip(test, &format!("mkfs.btrfs: {error}"));
                None
            }
            Ok(output) => {
                let why = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{options:?}: {why}");
                let _folder = folder;
                Some(Self { _folder, path })
            }
        }
    }

    pub(crate) fn mounted(&self, test: &str, options: &str) -> Option<Mounted> {
        Mounted::kernel(test, &self.path, "btrfs", options)
    }
}

/// Runs a script of bash in a folder.
pub(crate) fn script(folder: &Path, script: &str) {
    let mut command = Command::new("bash");
    let output = command.args(["-euc", script]).current_dir(folder).output();
    let output = output.unwrap();
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {why}");
}

/// Bytes that can be packed, and differ everywhere.
pub(crate) fn text(len: usize) -> Vec<u8> {
    let lines =
        (0..).flat_map(|line: u64| format!("line {line} of {}\n", line * line).into_bytes());
    lines.take(len).collect()
}

/// One of everything.
pub(crate) fn fill(root: &Path) {
    let write = |name: &str, bytes: &[u8]| fs::write(root.join(name), bytes).unwrap();
    for len in [
        0, 1, 100, 2000, 2048, 4095, 4096, 4097, 131_072, 131_073, 1_000_000,
    ] {
        write(&format!("noise-{len}"), &noise(len as u64, len));
        write(&format!("text-{len}"), &text(len));
        write(&format!("zeros-{len}"), &vec![0; len]);
    }
    write("big", &noise(3, 9_000_001));
    write("big-text", &text(3_000_001));
    let sparse = File::create(root.join("sparse")).unwrap();
    for (number, at) in [5_000, 70_000, 1 << 20, (1 << 32) + 12_345]
        .into_iter()
        .enumerate()
    {
        sparse
            .write_all_at(&noise(number as u64, 10_000), at)
            .unwrap();
    }
    drop(sparse);
    fs::rename(root.join("sparse"), root.join("was-sparse")).unwrap();
    // Too long to be read whole again and again.
    File::options()
        .write(true)
        .open(root.join("was-sparse"))
        .unwrap()
        .set_len(3 << 20)
        .unwrap();
    let mut pieces = File::create(root.join("in-pieces")).unwrap();
    for number in (0..200_u64).rev() {
        pieces
            .write_all_at(&noise(number, 4096), number * 8192)
            .unwrap();
        if number % 20 == 0 {
            pieces.sync_data().unwrap();
        }
    }
    pieces.flush().unwrap();
    script(
        root,
        r#"
        mkdir -p a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/y/z empty
        echo deep > a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/y/z/file
        ln noise-100 hard1; ln noise-100 a/hard2; mkdir links
        for i in $(seq 300); do ln noise-100 links/hard-$i; done
        ln -s short link; ln -s "$(printf 'x%.0s' $(seq 3500))" long-link
        mknod pipe p; mknod block b 259 70000; mknod char c 1 3
        python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket")'
        touch "$(printf 'n%.0s' $(seq 255))" "$(printf '\377\376 bad')" 'ü ☃' $'new\nline' ' '
        touch -d '1901-12-14 12:00:00.123456789 UTC' old; touch -d '2300-01-01 UTC' late
        chmod 4755 text-1; chmod 1777 empty; chown 1234:70000 text-100 empty; chmod 0 text-2000
        setfattr -n user.one -v value noise-1; setfattr -n user.none noise-1
        setfattr -n user.big -v "$(printf 'v%.0s' $(seq 3500))" noise-1
        setfattr -n trusted.t -v x empty; setfattr -h -n trusted.l -v x link
        setfattr -n system.posix_acl_access -v 0x0200000001000600ffffffff02000400e803000004000400ffffffff10000600ffffffff20000400ffffffff text-2048
        setfattr -n system.posix_acl_default -v 0x0200000001000700ffffffff04000500ffffffff20000500ffffffff empty
        fallocate -l 1M reserved; printf data | dd of=reserved bs=1 seek=300000 conv=notrunc status=none
        cp --reflink=always big copy
        fallocate -p -o 65536 -l 131072 big
        printf 'other' | dd of=big-text bs=1 seek=200000 conv=notrunc status=none
        truncate -s 100 text-4096; truncate -s 9000 text-2048; truncate -s 5000 text-100
        "#,
    );
}
