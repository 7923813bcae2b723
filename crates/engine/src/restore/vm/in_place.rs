//! A VM whose disks become what a restore point holds, under the registration that it has.
//!
//! ```text
//! plan_in_place ─► its folders are proven ─► it is turned off ─► its disks are looked at, and compared
//!               ─► its reference points go ─► roll_back ─► it is noted ─► it is started
//! ```
//!
//! Disks are told apart by where they are attached. What is done to the files is
//! [`rollback`](crate::restore::rollback)'s, what to the VM [`Rollback`](hyperv::import::Rollback)'s; both
//! together are in `in_place_run`.
//!
//! Invariants:
//!
//! - Nothing is written before the VM is seen to be off, with the disks that were planned, and before
//!   every moment is gone by which a backup could ask what has changed: none would tell of what is
//!   written now. These go, whoever made them, when something is to be written and nothing is in the way.
//! - Nothing is written to a folder in which the host does not see what is made there.
//! - A VM whose disks may be half written is not started, and its journal says so.

use hyperv::files::{HostPath, MappedFiles};
use hyperv::import::{Target, can_be_removed};
use hyperv::inventory::{PowerState, ReplicationMode};
use serde::Serialize;
use uuid::Uuid;
use vmconfig::model::Location;

use super::VmError;
use super::point::has_memory;
use crate::finding::{Code, Finding, Severity};
use crate::restore::Opened;
use crate::restore::rollback::RollbackDisk;
use crate::source::Owner;

/// A disk that will be brought back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InPlaceDisk {
    /// Where it is attached.
    pub location: Location,
    /// The file, as the host spells it.
    pub path: String,
    /// Index of its topmost layer in the point.
    #[serde(skip)]
    pub top: usize,
}

/// What bringing a VM's disks back comes to.
#[derive(Debug, Clone)]
pub struct InPlacePlan {
    /// The VM.
    pub vm: Uuid,
    /// Its name on the host.
    pub name: String,
    /// Whether it has to be turned off.
    pub turns_off: bool,
    /// Whether its replication is removed before, for good.
    pub removes_replication: bool,
    /// How many moments go by which backups would ask for what has changed.
    pub reference_points: usize,
    /// Its disks, in the order of the point.
    pub disks: Vec<InPlaceDisk>,
    /// Everything worth telling. An error keeps it from being done.
    pub findings: Vec<Finding>,
}

impl InPlacePlan {
    /// Whether it can be carried out.
    pub fn is_possible(&self) -> bool {
        self.findings.iter().all(|f| f.severity < Severity::Error)
    }

    /// The files here.
    ///
    /// # Errors
    /// When one of them is not found here.
    pub fn find(&self, files: &MappedFiles) -> Result<Vec<RollbackDisk>, VmError> {
        let here = |disk: &InPlaceDisk| -> Result<RollbackDisk, VmError> {
            let path = HostPath::parse(&disk.path);
            let path = path.map_err(|error| VmError::Path(error.to_string()))?;
            let file = files.find(&path)?;
            Ok(RollbackDisk {
                file,
                top: disk.top,
            })
        };
        self.disks.iter().map(here).collect()
    }
}

/// Plans to bring the disks of a VM back where they are; its replication may be removed for that or not.
pub fn plan_in_place(opened: &Opened, target: &Target, may_remove: bool) -> InPlacePlan {
    let details = &opened.details;
    let mut plan = InPlacePlan {
        vm: details.vm_id,
        name: details.vm_name.clone(),
        turns_off: false,
        removes_replication: false,
        reference_points: 0,
        disks: Vec::new(),
        findings: Vec::new(),
    };
    let blocks = |what: String, hint: &str| {
        let name = details.vm_name.clone();
        Finding::new(Code::NotInPlace, Severity::Error, name, what).hint(hint)
    };
    let Some(machine) = target.inventory.machine(details.vm_id) else {
        plan.findings.push(blocks(
            "the host has no VM of its id whose disks could be brought back".to_owned(),
            "restore it beside what is there, without --in-place",
        ));
        return plan;
    };
    machine.name().clone_into(&mut plan.name);
    plan.turns_off = machine.state != PowerState::Off;
    plan.reference_points = machine.reference_points.len();
    let (mode, relationships) = (machine.replication.mode, &machine.replication.relationships);
    plan.removes_replication = may_remove && can_be_removed(mode, relationships);
    if plan.removes_replication {
        let what = format!(
            "the VM's replication ({mode:?}) is removed before anything else of it is touched, and \
             `restore undo` does not bring it back"
        );
        let hint = "remove it on the other host too, and set it up again afterwards";
        let finding = Finding::new(Code::HostNote, Severity::Warning, &plan.name, what);
        plan.findings.push(finding.hint(hint));
    } else if mode != ReplicationMode::None || !relationships.is_empty() {
        plan.findings.push(blocks(
            "the VM is replicated, or the host does not tell that it is not".to_owned(),
            match can_be_removed(mode, relationships) {
                true => "say --remove-replication, which does not come back, or restore a copy",
                false => {
                    "end that on its host, or restore it beside what is there, without --in-place"
                }
            },
        ));
    }
    if machine.operation.is_some() {
        plan.findings.push(blocks(
            "the host is at work on the VM".to_owned(),
            "wait until that has ended",
        ));
    }
    if machine.cluster.is_some() {
        plan.findings.push(blocks(
            "the VM is a role of a cluster, which would start it again".to_owned(),
            "restore it beside what is there, without --in-place",
        ));
    }
    let own = details.uses.iter().filter(|used| used.owner == Owner::Vm);
    for used in own {
        let location = used.slot.parse::<Location>().ok();
        let medium = machine.settings.media.iter();
        let medium = medium
            .filter(|medium| Some(medium.location) == location)
            .collect::<Vec<_>>();
        match (location, medium.as_slice()) {
            (Some(location), [medium]) => plan.disks.push(InPlaceDisk {
                location,
                path: medium.path.clone(),
                top: used.layer,
            }),
            _ => plan.findings.push(blocks(
                format!(
                    "the restore point has a disk at {}, and the VM has none there",
                    used.slot
                ),
                "attach the disk that it had there, or say --replace",
            )),
        }
    }
    for medium in &machine.settings.media {
        if !plan
            .disks
            .iter()
            .any(|disk| disk.location == medium.location)
        {
            let what = format!(
                "the disk at {}, {}, is not in the restore point and stays as it is",
                medium.location, medium.path
            );
            let name = plan.name.clone();
            plan.findings.push(
                Finding::new(Code::NotCovered, Severity::Warning, name, what)
                    .hint("disks of different moments may not fit each other"),
            );
        }
    }
    if has_memory(details) {
        let what = "what the restore point has of its memory is not brought back: it starts as after a power cut";
        plan.findings.push(
            Finding::new(Code::NotCovered, Severity::Warning, plan.name.clone(), what)
                .hint("--replace, or a restore beside it, brings back memory too"),
        );
    }
    if plan.turns_off && plan.is_possible() {
        let what = "whether its disks can be brought back, and whether there is room to keep what they are, is seen \
                    when it is off; if not, it is started again, without what it had in memory";
        let note = Finding::note(Code::NotInPlace, plan.name.clone(), what);
        plan.findings.push(note);
    }
    if plan.disks.is_empty() && plan.is_possible() {
        plan.findings.push(blocks(
            "the restore point has no disk of it".to_owned(),
            "`hyperkeep show` lists what it has",
        ));
    }
    plan
}
