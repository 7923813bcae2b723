//! Several VMs side by side.
//!
//! Turns are given on one thread, and each has a thread of its own as long as it lasts. With one at
//! a time there are no threads, and the order is that of the queue. A VM that cannot be backed up
//! just now comes back to the end of the queue, also when the queue is empty and others are at work
//! still.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;

use crate::backup::Job;
use crate::backup::turns::{STEP, Turn, Turns};

/// Does the work of each turn, at most `most` at a time. What comes of it is told on this thread,
/// where a turn may be put back.
pub(super) fn side_by_side<T: Send>(
    most: usize,
    job: &Job<'_>,
    turns: &mut Turns,
    work: impl Fn(Turn) -> T + Sync,
    mut ended: impl FnMut(&mut Turns, Turn, T),
) {
    if most <= 1 {
        while let Some(turn) = turns.next(job.clock, job.cancel) {
            let done = work(turn);
            ended(turns, turn, done);
        }
        return;
    }
    thread::scope(|scope| {
        let (tell, told) = channel();
        let mut at_work = 0_usize;
        loop {
            while at_work < most
                && let Some(turn) = turns.due(job.clock, job.cancel)
            {
                let (tell, work) = (tell.clone(), &work);
                let begun = thread::Builder::new().spawn_scoped(scope, move || {
                    let done = catch_unwind(AssertUnwindSafe(|| work(turn)));
                    // The other end is there as long as this scope.
                    let _ = tell.send((turn, done));
                });
                match begun {
                    Ok(_) => at_work += 1,
                    // Those that have threads go on; without any, this one does the work.
                    Err(_) if at_work > 0 => {
                        turns.put_back(turn);
                        break;
                    }
                    Err(_) => {
                        let done = work(turn);
                        ended(turns, turn, done);
                    }
                }
            }
            if at_work == 0 {
                if !turns.wait(job.clock, job.cancel) {
                    return;
                }
                continue;
            }
            // Who waits for its time is looked for now and then. Time that nobody waits for must not
            // be let pass here: others are at work.
            let done = match turns.is_empty() || at_work == most {
                true => told.recv().map_err(|_| RecvTimeoutError::Disconnected),
                false => told.recv_timeout(STEP),
            };
            match done {
                Ok((turn, done)) => {
                    at_work -= 1;
                    // As without threads; the scope waits for the others.
                    let done = done.unwrap_or_else(|panic| resume_unwind(panic));
                    ended(turns, turn, done);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    });
}
