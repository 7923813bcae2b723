//! QCOW2, version 3, for writing only: the images of QEMU and what is built on it.
//!
//! Disks are restored into it, so that a VM can start on another hypervisor without a conversion; a
//! backup never meets one. Source: `docs/interop/qcow2` of QEMU, which specifies the format.

mod writer;

pub use writer::{CLUSTER, Qcow2Writer};
