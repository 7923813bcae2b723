//! What there is around the backup of one VM, over WS-Management: copies on other hosts, nodes of a
//! cluster, memory, and the host itself.

mod cluster;
mod meddled;
mod memory;
mod pacing;
mod replication;
mod settings;
mod support;
