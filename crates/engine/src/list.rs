//! What there is: restore points in a vault, VMs in a folder. Plain data for whoever shows it.

use serde::Serialize;
use uuid::Uuid;
use vault::point::Level;
use vault::{Access, Point, Vault};

use crate::cancel::Cancel;
use crate::find::Named;
use crate::finding::{Code, Finding, Severity, outcome_of};
use crate::outcome::Outcome;
use crate::point::{Details, PointFile, PointLayer, Reading, Stats};
use crate::restore::{OpenError, Opened};
use crate::source::{Consistency, FrozenView, Held, Request, Source, SourceError};

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

/// All restore points of a vault.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Points {
    /// Oldest first.
    pub points: Vec<PointLine>,
    /// Those that could not be read.
    pub findings: Vec<Finding>,
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
        return Ok(list);
    }
    for reference in references {
        let line = vault
            .point(&reference)
            .map_err(OpenError::from)
            .and_then(|point| PointLine::new(&point));
        match line {
            Ok(line) => list.points.push(line),
            Err(error) => list.findings.push(
                Finding::new(
                    Code::VaultNote,
                    Severity::Warning,
                    format!("restore point {}", reference.point),
                    error.to_string(),
                )
                .hint("`hyperkeep check` shows what is wrong with the vault"),
            ),
        }
    }
    list.points
        .sort_by(|a, b| (a.rank, &a.id).cmp(&(b.rank, &b.id)));
    Ok(list)
}

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
    .hint("open the vault with a passphrase of full access or the recovery code")
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
        cancel: Cancel::new(),
    };
    let mut vms = Vec::new();
    for vm in &listing.vms {
        vms.push(match source.freeze(vm, &request) {
            Ok(frozen) => {
                let mut held = Held::new(frozen);
                FolderVm::Read(Box::new(looked_at(&source.describe(), held.vm().view())))
            }
            Err(error) => FolderVm::Unreadable {
                vm_id: vm.id,
                vm_name: vm.name.clone(),
                finding: Finding {
                    code: error.code,
                    severity: Severity::Error,
                    object: error.object,
                    message: error.message,
                    hint: error.hint,
                },
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
    Details {
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
        missing: view.missing.clone(),
        findings: view.findings.clone(),
        not_covered: view.not_covered.clone(),
    }
}
