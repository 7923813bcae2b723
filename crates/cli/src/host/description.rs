//! A host as a file: what restores to it are planned by where it cannot be asked.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::Path;

use hyperv::import::Target;
use hyperv::inventory::Inventory;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, OnPath, Result};

/// No host has more to tell.
const MOST_BYTES: u64 = 256 << 20;
/// The version of the form.
const VERSION: u32 = 1;
const KIND: &str = "host-description";

/// The file.
#[derive(Serialize, Deserialize)]
pub(crate) struct Description {
    kind: String,
    version: u32,
    /// The host as it was named.
    pub(crate) host: String,
    /// When it was asked.
    pub(crate) taken: Option<String>,
    /// What it told.
    pub(crate) target: Target,
}

impl Description {
    /// Of a host, now.
    pub(crate) fn of(host: String, inventory: Inventory) -> Self {
        let now = jiff::Timestamp::now().as_second();
        Self {
            kind: KIND.to_owned(),
            version: VERSION,
            host,
            taken: u64::try_from(now).ok().and_then(crate::text::rfc3339),
            target: Target { inventory },
        }
    }

    /// Writes it into a new file.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| Failure::new(format!("making JSON: {error}")))?;
        let opened = OpenOptions::new().write(true).create_new(true).open(path);
        opened
            .and_then(|mut file| {
                file.write_all(&text)?;
                file.sync_all()
            })
            .on_path(
                "writing the description",
                path,
                "nothing is overwritten: name a file that is not there, in a folder that is",
            )
    }

    /// Reads what somebody gives for one.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        const HINT: &str = "name a file that `hyperkeep vms HOST --describe FILE` wrote";
        let mut bytes = Vec::new();
        let read = fs::File::open(path)
            .and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes))
            .on_path("reading the description", path, HINT)?;
        let bad = |why: String| Failure::new(format!("{}: {why}", path.display())).hint(HINT);
        if read as u64 == MOST_BYTES {
            return Err(bad("is too long for a description of a host".to_owned()));
        }
        let told: serde_json::Value = serde_json::from_slice(&bytes)
            .map_err(|error| bad(format!("is no description of a host: {error}")))?;
        // Before its form is looked at, which another version may have changed.
        if told["kind"] != KIND {
            return Err(bad("is no description of a host".to_owned()));
        }
        if told["version"] != VERSION {
            let version = &told["version"];
            return Err(bad(format!(
                "is a description of version {version}, and this program knows {VERSION}"
            )));
        }
        serde_json::from_value(told)
            .map_err(|error| bad(format!("is no description of a host: {error}")))
    }
}
