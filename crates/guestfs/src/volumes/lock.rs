//! Whether an encrypted volume is open, by the keys that were given for it.

use std::sync::Arc;

use super::keys::Key;
use crate::bitlocker::{BitLocker, Secret};
use crate::error::{Error, Result};
use crate::fs::Device;
use crate::luks::Luks;
use crate::probe::What;

/// How an encrypted volume stands.
pub(super) enum Lock {
    /// It is open.
    Open(Opened),
    /// No key was given; what would open it.
    Shut(String),
    /// What was given does not open it, or nothing would.
    Refused(Error),
}

/// An open one.
pub(super) struct Opened {
    /// What is within.
    pub(super) device: Device,
    /// What is odd about what it is in, in words for people.
    pub(super) notes: Vec<String>,
}

/// Tries the keys of what is encrypted; `None` if it is not.
pub(super) fn of(what: What, device: &Device, keys: &[Key]) -> Option<Lock> {
    let tried = match what {
        What::Luks(_) => luks(device, keys),
        What::BitLocker => bitlocker(device, keys),
        _ => return None,
    };
    Some(tried.unwrap_or_else(Lock::Refused))
}

fn luks(device: &Device, keys: &[Key]) -> Result<Lock> {
    let luks = Luks::read(Arc::clone(device))?;
    let mut refused = None;
    for key in keys {
        // A key file is what it is; a file with a passphrase often ends with a line break.
        let spelt = [key.bytes(), key.line()];
        let spelt = match spelt[0] == spelt[1] {
            true => &spelt[..1],
            false => &spelt[..],
        };
        match luks.unlock_any(spelt) {
            Ok(open) => {
                return Ok(Lock::Open(Opened {
                    device: Arc::new(open),
                    notes: luks.oddities().to_vec(),
                }));
            }
            Err(error @ (Error::WrongKey(_) | Error::Unsupported(_))) => refused = Some(error),
            Err(error) => return Err(error),
        }
    }
    Ok(match refused {
        Some(error) => Lock::Refused(error),
        None => Lock::Shut("a passphrase or key file of it".to_owned()),
    })
}

fn bitlocker(device: &Device, keys: &[Key]) -> Result<Lock> {
    let bitlocker = BitLocker::read(Arc::clone(device))?;
    let open = |secret: &Secret, how: &str| -> Result<Lock> {
        let device: Device = Arc::new(bitlocker.unlock(secret)?);
        let mut notes = vec![format!(
            "{how}; no volume that Windows has encrypted was at hand when this reader was made"
        )];
        notes.extend(bitlocker.oddities().iter().cloned());
        Ok(Lock::Open(Opened { device, notes }))
    };
    // Where protection is suspended the key lies beside what it protects.
    if let Ok(lock) = open(&Secret::nothing(), "BitLocker is suspended on it") {
        return Ok(lock);
    }
    let mut refused = None;
    for key in keys {
        let opened = secret(key).and_then(|secret| open(&secret, "it was opened by its key"));
        match opened {
            Ok(lock) => return Ok(lock),
            Err(error @ (Error::WrongKey(_) | Error::Unsupported(_))) => refused = Some(error),
            Err(error) => return Err(error),
        }
    }
    Ok(match refused {
        Some(error) => Lock::Refused(error),
        None => {
            let protectors = bitlocker.protectors();
            let given = |one: &&String| matches!(one.as_str(), "recovery password" | "passphrase");
            let given: Vec<_> = protectors
                .iter()
                .filter(given)
                .map(String::as_str)
                .collect();
            match given.is_empty() {
                false => Lock::Shut(format!("its {}", given.join(" or "))),
                true => {
                    let there = protectors.join(", ");
                    let why = format!("BitLocker that nothing but this machine opens ({there})");
                    return Err(Error::Unsupported(why));
                }
            }
        }
    })
}

/// Eight groups of digits are a recovery password, whatever it is spelt like; all else is a passphrase.
fn secret(key: &Key) -> Result<Secret> {
    let wrong = || Error::WrongKey("the key is no text in UTF-8".to_owned());
    let text = std::str::from_utf8(key.line()).map_err(|_| wrong())?;
    let digits = |c: char| c.is_ascii_digit() || c == '-' || c == ' ';
    match text.matches('-').count() == 7 && text.chars().all(digits) {
        true => Secret::recovery(text),
        false => Ok(Secret::passphrase(text)),
    }
}
