//! What a plan makes of saved memory.

use super::super::tests::{blocks, point, same, target, told};
use super::super::{SavedState, Step, Tree, plan};
use super::*;

#[test]
fn memory_goes_where_it_fits() {
    let mut saved = point();
    saved.memory = true;
    let with = |state, host: &str| {
        let request = Request {
            saved_state: state,
            ..same()
        };
        let mut target = target();
        target.inventory.host.name = Some(host.to_owned());
        let plan = plan(&saved, &request, &target);
        let drops = plan.steps.contains(&Step::DropSavedState);
        assert_ne!(plan.saved_state, drops);
        (plan.saved_state, told(&plan, "saved-state-may-not-fit"))
    };
    assert_eq!(with(SavedState::Auto, "hv01.example.org"), (true, false));
    assert_eq!(with(SavedState::Auto, "HV02"), (false, false));
    assert_eq!(with(SavedState::Keep, "HV02"), (true, true));
    assert_eq!(with(SavedState::Discard, "HV01"), (false, false));
    let keep = Request {
        saved_state: SavedState::Keep,
        ..same()
    };
    assert_eq!(blocks(&point(), &keep, &target()), ["no-saved-state"]);
}

#[test]
fn memory_of_checkpoints_is_told_where_it_may_not_fit() {
    let mut saved = point();
    saved.checkpoints[0].memory = Some(true);
    let with = |point: &Point, state, host: &str| {
        let request = Request {
            saved_state: state,
            ..same()
        };
        let mut target = target();
        target.inventory.host.name = Some(host.to_owned());
        let plan = plan(point, &request, &target);
        let dropped = plan.steps.contains(&Step::DropCheckpointMemory);
        assert_eq!(told(&plan, "checkpoint-memory-dropped"), dropped);
        let fits = !told(&plan, "checkpoint-memory-may-not-fit");
        (plan.is_possible(), plan.checkpoint_memory, dropped, fits)
    };
    for state in [SavedState::Auto, SavedState::Keep] {
        assert_eq!(with(&saved, state, "HV01"), (true, true, false, true));
        assert_eq!(with(&saved, state, "HV02"), (true, true, false, false));
    }
    let gone = (true, false, true, true);
    assert_eq!(with(&saved, SavedState::Discard, "HV01"), gone);
    assert_eq!(with(&saved, SavedState::Discard, "HV02"), gone);
    // What nobody can tell may be there.
    saved.checkpoints[0].memory = None;
    let may = (true, true, false, false);
    assert_eq!(with(&saved, SavedState::Auto, "HV02"), may);
    let none = (true, true, false, true);
    assert_eq!(with(&point(), SavedState::Auto, "HV02"), none);
    // Without checkpoints there is none of theirs.
    let flat = Request {
        tree: Tree::Flat,
        ..Request::default()
    };
    let mut elsewhere = target();
    elsewhere.inventory.host.name = Some("HV02".to_owned());
    let flat = plan(&saved, &flat, &elsewhere);
    assert!(!told(&flat, "checkpoint-memory-may-not-fit") && !flat.checkpoint_memory);
}
