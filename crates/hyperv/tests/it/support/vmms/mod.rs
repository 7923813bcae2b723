//! A host with one VM whose checkpoints and reference points come and go, and which fails on
//! demand: a model of what the documentation says, small enough to be seen through.

mod pace;
mod session;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cim::{DateTime, Instance, ObjectPath};
use hyperkeep_hyperv::control::Control;
use hyperkeep_hyperv::journal::Journal;
use uuid::Uuid;

use super::{Disk, guid, settings_path};

/// How a method fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It is refused with this code, once.
    Refused(u32),
    /// The connection breaks before the host has it.
    LostRequest,
    /// The connection breaks after the host has done it.
    LostReply,
    /// The host begins and fails.
    FailedJob,
    /// The same with the code of what is in the wrong state.
    BusyJob,
    /// It is done, and its job says that it failed, in this state.
    DoneFailedJob(u16),
    /// It is done, and its job is forgotten before anybody has looked.
    ForgottenJob,
    /// It is done, and the job does not tell what it made.
    SilentJob,
}

/// A checkpoint.
#[derive(Clone)]
struct Kept {
    name: String,
    recovery: bool,
    /// By the host's clock.
    created: Duration,
    parent: Option<String>,
}

#[derive(Clone, Default)]
struct State {
    checkpoints: BTreeMap<String, Kept>,
    points: Vec<String>,
    jobs: BTreeMap<String, (u16, Vec<Instance>)>,
    next: u128,
    failures: Vec<(String, Failure)>,
    calls: Vec<String>,
    now: Duration,
    inputs: Vec<Instance>,
    /// What the host is doing with the VM.
    operation: Option<u16>,
    /// `JobType` of the jobs that go on with it.
    at_work: Vec<u16>,
    /// When that ends.
    operation_until: Option<Duration>,
    /// `EnabledState`, and what it is after a checkpoint was taken.
    power: u16,
    power_after: Option<u16>,
    power_since: Duration,
    tpm: bool,
    /// What is attached to the VM itself until this time, if it is something else.
    unmerged: Option<(Duration, Vec<Disk>)>,
    /// What is attached to checkpoints, where it is not what is attached to the VM.
    own_disks: BTreeMap<String, Vec<Disk>>,
    /// The checkpoint that the present state was made after.
    parent: Option<String>,
    /// `ConsistencyLevel` of reference points.
    consistency: Option<u16>,
    /// A checkpoint that people take just after the next recovery checkpoint.
    grows: Option<(String, Vec<Disk>)>,
    /// Whether checkpoints stay when they are converted.
    keeps_converted: bool,
    /// After how many calls the VM goes to another node: then the host has no such VM, and answers
    /// that it has nothing of it.
    leaves_in: Option<u32>,
    /// When the host is done with converting its recovery checkpoint.
    converted_at: Option<Duration>,
    /// When the host gets to taking a recovery checkpoint that it was asked for.
    created_at: Option<Duration>,
    /// When somebody gives which checkpoint which name.
    renamed: Option<(Duration, String, String)>,
    disks: Vec<Disk>,
    applied: Option<String>,
    changes: Vec<(u64, u64)>,
    /// The tracking ids by which changes were asked for.
    asked: Vec<String>,
}

/// A moment at which a process could be killed: its journal, and the host as it was then.
#[derive(Clone)]
pub(crate) struct Moment {
    pub(crate) journal: Vec<u8>,
    state: State,
    pub(crate) what: String,
}

/// Clones are the same host.
#[derive(Clone)]
pub(crate) struct Vmms {
    state: Arc<Mutex<State>>,
    /// Where the journal is, if every moment is to be kept.
    pub(crate) journal: Arc<Mutex<Option<PathBuf>>>,
    moments: Arc<Mutex<Vec<Moment>>>,
    /// Whether methods are done at once, without a job.
    pub(crate) direct: bool,
    pub(crate) guest_backup_type: bool,
    /// Whether the host does not tell its classes.
    pub(crate) hides_classes: bool,
    /// Whether a checkpoint gets the name that is asked for with its settings.
    pub(crate) names_at_once: bool,
    /// Whether settings with a name are refused.
    pub(crate) refuses_names: bool,
    /// Whether that shows in the job only.
    pub(crate) refuses_in_job: bool,
    /// Whether the host tells what time it is.
    pub(crate) tells_time: bool,
    /// Whether the host tells since when the VM is in its state.
    pub(crate) tells_state_time: bool,
    /// Whether somebody wants us to stop.
    pub(crate) cancelled: bool,
}

pub(crate) const VM: Uuid = Uuid::from_u128(1);

impl Vmms {
    pub(crate) fn new() -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                next: 100,
                power: 2,
                ..State::default()
            })),
            journal: Arc::default(),
            moments: Arc::default(),
            direct: false,
            guest_backup_type: true,
            hides_classes: false,
            names_at_once: false,
            refuses_names: false,
            refuses_in_job: false,
            tells_time: true,
            tells_state_time: true,
            cancelled: false,
        }
    }

    /// The host as it was at a moment, with time gone by since: jobs are forgotten or not.
    pub(crate) fn at(moment: &Moment, forgotten: bool) -> Self {
        let host = Self::new();
        let mut state = moment.state.clone();
        state.failures.clear();
        if forgotten {
            state.jobs.clear();
        }
        *host.state.lock().unwrap() = state;
        host
    }

    /// A control of it. Time begins with the tests.
    pub(crate) fn control(&self, journal: &Arc<Journal>) -> Arc<Control> {
        let host = Arc::new(self.clone());
        let pace = Arc::clone(&host);
        let clock = Arc::new(move || jiff::Timestamp::UNIX_EPOCH + cim::job::Pace::now(&*pace));
        Arc::new(Control::new(host.clone(), Arc::clone(journal), host, clock))
    }

    /// Every moment at which the process could have been killed.
    pub(crate) fn take_moments(&self) -> Vec<Moment> {
        std::mem::take(&mut *self.moments.lock().unwrap())
    }

    /// What state the VM is in, and which one it goes into while a checkpoint is taken.
    pub(crate) fn set_power(&self, power: u16, after: Option<u16>) {
        let mut state = self.state.lock().unwrap();
        (state.power, state.power_after) = (power, after);
    }

    /// The types of the jobs that go on with the VM.
    pub(crate) fn set_at_work(&self, kinds: &[u16]) {
        self.state.lock().unwrap().at_work = kinds.to_vec();
    }

    pub(crate) fn set_tpm(&self) {
        self.state.lock().unwrap().tpm = true;
    }

    /// The VM itself writes to other files until a time.
    pub(crate) fn unmerged_until(&self, at: Duration, disks: Vec<Disk>) {
        self.state.lock().unwrap().unmerged = Some((at, disks));
    }

    /// What reference points say of their consistency.
    pub(crate) fn set_consistency(&self, level: u16) {
        self.state.lock().unwrap().consistency = Some(level);
    }

    /// What is attached to the VM, and with it to every checkpoint.
    pub(crate) fn set_disks(&self, disks: Vec<Disk>) {
        self.state.lock().unwrap().disks = disks;
    }

    pub(crate) fn set_applied(&self, checkpoint: &str) {
        self.state.lock().unwrap().applied = Some(checkpoint.to_owned());
    }

    /// What changed on every disk, as offsets and lengths.
    pub(crate) fn set_changes(&self, changes: Vec<(u64, u64)>) {
        self.state.lock().unwrap().changes = changes;
    }

    /// The tracking ids by which changes were asked for. Taken out.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }

    /// Jobs go on, and what they make is not there yet.
    pub(crate) fn unfinish(&self) {
        let mut state = self.state.lock().unwrap();
        state.jobs.values_mut().for_each(|job| job.0 = 4);
        state.checkpoints.retain(|_, kept| !kept.recovery);
    }

    /// The host is converting its recovery checkpoint, and will be until then.
    pub(crate) fn convert_until(&self, at: Duration) {
        let mut state = self.state.lock().unwrap();
        (state.operation, state.converted_at) = (Some(32770), Some(at));
    }

    /// The host gets later to what it was asked for, and shows nothing of it until then.
    pub(crate) fn create_after(&self, span: Duration) {
        let mut state = self.state.lock().unwrap();
        state.created_at = Some(state.now + span);
    }

    /// The same for a conversion.
    pub(crate) fn convert_after(&self, span: Duration) {
        let mut state = self.state.lock().unwrap();
        state.converted_at = Some(state.now + span);
    }

    /// The VM goes to another node after so many calls.
    pub(crate) fn leave_in(&self, calls: u32) {
        self.state.lock().unwrap().leaves_in = Some(calls);
    }

    /// People take this checkpoint just after the next recovery checkpoint.
    pub(crate) fn grow_after(&self, id: &str, disks: Vec<Disk>) {
        self.state.lock().unwrap().grows = Some((id.to_owned(), disks));
    }

    /// Checkpoints stay when they are converted.
    pub(crate) fn keep_converted(&self) {
        self.state.lock().unwrap().keeps_converted = true;
    }

    pub(crate) fn end_operation_at(&self, at: Duration) {
        self.state.lock().unwrap().operation_until = Some(at);
    }

    /// Somebody gives a checkpoint another name after a time.
    pub(crate) fn rename_after(&self, span: Duration, id: &str, name: &str) {
        let mut state = self.state.lock().unwrap();
        state.renamed = Some((state.now + span, id.to_owned(), name.to_owned()));
    }

    pub(crate) fn set_operation(&self, operation: Option<u16>) {
        self.state.lock().unwrap().operation = operation;
    }

    fn moment(&self, state: &State, what: String) {
        if let Some(path) = &*self.journal.lock().unwrap() {
            let journal = std::fs::read(path).unwrap();
            let state = state.clone();
            self.moments.lock().unwrap().push(Moment {
                journal,
                state,
                what,
            });
        }
    }

    /// The next call of this method fails so.
    pub(crate) fn fail(&self, method: &str, failure: Failure) {
        self.state
            .lock()
            .unwrap()
            .failures
            .push((method.to_owned(), failure));
    }

    pub(crate) fn put_checkpoint(&self, id: &str, name: &str, recovery: bool) {
        let mut state = self.state.lock().unwrap();
        let kept = Kept {
            name: name.to_owned(),
            recovery,
            created: state.now,
            parent: None,
        };
        state.checkpoints.insert(id.to_owned(), kept);
    }

    /// Somebody removes a checkpoint.
    pub(crate) fn remove_checkpoint(&self, id: &str) {
        self.state.lock().unwrap().checkpoints.remove(id).unwrap();
    }

    /// A checkpoint of people, with its own disks; the present state goes on after it.
    pub(crate) fn grow(&self, id: &str, disks: Vec<Disk>) {
        let mut state = self.state.lock().unwrap();
        state.now += Duration::from_secs(1);
        let kept = Kept {
            name: id.to_owned(),
            recovery: false,
            created: state.now,
            parent: state.parent.replace(id.to_owned()),
        };
        state.checkpoints.insert(id.to_owned(), kept);
        state.own_disks.insert(id.to_owned(), disks);
    }

    /// Time goes by.
    pub(crate) fn pass(&self, span: Duration) {
        cim::job::Pace::sleep(self, span);
    }

    pub(crate) fn put_point(&self, id: &str) {
        self.state.lock().unwrap().points.push(id.to_owned());
    }

    /// Names of checkpoints by id.
    pub(crate) fn checkpoints(&self) -> BTreeMap<String, String> {
        let state = self.state.lock().unwrap();
        state
            .checkpoints
            .iter()
            .map(|(id, kept)| (id.clone(), kept.name.clone()))
            .collect()
    }

    pub(crate) fn points(&self) -> Vec<String> {
        self.state.lock().unwrap().points.clone()
    }

    /// The methods that were called, in their order.
    pub(crate) fn methods(&self) -> Vec<String> {
        self.state.lock().unwrap().calls.clone()
    }

    /// The inputs of each call.
    pub(crate) fn inputs(&self) -> Vec<Instance> {
        self.state.lock().unwrap().inputs.clone()
    }
}

/// The host's clock is an hour ahead of the tests'.
fn time(now: Duration) -> DateTime {
    let at = jiff::Timestamp::UNIX_EPOCH + Duration::from_secs(3600) + now;
    DateTime::Timestamp(cim::Timestamp::utc(at))
}

fn settings(id: &str, kept: &Kept) -> Instance {
    let kind = if kept.recovery {
        "Recovery"
    } else {
        "Realized"
    };
    let parent = kept.parent.as_deref().map(settings_path);
    Instance::new("Msvm_VirtualSystemSettingData")
        .with("InstanceID", id)
        .with("Parent", parent.unwrap_or_default())
        .with("ElementName", kept.name.as_str())
        .with("CreationTime", time(kept.created))
        .with("ConfigurationDataRoot", "D:\\VMs")
        .with(
            "ConfigurationFile",
            format!("Snapshots\\{}.vmcx", id.replace("Microsoft:", "")),
        )
        .with("VirtualSystemIdentifier", guid(1))
        .with(
            "VirtualSystemType",
            format!("Microsoft:Hyper-V:Snapshot:{kind}"),
        )
}

impl State {
    /// Whether the VM is gone; each call that asks brings that nearer.
    fn has_left(&mut self) -> bool {
        let Some(left) = &mut self.leaves_in else {
            return false;
        };
        *left = left.saturating_sub(1);
        *left == 0
    }

    fn point(&self, id: &str) -> Instance {
        let place = |rest: String| format!("Microsoft:{}\\{rest}\\D", guid(1));
        let mut disks = vec![place("c\\0\\0".to_owned())];
        let scsi = |disk: &Disk| guid(0x5c51_0000 + u128::from(disk.number));
        let attached = self.disks.iter();
        disks.extend(attached.map(|d| place(format!("{}\\0\\{}", scsi(d), d.place))));
        let tracking = vec![format!("rct:{id}"); disks.len()];
        Instance::new("Msvm_VirtualSystemReferencePoint")
            .with("InstanceID", id)
            .with("VirtualSystemIdentifier", guid(1))
            .with("ReferencePointType", 2_u16)
            .with("ConsistencyLevel", self.consistency.unwrap_or(1))
            .with("VirtualDiskIdentifiers", disks)
            .with("ResilientChangeTrackingIdentifiers", tracking)
    }

    fn id(&mut self, start: &str) -> String {
        self.next += 1;
        format!("{start}{}", guid(self.next))
    }

    /// Does it, and gives what it made.
    fn perform(
        &mut self,
        method: &str,
        inputs: &Instance,
        name: Option<String>,
    ) -> Result<Vec<Instance>, u32> {
        let of = |name: &str| -> String {
            let path: ObjectPath = inputs.get(name).unwrap();
            path.key("InstanceID").unwrap()
        };
        match method {
            "CreateSnapshot" => {
                assert_eq!(inputs.get::<u16>("SnapshotType"), Ok(32768));
                let id = self.id("Microsoft:");
                let kept = Kept {
                    name: name.unwrap_or_else(|| "a - (2026/1/5)".to_owned()),
                    recovery: true,
                    created: self.now,
                    parent: self.parent.clone(),
                };
                if let Some(power) = self.power_after {
                    (self.power, self.power_since) = (power, self.now);
                }
                let made = settings(&id, &kept);
                if let Some((grown, disks)) = self.grows.take() {
                    let after = Kept {
                        name: grown.clone(),
                        recovery: false,
                        created: self.now,
                        parent: Some(id.clone()),
                    };
                    self.checkpoints.insert(grown.clone(), after);
                    self.own_disks.insert(grown, disks);
                }
                self.checkpoints.insert(id, kept);
                Ok(vec![made])
            }
            "ModifySystemSettings" => {
                let told: Instance = inputs.get("SystemSettings").unwrap();
                let id: String = told.get("InstanceID").unwrap();
                let checkpoint = self.checkpoints.get_mut(&id).ok_or(32773_u32)?;
                checkpoint.name = told.get("ElementName").unwrap();
                Ok(Vec::new())
            }
            "ConvertToReferencePoint" => {
                let id = of("AffectedSnapshot");
                let kept = self.checkpoints.remove(&id).ok_or(32773_u32)?;
                if self.keeps_converted {
                    self.checkpoints.insert(id, kept);
                }
                let made = self.id("RP:");
                self.points.push(made.clone());
                Ok(vec![self.point(&made)])
            }
            "DestroySnapshot" => {
                self.checkpoints
                    .remove(&of("AffectedSnapshot"))
                    .ok_or(32773_u32)?;
                Ok(Vec::new())
            }
            "DestroyReferencePoint" => {
                let id = of("AffectedReferencePoint");
                let at = self.points.iter().position(|p| *p == id).ok_or(32773_u32)?;
                self.points.remove(at);
                Ok(Vec::new())
            }
            other => panic!("{other}"),
        }
    }
}
