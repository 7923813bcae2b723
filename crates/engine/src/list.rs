//! What there is: restore points in a vault, VMs in a folder. Plain data for whoever shows it.

use serde::Serialize;
use uuid::Uuid;
use vault::point::Level;
use vault::{Access, Point, Vault};

use crate::cancel::Cancel;
use crate::find::{self, FindError, Named, PointRef};
use crate::finding::{Code, Finding, Severity, outcome_of};
use crate::outcome::Outcome;
use crate::point::{Details, PointFile, PointLayer, Reading, Stats};
use crate::restore::{OpenError, Opened};
use crate::saved_memory::saved_memory;
use crate::source::{
    Consistency, Early, End, FrozenView, Held, Leavings, Request, Source, SourceError,
};

/// A restore point in a list.
#[derive(Debug, Clone, Serialize)]
pub struct PointLine {
    /// Its id.
    pub id: String,
    /// Its VM's id.
    pub vm_id: Uuid,
    /// Its VM's name at that time.
    pub vm_name: String,
    /// When its state was caught, seconds since 1970.
    pub taken: u64,
    /// `full`, `incremental` or `differential`.
    pub level: String,
    /// What was achieved.
    pub consistency: Consistency,
    /// How well the backup went.
    pub outcome: Outcome,
    /// Size of all disks of the VM as a guest sees them.
    pub disk_bytes: u64,
    /// Bytes that were read for it.
    pub read_bytes: u64,
    /// Its place among the points of its VM: larger for a later one.
    #[serde(skip)]
    pub rank: u64,
    #[serde(skip)]
    opened: Opened,
}

impl PointLine {
    /// Disks, by their paths, that are dynamic disks of the guest.
    pub fn dynamic_disks(&self) -> Vec<String> {
        let findings = self.opened.details.findings.iter();
        let named = findings.filter(|one| one.code == Code::GuestVolumes);
        named.map(|one| one.object.clone()).collect()
    }
}

/// All restore points of a vault.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Points {
    /// Oldest first.
    pub points: Vec<PointLine>,
    /// Those that are there and cannot be read, in no particular order.
    pub unreadable: Vec<Unreadable>,
    /// What was noticed: why a point cannot be read.
    pub findings: Vec<Finding>,
}

/// A restore point that is there and cannot be read here.
#[derive(Debug, Clone, Serialize)]
pub struct Unreadable {
    /// Its id.
    pub id: String,
    /// Why not.
    pub why: String,
    /// What to do about it.
    pub hint: &'static str,
}

impl Unreadable {
    fn new(id: String, error: &OpenError) -> Self {
        use vault_format::Error::{UnknownFeature, UnknownVersion};
        let unknown = match error {
            OpenError::Misunderstood(_) => true,
            OpenError::Vault(vault::Error::Object { source, .. }) => {
                matches!(source, UnknownFeature { .. } | UnknownVersion { .. })
            }
            OpenError::Vault(_) => false,
        };
        Self {
            id,
            why: error.to_string(),
            hint: match unknown {
                true => "a newer hyperkeep may understand it, or the one that wrote it",
                false => "`hyperkeep check` shows what is wrong with the vault",
            },
        }
    }

    fn finding(&self) -> Finding {
        let object = format!("restore point {}", self.id);
        Finding::new(Code::VaultNote, Severity::Warning, object, self.why.clone()).hint(self.hint)
    }
}

impl Points {
    /// Finds the one point that is meant, see [`find::find`].
    ///
    /// # Errors
    /// As there; and a point that is there and cannot be read is never said to be missing.
    pub fn find(&self, wanted: &PointRef) -> Result<&PointLine, FindError> {
        let found = find::find(&self.points, wanted);
        let PointRef::Id(prefix) = wanted else {
            return found.map_err(|error| match error {
                FindError::None(vm) if !self.unreadable.is_empty() => FindError::NoneReadable {
                    vm,
                    unreadable: self.unreadable.len(),
                },
                other => other,
            });
        };
        let begins = |id: &str| id.starts_with(prefix.as_str());
        let hidden: Vec<&Unreadable> = self.unreadable.iter().filter(|u| begins(&u.id)).collect();
        match (found, hidden.as_slice()) {
            (found, []) => found,
            (Err(FindError::None(_)), [one]) => Err(FindError::Unreadable {
                id: one.id.clone(),
                why: one.why.clone(),
                hint: one.hint,
            }),
            _ => {
                let readable = self.points.iter().map(|point| &point.id);
                let ids = readable.chain(hidden.iter().map(|u| &u.id));
                Err(FindError::AmbiguousId {
                    prefix: prefix.clone(),
                    ids: ids.filter(|id| begins(id)).cloned().collect(),
                })
            }
        }
    }
}

impl Named for PointLine {
    fn point_id(&self) -> String {
        self.id.clone()
    }
    fn vm_id(&self) -> Uuid {
        self.vm_id
    }
    fn vm_name(&self) -> &str {
        &self.vm_name
    }
    fn time(&self) -> u64 {
        self.taken
    }
    fn rank(&self) -> u64 {
        self.rank
    }
}

impl PointLine {
    /// The point, ready to be restored from.
    pub fn open(&self) -> &Opened {
        &self.opened
    }

    fn new(point: &Point) -> Result<Self, OpenError> {
        let opened = Opened::open(point)?;
        let details = &opened.details;
        let level = match &point.outline.level {
            Level::Full => "full",
            Level::Incremental => "incremental",
            Level::Differential => "differential",
            Level::Other(name) => name,
        };
        let of_vm = details
            .uses
            .iter()
            .filter(|u| u.owner == crate::source::Owner::Vm);
        Ok(Self {
            id: opened.id.clone(),
            vm_id: details.vm_id,
            vm_name: details.vm_name.clone(),
            taken: opened.taken,
            level: level.to_owned(),
            consistency: details.consistency,
            outcome: details.outcome,
            disk_bytes: of_vm
                .map(|u| details.layers[u.layer].info.geometry.len)
                .sum(),
            read_bytes: point
                .outline
                .statistics
                .get("bytes_read")
                .copied()
                .unwrap_or(0),
            rank: point.outline.written,
            opened,
        })
    }
}

/// Reads all restore points of a vault. One that cannot be read does not hide the others.
///
/// # Errors
/// When the vault cannot be asked.
pub fn points(vault: &Vault) -> Result<Points, vault::Error> {
    let mut list = Points::default();
    let references = vault.points(None)?;
    if vault.access() == Access::Write && !references.is_empty() {
        list.findings.push(unreadable_here(references.len()));
        list.unreadable
            .extend(references.iter().map(|r| Unreadable {
                id: r.point.to_string(),
                why: WRITES_ONLY.to_owned(),
                hint: OPEN_TO_READ,
            }));
        return Ok(list);
    }
    for reference in references {
        let line = vault
            .point(&reference)
            .map_err(OpenError::from)
            .and_then(|point| PointLine::new(&point));
        match line {
            Ok(line) => list.points.push(line),
            Err(error) => {
                let unreadable = Unreadable::new(reference.point.to_string(), &error);
                list.findings.push(unreadable.finding());
                list.unreadable.push(unreadable);
            }
        }
    }
    list.points
        .sort_by(|a, b| (a.rank, &a.id).cmp(&(b.rank, &b.id)));
    Ok(list)
}

const WRITES_ONLY: &str =
    "the key that opened the vault can write restore points and not read them";
const OPEN_TO_READ: &str = "open the vault with a passphrase of full access or the recovery code";

/// With a key that can only write there is one reason for all of them.
fn unreadable_here(points: usize) -> Finding {
    let what = match points {
        1 => "1 restore point".to_owned(),
        n => format!("{n} restore points"),
    };
    Finding::new(
        Code::VaultNote,
        Severity::Warning,
        "vault",
        format!("there are {what}; the key that opened the vault can write them and not read them"),
    )
    .hint(OPEN_TO_READ)
}

/// The VMs of a source, looked at without backing them up.
#[derive(Debug, Clone, Serialize)]
pub struct FolderVms {
    /// Each VM.
    pub vms: Vec<FolderVm>,
    /// What concerns no one VM.
    pub findings: Vec<Finding>,
}

/// One VM of a source.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum FolderVm {
    /// It could be looked at. What only a backup knows (how it was read) is empty.
    Read(Box<Details>),
    /// Nothing of it could be opened.
    Unreadable {
        /// Its id.
        vm_id: Uuid,
        /// Its name.
        vm_name: String,
        /// Why.
        finding: Finding,
    },
}

/// Looks at every VM of a source.
///
/// # Errors
/// When there is no telling which VMs there are.
pub fn folder_vms(source: &mut dyn Source) -> Result<FolderVms, SourceError> {
    let listing = source.list()?;
    let request = Request {
        token: None,
        full: false,
        disks: Default::default(),
        cancel: Cancel::new(),
        early: Early::default(),
    };
    let mut vms = Vec::new();
    for vm in &listing.vms {
        vms.push(match source.freeze(vm, &request) {
            Ok(frozen) => {
                let leavings = Leavings::default();
                let mut held = Held::new(frozen, &leavings);
                let mut details = looked_at(&source.describe(), held.vm().view());
                details
                    .findings
                    .extend(held.finish(End::Abandoned).findings);
                details.outcome = outcome_of(&details.findings);
                FolderVm::Read(Box::new(details))
            }
            Err(error) => FolderVm::Unreadable {
                vm_id: vm.id,
                vm_name: vm.name.clone(),
                finding: error.into(),
            },
        });
    }
    Ok(FolderVms {
        vms,
        findings: listing.findings,
    })
}

/// A view as a point would tell it.
fn looked_at(source: &str, view: &FrozenView) -> Details {
    let mut details = Details {
        vm_id: view.id,
        vm_name: view.name.clone(),
        source: source.to_owned(),
        mode: view.mode.clone(),
        mode_reason: view.mode_reason.clone(),
        level: Default::default(),
        consistency: view.consistency,
        outcome: outcome_of(&view.findings),
        config: view.config.clone(),
        layers: view
            .layers
            .iter()
            .map(|layer| PointLayer {
                path: layer.path.clone(),
                origin: layer.origin.clone(),
                info: layer.info.clone(),
                parent: layer.parent,
                interior: layer.interior,
                moved: false,
                reading: Reading::Full { why: String::new() },
                stats: Stats::default(),
            })
            .collect(),
        files: view
            .files
            .iter()
            .map(|file| PointFile {
                path: file.path.clone(),
                role: file.role,
                owner: file.owner.clone(),
                len: file.data.len().unwrap_or(0),
            })
            .collect(),
        uses: view.uses.clone(),
        checkpoints: view.checkpoints.clone(),
        current: view.current,
        saved_memory: saved_memory(view, |_| true),
        missing: view.missing.clone(),
        findings: view.findings.clone(),
        not_covered: view.not_covered.clone(),
    };
    details.beside_memory();
    details
}
