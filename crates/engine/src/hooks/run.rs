//! Running one program to its end.

use std::collections::{BTreeMap, VecDeque};
use std::io::Read;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::Ended;
use crate::Cancel;

/// Bytes of output that are kept.
const MOST_OUTPUT: usize = 16 << 10;
/// What the names of our variables begin with.
const OURS: &str = "HYPERKEEP_";
/// How often somebody's wish to stop is looked for.
const LOOK: Duration = Duration::from_millis(100);
/// How long the output of a program is waited for that has ended: what it has started and let go
/// may hold it open.
const LINGER: Duration = Duration::from_secs(2);

/// What was kept of a program's output.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) text: String,
    pub(super) dropped: u64,
}

#[derive(Default)]
struct Tail {
    bytes: VecDeque<u8>,
    dropped: u64,
}

impl Tail {
    fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        let over = self.bytes.len().saturating_sub(MOST_OUTPUT);
        self.bytes.drain(..over);
        self.dropped = self.dropped.saturating_add(over as u64);
    }
}

/// Runs a program until it ends, the time is over, or somebody wants to stop.
pub(super) fn run(
    program: &Path,
    args: &[String],
    about: &BTreeMap<String, String>,
    limit: Duration,
    cancel: Option<&Cancel>,
) -> (Ended, Kept) {
    let begun = Instant::now();
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    // Where the passphrase is may be among them.
    let own = std::env::vars_os().map(|(name, _)| name);
    for name in own.filter(|name| name.to_string_lossy().starts_with(OURS)) {
        command.env_remove(name);
    }
    command.envs(
        about
            .iter()
            .map(|(name, value)| (format!("{OURS}{name}"), value)),
    );
    group(&mut command);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return (Ended::NotRun(error.to_string()), Kept::default()),
    };
    let id = child.id();
    let tail = Arc::new(Mutex::new(Tail::default()));
    let (told, ends) = channel();
    if let Some(output) = child.stdout.take() {
        keep(output, &tail, told.clone());
    }
    if let Some(output) = child.stderr.take() {
        keep(output, &tail, told);
    }
    let (send, ended) = channel();
    thread::spawn(move || send.send(child.wait()));
    let end = wait(id, &ended, (begun, limit), cancel);
    // Both readers hang up at their ends.
    let late = Instant::now() + LINGER;
    while let Err(RecvTimeoutError::Timeout) = ends.recv_timeout(LOOK) {
        if Instant::now() >= late {
            break;
        }
    }
    let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = Kept {
        text: String::from_utf8_lossy(tail.bytes.make_contiguous()).into_owned(),
        dropped: tail.dropped,
    };
    (end, kept)
}

fn wait(
    id: u32,
    ended: &Receiver<std::io::Result<ExitStatus>>,
    (begun, limit): (Instant, Duration),
    cancel: Option<&Cancel>,
) -> Ended {
    loop {
        let left = limit.saturating_sub(begun.elapsed());
        let why = match ended.recv_timeout(left.min(LOOK)) {
            Ok(Ok(status)) => return status.code().map_or(Ended::Signal, Ended::Code),
            Ok(Err(error)) => return Ended::NotRun(error.to_string()),
            Err(RecvTimeoutError::Disconnected) => {
                return Ended::NotRun("it was lost sight of".to_owned());
            }
            Err(RecvTimeoutError::Timeout) if cancel.is_some_and(Cancel::is_cancelled) => {
                Ended::Cancelled
            }
            Err(RecvTimeoutError::Timeout) if left.is_zero() => Ended::TimedOut,
            Err(RecvTimeoutError::Timeout) => continue,
        };
        // Nobody has waited for it yet, so its id is its own.
        kill(id);
        return match ended.recv_timeout(LINGER) {
            Ok(_) => why,
            Err(_) => Ended::NotRun("it cannot be killed".to_owned()),
        };
    }
}

/// Keeps the end of an output, and hangs up when it ends.
fn keep(mut output: impl Read + Send + 'static, tail: &Arc<Mutex<Tail>>, told: Sender<()>) {
    let tail = tail.clone();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = output.read(&mut buffer) {
            let read = buffer.get(..read).unwrap_or_default();
            tail.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .add(read);
        }
        drop(told);
    });
}

/// A group of its own, so that it is killed with all that it starts.
#[cfg(unix)]
fn group(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    command.process_group(0);
}

#[cfg(not(unix))]
fn group(_: &mut Command) {}

#[cfg(unix)]
fn kill(id: u32) {
    let id = i32::try_from(id)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    if let Some(id) = id {
        // Gone already is as good.
        let _ = rustix::process::kill_process_group(id, rustix::process::Signal::KILL);
    }
}

#[cfg(not(unix))]
fn kill(id: u32) {
    let mut command = Command::new("taskkill");
    command.args(["/T", "/F", "/PID", &id.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let _ = command.stderr(Stdio::null()).status();
}
