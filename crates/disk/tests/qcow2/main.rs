//! QCOW2 writer against a flat model, against `qemu-img`, and against power cuts.

mod crash;
mod model;
mod oracles;
mod reader;
