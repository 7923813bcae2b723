//! The real program, driven as people and scripts drive it.

mod bench;
mod damage;
mod documented;
mod golden;
mod host;
mod import;
mod killed;
mod lab;
mod memory;
mod names;
mod parents;
mod roundtrip;
mod start;
mod words;
