//! A simulated Hyper-V host, to try backups against without Windows.
//!
//! ```text
//!  a client ──HTTP──► WS-Management ──► repository ──► state ──► disk files
//!                     envelopes, logon  classes, WQL,  VMs, jobs,
//!                                       methods        checkpoints
//! ```
//!
//! The host follows the documentation and not what our client finds convenient. Where no public
//! source tells how real hosts behave ("UNVERIFIED"), a scenario can choose ([`state::Rules`]).
//! What the lab does not do is refused with the code that is documented for that; nothing is
//! answered as done that was not.

mod clock;
mod orders;
pub mod repository;
pub mod scenario;
pub mod schema;
mod serve;
pub mod server;
pub mod state;
pub mod wsman;

pub use clock::{Clock, Ids, ManualClock, SystemClock, counted_ids};
pub use orders::{OrderError, Say, order};
pub use serve::{ServeError, keep_going, serve};
