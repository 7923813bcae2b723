//! The `hyperkeep` program.

fn main() {}
