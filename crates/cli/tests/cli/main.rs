//! The real program, driven as people and scripts drive it.

mod bench;
mod damage;
mod doctor;
mod documented;
mod elsewhere;
mod estimate;
mod exported;
mod golden;
#[cfg(unix)]
mod hooks;
mod host;
mod hosts;
mod import;
mod installations;
mod killed;
mod lab;
mod memory;
mod names;
mod nodes;
mod parents;
mod patterns;
mod roundtrip;
mod secrets;
#[cfg(unix)]
mod smb;
mod start;
mod vms;
mod words;
