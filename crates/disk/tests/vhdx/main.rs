//! The VHDX reader against tools and files that are not ours, a model, and damage.

mod compare;
mod model;
mod oracles;
mod samples;
