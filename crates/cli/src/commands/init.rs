//! `init`.

use std::sync::Arc;

use serde::Serialize;
use store::LocalStore;
use vault::{CutterSizes, InitOptions, Vault};

use crate::args::{ChunkAverage, Global, InitArgs};
use crate::failure::{Exit, Failure, Result};
use crate::sheet::{Sheet, check_target, groups};
use crate::ui::{Document, Ui};
use crate::{open, secret};

#[derive(Serialize)]
struct InitDocument {
    vault: String,
    location: String,
    recovery_code: String,
    sheet: Option<String>,
}

impl Document for InitDocument {
    const KIND: &'static str = "init";

    fn human(&self) -> String {
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
        if let Some(sheet) = &self.sheet {
            text.push_str(&format!("\nRecovery sheet to print: {sheet}\n"));
        }
        text
    }
}

/// Makes a vault.
pub(crate) fn run(global: &Global, args: &InitArgs, ui: Ui) -> Result<Exit> {
    let location = match &args.location {
        Some(location) => location,
        None => open::location(global)?,
    };
    let folder = open::folder(location)?;
    check_target(args.sheet.as_deref())?;
    let passphrase = secret::first(global)?;
    let store = LocalStore::create(&folder)
        .map_err(|error| Failure::from(anyhow::Error::new(error).context(location.to_owned())))?;
    let options = InitOptions {
        passphrase: Some(passphrase.as_bytes()),
        cutter: match args.chunk_average {
            ChunkAverage::Kib64 => CutterSizes::average_64k(),
            ChunkAverage::Kib32 => CutterSizes::average_32k(),
        },
        writer: &host_name(),
        ..InitOptions::default()
    };
    let (vault, code) = Vault::init(Arc::new(store), &options, open::env(global))
        .map_err(|error| open::vault_failure(error, location))?;
    let code = code.to_text();
    let mut document = InitDocument {
        vault: vault.id().to_string(),
        location: location.to_owned(),
        recovery_code: code.to_string(),
        sheet: args.sheet.as_ref().map(|path| path.display().to_string()),
    };
    let Some(path) = &args.sheet else {
        return ui.print(&document);
    };
    let sheet = Sheet {
        location,
        vault: &document.vault,
        made: vault.description().created,
        code: &code,
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
