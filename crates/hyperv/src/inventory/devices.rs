//! Controllers, drives and media of one configuration, joined by the paths that they name.
//!
//! A medium (`Msvm_StorageAllocationSettingData`) names its drive as its parent, a drive
//! (`Msvm_ResourceAllocationSettingData`) its controller and its place on it. What is not told is
//! never guessed, and no disk is dropped for it: it is listed in a place of its own, with a finding.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use vmconfig::model::{
    Controller, ControllerKind, Drive, DriveKind, Finding as ConfigFinding, Location, MAX_DRIVES,
    Qos,
};

use super::finding::{Finding, Notes};
use super::row::Row;
use crate::ids::{self, fold};

/// A virtual disk as the host names it in a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Medium {
    /// Where it is attached.
    pub location: Location,
    /// The host's name for the place (`InstanceID`), which reference points use.
    pub instance_id: String,
    /// The file.
    pub path: String,
}

/// What was found of the storage of a configuration.
#[derive(Default)]
pub(super) struct Storage {
    pub(super) controllers: Vec<Controller>,
    pub(super) media: Vec<Medium>,
    pub(super) findings: Vec<ConfigFinding>,
    /// Where drives are, by the host's names for them in lower case.
    pub(super) drives: HashMap<String, Location>,
}

/// What a resource is, by its subtype, which is in no language.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Controller(ControllerKind),
    Drive,
    PassThrough,
    FibreChannel,
    Other,
}

fn role(subtype: &str, resource_type: Option<u16>) -> Role {
    let name = fold(subtype);
    let name = name.strip_prefix("microsoft:hyper-v:").unwrap_or(&name);
    match name {
        "emulated ide controller" => Role::Controller(ControllerKind::Ide),
        "synthetic scsi controller" => Role::Controller(ControllerKind::Scsi),
        "emulated diskette controller" => Role::Controller(ControllerKind::Floppy),
        "synthetic disk drive" | "synthetic dvd drive" | "synthetic diskette drive" => Role::Drive,
        "physical disk drive" => Role::PassThrough,
        _ if resource_type == Some(7) || name.replace(' ', "").contains("fibrechannel") => {
            Role::FibreChannel
        }
        // Floppy, CD, DVD and disk drives (CIM_ResourceAllocationSettingData).
        _ if matches!(resource_type, Some(14..=17)) => Role::Drive,
        _ => Role::Other,
    }
}

/// What controller a subtype is, if it is one.
pub(crate) fn controller_kind(subtype: &str) -> Option<ControllerKind> {
    match role(subtype, None) {
        Role::Controller(kind) => Some(kind),
        _ => None,
    }
}

fn holds(subtype: &str) -> DriveKind {
    match fold(subtype).strip_prefix("microsoft:hyper-v:") {
        Some("virtual hard disk") => DriveKind::VirtualDisk,
        Some("virtual cd/dvd disk") => DriveKind::Iso,
        Some("virtual floppy disk") => DriveKind::Floppy,
        _ => DriveKind::Unknown,
    }
}

struct Resource<'a> {
    row: Row<'a>,
    role: Role,
    subtype: String,
    parent: Option<String>,
    place: Option<u32>,
}

/// Joins the resources and media of one configuration.
pub(super) fn storage<'a>(
    resources: impl Iterator<Item = Row<'a>>,
    media: impl Iterator<Item = Row<'a>>,
    notes: &mut Notes,
) -> Storage {
    let mut join = Join::default();
    let mut found = Storage::default();
    for row in resources {
        let resource = resource(row, notes);
        if resource.role == Role::FibreChannel {
            let name = row.text("ElementName", notes).unwrap_or_else(|| row.id());
            found.findings.push(ConfigFinding::FibreChannel { name });
        }
        join.by_id.insert(fold(&row.id()), join.resources.len());
        join.resources.push(resource);
    }
    let mut filled = HashMap::new();
    let mut bare = Vec::new();
    for row in media {
        let parent = row.text("Parent", notes);
        let parent = parent.as_deref().and_then(|parent| join.find(parent));
        let drive = parent.filter(|at| join.is_drive(*at));
        match drive {
            Some(drive) if !filled.contains_key(&drive) => _ = filled.insert(drive, row),
            Some(_) => bare.push((None, None, row)),
            // Without a drive between them it may sit on the controller itself.
            None => {
                let place = row.parsed("AddressOnParent", number, notes);
                bare.push((parent, place, row));
            }
        }
    }
    let mut places = Places::new(&join, notes);
    for (at, resource) in join.resources.iter().enumerate() {
        if !join.is_drive(at) {
            continue;
        }
        let medium = filled.remove(&at);
        let controller = resource.parent.as_deref().and_then(|p| join.find(p));
        let slot = (controller, resource.place);
        places.add(slot, Some(resource), medium, &mut found, notes);
    }
    for (controller, place, row) in bare {
        places.add((controller, place), None, Some(row), &mut found, notes);
    }
    found.controllers = places.into_controllers();
    found
        .media
        .sort_by(|a, b| (a.location, &a.instance_id).cmp(&(b.location, &b.instance_id)));
    found
}

fn number(text: &str) -> Option<u32> {
    text.trim().parse().ok()
}

fn resource<'a>(row: Row<'a>, notes: &mut Notes) -> Resource<'a> {
    let subtype = row.text("ResourceSubType", notes).unwrap_or_default();
    Resource {
        row,
        role: role(&subtype, row.opt("ResourceType", notes)),
        parent: row.text("Parent", notes),
        place: row.parsed("AddressOnParent", number, notes),
        subtype,
    }
}

#[derive(Default)]
struct Join<'a> {
    resources: Vec<Resource<'a>>,
    by_id: HashMap<String, usize>,
}

impl Join<'_> {
    /// The resource that a path names.
    fn find(&self, path: &str) -> Option<usize> {
        self.by_id.get(&fold(&ids::path_key(path)?)).copied()
    }

    fn is_drive(&self, at: usize) -> bool {
        let resource = self.resources.get(at);
        resource.is_some_and(|r| matches!(r.role, Role::Drive | Role::PassThrough))
    }
}

/// Controllers as they fill. Drives whose controller is not told have one of their own.
struct Places {
    controllers: Vec<Controller>,
    by_resource: HashMap<usize, usize>,
    nowhere: Option<usize>,
    taken: HashSet<(usize, u32)>,
    numbers: BTreeMap<ControllerKind, u32>,
    drives: usize,
}

impl Places {
    fn new(join: &Join<'_>, notes: &mut Notes) -> Self {
        let mut places = Self {
            controllers: Vec::new(),
            by_resource: HashMap::new(),
            nowhere: None,
            taken: HashSet::new(),
            numbers: BTreeMap::new(),
            drives: 0,
        };
        for (at, resource) in join.resources.iter().enumerate() {
            if let Role::Controller(kind) = resource.role {
                let told = match kind {
                    ControllerKind::Ide => resource.row.parsed("Address", number, notes),
                    _ => None,
                };
                places.open(at, kind, told, resource.row, notes);
            }
        }
        places
    }

    fn open(
        &mut self,
        resource: usize,
        kind: ControllerKind,
        number: Option<u32>,
        row: Row<'_>,
        notes: &mut Notes,
    ) -> usize {
        let own: Vec<String> = row.list("VirtualSystemIdentifiers", notes);
        let own = own.iter().find_map(|text| ids::guid(text));
        let at = self.push(kind, number, own.or_else(|| ids::device(&row.id())));
        self.by_resource.insert(resource, at);
        at
    }

    fn push(&mut self, kind: ControllerKind, number: Option<u32>, id: Option<Uuid>) -> usize {
        let next = self.numbers.entry(kind).or_default();
        let number = number.unwrap_or(*next);
        *next = next.saturating_add(1);
        self.controllers.push(Controller {
            kind,
            number,
            instance: id.unwrap_or_default(),
            drives: Vec::new(),
        });
        self.controllers.len() - 1
    }

    fn add(
        &mut self,
        (controller, place): (Option<usize>, Option<u32>),
        resource: Option<&Resource<'_>>,
        medium: Option<Row<'_>>,
        found: &mut Storage,
        notes: &mut Notes,
    ) {
        if self.drives >= MAX_DRIVES {
            if self.drives == MAX_DRIVES {
                notes.push(Finding::TooManyDrives);
                self.drives += 1;
            }
            return;
        }
        self.drives += 1;
        let name = || {
            let row = resource.map(|r| r.row).or(medium);
            row.map(Row::name).unwrap_or_default()
        };
        let known = controller.and_then(|at| self.by_resource.get(&at).copied());
        let at = match (known, controller) {
            (Some(at), _) => at,
            // It holds drives, whatever it is.
            (None, Some(other)) => {
                let at = self.push(ControllerKind::Other, None, None);
                self.by_resource.insert(other, at);
                at
            }
            (None, None) => match self.nowhere {
                Some(at) => at,
                None => *self.nowhere.insert(self.controllers.len()),
            },
        };
        if at == self.controllers.len() {
            self.push(ControllerKind::Other, None, None);
        }
        if controller.is_none() || place.is_none() {
            notes.push(Finding::UnplacedDrive { drive: name() });
        }
        let taken = place.is_some_and(|place| self.taken.contains(&(at, place)));
        if taken {
            notes.push(Finding::DuplicatePlace { drive: name() });
        }
        let position = place.filter(|_| !taken).unwrap_or_else(|| {
            let free = (0..).find(|place| !self.taken.contains(&(at, *place)));
            free.unwrap_or(u32::MAX)
        });
        self.taken.insert((at, position));
        let Some(controller) = self.controllers.get_mut(at) else {
            return;
        };
        let location = Location {
            controller: controller.kind,
            number: controller.number,
            position,
        };
        if let Some(resource) = resource {
            found.drives.insert(fold(&resource.row.id()), location);
        }
        let drive = drive(location, resource, medium, found, notes);
        controller.drives.push(drive);
    }

    fn into_controllers(mut self) -> Vec<Controller> {
        for controller in &mut self.controllers {
            controller.drives.sort_by_key(|drive| drive.position);
        }
        self.controllers
            .sort_by_key(|c| (c.kind, c.number, c.instance));
        self.controllers
    }
}

fn drive(
    location: Location,
    resource: Option<&Resource<'_>>,
    medium: Option<Row<'_>>,
    found: &mut Storage,
    notes: &mut Notes,
) -> Drive {
    let first = |row: Row<'_>, notes: &mut Notes| {
        let all: Vec<String> = row.list("HostResource", notes);
        all.into_iter().find(|path| !path.trim().is_empty())
    };
    if let Some(resource) = resource.filter(|r| r.role == Role::PassThrough) {
        let path = first(resource.row, notes);
        found.findings.push(ConfigFinding::PassThroughDisk {
            location,
            path: path.clone(),
        });
        return Drive {
            position: location.position,
            kind: DriveKind::PassThrough,
            path,
            qos: Qos::default(),
            shared: false,
        };
    }
    let mut drive = Drive {
        position: location.position,
        kind: DriveKind::Empty,
        path: None,
        qos: Qos::default(),
        shared: false,
    };
    let unknown = |kind: &str| ConfigFinding::UnknownDrive {
        location,
        kind: kind.to_owned(),
    };
    let Some(row) = medium else {
        // A drive of a kind that is not known may hold what cannot be seen.
        if let Some(resource) = resource
            && !fold(&resource.subtype).starts_with("microsoft:hyper-v:synthetic ")
        {
            drive.kind = DriveKind::Unknown;
            drive.path = first(resource.row, notes);
            found.findings.push(unknown(&resource.subtype));
        }
        return drive;
    };
    let subtype = row.text("ResourceSubType", notes).unwrap_or_default();
    drive.kind = holds(&subtype);
    drive.path = first(row, notes);
    let some = |name, notes: &mut Notes| row.opt::<u64>(name, notes).filter(|n| *n != 0);
    drive.qos = Qos {
        iops_limit: some("IOPSLimit", notes),
        iops_reservation: some("IOPSReservation", notes),
        weight: some("Weight", notes),
    };
    match (drive.kind, &drive.path) {
        (DriveKind::VirtualDisk, Some(path)) => {
            let reservations = row.opt("PersistentReservationsSupported", notes);
            drive.shared = reservations == Some(true) || fold(path).ends_with(".vhds");
            if drive.shared {
                let path = drive.path.clone();
                found
                    .findings
                    .push(ConfigFinding::SharedDisk { location, path });
            }
            found.media.push(Medium {
                location,
                instance_id: row.id(),
                path: path.clone(),
            });
        }
        (DriveKind::VirtualDisk, None) => {
            drive.kind = DriveKind::Unknown;
            found
                .findings
                .push(unknown("a virtual hard disk without a file"));
        }
        (DriveKind::Unknown, _) => found.findings.push(unknown(&subtype)),
        (_, None) => drive.kind = DriveKind::Empty,
        _ => {}
    }
    drive
}
