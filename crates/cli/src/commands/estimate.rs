//! `estimate`.

use std::sync::Arc;

use engine::estimate::{Basis, History, Predicted, Prediction, predict};
use engine::finding::{Severity, outcome_of};
use engine::select::{Disks, Rule, Selection};
use engine::source::hyperv::vm_ref;
use engine::{Cancel, Code, Finding, Outcome};
use hyperv::estimate::{DiskEstimate, Expected, estimate};
use hyperv::inventory::{self, Host, Machine, Medium};
use hyperv::plan::{Policy, plan};
use hyperv::preflight::Mode;
use hyperv::tracking::Token;
use serde::Serialize;
use uuid::Uuid;
use vault::Vault;

use crate::args::{EstimateArgs, Global};
use crate::commands::findings::findings_text;
use crate::commands::source;
use crate::failure::{Exit, Failure, Result};
use crate::host::{self, HostAddress, HostPace, Meant, State};
use crate::table::Table;
use crate::ui::{Document, Ui};
use crate::{open, stop, text};

/// Estimates what a backup of a host would take.
pub(crate) fn run(global: &Global, args: &EstimateArgs, ui: Ui) -> Result<Exit> {
    let (address, reach) = host::find(&args.host, &args.reach)?;
    let selection = source::selection(args.selection.0.iter().cloned())?;
    let vault = match &global.vault {
        Some(_) => Some(open::vault(global, ui)?),
        None => None,
    };
    let installation = State::known(&reach)?;
    let cancel = stop::on_signal(ui);
    let account = host::credentials(&address, &reach)?;
    let session = host::session_as(account.clone(), &address, &reach)?;
    let meant = (args.host.as_str(), false, &args.reach);
    let meant = Meant::find(meant, (&address, &reach), &account, &session)?;
    if matches!(meant, Meant::All(_)) {
        return Err(Failure::usage(format!(
            "{address}: is a cluster, and it is one host that is asked"
        ))
        .hint(
            "name its nodes one after the other: `hyperkeep vms CLUSTER` tells who has which VM",
        ));
    }
    let inventory = inventory::take(session.as_ref());
    let inventory = inventory.map_err(|error| host::failure(&address, &error))?;
    let asked = Asked {
        global,
        address: &address,
        session,
        pace: HostPace::new(cancel.clone()),
        cancel,
        vault,
        installation: installation.unwrap_or_default(),
    };
    let mut document = EstimateDocument {
        host: address.to_string(),
        findings: meant.beside(&address, "estimated").into_iter().collect(),
        ..EstimateDocument::default()
    };
    let known: Vec<_> = inventory.machines.iter().map(vm_ref).collect();
    for machine in &inventory.machines {
        if selection.matches(&vm_ref(machine)) {
            let vm = asked.vm(machine, &inventory.host, &selection, &mut document.findings)?;
            document.vms.push(vm);
        }
    }
    let unmatched = selection.unmatched(&known, |_| true).into_iter();
    document.findings.extend(unmatched.map(|one| {
        let severity = match one.rule {
            Rule::Include => Severity::Warning,
            Rule::Exclude => Severity::Info,
        };
        let message = "nothing that it names was found";
        Finding::new(Code::NothingSelected, severity, one.pattern, message)
            .hint("`hyperkeep vms` shows what there is")
    }));
    ui.print(&document)
}

struct Asked<'a> {
    global: &'a Global,
    address: &'a HostAddress,
    session: Arc<dyn cim::CimSession>,
    pace: HostPace,
    cancel: Cancel,
    vault: Option<Vault>,
    installation: Uuid,
}

impl Asked<'_> {
    fn vm(
        &self,
        machine: &Machine,
        host: &Host,
        selection: &Selection,
        findings: &mut Vec<Finding>,
    ) -> Result<Vm> {
        let vm = vm_ref(machine);
        let disks = selection.disks(&vm);
        let history = match &self.vault {
            Some(vault) => {
                let location = open::location(self.global)?;
                let (history, told) = History::of(vault, &vm)
                    .map_err(|error| open::vault_failure(error, location))?;
                findings.extend(told);
                history
            }
            None => History::default(),
        };
        let mut estimated = Vm {
            id: vm.id.to_string(),
            name: vm.name,
            runs: self.vault.as_ref().map(|_| history.runs.len()),
            ..Vm::default()
        };
        if self.cancel.is_cancelled() {
            estimated.reason = "stopped on request".to_owned();
            return Ok(estimated);
        }
        let plan = match plan(machine, host, &Policy::default()) {
            Ok(plan) => plan,
            Err(no) => {
                estimated.reason = no.to_string();
                return Ok(estimated);
            }
        };
        let media = machine.settings.media.iter();
        let media: Vec<Medium> = media.filter(|m| is_wanted(&disks, m)).cloned().collect();
        // What is not understood is of no use to a backup either.
        let token = history.token.as_deref();
        let token: Option<Token> = token.and_then(|token| serde_json::from_slice(token).ok());
        let session = self.session.as_ref();
        let of = (&plan, media.as_slice());
        let found = estimate(session, &self.pace, of, self.installation, token.as_ref());
        let found = found.map_err(|error| host::failure(self.address, &error))?;
        estimated.mode = Some(plan.mode);
        estimated.reason = plan.reason;
        estimated.prediction = predict(&found, &history);
        estimated.disks = found.iter().map(Disk::new).collect();
        Ok(estimated)
    }
}

fn is_wanted(disks: &Disks, medium: &Medium) -> bool {
    let slot = medium.location.to_string();
    disks.takes([slot.as_str(), &medium.path], false) != Some(false)
}

#[derive(Default, Serialize)]
struct EstimateDocument {
    host: String,
    vms: Vec<Vm>,
    findings: Vec<Finding>,
}

#[derive(Default, Serialize)]
struct Vm {
    id: String,
    name: String,
    mode: Option<Mode>,
    reason: String,
    /// Earlier backups that were looked at.
    runs: Option<usize>,
    #[serde(flatten)]
    prediction: Prediction,
    disks: Vec<Disk>,
}

#[derive(Serialize)]
struct Disk {
    slot: String,
    path: String,
    disk_bytes: Option<u64>,
    stored_bytes: Option<u64>,
    expected: Expected,
}

impl Disk {
    fn new(disk: &DiskEstimate) -> Self {
        Self {
            slot: disk.location.to_string(),
            path: disk.path.clone(),
            disk_bytes: disk.len,
            stored_bytes: disk.stored,
            expected: disk.expected.clone(),
        }
    }
}

/// A number with a word for what it rests on.
fn told(predicted: Option<Predicted>, show: impl Fn(u64) -> String) -> String {
    let Some(predicted) = predicted else {
        return "not known".to_owned();
    };
    let amount = show(predicted.amount);
    match predicted.basis {
        Basis::Host => amount,
        Basis::AtMost => format!("at most {amount}"),
        Basis::EarlierRuns => format!("about {amount}"),
    }
}

fn expected(expected: &Expected) -> String {
    match expected {
        Expected::Changed { bytes } => format!("{} changed", text::size(*bytes)),
        Expected::Full { why, bytes } => {
            let most = match bytes {
                Some(bytes) => format!("at most {}", text::size(*bytes)),
                None => "nobody knows how much".to_owned(),
            };
            format!("read in full, {most}: {why}")
        }
        Expected::Untold { why } => format!("what changed is not known: {why}"),
    }
}

impl Document for EstimateDocument {
    const KIND: &'static str = "estimate";

    fn outcome(&self) -> Outcome {
        outcome_of(&self.findings)
    }

    fn human(&self) -> String {
        let mut table = Table::new(&["NAME", "MODE", ">READ", ">NEW", ">TIME", "WHY"]);
        for vm in &self.vms {
            let mode = match vm.mode {
                Some(Mode::Cbt) => "cbt",
                Some(Mode::Standard) => "standard",
                None => "-",
            };
            table.row([
                vm.name.as_str(),
                mode,
                &told(vm.prediction.read, text::size),
                &told(vm.prediction.new, text::size),
                &told(vm.prediction.milliseconds, text::milliseconds),
                &vm.reason,
            ]);
        }
        let mut out = table.render();
        for vm in &self.vms {
            for disk in &vm.disks {
                let line = format!(
                    "{} ({}): {}",
                    disk.slot,
                    disk.path,
                    expected(&disk.expected)
                );
                out.push_str(&format!(
                    "{}: {}\n",
                    text::line(&vm.name),
                    text::line(&line)
                ));
            }
        }
        if self
            .vms
            .iter()
            .any(|vm| vm.prediction != Prediction::default())
        {
            out.push_str("“about”: as earlier backups of the VM went\n");
        }
        out.push_str(&findings_text(&self.findings, 0));
        out
    }
}
