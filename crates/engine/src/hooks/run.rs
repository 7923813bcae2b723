//! Running one program to its end.

use std::collections::{BTreeMap, VecDeque};
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::Ended;
use crate::Cancel;

/// Bytes of output that are kept.
const MOST_OUTPUT: usize = 16 << 10;
/// What the names of our variables begin with.
const OURS: &str = "HYPERKEEP_";
/// How soon a program is looked at first: many end at once.
const FIRST: Duration = Duration::from_millis(1);
/// The longest time in which nobody looks whether it has ended, or somebody wants to stop.
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
    let tail = Arc::new(Mutex::new(Tail::default()));
    let (told, ends) = channel();
    if let Some(output) = child.stdout.take() {
        keep(output, &tail, told.clone());
    }
    if let Some(output) = child.stderr.take() {
        keep(output, &tail, told);
    }
    let end = wait(&mut child, (begun, limit), cancel);
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

/// Follows a program to its end. Only this thread asks for that end, so as long as it has not been
/// told of one, the program's id is nobody else's and may be killed.
fn wait(child: &mut Child, (begun, limit): (Instant, Duration), cancel: Option<&Cancel>) -> Ended {
    let mut pause = FIRST;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.code().map_or(Ended::Signal, Ended::Code),
            Ok(None) => {}
            Err(error) => return Ended::NotRun(error.to_string()),
        }
        let left = limit.saturating_sub(begun.elapsed());
        let why = match cancel.is_some_and(Cancel::is_cancelled) {
            true => Ended::Cancelled,
            false if left.is_zero() => Ended::TimedOut,
            false => {
                thread::sleep(left.min(pause));
                pause = pause.saturating_mul(2).min(LOOK);
                continue;
            }
        };
        kill(child.id());
        return match ends(child) {
            true => why,
            false => Ended::NotRun("it cannot be killed".to_owned()),
        };
    }
}

/// Whether a program that was killed is seen to end.
fn ends(child: &mut Child) -> bool {
    let late = Instant::now() + LINGER;
    let mut pause = FIRST;
    while !matches!(child.try_wait(), Ok(Some(_))) {
        if Instant::now() >= late {
            return false;
        }
        thread::sleep(pause);
        pause = pause.saturating_mul(2).min(LOOK);
    }
    true
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
