//! The commands: each turns what was asked into calls, and the answers into one document.

pub(crate) mod init;
pub(crate) mod keys;
mod keys_documents;
