//! SMB 3.1.1 messages as bytes: those that reading files needs, and no more.
//!
//! Requests are built, replies are taken apart; no message is sent here and no key is known. What
//! a server sends is hostile: each field is looked up within its bounds, and what does not fit is
//! [`Malformed`]. Sections are those of MS-SMB2 unless they say MS-FSCC.

mod fields;
mod header;
mod info;
mod negotiate;
mod open;
mod setup;
mod status;

pub use fields::Malformed;
use fields::field;
pub(crate) use header::{Command, FLAG_SIGNED, HEADER, Header, TRANSFORM, Transform};
pub(crate) use info::{About, Found, read_about, read_found};
pub(crate) use negotiate::{Agreed, Cipher, Signing, negotiate};
pub(crate) use open::{
    FileId, Opened, Want, close, open, query_about, query_folder, read, read_data, read_opened,
    read_output,
};
pub(crate) use setup::{read_setup, read_tree, session_setup, tree_connect};
pub(crate) use status::Status;

/// Takes bytes apart as each of the replies there is: for tests with hostile bytes.
///
/// # Errors
/// For bytes that begin with no proper header.
pub fn take_apart(bytes: &[u8]) -> Result<usize, Malformed> {
    let mut understood = 0;
    let mut count = |ok: bool| understood += usize::from(ok);
    count(Transform::read(bytes).is_ok());
    Header::read(bytes)?;
    count(Agreed::read(bytes).is_ok());
    count(read_setup(bytes).is_ok());
    count(read_tree(bytes).is_ok());
    count(read_opened(bytes).is_ok());
    count(read_data(bytes).is_ok());
    if let Ok(output) = read_output(bytes) {
        count(read_about(output).is_ok());
        count(read_found(output, &mut Vec::new(), 1 << 10).is_ok());
    }
    Ok(understood)
}

#[cfg(test)]
mod tests;
