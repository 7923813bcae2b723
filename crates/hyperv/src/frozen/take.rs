//! Making a VM hold still.

use std::sync::Arc;

use cim::wsman::Associations;
use cim::{CimError, CimSession};
use uuid::Uuid;

use super::protector::Pair;
use super::{
    FreezeError, Frozen, FrozenDisk, LostDisk, Opened, Reading, Request, Resting, config, present,
    tree,
};
use crate::checkpoint::{
    CheckpointError, Consistency, GuestBackup, Options, RecoveryCheckpoint, reference_points,
};
use crate::control::Control;
use crate::files::HostFiles;
use crate::ids;
use crate::inventory::{self, ConfigFiles, Configuration, Family, PowerState, ReplicationMode};
use crate::preflight::{Level, Mode};
use crate::replication::{Suspended, Suspension, conflict};
use crate::tracking::{Applied, Decision, Power, decide, power, uptime};

impl Frozen {
    /// Takes a checkpoint and opens its disks and files.
    ///
    /// # Errors
    /// When there is no checkpoint, or its disks are not told; then nothing of ours is left.
    pub fn take(
        control: &Arc<Control>,
        files: &dyn HostFiles,
        request: &Request<'_>,
    ) -> Result<Self, FreezeError> {
        // What is noted of other VMs meanwhile is not this one's.
        let control = &control.for_one();
        let (session, vm) = (control.session(), request.vm);
        let token = request.token.filter(|_| request.mode == Mode::Cbt);
        let points = match request.mode {
            Mode::Cbt => reference_points(session, vm)?,
            Mode::Standard => Vec::new(),
        };
        let before = applied(session, vm, request.mode)?;
        let suspension = suspend(control, request);
        let taken = checkpoint(control, request);
        if let Some(suspension) = suspension {
            go_on(control, suspension);
        }
        let (checkpoint, downgrade) = taken?;
        let (level, less) = level(&checkpoint, request)?;
        let downgrade = downgrade.or(less);
        if level < request.least {
            let why = downgrade.unwrap_or_else(|| "the guest had no part in it".to_owned());
            return Err(FreezeError::NotConsistent(why));
        }
        let Configuration {
            settings,
            parent,
            mut findings,
        } = inventory::configuration(session, checkpoint.instance_id())?;
        if findings.iter().any(hides_disks) {
            let id = checkpoint.instance_id().to_owned();
            return Err(FreezeError::DisksUnknown(id));
        }
        if checkpoint.kind_untold && request.options.guest_backup == GuestBackup::Copy {
            findings.push(inventory::Finding::BackupKindUntold);
        }
        let mut frozen = Self {
            control: Arc::clone(control),
            checkpoint,
            begun: control.pace().now(),
            mode: request.mode,
            mark: request.mark,
            old: request.token.cloned(),
            last_applied: [before, Applied::Untold],
            checkpoints: None,
            uptime: None,
            power: Power::Steady,
            level,
            downgrade,
            resting: Resting::of(&settings),
            settings,
            key_protector: None,
            disks: Vec::new(),
            written: Vec::new(),
            lost: Vec::new(),
            left_out: Vec::new(),
            files: Vec::new(),
            lost_files: Vec::new(),
            tree: None,
            findings,
            opened: Vec::new(),
            state: Vec::new(),
        };
        for medium in frozen.settings.media.clone() {
            match request.open(control.pace(), files, medium, frozen.begun) {
                Opened::Disk(disk, opened) => {
                    frozen.disks.push(*disk);
                    frozen.opened.extend(opened);
                }
                Opened::LeftOut(medium) => frozen.left_out.push(medium),
                Opened::Lost(lost) => frozen.lost.push(lost),
            }
        }
        let own = frozen.compare_with_vm(files, request)?;
        frozen.take_configuration(files)?;
        frozen.take_state(files, own.as_ref());
        if request.tree {
            let tree = tree::take(&mut frozen, files, (parent, request))?;
            frozen.tree = Some(tree);
        }
        if request.mode == Mode::Cbt {
            // Whatever happened between the looks happened before or after the disks were frozen,
            // and nobody knows which.
            let [_, after] = &mut frozen.last_applied;
            *after = applied(session, vm, request.mode)?;
            frozen.checkpoints = frozen.checkpoint.others_unchanged()?;
            let now = uptime(session)?;
            let was = token.and_then(|token| token.uptime.as_ref());
            frozen.power = power(session, was, now.as_ref())?;
            // A host that once told is asked for it the next time, whatever it tells now.
            frozen.uptime = now.or_else(|| was.cloned());
            let decisions = decide(token, &points, &frozen.now());
            for (disk, decision) in frozen.disks.iter_mut().zip(decisions) {
                disk.reading = match decision {
                    _ if request.full => Reading::Full("a full backup was asked for".to_owned()),
                    Decision::Full(doubt) => Reading::Full(doubt.to_string()),
                    Decision::Ask { since } => disk.ask(session, control.pace(), &since),
                };
            }
        }
        if let Some(tree) = &mut frozen.tree {
            let disks = frozen.disks.iter();
            let disks: Vec<_> = disks
                .map(|disk| (disk.medium.instance_id.clone(), disk.reading.clone()))
                .collect();
            tree.decide(request.token, &disks, request.full);
        }
        Ok(frozen)
    }

    /// Compares the disks of the checkpoint with the VM's own: hosts leave out of a checkpoint what
    /// they cannot freeze, and a disk may be attached between the look at the VM and its
    /// checkpoint. What the VM has and the checkpoint lacks is not saved, and what was opened must
    /// be [`present`]. Gives where the VM's own configuration is, if the host tells.
    fn compare_with_vm(
        &mut self,
        files: &dyn HostFiles,
        request: &Request<'_>,
    ) -> Result<Option<ConfigFiles>, CimError> {
        let own = format!("Microsoft:{}", ids::upper(self.checkpoint.vm()));
        let untold = |why: String| inventory::Finding::NotTold {
            what: "whether the checkpoint has all disks of the VM".to_owned(),
            why,
        };
        let told = match inventory::configuration(self.control.session(), &own) {
            Ok(told) => told,
            Err(error) if error.fault_kind().is_some() => {
                self.findings.push(untold(error.to_string()));
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let hidden = told.findings.iter().find(|finding| hides_disks(finding));
        self.findings
            .extend(hidden.map(|why| untold(why.to_string())));
        let media = self.settings.media.iter();
        let frozen: Vec<String> = media.filter_map(|m| ids::place(&m.instance_id)).collect();
        for medium in told.settings.media {
            let place = ids::place(&medium.instance_id);
            match place.filter(|place| frozen.contains(place)) {
                Some(place) => {
                    let mut all = self.resting.iter_mut();
                    let own = all.find(|disk| ids::place(&disk.place).as_ref() == Some(&place));
                    if let Some(own) = own {
                        own.wrote = Some(medium.path.clone());
                    }
                    self.note_written(&place, &medium.path);
                    self.drop_stale(files, &place, &medium.path);
                }
                None if request.takes(&medium, Some(&[])) == Some(false) => {
                    self.left_out.push(medium);
                }
                None => {
                    let why = "the VM has it and the checkpoint does not".to_owned();
                    self.lost.push(LostDisk { medium, why });
                }
            }
        }
        Ok(Some(told.settings.files))
    }

    /// Notes the disk in a place if the VM goes on in the file that should hold still.
    fn note_written(&mut self, place: &str, now: &str) {
        let mut disks = self.disks.iter();
        let disk =
            disks.find(|disk| ids::place(&disk.medium.instance_id).as_deref() == Some(place));
        let same = disk.filter(|disk| ids::fold(&disk.medium.path) == ids::fold(now));
        // As it was opened, which is how whoever reads it knows it.
        self.written
            .extend(same.and_then(|disk| disk.files.first().cloned()));
    }

    /// Drops the disk in a place if what was opened is not the host's own.
    fn drop_stale(&mut self, files: &dyn HostFiles, place: &str, now: &str) {
        let here =
            |disk: &FrozenDisk| ids::place(&disk.medium.instance_id).as_deref() == Some(place);
        let Some(index) = self.disks.iter().position(here) else {
            return;
        };
        let frozen = &self.disks[index].medium.path;
        if let Some(why) = present::stale(self.control.pace(), files, frozen, now) {
            let medium = self.disks.remove(index).medium;
            self.lost.push(LostDisk { medium, why });
        }
    }

    /// The files of the configuration, and with the guest's state what it is encrypted for.
    fn take_configuration(&mut self, files: &dyn HostFiles) -> Result<(), CimError> {
        let (found, lost) = config::open(files, &self.settings.files);
        self.opened
            .extend(found.iter().map(|found| found.data.clone()));
        (self.files, self.lost_files) = (found, lost);
        let session = self.control.session();
        let pair = Pair::of(session, self.checkpoint(), &self.settings, &self.files)?;
        self.key_protector = pair.protector;
        self.lost_files.extend(pair.lost);
        self.findings.extend(pair.finding);
        Ok(())
    }
}

fn hides_disks(finding: &inventory::Finding) -> bool {
    use inventory::Finding::{NoDevices, NoSettings, TooManyDrives};
    matches!(finding, NoDevices { .. } | NoSettings | TooManyDrives)
}

/// Suspends the replication if that is wanted, unless somebody else has.
fn suspend(control: &Arc<Control>, request: &Request<'_>) -> Option<Suspension> {
    let mode = request.suspend?;
    match Suspension::take(control, (request.vm, mode)) {
        Ok(Suspended::Ours(suspension)) => Some(suspension),
        Ok(Suspended::Theirs) => None,
        Err(error) => {
            control.note(format!("its replication was not suspended: {error}"));
            None
        }
    }
}

fn go_on(control: &Control, suspension: Suspension) {
    if let Err(error) = suspension.resume() {
        control.note(format!("its replication does not go on: {error}"));
    }
}

/// Takes the checkpoint; and why it is less than what was asked for, if it is.
fn checkpoint(
    control: &Arc<Control>,
    request: &Request<'_>,
) -> Result<(RecoveryCheckpoint, Option<String>), CheckpointError> {
    let take = |options| RecoveryCheckpoint::create(control, request.vm, options, &request.mark);
    let error = match take(request.options) {
        Ok(checkpoint) => return Ok((checkpoint, None)),
        Err(error) => error,
    };
    let asked = request.options.consistency == Consistency::Application;
    if !(asked && request.fall_back && error.may_be_the_guest()) || control.pace().cancelled() {
        return Err(error);
    }
    // Whoever is only busy has another turn, with the guest. Of copies no guest is asked.
    let of = (request.vm, ReplicationMode::Primary);
    match conflict(control.session(), of, &error) {
        Ok(None) => {}
        Ok(Some(conflict)) => return Err(CheckpointError::Conflict(Box::new(conflict))),
        // The account may not see what goes on.
        Err(asked) if asked.fault_kind().is_some() => {}
        Err(asked) => return Err(asked.into()),
    }
    let options = Options {
        consistency: Consistency::Crash,
        ..request.options
    };
    // Should it fail as well, its own reason is the better one: the guest had no part in it.
    Ok((take(options)?, Some(error.to_string())))
}

/// What was achieved; and why it is less than what was expected, if the VM's state is the reason:
/// it may be another one than when the VM was looked at.
fn level(
    checkpoint: &RecoveryCheckpoint,
    request: &Request<'_>,
) -> Result<(Level, Option<String>), CimError> {
    if request.replica {
        return Ok((Level::Crash, None));
    }
    if checkpoint.was_off()? {
        return Ok((Level::Offline, None));
    }
    let state = checkpoint.state_before();
    let level = match (checkpoint.asked, request.guest) {
        // Nothing ran that could have taken part, whatever the host says.
        _ if state != PowerState::Running => Level::Crash,
        (Consistency::Crash, _) => Level::Crash,
        (Consistency::Application, Family::Windows) => Level::Application,
        (Consistency::Application, Family::Other | Family::Unknown) => Level::FileSystem,
    };
    let hoped = checkpoint.asked == Consistency::Application || level < request.expected;
    let less = (hoped && level < Level::FileSystem).then(|| {
        format!(
            "the VM is in another state than when it was looked at: {state:?} before the \
             checkpoint was taken"
        )
    });
    Ok((level, less))
}

/// The checkpoint that was applied last. Without change tracking nobody wants to know.
pub(crate) fn applied(session: &dyn CimSession, vm: Uuid, mode: Mode) -> Result<Applied, CimError> {
    if mode == Mode::Standard {
        return Ok(Applied::Untold);
    }
    let which = Associations::of(&ids::machine_path(vm))
        .by("Msvm_LastAppliedSnapshot")
        .to("Msvm_VirtualSystemSettingData");
    let rows = match session.associators(&which) {
        Ok(rows) => rows,
        Err(error) if error.fault_kind().is_some() => return Ok(Applied::Untold),
        Err(error) => return Err(error),
    };
    Ok(match rows.as_slice() {
        [] => Applied::None,
        [one] => one.get("InstanceID").map_or(Applied::Untold, Applied::Of),
        _ => Applied::Untold,
    })
}
