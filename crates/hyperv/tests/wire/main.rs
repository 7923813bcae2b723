//! Whole backups of a simulated host, over WS-Management.

mod accidents;
mod apart;
mod apply;
mod backup;
mod cost;
mod define;
mod history;
mod import;
mod keeper;
mod killed;
mod matrix;
mod mishaps;
mod neighbours;
mod replace;
mod replicated;
mod restored;
mod rollback;
mod room;
mod saved;
mod support;
mod taken_back;
mod tree;
mod weather;
