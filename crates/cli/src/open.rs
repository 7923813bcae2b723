//! Opening the vault that the command line names.

use std::path::PathBuf;
use std::sync::Arc;

use etcetera::BaseStrategy;
use store::{LocalStore, Store};
use vault::{Env, Vault};

use crate::args::{CompressionArg, Global};
use crate::failure::{Failure, Result};
use crate::secret::{self, Secret};
use crate::ui::Ui;

/// The vault's location: `--vault` or `HYPERKEEP_VAULT`.
pub(crate) fn location(global: &Global) -> Result<&str> {
    global
        .vault
        .as_deref()
        .filter(|location| !location.is_empty())
        .ok_or_else(|| {
            Failure::usage("no vault was given").hint("give --vault VAULT, or set HYPERKEEP_VAULT")
        })
}

/// The folder that a location names.
///
/// # Errors
/// For a URL: there are only folders in this version.
pub(crate) fn folder(location: &str) -> Result<PathBuf> {
    if location.contains("://") {
        return Err(Failure::usage(format!(
            "{location}: object storage is not available in this version"
        ))
        .hint("give a folder"));
    }
    Ok(PathBuf::from(location))
}

/// A location as it can be found from anywhere, for what is read later and elsewhere.
pub(crate) fn from_anywhere(location: &str) -> String {
    match folder(location).map(std::path::absolute) {
        Ok(Ok(path)) => path.display().to_string(),
        _ => location.to_owned(),
    }
}

/// The vault's surroundings.
pub(crate) fn env(global: &Global) -> Env {
    let usual = || {
        let base = etcetera::choose_base_strategy().ok()?;
        Some(base.cache_dir().join("hyperkeep"))
    };
    match global.cache_dir.clone().or_else(usual) {
        Some(folder) => Env::system().with_cache(folder),
        None => Env::system(),
    }
}

/// Opens the vault with the secret that the user gives.
pub(crate) fn vault(global: &Global, ui: Ui) -> Result<Vault> {
    // Looked at before a passphrase is asked for.
    let store = store(global)?;
    unlock(global, store, &secret::existing(global)?, ui)
}

/// Opens the vault with this secret.
pub(crate) fn vault_with(global: &Global, secret: &Secret, ui: Ui) -> Result<Vault> {
    unlock(global, store(global)?, secret, ui)
}

fn store(global: &Global) -> Result<Arc<dyn Store>> {
    let location = location(global)?;
    let folder = folder(location)?;
    let store = LocalStore::open(&folder).map_err(|error| {
        Failure::from(anyhow::Error::new(error).context(format!("{location}: no vault here")))
            .hint("check --vault, or create one: hyperkeep init VAULT")
    })?;
    let exists = store
        .exists("vault.json")
        .map_err(|error| vault_failure(error.into(), location))?;
    if !exists {
        return Err(vault_failure(vault::Error::NoVault, location));
    }
    Ok(Arc::new(store))
}

fn unlock(global: &Global, store: Arc<dyn Store>, secret: &Secret, ui: Ui) -> Result<Vault> {
    let location = location(global)?;
    let vault = Vault::open(store, secret.unlock(), env(global)).map_err(|error| {
        let wrong = matches!(error, vault::Error::WrongSecret { .. });
        let mut failure = vault_failure(error, location);
        if wrong && matches!(secret, Secret::Kept(_)) {
            let hint = "the passphrase is the one that the system's keyring has: put the right one there, \
                        `hyperkeep secret set`, or `hyperkeep secret remove` to be asked for it";
            failure.hint = Some(hint.to_owned());
        }
        failure
    })?;
    warn(&vault, ui);
    Ok(vault)
}

/// Tells what went wrong without harm.
pub(crate) fn warn(vault: &Vault, ui: Ui) {
    for warning in vault.take_warnings() {
        ui.note(&format!("note: {warning}"));
    }
}

/// An error of the vault, with the vault's location and advice.
pub(crate) fn vault_failure(error: vault::Error, location: &str) -> Failure {
    let hint = match &error {
        vault::Error::NoVault => "check --vault, or create one: hyperkeep init VAULT",
        vault::Error::WrongSecret { .. } => {
            "check the passphrase; if it is lost, the recovery code opens the vault: \
             --recovery-code-file FILE"
        }
        vault::Error::Store(_) => {
            "check that the vault's folder is there, can be read and written, and has room"
        }
        vault::Error::Object { .. } | vault::Error::Retiring { .. } => {
            "if this program is too old for the vault, get a newer one; `hyperkeep check` tells what \
             is damaged"
        }
        vault::Error::Invalid(_) => "`--help` after the command tells what can be asked for",
        _ => "`hyperkeep check` tells what is wrong with the vault",
    };
    Failure::from(anyhow::Error::new(error).context(location.to_owned())).hint(hint)
}

/// As the vault wants it.
pub(crate) fn compression(arg: CompressionArg) -> vault::Compression {
    match arg {
        CompressionArg::Fast => vault::Compression::Fast,
        CompressionArg::Default => vault::Compression::Default,
        CompressionArg::Small => vault::Compression::Small,
    }
}
