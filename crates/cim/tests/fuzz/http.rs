//! What holds for any bytes that are read as a reply of HTTP.

use hyperkeep_cim::http::{Sealed, read_reply};

const MOST: usize = 4096;

/// Reads `data` as a reply, at once and byte by byte, and as an encrypted message.
///
/// # Panics
/// When a reply is larger than is accepted, depends on how its bytes arrive, or an encrypted
/// message is another one after it was written and read again.
pub(crate) fn check(data: &[u8]) {
    let reply = read_reply(&mut &data[..], MOST).ok();
    if let Some(reply) = &reply {
        assert!(reply.body.len() <= MOST);
        let _ = Sealed::from_body(&reply.body);
        // Bytes that are behind the end are seen only if they arrive with it.
        let slow = read_reply(&mut Slow(data), MOST).ok();
        assert_eq!(slow.as_ref(), Some(reply));
    }
    if let Ok(sealed) = Sealed::from_body(data) {
        let body = sealed.to_body(
            "application/HTTP-SPNEGO-session-encrypted",
            sealed.data.len(),
        );
        assert_eq!(Sealed::from_body(&body), Ok(sealed));
    }
}

/// Gives one byte at a time.
struct Slow<'a>(&'a [u8]);

impl std::io::Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match (self.0.split_first(), buffer.first_mut()) {
            (Some((byte, rest)), Some(place)) => {
                *place = *byte;
                self.0 = rest;
                Ok(1)
            }
            _ => Ok(0),
        }
    }
}
