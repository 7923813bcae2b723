//! Tests against a host whose objects are written from Hyper-V's documented classes.

mod checkpoint;
mod decide;
mod doubt;
mod files;
mod frozen;
mod holding;
mod inventory;
mod journal;
mod recovery;
mod release;
mod support;
mod sweep;
mod tracking;
mod tree;
