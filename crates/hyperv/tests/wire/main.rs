//! Whole backups of a simulated host, over WS-Management.

mod backup;
mod history;
mod killed;
mod mishaps;
mod neighbours;
mod room;
mod support;
