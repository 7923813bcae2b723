//! Changing VHDX files in place: against a flat model, other tools, and power cuts.

mod crash;
#[path = "../vhdx_write/images.rs"]
mod images;
mod merge;
mod model;
mod refuse;
mod samples;
