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
        Finished {
            token: None,
            findings: vec![Finding::note(
                Code::CleanupFailed,
                "probe",
                "it is still there",
            )],
        }
    }
}

#[test]
fn a_frozen_vm_is_ended_once_on_every_path() {
    let ends = Arc::new(Mutex::new(Vec::new()));
    let leavings = Leavings::default();
    let hold = || Held::new(Box::new(Probe(Arc::clone(&ends))), &leavings);

    assert_eq!(hold().finish(End::Durable).findings.len(), 1);
    assert_eq!(*ends.lock().unwrap(), [End::Durable]);
    assert_eq!(leavings.take().len(), 0);

    drop(hold());
    assert_eq!(ends.lock().unwrap().pop(), Some(End::Abandoned));
    assert_eq!(leavings.take().len(), 1);

    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _held = hold();
        panic!("in the middle of a backup");
    }));
    assert!(panicked.is_err());
    assert_eq!(*ends.lock().unwrap(), [End::Durable, End::Abandoned]);
    assert_eq!(leavings.take().len(), 1, "a panic takes nothing along");
}
