//! What is said to a lab that runs, and what it says.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::Value;

/// How often a process is looked at that is waited for.
const LOOK: Duration = Duration::from_millis(10);

/// Orders to a lab.
pub(crate) struct Orders {
    given: ChildStdin,
    said: Receiver<String>,
}

impl Orders {
    /// With the lab's standard input, and what comes after the addresses.
    pub(crate) fn new(given: ChildStdin, out: BufReader<ChildStdout>) -> Self {
        let (tell, said) = channel();
        // It ends with the lab.
        std::thread::spawn(move || {
            let mut lines = out.lines().map_while(Result::ok);
            lines.all(|line| tell.send(line).is_ok())
        });
        Self { given, said }
    }

    /// A mishap that is to happen.
    pub(crate) fn give(&mut self, mishap: &Value) {
        self.say(&mishap.to_string());
    }

    /// Nothing is to happen any more. What the lab has said so far.
    pub(crate) fn forget(&mut self) -> Vec<String> {
        self.say("forget")
    }

    fn say(&mut self, order: &str) -> Vec<String> {
        writeln!(self.given, "{order}").unwrap();
        let mut before = Vec::new();
        loop {
            let line = self.said.recv().expect("the lab goes on");
            if line == "ordered" {
                return before;
            }
            assert!(!line.starts_with("refused "), "{order}: {line}");
            before.push(line);
        }
    }

    /// Waits until the lab says that a request is held, and kills the process that made it. Then the
    /// lab has seen that it is gone, and has done what is to be done late. Whether it was held; a
    /// process that ends by itself before is none to kill.
    pub(crate) fn kill_when_held(&mut self, child: &mut Child) -> bool {
        while !self.hears("held ") {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
        }
        kill(child);
        while !self.hears("gone ") {}
        true
    }

    /// Kills a process when something is so. A request that is held keeps it from ending before.
    pub(crate) fn kill_when(&mut self, child: &mut Child, so: impl Fn() -> bool) {
        while !so() {
            self.hears("");
        }
        kill(child);
    }

    /// Whether the lab says a line that begins so, soon.
    fn hears(&mut self, start: &str) -> bool {
        match self.said.recv_timeout(LOOK) {
            Ok(line) => line.starts_with(start),
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => panic!("the lab is gone"),
        }
    }
}

/// It has not ended by itself.
fn kill(child: &mut Child) {
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
}
