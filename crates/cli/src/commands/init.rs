//! `init`.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use store::LocalStore;
use vault::{CutterSizes, InitOptions, Vault};
use zeroize::Zeroizing;

use crate::args::{ChunkAverage, Global, InitArgs};
use crate::failure::{Exit, Failure, OnPath, Result};
use crate::sheet::{Sheet, check_target, groups};
use crate::ui::{Document, Ui};
use crate::{apart, open, secret};

#[derive(Serialize)]
struct InitDocument {
    vault: String,
    location: String,
    recovery_code: String,
    sheet: Option<String>,
    /// The recovery sheet itself.
    #[serde(skip)]
    page: Zeroizing<String>,
}

impl Document for InitDocument {
    const KIND: &'static str = "init";

    /// The sheet goes into its file or onto the terminal; a code that is shown beside a file is
    /// there in case that the file gets lost.
    fn human(&self) -> String {
        let Some(sheet) = &self.sheet else {
            return format!(
                "Created vault {} at {}\n\nShown this once: print it, or write down its code. Without \
                 it or the passphrase\nnobody can read the vault.\n\n{}",
                self.vault, self.location, *self.page
            );
        };
        let mut text = format!(
            "Created vault {} at {}\n\nRecovery code, shown this once:\n\n",
            self.vault, self.location
        );
        for row in groups(&self.recovery_code) {
            text.push_str(&format!("    {row}\n"));
        }
        text.push_str(
            "\nWrite it down and keep it away from the machines that are backed up. Without it or\n\
             the passphrase nobody can read the vault.\n",
        );
        text.push_str(&format!("\nRecovery sheet to print: {sheet}\n"));
        text
    }
}

/// Makes a vault.
pub(crate) fn run(global: &Global, args: &InitArgs, ui: Ui) -> Result<Exit> {
    let location = location(global, args)?;
    let folder = open::folder(location)?;
    if let Some(sheet) = &args.sheet {
        apart::target(location, sheet)?;
    }
    check_target(args.sheet.as_deref())?;
    vacant(&folder)?;
    let passphrase = secret::first(global)?;
    let store = LocalStore::create(&folder).map_err(|error| {
        Failure::from(anyhow::Error::new(error).context(location.to_owned()))
            .hint("name a folder that can be made, or an empty one that you may write to")
    })?;
    let options = InitOptions {
        passphrase: Some(passphrase.as_bytes()),
        cutter: match args.chunk_average {
            ChunkAverage::Kib64 => CutterSizes::average_64k(),
            ChunkAverage::Kib32 => CutterSizes::average_32k(),
        },
        writer: &host_name(),
        ..InitOptions::default()
    };
    let (vault, code) =
        Vault::init(Arc::new(store), &options, open::env(global)).map_err(|error| match error {
            // There is one already.
            vault::Error::Invalid(_) => {
                Failure::from(anyhow::Error::new(error).context(location.to_owned())).hint(VACANT)
            }
            error => open::vault_failure(error, location),
        })?;
    open::warn(&vault, ui);
    tell_of_env(global, location, ui);
    let code = code.to_text();
    let id = vault.id().to_string();
    let sheet = Sheet {
        location: &open::from_anywhere(location),
        vault: &id,
        made: vault.description().created,
        code: &code,
    };
    let mut document = InitDocument {
        vault: id.clone(),
        location: location.to_owned(),
        recovery_code: code.to_string(),
        sheet: args.sheet.as_ref().map(|path| path.display().to_string()),
        page: sheet.text(),
    };
    let Some(path) = &args.sheet else {
        return ui.print(&document);
    };
    match sheet.write_to(path) {
        Ok(()) => ui.print(&document),
        // The vault exists now: the code must be shown whatever becomes of the sheet.
        Err(failure) => {
            document.sheet = None;
            ui.print_beside(&document, &failure)
        }
    }
}

/// Where the vault is to be. What the command line says goes before HYPERKEEP_VAULT.
fn location<'a>(global: &'a Global, args: &'a InitArgs) -> Result<&'a str> {
    let Some(location) = &args.location else {
        return open::location(global);
    };
    match &global.vault {
        Some(other) if !global.vault_by_env && other != location => Err(Failure::usage(format!(
            "two places for one vault: {location} and --vault {other}"
        ))
        .hint("name it once: hyperkeep init VAULT")),
        _ => Ok(location),
    }
}

/// Says so when other commands will not use the new vault by themselves.
fn tell_of_env(global: &Global, location: &str, ui: Ui) {
    if let Some(other) = &global.vault
        && global.vault_by_env
        && other != location
    {
        ui.note(&format!(
            "note: HYPERKEEP_VAULT names another vault, {other}: other commands use that one \
             unless they are given --vault {location}"
        ));
    }
}

/// What may lie in a folder that becomes a vault: what an interrupted attempt has left, and what
/// systems put into the root of every volume. Of a vault that is there, `Vault::init` tells.
const USUAL: [&str; 11] = [
    "vault.json",
    "keys",
    "packs",
    "index",
    "points",
    "tokens",
    "sessions",
    ".tmp",
    "lost+found",
    "System Volume Information",
    "$RECYCLE.BIN",
];

/// Refuses a folder in which something else lies: a vault's files among somebody else's are
/// deleted with them one day.
fn vacant(folder: &Path) -> Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).on_path(LOOKING, folder, VACANT),
    };
    for entry in entries {
        let name = entry.on_path(LOOKING, folder, VACANT)?.file_name();
        if !USUAL.iter().any(|usual| name == *usual) {
            return Err(Failure::new(format!(
                "{}: the folder is not empty: it has “{}”",
                folder.display(),
                name.to_string_lossy()
            ))
            .hint(VACANT));
        }
    }
    Ok(())
}

const LOOKING: &str = "looking into it";
const VACANT: &str = "name a folder that is empty or not there";

/// What this machine is called, for the vault's list of writers.
fn host_name() -> String {
    let named = ["COMPUTERNAME", "HOSTNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok());
    named
        .or_else(|| std::fs::read_to_string("/etc/hostname").ok())
        .map(|name| name.trim().chars().take(64).collect::<String>())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unnamed host".to_owned())
}
