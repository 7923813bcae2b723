//! VHD images as tools that we did not write see them.

pub mod oracle;
