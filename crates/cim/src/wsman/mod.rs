//! WS-Management: envelopes written, replies and faults read. No I/O.
//!
//! What is sent follows what Windows' own clients and libvirt send, element by element, since
//! hosts check the order in places; `tests/golden/` has each envelope. What is read is matched by
//! namespace and local name only, as prefixes differ between hosts and versions.

mod body;
mod config;
mod envelope;
mod epr;
mod fault;
mod filter;
mod item;
mod ns;
mod reply;
mod uri;

pub use body::{Body, Mode, Request};
pub use config::{HostIdentity, HostLimits};
pub use envelope::{Settings, identify};
pub use epr::{read_epr, write_epr};
pub use fault::{Fault, FaultKind, WmiError};
pub use filter::{Associations, Filter};
pub use item::Item;
pub use reply::{Page, Reply, ReplyError};
pub use uri::{class_uri, everything_uri, split_class_uri};

pub use ns::{ANONYMOUS, CLASS_SCHEMA, CONFIG};

#[cfg(test)]
mod tests;
