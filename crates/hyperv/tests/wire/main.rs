//! Whole backups of a simulated host, over WS-Management.

mod backup;
mod history;
mod mishaps;
mod support;
