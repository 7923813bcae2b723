use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use super::*;

struct Probe(Arc<Mutex<Vec<End>>>);

impl FrozenVm for Probe {
    fn view(&self) -> &FrozenView {
        unreachable!("these tests look at nothing")
    }
    fn recheck(&mut self) -> Vec<Moved> {
        Vec::new()
    }
    fn finish(self: Box<Self>, end: End) -> Finished {
        self.0.lock().unwrap().push(end);
        Finished::default()
    }
}

#[test]
fn a_frozen_vm_is_ended_once_on_every_path() {
    let ends = Arc::new(Mutex::new(Vec::new()));
    let hold = || Held::new(Box::new(Probe(Arc::clone(&ends))));

    hold().finish(End::Durable);
    assert_eq!(*ends.lock().unwrap(), [End::Durable]);

    drop(hold());
    assert_eq!(ends.lock().unwrap().pop(), Some(End::Abandoned));

    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _held = hold();
        panic!("in the middle of a backup");
    }));
    assert!(panicked.is_err());
    assert_eq!(*ends.lock().unwrap(), [End::Durable, End::Abandoned]);
}
