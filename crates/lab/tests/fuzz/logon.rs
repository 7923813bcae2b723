//! What holds for any tokens of a logon.

use hyperkeep_lab::server::{Account, log_on};
use hyperkeep_lab::wsman::Rights;

/// The challenge that the logons of the corpus were recorded with.
const NONCE: [u8; 8] = [0x8a, 0x80, 0x43, 0xbc, 0xea, 0xba, 0xca, 0x65];
const NOW: &str = "2026-11-22T12:10:10Z";
/// Tokens of a logon that are tried.
const MOST: usize = 6;

/// What the account may do that is there after these tokens.
fn logs_on(password: &str, tokens: &[&[u8]]) -> Option<Rights> {
    let account = Account {
        user: "LAB\\backup".to_owned(),
        password: password.to_owned(),
        rights: Rights::Administrator,
    };
    let now = NOW.parse().expect("a time");
    log_on("HV01", &[account], (NONCE, now), tokens)
}

/// Reads `data` as tokens, each behind its length, and tries them; whether they log on.
///
/// # Panics
/// When they log on with whatever password.
pub(crate) fn check(data: &[u8]) -> bool {
    let mut rest = data;
    let mut tokens: Vec<&[u8]> = Vec::new();
    while let Some((len, after)) = rest.split_first_chunk::<2>() {
        let len = usize::from(u16::from_le_bytes(*len)).min(after.len());
        let (token, after) = after.split_at(len);
        tokens.push(token);
        rest = after;
        if tokens.len() == MOST {
            break;
        }
    }
    let good = logs_on("pass word", &tokens);
    assert_eq!(logs_on("another", &tokens), None);
    assert!(matches!(good, None | Some(Rights::Administrator)));
    good.is_some()
}
