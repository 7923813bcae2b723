//! What holds for any bytes of a server.

use hyperkeep_sharefiles::wire::take_apart;

/// Takes `data` apart as each reply there is: it is understood or refused.
pub(crate) fn check(data: &[u8]) {
    let _ = take_apart(data);
}
