//! Several pieces of work at once whose results are taken in their order.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;

/// Does the pieces 0 to `count`, at most `most` at once and `first` before all others, and hands each
/// result to `each` on this thread, in the order of the pieces. With one at once there are no threads.
/// After the first error of `each` no piece is begun; those at work come to their end.
pub(super) fn in_order<T: Send, E>(
    most: usize,
    (count, first): (usize, usize),
    work: impl Fn(usize) -> T + Sync,
    mut each: impl FnMut(usize, T) -> Result<(), E>,
) -> Result<(), E> {
    let (next, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let first = first.min(count.saturating_sub(1));
    let nth = |begun: usize| match begun {
        0 => first,
        begun if begun <= first => begun - 1,
        begun => begun,
    };
    thread::scope(|scope| {
        let (tell, told) = channel();
        let mut threads = 0;
        if most > 1 {
            for _ in 0..most.min(count) {
                let (tell, work, next, over) = (tell.clone(), &work, &next, &over);
                let begun = thread::Builder::new().spawn_scoped(scope, move || {
                    while !over.load(Ordering::Acquire) {
                        let begun = next.fetch_add(1, Ordering::Relaxed);
                        if begun >= count {
                            return;
                        }
                        let index = nth(begun);
                        let done = catch_unwind(AssertUnwindSafe(|| work(index)));
                        if tell.send((index, done)).is_err() {
                            return;
                        }
                    }
                });
                threads += usize::from(begun.is_ok());
            }
        }
        drop(tell);
        let (mut early, mut wanted, mut result) = (BTreeMap::new(), 0, Ok(()));
        // Also where the system gives no threads.
        if threads == 0 {
            for index in (0..count).map(nth) {
                early.insert(index, work(index));
                while let Some(done) = early.remove(&wanted) {
                    each(wanted, done)?;
                    wanted += 1;
                }
            }
            return Ok(());
        }
        for (index, done) in told {
            match done {
                Ok(done) => early.insert(index, done),
                Err(panic) => {
                    over.store(true, Ordering::Release);
                    resume_unwind(panic)
                }
            };
            while result.is_ok()
                && let Some(done) = early.remove(&wanted)
            {
                result = each(wanted, done);
                wanted += 1;
            }
            if result.is_err() {
                over.store(true, Ordering::Release);
            }
        }
        result
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn results_come_in_order_and_as_many_are_at_work_as_may_be() {
        for most in [1, 3, 100] {
            // Nobody passes before as many are at work as may be.
            let together = Barrier::new(most.min(9));
            let mut seen = Vec::new();
            let done: Result<(), ()> = in_order(
                most,
                (9, 0),
                |index| {
                    together.wait();
                    index * 2
                },
                |index, result| {
                    seen.push((index, result));
                    Ok(())
                },
            );
            assert_eq!(done, Ok(()));
            assert_eq!(seen, (0..9).map(|n| (n, n * 2)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_first_piece_is_begun_before_all_others() {
        for (most, first) in [(1, 0), (1, 2), (1, 4), (3, 0), (3, 2), (3, 4), (3, 9)] {
            let (began, mut seen) = (std::sync::Mutex::new(Vec::new()), Vec::new());
            let done: Result<(), ()> = in_order(
                most,
                (5, first),
                |index| began.lock().unwrap().push(index),
                |index, ()| {
                    seen.push(index);
                    Ok(())
                },
            );
            assert_eq!((done, seen), (Ok(()), vec![0, 1, 2, 3, 4]));
            let began = began.into_inner().unwrap();
            // Threads may be anyhow quick, but the first one takes it.
            if most == 1 {
                let rest = (0..5).filter(|index| *index != first);
                assert!(began.into_iter().eq([first].into_iter().chain(rest)));
            }
        }
    }

    #[test]
    fn nothing_is_begun_after_an_error_and_a_panic_comes_through() {
        let begun = AtomicUsize::new(0);
        let failed = in_order(
            1,
            (1000, 0),
            |_| begun.fetch_add(1, Ordering::Relaxed),
            |index, _| if index == 2 { Err("no more") } else { Ok(()) },
        );
        assert_eq!((failed, begun.into_inner()), (Err("no more"), 3));
        let panics = catch_unwind(|| {
            let work = |index| assert!(index != 3, "piece {index}");
            in_order(2, (9, 0), work, |_, ()| Ok::<(), ()>(()))
        });
        let panic = panics.unwrap_err();
        assert_eq!(panic.downcast_ref::<String>().unwrap(), "piece 3");
    }
}
