//! Project tasks: `cargo xtask lint`.

fn main() {}
