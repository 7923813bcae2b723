//! `ls`.

use engine::finding::outcome_of;
use engine::list::{FolderVm, FolderVms, folder_vms};
use engine::point::Details;
use engine::{Code, Finding, Outcome, Severity};
use serde::Serialize;

use crate::address::PointAddress;
use crate::args::{Global, LsArgs};
use crate::commands::findings::findings_text;
use crate::commands::guest;
use crate::commands::listing::VmListing;
use crate::commands::points::find_point;
use crate::commands::source;
use crate::failure::{Exit, Failure, Result};
use crate::table::Table;
use crate::ui::{Document, Ui};
use crate::{open, text};

/// Lists.
pub(crate) fn run(global: &Global, args: &LsArgs, ui: Ui) -> Result<Exit> {
    if args.what.starts_with("folder:") {
        if !args.keys.volume_key.is_empty() {
            return Err(
                Failure::usage("--volume-key is for what is in a restore point, POINT:/")
                    .hint("leave --volume-key out"),
            );
        }
        return folder(args, ui);
    }
    if !args.parents.is_empty() {
        return Err(
            Failure::usage("--parents is for folder:DIR: a restore point has its parents")
                .hint("leave --parents out"),
        );
    }
    let (address, path) = PointAddress::with_path(&args.what).map_err(|error| {
        Failure::usage(error)
            .hint("write POINT, POINT:PATH or folder:DIR; see `hyperkeep ls --help`")
    })?;
    let vault = open::vault(global, ui)?;
    let (_, opened, beside) = find_point(global, &vault, &address, ui)?;
    match path {
        Some(path) if path.starts_with('/') => {
            let guest = guest::guest(
                &vault,
                (&address, &opened, beside),
                args.checkpoint.as_deref(),
                &args.keys,
            )?;
            guest::ls(&guest, &path, ui)
        }
        _ if args.checkpoint.is_some() => Err(Failure::usage(
            "--checkpoint is for what is in the guest: POINT:/",
        )
        .hint("leave it out; `ls POINT` lists the disks of all checkpoints")),
        _ if !args.keys.volume_key.is_empty() => Err(Failure::usage(
            "--volume-key is for what is in the guest: POINT:/",
        )
        .hint("leave it out; `ls POINT` lists the disks without opening them")),
        Some(path) => ui.print(&PathDocument::new(&opened.details, &path)?),
        None => ui.print(&LsDocument {
            vms: vec![Vm::readable(&opened.details)],
            findings: Vec::new(),
            outcome: Outcome::Ok,
        }),
    }
}

fn folder(args: &LsArgs, ui: Ui) -> Result<Exit> {
    let mut source = source::open(&args.what, &args.parents)?;
    let found = folder_vms(&mut source).map_err(source::failure)?;
    ui.print(&LsDocument {
        outcome: Outcome::worst([looked(&found), outcome_of(&found.findings)]),
        vms: found
            .vms
            .into_iter()
            .map(|vm| match vm {
                FolderVm::Read(details) => Vm::readable(&details),
                FolderVm::Unreadable {
                    vm_id,
                    vm_name,
                    finding,
                } => Vm {
                    vm_id: vm_id.to_string(),
                    vm_name,
                    holds: None,
                    findings: vec![finding],
                },
            })
            .collect(),
        findings: found.findings,
    })
}

/// A look that shows a disk to be missing has shown it: only what is there and could not be looked
/// at makes it incomplete.
fn looked(found: &FolderVms) -> Outcome {
    let closed = |finding: &Finding| {
        let unreadable = matches!(
            finding.code,
            Code::DiskUnreadable
                | Code::DiskDamaged
                | Code::ConfigUnreadable
                | Code::FileUnreadable
        );
        unreadable && finding.severity >= Severity::Partial
    };
    let incomplete = found.vms.iter().any(|vm| match vm {
        FolderVm::Read(details) => details.findings.iter().any(closed),
        FolderVm::Unreadable { .. } => true,
    });
    if incomplete {
        Outcome::Partial
    } else {
        Outcome::Ok
    }
}

#[derive(Serialize)]
struct LsDocument {
    vms: Vec<Vm>,
    findings: Vec<Finding>,
    #[serde(skip)]
    outcome: Outcome,
}

#[derive(Serialize)]
struct Vm {
    vm_id: String,
    vm_name: String,
    /// Nothing when nothing of the VM could be opened.
    holds: Option<VmListing>,
    findings: Vec<Finding>,
}

impl Vm {
    fn readable(details: &Details) -> Self {
        let holds = VmListing::of(details);
        Self {
            vm_id: holds.vm_id.clone(),
            vm_name: holds.vm_name.clone(),
            holds: Some(holds),
            findings: details.findings.clone(),
        }
    }
}

impl Document for LsDocument {
    const KIND: &'static str = "ls";

    fn outcome(&self) -> Outcome {
        self.outcome
    }

    fn human(&self) -> String {
        let mut out = String::new();
        for (index, vm) in self.vms.iter().enumerate() {
            if index > 0 {
                out.push('\n');
            }
            out.push_str(&format!("{}  {}\n\n", text::line(&vm.vm_name), vm.vm_id));
            if let Some(holds) = &vm.holds {
                out.push_str(&holds.body());
            }
            out.push_str(&findings_text(&vm.findings, 0));
        }
        if self.vms.is_empty() {
            out.push_str("no VMs and no disks\n");
        }
        out.push_str(&findings_text(&self.findings, 0));
        out
    }
}

/// What lies at and below a path of a restore point.
#[derive(Serialize)]
struct PathDocument {
    path: String,
    entries: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    path: String,
    kind: &'static str,
    /// Size of the disk as a guest sees it, or of the file.
    bytes: u64,
}

impl PathDocument {
    fn new(details: &Details, path: &str) -> Result<Self> {
        let path = path.replace('\\', "/");
        let path = path.trim_matches('/');
        let below = |other: &str| {
            let rest = other.strip_prefix(path);
            path.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let disks = details.layers.iter().map(|layer| Entry {
            path: layer.path.to_string(),
            kind: "disk",
            bytes: layer.info.geometry.len,
        });
        let files = details.files.iter().map(|file| Entry {
            path: file.path.to_string(),
            kind: "file",
            bytes: file.len,
        });
        let mut entries: Vec<Entry> = disks.chain(files).filter(|e| below(&e.path)).collect();
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        if entries.is_empty() {
            return Err(Failure::new(format!("the restore point has no “{path}”"))
                .hint("`hyperkeep ls POINT` lists what it has, down to its disks and files"));
        }
        Ok(Self {
            path: path.to_owned(),
            entries,
        })
    }
}

impl Document for PathDocument {
    const KIND: &'static str = "ls-path";

    fn human(&self) -> String {
        let mut table = Table::new(&[">SIZE", "KIND", "PATH"]);
        for entry in &self.entries {
            table.row([&text::size(entry.bytes), entry.kind, &entry.path]);
        }
        table.render()
    }
}
