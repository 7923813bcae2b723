use std::collections::VecDeque;
use std::sync::Mutex;
use std::thread;

use proptest::prelude::*;

use super::*;

type Queue = ByteQueue<u64, &'static str>;

#[derive(Debug, Clone)]
enum Step {
    Push(u64),
    Pop,
    Release,
    Close,
    Poison,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0u64..40).prop_map(Step::Push),
        4 => Just(Step::Pop),
        4 => Just(Step::Release),
        1 => Just(Step::Close),
        1 => Just(Step::Poison),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    #![proptest_config(testkit::vary::config(256))]
    /// One thread drives the queue and a plain model side by side. Steps at which the real queue
    /// would wait are found by the model and left out, so that nothing blocks.
    #[test]
    fn behaves_like_the_model(steps in steps()) {
        const BOUND: u64 = 64;
        let queue = Queue::new(BOUND);
        let mut waiting = VecDeque::new();
        let (mut out, mut leased) = (Vec::new(), 0u64);
        let (mut closed, mut poisoned) = (false, false);
        for step in steps {
            match step {
                Step::Push(bytes) => {
                    if poisoned {
                        prop_assert_eq!(queue.push(bytes, bytes), Err(Ended::Poisoned("first")));
                    } else if closed {
                        prop_assert_eq!(queue.push(bytes, bytes), Err(Ended::Closed));
                    } else if leased + bytes <= BOUND || leased == 0 {
                        prop_assert_eq!(queue.push(bytes, bytes), Ok(()));
                        waiting.push_back(bytes);
                        leased += bytes;
                    }
                }
                Step::Pop => {
                    if poisoned {
                        prop_assert!(matches!(queue.pop(), Err(Ended::Poisoned("first"))));
                    } else if let Some(bytes) = waiting.pop_front() {
                        let lease = queue.pop().unwrap();
                        prop_assert_eq!(*lease, bytes);
                        out.push(lease);
                    } else if closed {
                        prop_assert!(matches!(queue.pop(), Err(Ended::Closed)));
                    }
                }
                Step::Release => {
                    if let Some(lease) = out.pop() {
                        leased -= *lease;
                    }
                }
                Step::Close => {
                    queue.close();
                    closed = true;
                }
                Step::Poison => {
                    queue.poison(if poisoned { "later" } else { "first" });
                    poisoned = true;
                    leased -= waiting.drain(..).sum::<u64>();
                }
            }
            prop_assert_eq!(queue.leased(), leased);
        }
    }
}

#[test]
fn many_threads_lose_nothing_and_stay_under_the_bound() {
    const BOUND: u64 = 1000;
    let queue = Queue::new(BOUND);
    let seen = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let workers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    while let Ok(lease) = queue.pop() {
                        assert!(queue.leased() <= BOUND);
                        seen.lock().unwrap().push(*lease);
                    }
                })
            })
            .collect();
        let pushers: Vec<_> = (0..3u64)
            .map(|pusher| {
                let queue = &queue;
                scope.spawn(move || {
                    for i in 0..500 {
                        queue.push(pusher * 500 + i, 1 + i % 400).unwrap();
                    }
                })
            })
            .collect();
        for pusher in pushers {
            pusher.join().unwrap();
        }
        queue.close();
        for worker in workers {
            worker.join().unwrap();
        }
    });
    let mut seen = seen.into_inner().unwrap();
    seen.sort_unstable();
    assert_eq!(seen, (0..1500).collect::<Vec<_>>());
    assert_eq!(queue.leased(), 0);
}

#[test]
fn an_item_larger_than_the_bound_passes_alone() {
    let queue = Queue::new(10);
    queue.push(1, u64::MAX).unwrap();
    thread::scope(|scope| {
        let second = scope.spawn(|| queue.push(2, 1));
        assert_eq!(*queue.pop().unwrap(), 1);
        assert_eq!(second.join().unwrap(), Ok(()));
    });
    assert_eq!(*queue.pop().unwrap(), 2);
}

#[test]
fn poison_wakes_a_waiting_pusher_and_a_waiting_popper() {
    let full = Queue::new(10);
    full.push(1, 10).unwrap();
    let empty = Queue::new(10);
    thread::scope(|scope| {
        let pusher = scope.spawn(|| full.push(2, 10));
        let popper = scope.spawn(|| empty.pop().map(|lease| *lease));
        full.poison("torn");
        empty.poison("torn");
        assert_eq!(pusher.join().unwrap(), Err(Ended::Poisoned("torn")));
        assert_eq!(popper.join().unwrap(), Err(Ended::Poisoned("torn")));
    });
    assert_eq!(full.poisoned(), Some("torn"));
    assert_eq!(full.leased(), 0);
}
