//! The operating system's keyring: what somebody put there by `secret set`.
//!
//! On Linux it is the kernel's keyring of the user that stays when sessions end; on Windows the
//! Credential Manager. Nothing else uses it, and nothing is put there unless somebody asks for it.
//! Why these and not a desktop's keyring: docs/adr/0015.

use std::fmt;

use zeroize::Zeroizing;

use crate::host::HostAddress;
use crate::open;

/// What a secret opens. Its text is the name by which the keyring has it.
pub(crate) enum Name<'a> {
    /// The passphrase of the vault at a location.
    Vault(&'a str),
    /// The password of a host's account.
    Host(&'a HostAddress),
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // As it is found from anywhere: a backup at night runs in another folder.
            Self::Vault(location) => write!(f, "vault {}", open::from_anywhere(location)),
            Self::Host(address) => write!(f, "host {} {address}", address.user),
        }
    }
}

/// Why the keyring cannot be asked.
#[derive(Debug)]
pub(crate) struct Unavailable(String);

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the system's keyring cannot be used: {}", self.0)
    }
}

impl Unavailable {
    fn new(error: impl fmt::Display) -> Self {
        Self(error.to_string())
    }
}

type Result<T> = std::result::Result<T, Unavailable>;

/// A secret; `None` when it has none of this name.
pub(crate) fn get(name: &Name<'_>) -> Result<Option<Zeroizing<String>>> {
    let Some(bytes) = system::get(&name.to_string())? else {
        return Ok(None);
    };
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Some(Zeroizing::new(text.to_owned()))),
        Err(_) => Err(Unavailable(format!("“{name}” is no text"))),
    }
}

/// Puts a secret there, in the place of another one of this name.
pub(crate) fn set(name: &Name<'_>, secret: &str) -> Result<()> {
    system::set(&name.to_string(), secret)
}

/// Removes a secret; whether there was one.
pub(crate) fn remove(name: &Name<'_>) -> Result<bool> {
    system::remove(&name.to_string())
}

/// Keys of the kernel, in the keyring of the user that outlives sessions. It is joined to this
/// process alone: what one joins one may read, and nobody's session is changed by it.
#[cfg(target_os = "linux")]
mod system {
    use linux_keyutils::{KeyError, KeyRing, KeyRingIdentifier};
    use zeroize::Zeroizing;

    use super::{Result, Unavailable};

    fn keyring() -> Result<KeyRing> {
        KeyRing::from_special_id(KeyRingIdentifier::Process, true).map_err(Unavailable::new)?;
        // From now on it is kept for as long as the system keeps one that is not used.
        KeyRing::get_persistent(KeyRingIdentifier::Process).map_err(Unavailable::new)
    }

    fn described(name: &str) -> String {
        format!("hyperkeep: {name}")
    }

    /// What there is no key for, by whichever of the kernel's words.
    fn found<T>(result: std::result::Result<T, KeyError>) -> Result<Option<T>> {
        match result {
            Ok(found) => Ok(Some(found)),
            Err(KeyError::KeyDoesNotExist | KeyError::KeyExpired | KeyError::KeyRevoked) => {
                Ok(None)
            }
            Err(error) => Err(Unavailable::new(error)),
        }
    }

    pub(super) fn get(name: &str) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let Some(key) = found(keyring()?.search(&described(name)))? else {
            return Ok(None);
        };
        Ok(found(key.read_to_vec())?.map(Zeroizing::new))
    }

    pub(super) fn set(name: &str, secret: &str) -> Result<()> {
        let key = keyring()?.add_key(&described(name), secret);
        key.map(drop).map_err(Unavailable::new)
    }

    pub(super) fn remove(name: &str) -> Result<bool> {
        let keyring = keyring()?;
        let Some(key) = found(keyring.search(&described(name)))? else {
            return Ok(false);
        };
        keyring.unlink_key(key).map_err(Unavailable::new)?;
        Ok(true)
    }
}

/// Generic credentials of the account that runs us, on this machine.
#[cfg(windows)]
mod system {
    use std::collections::HashMap;

    use keyring_core::api::CredentialStoreApi as _;
    use keyring_core::{Entry, Error};
    use windows_native_keyring_store::Store;
    use zeroize::Zeroizing;

    use super::{Result, Unavailable};

    fn entry(name: &str) -> Result<Entry> {
        let store = Store::new().map_err(Unavailable::new)?;
        let target = format!("hyperkeep: {name}");
        // Not carried to other machines with the account's profile.
        let how = HashMap::from([("target", target.as_str()), ("persistence", "LocalMachine")]);
        let entry = store.build("hyperkeep", name, Some(&how));
        entry.map_err(Unavailable::new)
    }

    pub(super) fn get(name: &str) -> Result<Option<Zeroizing<Vec<u8>>>> {
        match entry(name)?.get_secret() {
            Ok(secret) => Ok(Some(Zeroizing::new(secret))),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(Unavailable::new(error)),
        }
    }

    pub(super) fn set(name: &str, secret: &str) -> Result<()> {
        let entry = entry(name)?;
        let set = entry.set_secret(secret.as_bytes());
        set.map_err(Unavailable::new)
    }

    pub(super) fn remove(name: &str) -> Result<bool> {
        match entry(name)?.delete_credential() {
            Ok(()) => Ok(true),
            Err(Error::NoEntry) => Ok(false),
            Err(error) => Err(Unavailable::new(error)),
        }
    }
}

#[cfg(not(any(target_os = "linux", windows)))]
mod system {
    use zeroize::Zeroizing;

    use super::{Result, Unavailable};

    fn none<T>() -> Result<T> {
        Err(Unavailable::new("none is known of this system"))
    }

    pub(super) fn get(_: &str) -> Result<Option<Zeroizing<Vec<u8>>>> {
        none()
    }

    pub(super) fn set(_: &str, _: &str) -> Result<()> {
        none()
    }

    pub(super) fn remove(_: &str) -> Result<bool> {
        none()
    }
}
