//! How much room an export needs.

use std::fmt;

use cim::path::HYPER_V;
use cim::{CimSession, Instance, Invoked, ObjectPath};
use serde::{Deserialize, Serialize};

use super::ExportError;
use crate::ids::fold;
use crate::inventory::Settings;

/// Files of one chain, at most.
const MOST_LAYERS: usize = 256;

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
        let images = Images::of(session)?;
        let mut seen: Vec<String> = Vec::new();
        let mut disks = 0_u64;
        for medium in &settings.media {
            let mut next = Some(medium.path.clone());
            while let Some(path) = next.take() {
                // Disks may share what is below them.
                if seen.contains(&fold(&path)) {
                    break;
                }
                if seen.len() >= MOST_LAYERS {
                    return Err(unknown("there are too many files"));
                }
                let state = images.ask("GetVirtualHardDiskState", "State", &path)?;
                let size: u64 = state
                    .get("FileSize")
                    .map_err(|error| unknown(&error.to_string()))?;
                disks = disks.saturating_add(size);
                let below = images.ask("GetVirtualHardDiskSettingData", "SettingData", &path)?;
                let below: Option<String> = below.get_opt("ParentPath").ok().flatten();
                next = below.filter(|path| !path.is_empty());
                seen.push(fold(&path));
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

fn unknown(why: &str) -> ExportError {
    ExportError::SizeUnknown(why.to_owned())
}

/// The service that tells of disk files, those in use as well.
struct Images<'s> {
    session: &'s dyn CimSession,
    service: ObjectPath,
}

impl<'s> Images<'s> {
    fn of(session: &'s dyn CimSession) -> Result<Self, ExportError> {
        let all = session.query_paths(HYPER_V, "SELECT * FROM Msvm_ImageManagementService")?;
        let service = all.into_iter().next();
        let service = service.ok_or_else(|| unknown("the host has no service for disks"))?;
        Ok(Self { session, service })
    }

    fn ask(&self, method: &str, output: &str, path: &str) -> Result<Instance, ExportError> {
        let inputs = Instance::default().with("Path", path);
        // It changes nothing.
        let result = self.session.invoke(&self.service, method, &inputs)?;
        let refused = |why: String| unknown(&format!("{path}: {why}"));
        match result.outcome() {
            Ok(Invoked::Done) => {}
            Ok(Invoked::Refused(code)) => {
                return Err(refused(format!("the host refuses with code {code}")));
            }
            Ok(Invoked::Job(_)) => return Err(refused("the host takes its time".to_owned())),
            Err(error) => return Err(refused(error.to_string())),
        }
        let told = result.outputs.get(output);
        told.map_err(|error| refused(error.to_string()))
    }
}
