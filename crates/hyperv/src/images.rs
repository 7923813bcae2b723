//! The host's service that tells of disk files, those in use as well.

use cim::path::HYPER_V;
use cim::{CimError, CimSession, Instance, Invoked, ObjectPath};
use uuid::Uuid;

use crate::ids::{fold, guid};

/// Files of one chain, at most.
const MOST_LAYERS: usize = 256;

/// The service.
pub(crate) struct Images<'s> {
    session: &'s dyn CimSession,
    service: ObjectPath,
}

/// Why a host tells nothing of a disk file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTold {
    /// It could not be asked.
    #[error(transparent)]
    Host(#[from] CimError),
    /// It does not say, or not in a way that is understood.
    #[error("{0}")]
    Why(String),
}

/// A disk with all of its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ToldDisk {
    /// The disk's id, if it has one.
    pub(crate) id: Option<Uuid>,
    /// Its size in bytes, as its guest sees it.
    pub(crate) len: u64,
    /// Its files, youngest first, with their sizes in bytes.
    pub(crate) files: Vec<(String, u64)>,
}

impl<'s> Images<'s> {
    pub(crate) fn of(session: &'s dyn CimSession) -> Result<Self, NotTold> {
        let all = session.query_paths(HYPER_V, "SELECT * FROM Msvm_ImageManagementService")?;
        let service = all.into_iter().next();
        let none = || NotTold::Why("the host has no service for disks".to_owned());
        let service = service.ok_or_else(none)?;
        Ok(Self { session, service })
    }

    /// Asks for a disk with two calls for each of its files.
    pub(crate) fn disk(&self, path: &str) -> Result<ToldDisk, NotTold> {
        let mut disk = ToldDisk {
            id: None,
            len: 0,
            files: Vec::new(),
        };
        let mut next = Some(path.to_owned());
        while let Some(path) = next.take() {
            if disk
                .files
                .iter()
                .any(|(known, _)| fold(known) == fold(&path))
            {
                return Err(NotTold::Why(format!("{path}: is a parent of itself")));
            }
            if disk.files.len() >= MOST_LAYERS {
                return Err(NotTold::Why("there are too many files".to_owned()));
            }
            let odd = |error: cim::PropertyError| NotTold::Why(format!("{path}: {error}"));
            let state = self.ask("GetVirtualHardDiskState", "State", &path)?;
            let size: u64 = state.get("FileSize").map_err(odd)?;
            let settings = self.ask("GetVirtualHardDiskSettingData", "SettingData", &path)?;
            if disk.files.is_empty() {
                disk.len = settings.get("MaxInternalSize").map_err(odd)?;
                let id: Option<String> = settings.get_opt("VirtualDiskId").ok().flatten();
                disk.id = id.and_then(|id| guid(&id));
            }
            let parent: Option<String> = settings.get_opt("ParentPath").ok().flatten();
            next = parent.filter(|path| !path.is_empty());
            disk.files.push((path, size));
        }
        Ok(disk)
    }

    fn ask(&self, method: &str, output: &str, path: &str) -> Result<Instance, NotTold> {
        let inputs = Instance::default().with("Path", path);
        // It changes nothing.
        let result = self.session.invoke(&self.service, method, &inputs)?;
        let refused = |why: String| NotTold::Why(format!("{path}: {why}"));
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
