//! A planned VM of ours on a host, until it is a VM or gone.
//!
//! It is tied to us by the folder of its configuration, which is new and nobody else's: a call
//! whose answer is lost, or that fails when it was done, leaves a planned VM that is known by that.
//! What holds it destroys it, on every path; after a crash the next run does ([`crate::recovery`]).
//!
//! It shares no id with anything on the host ([`Seen::is_apart`]): nothing is changed before that
//! was seen.

use std::sync::Arc;

use cim::path::HYPER_V;
use cim::wsman::Associations;
use cim::{CimError, CimSession, Instance, ObjectPath, job};
use uuid::Uuid;

use super::error::ImportError;
use super::seen::{Seen, planned};
use super::take_off::{home, same_folder};
use crate::control::{Change, ChangeError, Control, NotDone, Returned, believed};
use crate::ids::{self, fold};
use crate::journal::{Call, Outcome};

pub(super) const SERVICE: &str = "Msvm_VirtualSystemManagementService";
const PLANNED: &str = "Msvm_PlannedComputerSystem";
pub(super) const SETTINGS: &str = "Msvm_VirtualSystemSettingData";
const SNAPSHOTS: &str = "Msvm_VirtualSystemSnapshotService";
/// The `VirtualSystemType` of a checkpoint that is named and not there.
const MISSING: &str = "microsoft:hyper-v:snapshot:missing";
/// How often a planned VM is destroyed of which nobody knows whether it is gone.
const MOST_TRIES: usize = 3;

/// What is imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The configuration, as the host spells it.
    pub file: String,
    /// The folder of the checkpoints' configurations; none for none.
    pub snapshots: Option<String>,
    /// Whether it gets a new id.
    pub new_id: bool,
    /// The VM's folder: new, ours alone, and the one that the configuration lies below and names.
    pub folder: String,
}

/// A planned VM of ours. It is destroyed when this is dropped, unless it has become a VM.
pub struct PlannedVm {
    control: Arc<Control>,
    vm: Uuid,
    id: String,
    /// The folder that is its alone.
    folder: String,
    held: bool,
}

fn path(id: &str) -> ObjectPath {
    ObjectPath::new(HYPER_V, PLANNED)
        .with_key("CreationClassName", PLANNED)
        .with_key("Name", id)
}

pub(super) fn service(session: &dyn CimSession) -> Result<ObjectPath, ImportError> {
    only(session, SERVICE)
}

pub(super) fn only(session: &dyn CimSession, class: &str) -> Result<ObjectPath, ImportError> {
    let found = session.query_paths(HYPER_V, &format!("SELECT * FROM {class}"))?;
    let first = found.into_iter().next();
    first.ok_or_else(|| ImportError::Lacks(class.to_owned()))
}

impl PlannedVm {
    /// Imports a configuration of the VM `vm`, of which nothing need be on the host.
    ///
    /// # Errors
    /// When it is not surely done. What may have been done is in the journal.
    pub fn import(
        control: &Arc<Control>,
        vm: Uuid,
        from: &Definition,
    ) -> Result<Self, ImportError> {
        let inputs = Instance::default()
            .with("SystemDefinitionFile", from.file.as_str())
            .with("SnapshotFolder", from.snapshots.as_deref().unwrap_or(""))
            .with("GenerateNewSystemIdentifier", from.new_id);
        let method = ("ImportSystemDefinition", "ImportedSystem");
        let made = Self::make(control, vm, (&from.folder, method), &inputs)?;
        match from.new_id && made.id() == Some(vm) {
            true => Err(ImportError::SharedId(made.id.clone())),
            false => Ok(made),
        }
    }

    /// Makes one anew by its settings, which name its folder: new, and ours alone.
    ///
    /// # Errors
    /// When it is not surely done. What may have been done is in the journal.
    pub(super) fn define(
        control: &Arc<Control>,
        vm: Uuid,
        (settings, folder): (&Instance, &str),
    ) -> Result<Self, ImportError> {
        let unwritable = |error: &dyn ToString| ImportError::Unwritable(error.to_string());
        let mut inputs = Instance::default();
        inputs
            .set_embedded("SystemSettings", settings)
            .map_err(|error| unwritable(&error))?;
        let method = ("DefinePlannedSystem", "PlannedSystem");
        Self::make(control, vm, (folder, method), &inputs)
    }

    fn make(
        control: &Arc<Control>,
        vm: Uuid,
        (folder, (method, output)): (&str, (&str, &str)),
        inputs: &Instance,
    ) -> Result<Self, ImportError> {
        let session = control.session();
        let before = Seen::look(session)?;
        before.is_free(folder)?;
        let known = before.planned().into_iter().map(|seen| seen.id);
        let change = Change {
            call: Call::MakePlanned {
                folder: folder.to_owned(),
                before: known.collect(),
            },
            target: &service(session)?,
            method,
            inputs,
            cancellable: true,
        };
        let made = |returned: &Returned<'_>| {
            let output: Option<ObjectPath> = returned.outputs.get_opt(output).ok().flatten();
            let rows = returned.job.map(|job| job::results(session, job, PLANNED));
            let by_job = rows.and_then(Result::ok).unwrap_or_default();
            let by_job = by_job.into_iter().find_map(|row| row.get("Name").ok());
            if let Some(id) = output.and_then(|path| path.key("Name")).or(by_job) {
                return Ok(Some(id));
            }
            // Neither told: then by the folder that is ours.
            let new = before.new_in(session, folder);
            let mut new = new.map_err(|error| error.to_string())?.into_iter();
            match (new.next(), new.next()) {
                (Some(one), None) if one.folder.is_some() => Ok(Some(one.id)),
                _ => Err("nothing tells which planned VM it made".to_owned()),
            }
        };
        // A job may fail, or be ended, when the planned VM is there.
        let undone = |why: &NotDone| {
            believed(why)?;
            if matches!(why, NotDone::NotCalled(_)) {
                return Ok(());
            }
            let new = before.new_in(session, folder);
            match new.map_err(|error| error.to_string())?.first() {
                None => Ok(()),
                Some(new) => Err(format!(
                    "there is a new planned VM all the same ({})",
                    new.id
                )),
            }
        };
        let id = control.change_looking(vm, &change, &made, &undone)?;
        let id = id.ok_or_else(|| ImportError::Lacks("planned VM that it made".to_owned()))?;
        let made = Self {
            control: Arc::clone(control),
            vm,
            id,
            folder: folder.to_owned(),
            held: true,
        };
        before.is_apart(session, &made.id)?;
        Ok(made)
    }

    /// The VM that the journal tells of.
    pub(super) fn of(&self) -> Uuid {
        self.vm
    }

    /// The host's name for it.
    pub(super) fn host_id(&self) -> &str {
        &self.id
    }

    pub(super) fn control(&self) -> &Control {
        &self.control
    }

    /// Its id, which is also the VM's.
    pub fn id(&self) -> Option<Uuid> {
        ids::guid(&self.id)
    }

    /// Gives it a name.
    ///
    /// # Errors
    /// When the host does not.
    pub fn name(&self, name: &str) -> Result<(), ImportError> {
        let mut settings = self.settings()?;
        settings.set("ElementName", name);
        self.modify_settings(settings)
    }

    /// Lets it keep its checkpoints in a folder.
    ///
    /// # Errors
    /// When the host does not.
    pub(super) fn keep_checkpoints_in(&self, folder: &str) -> Result<(), ImportError> {
        let mut settings = self.settings()?;
        settings.set("SnapshotDataRoot", folder);
        self.modify_settings(settings)
    }

    /// Changes its settings, which are sent whole.
    pub(super) fn modify_settings(&self, settings: Instance) -> Result<(), ImportError> {
        let session = self.control.session();
        let class = session.class(HYPER_V, SETTINGS)?;
        let unwritable = |error: &dyn ToString| ImportError::Unwritable(error.to_string());
        let settings = class
            .conform(settings)
            .map_err(|error| unwritable(&error))?;
        let mut inputs = Instance::default();
        inputs
            .set_embedded("SystemSettings", &settings)
            .map_err(|error| unwritable(&error))?;
        self.manage("ModifySystemSettings", &inputs)
    }

    /// Drops the saved memory that it has, if it has any.
    ///
    /// # Errors
    /// When the host does not.
    pub fn drop_saved_state(&self) -> Result<(), ImportError> {
        let saved: Option<bool> = self.settings()?.get_opt("IsSaved").ok().flatten();
        if saved == Some(false) {
            return Ok(());
        }
        // To off.
        let inputs = Instance::default().with("RequestedState", 3_u16);
        self.call(&path(&self.id), "RequestStateChange", &inputs)
    }

    /// Lets the host look whether it can be a VM.
    ///
    /// # Errors
    /// With all that the host says against it.
    pub fn validate(&self) -> Result<(), ImportError> {
        let inputs = Instance::default().with("PlannedSystem", path(&self.id));
        match self.manage("ValidatePlannedSystem", &inputs) {
            Err(ImportError::Change(ChangeError::NotDone {
                why: NotDone::Failed(failure),
                ..
            })) if !failure.errors.is_empty() => {
                let told = failure.errors.into_iter().map(|error| error.message);
                Err(ImportError::Invalid(told.collect()))
            }
            other => other,
        }
    }

    /// Makes a VM of it, and tells its id.
    ///
    /// # Errors
    /// When it is none. If that is not known, nothing is removed beside what the host may be doing:
    /// the journal keeps it.
    pub fn realize(mut self) -> Result<Uuid, ImportError> {
        let control = Arc::clone(&self.control);
        let session = control.session();
        let inputs = Instance::default().with("PlannedSystem", path(&self.id));
        let change = Change {
            call: Call::RealizePlanned {
                planned: self.id.clone(),
            },
            target: &service(session)?,
            method: "RealizePlannedSystem",
            inputs: &inputs,
            cancellable: false,
        };
        let done = control.change(self.vm, &change, &|_| Ok(None));
        match done {
            Ok(_) => {}
            Err(ChangeError::Unknown { call, why, number }) => {
                self.held = false;
                let gone = !self.is_there()?;
                let vm = ids::guid(&self.id).filter(|_| gone);
                // A VM of that id in another folder is another one.
                let own = vm.and_then(|vm| home(session, vm).ok().flatten());
                if own.is_none_or(|own| !same_folder(&own, &self.folder)) {
                    return Err(ChangeError::Unknown { call, why, number }.into());
                }
                control.settle(number, Outcome::Done { made: None });
            }
            Err(error) => return Err(error.into()),
        }
        self.held = false;
        let id = ids::guid(&self.id);
        id.ok_or_else(|| ImportError::Lacks(format!("VM of the id {}", self.id)))
    }

    /// Destroys it.
    ///
    /// # Errors
    /// When it is still there: then it is in the journal.
    pub fn destroy(mut self) -> Result<(), ImportError> {
        self.held = false;
        destroy_planned(&self.control, self.vm, &self.id)
    }

    fn is_there(&self) -> Result<bool, CimError> {
        let there = planned(self.control.session())?;
        Ok(there.iter().any(|seen| fold(&seen.id) == fold(&self.id)))
    }

    pub(super) fn settings(&self) -> Result<Instance, ImportError> {
        let which = Associations::of(&path(&self.id))
            .by("Msvm_SettingsDefineState")
            .to(SETTINGS);
        let found = self.control.session().associators(&which)?;
        let first = found.into_iter().next();
        first.ok_or_else(|| ImportError::Lacks(format!("settings of the planned VM {}", self.id)))
    }

    /// The settings of its checkpoints.
    pub(super) fn checkpoints(&self) -> Result<Vec<Instance>, ImportError> {
        let all = self.control.session();
        let all = all.query(HYPER_V, &format!("SELECT * FROM {SETTINGS}"))?;
        let text = |row: &Instance, name: &str| {
            let told = row.get_opt::<String>(name).ok().flatten();
            fold(&told.unwrap_or_default())
        };
        let own = fold(&self.id);
        let is_one = |row: &Instance| {
            text(row, "VirtualSystemIdentifier") == own
                && text(row, "VirtualSystemType").starts_with("microsoft:hyper-v:snapshot:")
        };
        Ok(all.into_iter().filter(is_one).collect())
    }

    /// Removes checkpoints that it names and of which it has nothing: it cannot be a VM with them.
    ///
    /// # Errors
    /// When the host does not.
    pub(super) fn drop_missing(&self) -> Result<(), ImportError> {
        for settings in self.checkpoints()? {
            let kind: Option<String> = settings.get_opt("VirtualSystemType").ok().flatten();
            let missing = kind.is_some_and(|kind| fold(&kind) == MISSING);
            let id: Option<String> = settings.get_opt("InstanceID").ok().flatten();
            let (true, Some(id)) = (missing, id) else {
                continue;
            };
            let inputs = Instance::default().with("AffectedSnapshot", ids::settings_path(&id));
            self.call_snapshots("DestroySnapshot", &inputs)?;
        }
        Ok(())
    }

    /// Calls a method of the service that manages VMs, about this one.
    pub(super) fn manage(&self, method: &str, inputs: &Instance) -> Result<(), ImportError> {
        self.call(&service(self.control.session())?, method, inputs)
    }

    /// Calls a method of the service that manages checkpoints, about one of this one's.
    pub(super) fn call_snapshots(
        &self,
        method: &str,
        inputs: &Instance,
    ) -> Result<(), ImportError> {
        self.call(&only(self.control.session(), SNAPSHOTS)?, method, inputs)
    }

    fn call(
        &self,
        target: &ObjectPath,
        method: &str,
        inputs: &Instance,
    ) -> Result<(), ImportError> {
        let change = Change {
            call: Call::ChangePlanned {
                planned: self.id.clone(),
            },
            target,
            method,
            inputs,
            cancellable: true,
        };
        self.control.change(self.vm, &change, &|_| Ok(None))?;
        Ok(())
    }
}

impl Drop for PlannedVm {
    fn drop(&mut self) {
        if self.held
            && let Err(error) = destroy_planned(&self.control, self.vm, &self.id)
        {
            self.control.note(error.to_string());
        }
    }
}

/// Destroys a planned VM that is surely ours, and looks whether it is gone. A VM is never destroyed
/// by it, whatever its id: the object that is named is a planned one.
///
/// # Errors
/// When it is still there, or that is not to be told.
pub(crate) fn destroy_planned(control: &Control, vm: Uuid, id: &str) -> Result<(), ImportError> {
    let session = control.session();
    let is_there = || -> Result<bool, CimError> {
        Ok(planned(session)?
            .iter()
            .any(|seen| fold(&seen.id) == fold(id)))
    };
    let call = Call::DestroyPlanned {
        planned: id.to_owned(),
    };
    let inputs = Instance::default().with("AffectedSystem", path(id));
    let service = service(session)?;
    let mut unknown = Vec::new();
    for _ in 0..MOST_TRIES {
        let change = Change {
            call: call.clone(),
            target: &service,
            method: "DestroySystem",
            inputs: &inputs,
            cancellable: false,
        };
        let tried = control.change(vm, &change, &|_| Ok(None));
        if !is_there()? {
            match tried {
                Ok(_) => {}
                Err(ChangeError::Unknown { number, .. }) => unknown.push(number),
                Err(_) => control.seen_done(vm, call),
            }
            for number in unknown {
                control.settle(number, Outcome::Done { made: None });
            }
            return Ok(());
        }
        match tried {
            Ok(_) => {
                control.seen_undone(vm, call);
                return Err(ImportError::StillThere(id.to_owned()));
            }
            Err(ChangeError::Unknown { number, .. }) => unknown.push(number),
            Err(error) => return Err(error.into()),
        }
    }
    Err(ImportError::StillThere(id.to_owned()))
}
