//! `doctor`.

use std::fmt::Write as _;
use std::sync::Arc;

use cim::CimSession;
use engine::finding::outcome_of;
use engine::source::hyperv::{HostSource, Hurry, Pacing, Setup, inventory_findings};
use engine::{Code, Finding, Outcome, Severity};
use hyperv::doctor::{self, ConditionReport, Reach, WayReport};
use hyperv::files::{MappedFiles, PathMap};
use hyperv::inventory::{self, CheckpointKind, Inventory, Os};
use hyperv::plan::Policy;
use hyperv::tracking::Token;
use serde::Serialize;
use vault::Vault;

use crate::args::{DoctorArgs, Global, HostArgs, SmbArg};
use crate::commands::findings::findings_text;
use crate::commands::source;
use crate::failure::{Exit, Failure, Result};
use crate::host::{self, HostAddress, HostPace, Reach as Reached, State};
use crate::table::Table;
use crate::ui::{Document, Ui};
use crate::{open, stop, text};

/// Says what can be done with a host, and sees to what earlier runs have left there.
pub(crate) fn run(global: &Global, args: &DoctorArgs, ui: Ui) -> Result<Exit> {
    let (address, reach) = host::find(&args.host, &args.reach)?;
    let reached = match reach.smb == Some(SmbArg::Off) && reach.map.is_empty() {
        true => None,
        false => Some(Reached::read(&address, &reach)?),
    };
    let account = host::credentials(&address, &reach)?;
    let session = host::session_as(account.clone(), &address, &reach)?;
    let take = || {
        let taken = inventory::take(session.as_ref());
        taken.map_err(|error| host::failure(&address, &error))
    };
    if let Some(account) = &args.set_up {
        let (inventory, host) = (take()?, address.endpoint.host());
        let script = doctor::set_up(account, &inventory, host).map_err(|error| {
            Failure::usage(error).hint("it is the account that backups are to be made with")
        })?;
        let shares = doctor::shares(&inventory);
        let rules = shares.iter().map(|share| share.rule(host)).collect();
        return ui.print(&SetUpDocument { script, rules });
    }
    let pace = Arc::new(HostPace::new(stop::on_signal(ui)));
    let vault = match global.vault {
        Some(_) => Some(open::vault(global, ui)?),
        None => None,
    };
    let put_right = match &vault {
        Some(vault) => Some(put_right(vault, &reach, &address, &session, &pace)?),
        None => None,
    };
    let inventory = take().map_err(|failure| after(put_right.as_deref(), failure))?;
    let mut document = DoctorDocument::new(&address, &inventory, put_right);
    document
        .there
        .extend(reference_points(&inventory, vault.as_ref()));
    match reached.map(|reached| reached.files(account, pace)) {
        None => {}
        Some(Ok(files)) => document.folders = Some(doctor::reach(files.as_ref(), &inventory)),
        // What can be done with the host is told all the same.
        Some(Err(failure)) => {
            let (message, causes) = failure.causes();
            let message = [&[message][..], &causes].concat().join(": ");
            let finding = Finding::new(
                Code::HostNote,
                Severity::Warning,
                address.to_string(),
                format!("the VMs' files cannot be read: {message}"),
            );
            let hint = failure.hint.unwrap_or_default();
            document.findings.push(finding.hint(hint));
        }
    }
    ui.print(&document)
}

/// A failure that does not hide what was done on the host before it.
fn after(put_right: Option<&[Finding]>, mut failure: Failure) -> Failure {
    let told = put_right.unwrap_or_default().iter();
    let told: Vec<String> = told.map(Finding::to_string).collect();
    if !told.is_empty() {
        let message = format!(
            "what earlier runs left was seen to ({}), and then the host could not be looked at",
            told.join("; ")
        );
        failure.error = failure.error.context(message);
    }
    failure
}

/// Does what a backup into this vault would do first.
fn put_right(
    vault: &Vault,
    reach: &HostArgs,
    address: &HostAddress,
    session: &Arc<dyn CimSession>,
    pace: &Arc<HostPace>,
) -> Result<Vec<Finding>> {
    let claim = State::open(reach)?.try_claim(address, &vault.id().to_string())?;
    let Some(claim) = claim else {
        // What it has on the host is in use; all else can be told.
        let note = Finding::note(
            Code::HostNote,
            address.to_string(),
            "another run is at work with this host and this vault: what earlier ones left is seen to \
             by it",
        );
        return Ok(vec![note]);
    };
    let mut source = HostSource::open(Setup {
        name: address.to_string(),
        session: Arc::clone(session),
        // No file of the host is read.
        files: Arc::new(MappedFiles::new(PathMap::new())),
        hurry: Hurry::default(),
        pace: Arc::<HostPace>::clone(pace),
        clock: Arc::new(jiff::Timestamp::now),
        policy: Policy::default(),
        pacing: Pacing::default(),
        mark: claim.mark,
        journals: claim.journals.clone(),
        neighbours: claim.neighbours.clone(),
        node: None,
    })
    .map_err(source::failure)?;
    let found = engine::backup::put_right(vault, &mut source).map_err(source::failure);
    // The journal ends before another run may have its folder.
    drop((source, claim));
    found
}

#[derive(Serialize)]
struct SetUpDocument {
    script: String,
    /// What `--share` takes when the script has run.
    rules: Vec<String>,
}

impl Document for SetUpDocument {
    const KIND: &'static str = "set-up";

    fn human(&self) -> String {
        self.script.clone()
    }
}

#[derive(Serialize)]
struct DoctorDocument {
    host: String,
    program: &'static str,
    name: Option<String>,
    system: Option<Os>,
    cluster: Option<String>,
    vms: usize,
    ways: Vec<WayReport>,
    conditions: Vec<ConditionReport>,
    /// Nothing where nobody said how files are reached.
    folders: Option<Vec<Reach>>,
    /// Checkpoints and reference points of backups and unfinished imports, whoever's they are.
    there: Vec<There>,
    /// What was put right, or could not be; nothing without a vault.
    put_right: Option<Vec<Finding>>,
    findings: Vec<Finding>,
}

/// Something that a backup or an import has not taken away.
#[derive(Serialize)]
struct There {
    kind: &'static str,
    vm: String,
    name: String,
    id: String,
    /// Of a reference point: what it is to the vault that was named.
    vault: Option<Remembered>,
}

/// What a reference point is to a vault.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Remembered {
    /// The next backup into it asks by this one.
    Asks,
    /// An older restore point of it has it: the next backup removes it.
    Older,
    /// None of its newest restore points has it: another vault's, another program's, or forgotten.
    No,
    /// The vault's restore points of this VM cannot be read.
    Unknown,
}

impl Remembered {
    fn text(self) -> &'static str {
        match self {
            Self::Asks => "the next backup into this vault asks by it",
            Self::Older => "of an older restore point; the next backup removes it",
            Self::No => "none of this vault's newest restore points has it",
            Self::Unknown => "this vault's restore points of the VM cannot be read",
        }
    }
}

/// What a host keeps for whoever asks by it later: what changed is tracked as long as one is there.
fn reference_points(inventory: &Inventory, vault: Option<&Vault>) -> Vec<There> {
    let mut there = Vec::new();
    for machine in &inventory.machines {
        if machine.reference_points.is_empty() {
            continue;
        }
        let tokens = vault.map(|vault| engine::backup::tokens(vault, machine.id));
        let of = |id: &str| {
            let Ok(tokens) = tokens.as_ref()? else {
                return Some(Remembered::Unknown);
            };
            let same = |token: &Option<Vec<u8>>| {
                let token: Option<Token> = serde_json::from_slice(token.as_deref()?).ok();
                let point = token?.reference_point?;
                point.eq_ignore_ascii_case(id).then_some(())
            };
            Some(
                match tokens.iter().position(|token| same(token).is_some()) {
                    Some(0) => Remembered::Asks,
                    Some(_) => Remembered::Older,
                    None => Remembered::No,
                },
            )
        };
        there.extend(machine.reference_points.iter().map(|point| There {
            kind: match point.kind {
                Some(OF_REPLICATION) => "reference-point-of-replication",
                _ => "reference-point",
            },
            vm: machine.name().to_owned(),
            name: point.instance_id.clone(),
            id: point.instance_id.clone(),
            vault: of(&point.instance_id),
        }));
    }
    there
}

/// The type of reference points that Hyper-V Replica makes for itself.
const OF_REPLICATION: u16 = 1;

impl DoctorDocument {
    fn new(address: &HostAddress, inventory: &Inventory, put_right: Option<Vec<Finding>>) -> Self {
        let object = inventory.host.name.clone();
        let object = object.unwrap_or_else(|| address.to_string());
        Self {
            host: address.to_string(),
            program: env!("CARGO_PKG_VERSION"),
            name: inventory.host.name.clone(),
            system: inventory.host.os.clone(),
            cluster: inventory.host.cluster.clone(),
            vms: inventory.machines.len(),
            ways: doctor::ways(inventory),
            conditions: doctor::conditions(inventory),
            folders: None,
            there: there(inventory),
            put_right,
            findings: inventory_findings(&inventory.findings, Some(&object)),
        }
    }
}

fn there(inventory: &Inventory) -> Vec<There> {
    let mut there = Vec::new();
    for machine in &inventory.machines {
        let all = machine.checkpoints.iter();
        let recovery = all.filter(|c| c.kind == CheckpointKind::Recovery);
        there.extend(recovery.map(|checkpoint| There {
            kind: "recovery-checkpoint",
            vm: machine.name().to_owned(),
            name: checkpoint.settings.config.name.clone(),
            id: checkpoint.settings.instance_id.clone(),
            vault: None,
        }));
    }
    there.extend(inventory.planned.iter().map(|planned| There {
        kind: "unfinished-import",
        vm: planned.name.clone(),
        name: planned.name.clone(),
        id: planned.instance_id.clone(),
        vault: None,
    }));
    there
}

impl Document for DoctorDocument {
    const KIND: &'static str = "doctor";

    fn outcome(&self) -> Outcome {
        let problem = |reach: &Reach| reach.problem.is_some();
        let unreached = self.folders.iter().flatten().any(problem);
        let of_folders = match unreached {
            true => Outcome::Warning,
            false => Outcome::Ok,
        };
        let put_right = self.put_right.as_deref().unwrap_or_default();
        Outcome::worst([
            of_folders,
            outcome_of(put_right),
            outcome_of(&self.findings),
        ])
    }

    fn human(&self) -> String {
        let mut out = String::new();
        let system = self.system.as_ref();
        let told = |value: Option<&String>| value.map_or("not told", String::as_str).to_owned();
        for (what, value) in [
            ("Host", told(self.name.as_ref())),
            ("System", told(system.and_then(|os| os.caption.as_ref()))),
            ("Version", told(system.and_then(|os| os.version.as_ref()))),
            (
                "Cluster",
                self.cluster.clone().unwrap_or_else(|| "none".into()),
            ),
            ("VMs", self.vms.to_string()),
        ] {
            let _ = writeln!(out, "{what:<8} {}", text::line(&value));
        }
        out.push('\n');
        out.push_str(&self.ways_text());
        out.push_str(&self.conditions_text());
        out.push_str(&self.folders_text());
        out.push_str(&self.there_text());
        match &self.put_right {
            None => out.push_str(
                "\nWhat an earlier run left behind is put right with the vault that it wrote into: --vault\n",
            ),
            Some(found) if found.is_empty() => {
                out.push_str("\nNothing of ours was left behind by an earlier run.\n");
            }
            Some(found) => {
                out.push_str("\nOf earlier runs:\n");
                out.push_str(&findings_text(found, 2));
            }
        }
        out.push_str(&findings_text(&self.findings, 0));
        out
    }
}

impl DoctorDocument {
    fn ways_text(&self) -> String {
        let mut table = Table::new(&["WAY", ">VMS", "WHY NOT FOR THE OTHERS"]);
        let mut hints = String::new();
        for way in &self.ways {
            let count = format!("{} of {}", way.possible, way.of);
            let mut first = [way.way.to_string(), count];
            for obstacle in &way.obstacles {
                let others = match obstacle.vms {
                    1 => String::new(),
                    vms => format!(" and {} more", vms - 1),
                };
                let why = format!("{}{others}: {}", obstacle.example, obstacle.why);
                let [name, count] = std::mem::take(&mut first);
                table.row([name, count, why]);
                if let Some(hint) = &obstacle.hint {
                    let line = format!("hint: {}: {hint}\n", obstacle.example);
                    if !hints.contains(&line) {
                        hints.push_str(&line);
                    }
                }
            }
            if way.obstacles.is_empty() {
                let [name, count] = first;
                table.row([name, count, String::new()]);
            }
        }
        table.render() + &hints
    }

    /// The conditions that are not met by all.
    fn conditions_text(&self) -> String {
        let mut table = Table::new(&["CONDITION", ">MET", "NOT MET BY", "CANNOT BE TOLD OF"]);
        let some = |names: &[String]| match names {
            [] => "-".to_owned(),
            [one] => one.clone(),
            [one, more @ ..] => format!("{one} and {} more", more.len()),
        };
        for report in &self.conditions {
            table.row([
                report.says.clone(),
                format!("{} of {}", report.met, self.vms),
                some(&report.not),
                some(&report.unknown),
            ]);
        }
        match self.conditions.is_empty() {
            true => String::new(),
            false => format!(
                "\nFor a backup in which guests take part:\n{}",
                table.render()
            ),
        }
    }

    fn folders_text(&self) -> String {
        let Some(folders) = &self.folders else {
            return "\nThe VMs' files were not looked at: --smb and --map say where they are found.\n"
                .to_owned();
        };
        let mut table = Table::new(&["FOLDER", "FILES"]);
        for reach in folders {
            let found = match (&reach.problem, &reach.hint) {
                (None, _) => "can be read".to_owned(),
                (Some(problem), Some(hint)) => format!("{problem}; {hint}"),
                (Some(problem), None) => problem.clone(),
            };
            table.row([&reach.folder, &found]);
        }
        format!("\n{}", table.render())
    }

    fn there_text(&self) -> String {
        if self.there.is_empty() {
            return "\nNo backup and no import has left anything on the host.\n".to_owned();
        }
        let mut table = Table::new(&["WHAT IS THERE", "VM", "NAME", "OF THIS VAULT"]);
        for there in &self.there {
            let vault = there.vault.map_or("-", Remembered::text);
            table.row([there.kind, &there.vm, &there.name, vault]);
        }
        format!("\n{}", table.render())
    }
}
