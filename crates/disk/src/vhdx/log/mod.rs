//! The log (MS-VHDX 2.3): changes to metadata on their way into place.
//!
//! A ring of 4 KiB sectors. An entry is a header sector with descriptors, further sectors of
//! descriptors, then one sector for each data descriptor. [`entry`] turns these into values and
//! back.

pub mod entry;
