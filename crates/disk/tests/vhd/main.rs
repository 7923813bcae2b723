//! VHD reader and writer against a flat model, against other tools, and against damage.

mod by_hand;
mod crash;
mod damage;
mod model;
mod oracles;
mod samples;
