//! The VHDX reader against tools and files that are not ours, a model, and damage.

mod compare;
mod damage;
mod model;
mod oracles;
mod resolve;
mod samples;
