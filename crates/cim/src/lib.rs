//! How a Hyper-V host is spoken to: CIM values, CIM-XML and a WS-Management client.
//!
//! The way of a question to a host, and of its answer:
//!
//! ```text
//! CimSession::get, query, associators, references, invoke, class
//!      │                                             ▲
//!      ▼                                             │ Instance, Class, MethodResult
//!  wsman: envelope, header, filter, parameters   wsman: items, faults, pages
//!      │                                             ▲
//!      ▼           Transport::exchange               │
//!  http: one connection, TLS, Basic or Negotiate, message encryption
//! ```
//!
//! Invariants of the whole crate:
//!
//! - What a host sends is hostile: it is bounded in size, depth and number before it is
//!   understood, and answers with typed errors, never with a panic.
//! - Nothing that a host sends is dropped: unknown properties stay, types that the wire does not
//!   tell stay open until somebody asks.
//! - A call that changes a host is sent once. Whether it was carried out when its answer got lost
//!   is said to be unknown; it is never sent again.
//! - Text of hosts is localised. Decisions rest on codes; text is for people.
//! - Secrets are wiped from memory, and never in an error or a log.

pub mod cimxml;
pub mod class;
mod hresult;
pub mod http;
mod instance;
pub mod job;
pub mod path;
mod session;
mod transport;
mod value;
pub mod wsman;
mod xml;

#[cfg(test)]
mod recorded;

pub use class::Class;
pub use hresult::Hresult;
pub use instance::{Instance, Property, PropertyError, PropertyProblem};
pub use path::{BadPath, Key, KeyValue, ObjectPath};
pub use session::{
    AssociationDialect, CimError, CimProblem, CimSession, Invoked, MethodResult, WsmanSession,
    random_ids,
};
pub use transport::{Transport, TransportError, TransportProblem};
pub use value::{
    BadDateTime, CimType, DateTime, FromScalar, Interval, IntoValue, Kind, Mismatch, Scalar,
    Timestamp, Value,
};
pub use wsman::Associations;
pub use xml::XmlError;
