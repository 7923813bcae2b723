//! Starting the program.
//!
//! Wine now and then fails to start a program while another one is started or killed: its client
//! prints `sendmsg: Bad file descriptor` and the start ends with `ERROR_INTERNAL_ERROR`. Nothing of
//! the program has run then, so that it is simply started again; no other system gives this error.

use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use crate::bench::Answer;

const ERROR_INTERNAL_ERROR: i32 = 1359;
const ATTEMPTS: usize = 10;

/// One at a time: the race is between starts, among others.
static STARTING: Mutex<()> = Mutex::new(());

pub(crate) trait Start {
    /// Starts it.
    fn start(&mut self) -> Child;

    /// Starts it and waits for its answer.
    fn answer(&mut self) -> Answer;
}

impl Start for Command {
    fn start(&mut self) -> Child {
        for _ in 1..ATTEMPTS {
            let guard = STARTING.lock();
            let started = self.spawn();
            drop(guard);
            match started {
                Ok(child) => return child,
                Err(e) if cfg!(windows) && e.raw_os_error() == Some(ERROR_INTERNAL_ERROR) => {
                    eprintln!("{:?} did not start: {e}; again", self.get_program());
                }
                Err(e) => panic!("{:?}: {e}", self.get_program()),
            }
        }
        self.spawn().unwrap()
    }

    fn answer(&mut self) -> Answer {
        self.stdout(Stdio::piped()).stderr(Stdio::piped());
        Answer::of(&self.start().wait_with_output().unwrap())
    }
}
