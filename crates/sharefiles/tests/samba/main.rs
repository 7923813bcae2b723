//! Files of a real Samba server on loopback, started here with a configuration of its own.

#![cfg(unix)]

mod basic;
mod outage;
mod server;
