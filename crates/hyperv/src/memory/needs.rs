//! How much room an export needs.

use std::fmt;

use cim::CimSession;
use serde::{Deserialize, Serialize};

use super::ExportError;
use crate::ids::fold;
use crate::images::{Images, NotTold};
use crate::inventory::Settings;

/// How much room an export needs in the staging folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// Bytes of all files of its disks.
    pub disks: u64,
    /// Bytes of its memory, at most.
    pub memory: u64,
}

impl Needs {
    /// All of it.
    pub fn bytes(self) -> u64 {
        self.disks.saturating_add(self.memory)
    }

    /// Asks the host for the size of each file of a VM's disks: two calls for each.
    ///
    /// # Errors
    /// When the host cannot be asked, or does not tell.
    pub fn ask(session: &dyn CimSession, settings: &Settings) -> Result<Self, ExportError> {
        let memory = &settings.config.memory;
        let most = match memory.dynamic {
            Some(true) => memory.maximum_mib.max(memory.startup_mib),
            _ => memory.startup_mib,
        };
        let Some(memory) = most else {
            return Err(unknown("the host does not tell the VM's memory"));
        };
        let images = Images::of(session).map_err(untold)?;
        let mut seen: Vec<String> = Vec::new();
        let mut disks = 0_u64;
        for medium in &settings.media {
            let disk = images.disk(&medium.path).map_err(untold)?;
            for (path, size) in disk.files {
                // Disks may share what is below them.
                if !seen.contains(&fold(&path)) {
                    seen.push(fold(&path));
                    disks = disks.saturating_add(size);
                }
            }
        }
        Ok(Self {
            disks,
            memory: memory.saturating_mul(1 << 20),
        })
    }
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        write!(
            f,
            "{} MiB (disks {} MiB, memory {} MiB)",
            mib(self.bytes()),
            mib(self.disks),
            mib(self.memory)
        )
    }
}

fn untold(why: NotTold) -> ExportError {
    match why {
        NotTold::Host(error) => error.into(),
        NotTold::Why(why) => unknown(&why),
    }
}

fn unknown(why: &str) -> ExportError {
    ExportError::SizeUnknown(why.to_owned())
}
