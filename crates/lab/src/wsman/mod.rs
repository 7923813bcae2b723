//! WS-Management from the host's side: envelopes read, answered and refused.
//!
//! Written from the specifications (MS-WSMV, DSP0226, DSP0227, DSP0230) and from what recordings
//! of real hosts show, and from nothing of our client: what both would get wrong alike would
//! never be found.
//!
//! - [`Request::read`] turns bytes into a request or a fault. They may be anything; what is read
//!   is bounded in size, depth and attributes.
//! - [`Service::answer`] turns a request into a reply over a [`Repository`](crate::repository).
//! - Whatever is refused is refused with the code that is documented for it.

mod answer;
mod class;
mod enumeration;
mod fault;
mod instance;
mod invoke;
mod mishap;
mod ns;
mod reference;
mod request;
mod service;
mod write;
mod xml;

pub use answer::Answer;
pub use fault::{Fault, FaultStyle};
pub use mishap::{ANY, Cut, Held, Mishap, Notice, What};
pub use request::{Enumerate, Filter, Input, Mode, Operation, Request, Resource, Unreadable};
pub use service::{Caller, Limits, Rights, Service};
pub use xml::BadXml;

#[cfg(test)]
mod tests;
