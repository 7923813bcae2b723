//! `browse` on a terminal, as somebody with a keyboard uses it.

use std::fs;

use testkit::vhd::oracle;

use crate::bench::Bench;
use crate::browse::machine;

/// Presses keys when the words that it waits for have come, and prints how the program ended.
const KEYS: &str = r#"
import fcntl, os, pty, select, struct, sys, termios
os.chdir(sys.argv[2])
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], [sys.argv[1], "browse", "web@latest"])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
seen = b""
def more():
    global seen
    ready, _, _ = select.select([fd], [], [], 120)
    if not ready:
        raise SystemExit("nothing came after %r" % seen)
    try:
        new = os.read(fd, 65536)
    except OSError:
        new = b""
    seen += new
    return new
def until(word, keys):
    global seen
    while word not in seen:
        if not more():
            raise SystemExit("ended before %r: %r" % (word, seen))
    seen = seen[seen.index(word) + len(word):]
    os.write(fd, keys)
until(b"backed", b"\r")
until(b"SMALL", b"\r")
until(b"HELLO.TXT", b" ")
until(b"marked", b"e")
until(b"stored", b"\x1b")
until(b"HELLO.TXT", b"r")
until(b"FOLDER", b"out\r")
until(b"ok:", b"x")
until(b"HELLO.TXT", b"q")
while more():
    pass
_, status = os.waitpid(pid, 0)
assert b"\x1b[?1049l" in seen, seen
print(os.waitstatus_to_exitcode(status), b"ok: 1 file" in seen)
"#;

#[test]
fn a_file_is_found_marked_and_restored_by_keys() {
    let bench = Bench::new();
    machine(&bench);
    let Some(python) = oracle::python("browse on a terminal", "pty") else {
        return;
    };
    let script = bench.path("keys.py");
    fs::write(&script, KEYS).unwrap();
    let mut command = std::process::Command::new(python.program());
    bench.surround(&mut command);
    command.env("TERM", "xterm-256color").arg(&script);
    let output = command
        .arg(env!("CARGO_BIN_EXE_hyperkeep"))
        .arg(bench.path(""))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout, b"0 True\n", "{output:?}");
    assert_eq!(
        fs::read(bench.path("out/d0/HELLO.TXT")).unwrap(),
        b"later\n"
    );
}
