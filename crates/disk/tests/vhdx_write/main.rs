//! New VHDX files: what other tools read in them, and what a crash leaves of them.

mod crash;
mod create;
mod images;
mod rebuild;
