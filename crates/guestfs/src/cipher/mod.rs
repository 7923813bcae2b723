//! Sectors as disk encryption stores them: AES in XTS or CBC mode, with the ways in which the number of a
//! sector becomes an initialisation vector.
//!
//! Sources: IEEE 1619 (XTS), the documentation of dm-crypt in Linux (names and vectors).

mod aes;
mod kdf;
mod mode;
mod whole;

pub(crate) use self::aes::Aes;
pub(crate) use self::kdf::{Effort, Hash, Kdf, NoKey};
pub(crate) use self::mode::{Cipher, cbc};
pub(crate) use self::whole::whole_sectors;
