//! What happens while time goes by.

use std::time::Duration;

use cim::job::Pace;

use super::{Kept, Vmms};

/// Only waiting moves the clock.
impl Pace for Vmms {
    fn cancelled(&self) -> bool {
        self.cancelled
    }

    fn now(&self) -> Duration {
        self.state.lock().unwrap().now
    }

    fn sleep(&self, span: Duration) {
        let mut state = self.state.lock().unwrap();
        state.now += span;
        let now = state.now;
        if state.operation_until.is_some_and(|at| at <= now) {
            state.operation = None;
        }
        state.unmerged.take_if(|(at, _)| *at <= now);
        if state.converted_at.take_if(|at| *at <= now).is_some() {
            state.operation = None;
            state.checkpoints.retain(|_, kept| !kept.recovery);
            let made = state.id("RP:");
            state.points.push(made);
        }
        if let Some(created) = state.created_at.take_if(|at| *at <= now) {
            let id = state.id("Microsoft:");
            let kept = Kept {
                name: "a - (2026/1/5)".to_owned(),
                recovery: true,
                created,
                parent: None,
            };
            state.checkpoints.insert(id, kept);
        }
        if let Some((_, id, name)) = state.renamed.take_if(|(at, ..)| *at <= now) {
            state.checkpoints.get_mut(&id).unwrap().name = name;
        }
    }
}
