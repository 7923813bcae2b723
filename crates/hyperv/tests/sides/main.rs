//! VMs that have another side: copies on other hosts, and nodes of a cluster; over WS-Management.

mod cluster;
mod replication;
mod support;
