//! The XML configuration of Windows Server 2012 R2 and older.
//!
//! The same tree as in a `.vmcx`: every entry is an element of its name, and a leaf says its type
//! in the attribute `type` (`string`, `integer`, `bool`, `bytes`). Files are UTF-16LE with a byte
//! order mark; UTF-8 is read too. Document type declarations, and with them entities, are
//! refused.

mod reader;
mod writer;

pub use reader::{Error, MAX_LEN, Result, Warning, is_configuration, read_tree};
pub use writer::{Unwritable, write_tree};
