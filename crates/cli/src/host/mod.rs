//! A Hyper-V host that the command line names: its address, the way to it, and what this
//! installation keeps about it.

mod address;
mod cluster;
mod connect;
mod description;
mod files;
mod kept;
mod named;
mod pace;
mod state;

pub(crate) use address::{HostAddress, without_password};
pub(crate) use cluster::{Meant, Nodes, Own};
pub(crate) use connect::{credentials, session, session_as};
pub(crate) use description::Description;
pub(crate) use files::{Reach, mapped, mapped_if_any};
pub(crate) use kept::{Done, KeptVm, Stage, kept_in, meant, moved, on_return};
pub(crate) use named::{find, is_name};
pub(crate) use pace::HostPace;
pub(crate) use state::{Claim, State};

use engine::source::SourceError;
use hyperv::Hint;

use crate::failure::Failure;

/// An error of a host, with its advice.
pub(crate) fn failure(address: &HostAddress, error: &(impl std::fmt::Display + Hint)) -> Failure {
    let error = SourceError::new(address.to_string(), error.to_string(), error.hint());
    crate::commands::source::failure(error)
}
