//! Files of a real Samba server on loopback, started here with a configuration of its own.

#![cfg(unix)]

// The simulated host of the tests of hyperv, by the name that the crate has there.
extern crate hyperv as hyperkeep_hyperv;

mod basic;
mod chains;
mod outage;
mod server;
#[allow(dead_code)]
#[path = "../../../hyperv/tests/wire/support.rs"]
mod simulated;
mod vms;
