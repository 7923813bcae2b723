//! A Samba server of a test's own, on loopback, and ways to disturb it.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The password of its account.
pub const PASSWORD: &str = "Geheim-9 ü";

/// A server whose share `C$` is a folder here.
pub struct Samba {
    /// All that it writes.
    pub dir: TempDir,
    /// Where it listens.
    pub port: u16,
    /// Its account.
    pub user: String,
    process: Mutex<Option<Child>>,
}

/// Where Debian has servers, which are not on each user's path.
fn tool(name: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(name);
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|e| panic!("{e}"))
}

fn present(name: &str) -> bool {
    let found = tool(name).arg("--version").stderr(Stdio::null()).output();
    found.is_ok_and(|out| out.status.success())
}

impl Samba {
    /// Starts one, with more lines for its configuration; `None` when there is none to start.
    pub fn start(test: &str, global: &str) -> Option<Arc<Self>> {
        if !present("smbd") || !present("pdbedit") {
            crate::vhd::oracle::skip(test, "no samba");
            return None;
        }
        let user = run(Command::new("id").arg("-un"));
        let user = String::from_utf8(user.stdout).unwrap().trim().to_owned();
        let uid = run(Command::new("id").arg("-u"));
        if uid.stdout.trim_ascii() != b"0" {
            crate::vhd::oracle::skip(test, "smbd needs root");
            return None;
        }
        // Sockets of smbd have short names only.
        let dir = tempfile::Builder::new().prefix("smb").tempdir().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let samba = Self {
            dir,
            port,
            user,
            process: Mutex::new(None),
        };
        samba.configure(global);
        samba.launch();
        Some(Arc::new(samba))
    }

    /// The folder behind `C$`.
    pub fn c(&self) -> PathBuf {
        self.dir.path().join("c")
    }

    fn conf(&self) -> PathBuf {
        self.dir.path().join("smb.conf")
    }

    fn configure(&self, global: &str) {
        let root = self.dir.path();
        for name in ["c", "state"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        let (root, port) = (root.display(), self.port);
        let conf = format!(
            "[global]\n\
             server role = standalone server\n\
             workgroup = LAB\n\
             netbios name = LABHOST\n\
             disable netbios = yes\n\
             smb ports = {port}\n\
             interfaces = 127.0.0.1/8\n\
             bind interfaces only = yes\n\
             private dir = {root}/state\n\
             lock directory = {root}/state\n\
             state directory = {root}/state\n\
             cache directory = {root}/state\n\
             ncalrpc dir = {root}/state\n\
             pid directory = {root}/state\n\
             log file = {root}/state/log\n\
             passdb backend = tdbsam:{root}/state/passdb.tdb\n\
             load printers = no\n\
             map to guest = never\n\
             unix charset = UTF-8\n\
             {global}\n\
             [C$]\n\
             path = {root}/c\n\
             read only = yes\n"
        );
        fs::write(self.conf(), conf).unwrap();
        let mut pdbedit = tool("pdbedit");
        pdbedit
            .arg("-s")
            .arg(self.conf())
            .args(["-a", "-t", "-u", &self.user])
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut pdbedit = pdbedit.spawn().unwrap();
        let twice = format!("{PASSWORD}\n{PASSWORD}\n");
        let mut stdin = pdbedit.stdin.take().unwrap();
        std::io::Write::write_all(&mut stdin, twice.as_bytes()).unwrap();
        drop(stdin);
        assert!(pdbedit.wait().unwrap().success(), "pdbedit");
    }

    /// Starts the server, which must not run, and waits until it answers.
    pub fn launch(&self) {
        let mut smbd = tool("smbd");
        smbd.args(["--foreground", "--no-process-group", "-s"])
            .arg(self.conf())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .env("LC_ALL", "C.UTF-8")
            // A group of its own: each connection is a process of the server's.
            .process_group(0);
        let mut child = smbd.spawn().unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if let Some(status) = child.try_wait().unwrap() {
                let log = fs::read_to_string(self.dir.path().join("state/log"));
                panic!("smbd has ended with {status}: {}", log.unwrap_or_default());
            }
            assert!(Instant::now() < until, "smbd does not answer");
            std::thread::sleep(Duration::from_millis(10));
        }
        *self.process.lock().unwrap() = Some(child);
    }

    /// Kills the server and all its connections, without a word to anybody.
    pub fn kill(&self) {
        let Some(mut child) = self.process.lock().unwrap().take() else {
            return;
        };
        let group = format!("-{}", child.id());
        run(Command::new("kill").args(["-KILL", "--", &group]));
        child.wait().unwrap();
    }

    /// Writes a file below `C$`, with folders as needed.
    pub fn write(&self, path: &str, bytes: &[u8]) -> PathBuf {
        let at = self.c().join(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(&at, bytes).unwrap();
        at
    }
}

impl Drop for Samba {
    fn drop(&mut self) {
        self.kill();
    }
}
