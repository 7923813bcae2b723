//! The verbs: backup and restore over sources, a vault and targets.

pub mod backup;
mod budget;
pub mod cancel;
pub mod changes;
pub mod clock;
pub mod estimate;
pub mod find;
pub mod finding;
pub mod guest;
pub mod hooks;
pub mod list;
pub mod outcome;
pub mod pipeline;
pub mod point;
pub mod progress;
pub mod queue;
pub mod restore;
pub mod saved_memory;
pub mod select;
pub mod source;

pub use cancel::Cancel;
pub use changes::Changed;
pub use clock::{Clock, SystemClock};
pub use finding::{Code, Finding, Severity};
pub use outcome::Outcome;
