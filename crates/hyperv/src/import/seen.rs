//! Whose settings there are on a host, before something is imported and after.
//!
//! After an import everything is addressed by the ids of settings alone, and no source tells which
//! ids a host gives to checkpoints that it imports: if one of them were that of a checkpoint that
//! is there, what is changed of the one would be changed of the other. So nothing is changed before
//! it was seen that what was imported shares no id with anything.
//!
//! What an import has made whose answer was lost is known by its folder, which nobody else has.

use cim::path::HYPER_V;
use cim::{CimError, CimSession, Instance};

use super::error::ImportError;
use super::planned::SETTINGS;
use super::take_off::{is_within, same_folder};
use crate::ids::{self, fold};

/// A planned VM as the host tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SeenPlanned {
    /// Its id.
    pub(crate) id: String,
    /// The folder of its configuration.
    pub(crate) folder: Option<String>,
}

/// All settings of a host at one moment: of VMs, of planned ones, and of their checkpoints.
pub(super) struct Seen(Vec<Row>);

struct Row {
    instance: String,
    /// The VM that it belongs to.
    of: String,
    kind: String,
    name: String,
    folder: Option<String>,
    /// All folders that it has anything in.
    roots: Vec<String>,
}

/// The folders of a configuration, of saved memory, checkpoints, paging, logs and firmware.
const ROOTS: [&str; 6] = [
    "ConfigurationDataRoot",
    "SnapshotDataRoot",
    "SuspendDataRoot",
    "SwapFileDataRoot",
    "LogDataRoot",
    "GuestStateDataRoot",
];

/// All planned VMs of a host, whoever made them.
pub(crate) fn planned(session: &dyn CimSession) -> Result<Vec<SeenPlanned>, CimError> {
    Ok(Seen::look(session)?.planned())
}

impl Row {
    fn read(row: &Instance) -> Self {
        let text = |name: &str| row.get_opt::<String>(name).ok().flatten();
        Self {
            instance: text("InstanceID").unwrap_or_default(),
            of: text("VirtualSystemIdentifier").unwrap_or_default(),
            kind: fold(&text("VirtualSystemType").unwrap_or_default()),
            name: text("ElementName").unwrap_or_default(),
            folder: text("ConfigurationDataRoot"),
            roots: ROOTS.iter().filter_map(|name| text(name)).collect(),
        }
    }

    fn is_planned(&self) -> bool {
        self.kind == "microsoft:hyper-v:system:planned" && !self.of.is_empty()
    }
}

impl Seen {
    /// Asks the host.
    pub(super) fn look(session: &dyn CimSession) -> Result<Self, CimError> {
        let rows = session.query(HYPER_V, &format!("SELECT * FROM {SETTINGS}"))?;
        Ok(Self(rows.iter().map(Row::read).collect()))
    }

    pub(super) fn planned(&self) -> Vec<SeenPlanned> {
        let all = self.0.iter().filter(|row| row.is_planned());
        let all = all.map(|row| SeenPlanned {
            id: row.of.clone(),
            folder: row.folder.clone(),
        });
        all.collect()
    }

    /// A folder that something is to have for itself.
    ///
    /// # Errors
    /// When the configuration of a VM, or of a planned one, is there.
    pub(super) fn is_free(&self, folder: &str) -> Result<(), ImportError> {
        let is_there = |row: &&Row| {
            row.folder
                .as_ref()
                .is_some_and(|own| same_folder(own, folder))
        };
        match self.0.iter().find(is_there) {
            None => Ok(()),
            Some(row) => Err(ImportError::FolderInUse {
                folder: folder.to_owned(),
                name: row.name.clone(),
            }),
        }
    }

    /// Whether a VM or one of its checkpoints has anything in a folder, or below it.
    pub(super) fn lives_in(&self, vm: &str, folder: &str) -> bool {
        let mut own = self.0.iter().filter(|row| fold(&row.of) == fold(vm));
        own.any(|row| row.roots.iter().any(|root| is_within(root, folder)))
    }

    /// Whether any VM has anything in a folder, or below it.
    fn is_inhabited(&self, folder: &str) -> bool {
        let mut all = self.0.iter();
        all.any(|row| row.roots.iter().any(|root| is_within(root, folder)))
    }

    /// Planned VMs that have come since and may be what was to be made in a folder: those that are
    /// there, and those of which the host does not tell where they are.
    pub(super) fn new_in(
        &self,
        session: &dyn CimSession,
        folder: &str,
    ) -> Result<Vec<SeenPlanned>, CimError> {
        let before = self.planned();
        let mut new = planned(session)?;
        new.retain(|seen| {
            let known = before.iter().any(|known| fold(&known.id) == fold(&seen.id));
            let told = seen.folder.as_ref();
            !known && told.is_none_or(|own| same_folder(own, folder))
        });
        Ok(new)
    }

    /// Looks whether a planned VM that has come since, and its checkpoints, share no id with
    /// anything: neither with what was there before, nor with what has come as well.
    ///
    /// # Errors
    /// When they do.
    pub(super) fn is_apart(&self, session: &dyn CimSession, id: &str) -> Result<(), ImportError> {
        let shared = |what: &str| Err(ImportError::SharedId(what.to_owned()));
        if let Some(vm) = ids::guid(id) {
            match session.get(&ids::machine_path(vm)) {
                Ok(_) => return shared(id),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
            }
        }
        let now = Self::look(session)?.0;
        let same = |one: &&Row, other: &Row| fold(&one.instance) == fold(&other.instance);
        for own in now.iter().filter(|row| fold(&row.of) == fold(id)) {
            let before = self.0.iter().filter(|row| same(row, own)).count();
            let here = now.iter().filter(|row| same(row, own)).count();
            if own.instance.is_empty() || before > 0 || here != 1 {
                return shared(&own.instance);
            }
        }
        Ok(())
    }
}

/// Whether a VM lives in a folder: then nothing there is removed, whoever made it.
///
/// # Errors
/// When the host does not tell.
pub(crate) fn is_lived_in(session: &dyn CimSession, folder: &str) -> Result<bool, CimError> {
    Ok(Seen::look(session)?.is_inhabited(folder))
}
