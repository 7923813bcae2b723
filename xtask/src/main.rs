//! Project tasks.
//!
//! `cargo xtask lint` checks what no general tool knows: which crate may use which, where `unsafe`
//! and the file system may appear, how long a file may grow, that every fuzz target is replayed by
//! a test, and that links between documents lead somewhere. [`rules`] is the one place that says
//! what is allowed.

mod lint;
mod rules;

use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    match std::env::args().nth(1).as_deref() {
        Some("lint") => lint::run(),
        _ => {
            eprintln!("usage: cargo xtask lint");
            Ok(ExitCode::from(2))
        }
    }
}
