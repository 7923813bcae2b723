//! `doctor`.

use std::sync::Arc;

use cim::CimSession;
use cim::http::Credentials;
use engine::source::hyperv::{HostSource, Hurry, Node, Pacing, Setup};
use engine::{Code, Finding, Severity};
use hyperv::cluster::NodeState;
use hyperv::doctor;
use hyperv::files::{MappedFiles, PathMap};
use hyperv::inventory;
use hyperv::plan::Policy;
use serde::Serialize;
use vault::Vault;

use crate::args::{DoctorArgs, Global, HostArgs, SmbArg};
use crate::commands::doctor_report::{DoctorDocument, Report};
use crate::commands::last::{Last, last_points};
use crate::commands::source;
use crate::failure::{Exit, Failure, Result};
use crate::host::{self, HostAddress, HostPace, Meant, Nodes, Reach as Reached, State};
use crate::ui::{Document, Ui};
use crate::{open, stop};

/// Says what can be done with a host, and sees to what earlier runs have left there.
pub(crate) fn run(global: &Global, args: &DoctorArgs, ui: Ui) -> Result<Exit> {
    let (address, reach) = host::find(&args.host, &args.reach)?;
    let files = files(&address, &reach)?;
    let account = host::credentials(&address, &reach)?;
    let session = host::session_as(account.clone(), &address, &reach)?;
    if let Some(account) = &args.set_up {
        let taken = inventory::take(session.as_ref());
        let inventory = taken.map_err(|error| host::failure(&address, &error))?;
        let host = address.endpoint.host();
        let script = doctor::set_up(account, &inventory, host).map_err(|error| {
            Failure::usage(error).hint("it is the account that backups are to be made with")
        })?;
        let shares = doctor::shares(&inventory);
        let rules = shares.iter().map(|share| share.rule(host)).collect();
        return ui.print(&SetUpDocument { script, rules });
    }
    let meant = (args.host.as_str(), args.cluster.cluster, &args.reach);
    let meant = Meant::find(meant, (&address, &reach), &account, &session)?;
    let mut doctor = Doctor {
        pace: Arc::new(HostPace::new(stop::on_signal(ui))),
        vault: None,
        last: Last::default(),
    };
    let mut unread = Vec::new();
    if global.vault.is_some() {
        let vault = open::vault(global, ui)?;
        // What can be done with the host is told all the same.
        match last_points(&vault, open::location(global)?) {
            Ok(last) => doctor.last = last,
            Err(failure) => {
                let what = "what its restore points say of VMs is not known";
                let name = open::location(global)?.to_owned();
                unread.push(told(name, what, Severity::Warning, failure));
            }
        }
        unread.append(&mut doctor.last.findings);
        doctor.vault = Some(vault);
    }
    let beside = meant.beside(&address, "looked at");
    let node = match meant {
        Meant::All(nodes) => return ui.print(&doctor.cluster(&address, &nodes, unread)?),
        Meant::Node(nodes, own) => Some(Node {
            cluster: Arc::clone(&nodes.cluster),
            name: own.name,
            all: false,
        }),
        Meant::Host | Meant::Unknown(_) => None,
    };
    let mut report = doctor.host(Patient {
        files,
        address,
        reach,
        account,
        session,
        node,
    })?;
    report.findings.extend(beside);
    report.findings.extend(unread);
    ui.print(&DoctorDocument::of_host(report))
}

/// Where the files of a host are found; nothing where nobody says it.
fn files(address: &HostAddress, reach: &HostArgs) -> Result<Option<Reached>> {
    match reach.smb == Some(SmbArg::Off) && reach.map.is_empty() {
        true => Ok(None),
        false => Reached::read(address, reach).map(Some),
    }
}

/// What all hosts are looked at with.
struct Doctor {
    pace: Arc<HostPace>,
    vault: Option<Vault>,
    last: Last,
}

/// A host that is looked at.
struct Patient {
    address: HostAddress,
    reach: HostArgs,
    account: Credentials,
    session: Arc<dyn CimSession>,
    files: Option<Reached>,
    node: Option<Node>,
}

impl Doctor {
    fn host(&self, mut patient: Patient) -> Result<Report> {
        let put_right = match &self.vault {
            Some(vault) => Some(put_right(vault, &patient, &self.pace)?),
            None => None,
        };
        let taken = inventory::take(patient.session.as_ref());
        let taken = taken.map_err(|error| host::failure(&patient.address, &error));
        let mut inventory = taken.map_err(|failure| after(put_right.as_deref(), failure))?;
        self.last.note(&mut inventory);
        let address = &patient.address;
        let mut report = Report::new(address, &inventory, self.vault.as_ref(), put_right);
        let pace = Arc::<HostPace>::clone(&self.pace);
        let files = patient.files.take();
        match files.map(|files| files.files(patient.account, pace)) {
            None => {}
            Some(Ok(files)) => report.folders = Some(doctor::reach(files.as_ref(), &inventory)),
            // What can be done with the host is told all the same.
            Some(Err(failure)) => {
                let what = "the VMs' files cannot be read";
                report
                    .findings
                    .push(told(address.to_string(), what, Severity::Warning, failure));
            }
        }
        Ok(report)
    }

    /// All nodes, each by itself. One that cannot be looked at keeps nobody from the others.
    fn cluster(
        &self,
        address: &HostAddress,
        nodes: &Nodes,
        mut findings: Vec<Finding>,
    ) -> Result<DoctorDocument> {
        let mut reports = Vec::new();
        for node in nodes.all()? {
            let name = node.name;
            if node.state == NodeState::Down {
                let what = "the node is down: what an earlier run left on it is not seen to";
                let finding = Finding::new(Code::HostNote, Severity::Warning, name, what);
                findings.push(finding.hint("look again when it is up"));
                continue;
            }
            let look = || {
                let (address, reach, account) = nodes.reach(&name)?;
                let session = nodes.cluster.session(&name);
                let session = session.map_err(|error| host::failure(&address, &error))?;
                self.host(Patient {
                    files: files(&address, &reach)?,
                    address,
                    reach,
                    account,
                    session,
                    node: Some(Node {
                        cluster: Arc::clone(&nodes.cluster),
                        name: name.clone(),
                        all: true,
                    }),
                })
            };
            match look() {
                Ok(report) => reports.push(report),
                Err(failure) => {
                    let what = "what is on it, and what an earlier run left there, is not known";
                    findings.push(told(name, what, Severity::Partial, failure));
                }
            }
        }
        let cluster = nodes.cluster.name();
        Ok(DoctorDocument::of_cluster(
            (address, cluster),
            reports,
            findings,
        ))
    }
}

/// A failure as a finding.
fn told(object: String, what: &str, severity: Severity, failure: Failure) -> Finding {
    let (message, causes) = failure.causes();
    let message = [&[message][..], &causes].concat().join(": ");
    let finding = Finding::new(
        Code::HostNote,
        severity,
        object,
        format!("{what}: {message}"),
    );
    let hint = failure.hint;
    finding.hint(hint.unwrap_or_else(|| "see that it is up and can be reached".to_owned()))
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
fn put_right(vault: &Vault, patient: &Patient, pace: &Arc<HostPace>) -> Result<Vec<Finding>> {
    let address = &patient.address;
    let claim = State::open(&patient.reach)?.try_claim(address, &vault.id().to_string())?;
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
        session: Arc::clone(&patient.session),
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
        node: patient.node.as_ref().map(|node| Node {
            cluster: Arc::clone(&node.cluster),
            name: node.name.clone(),
            all: node.all,
        }),
        on_return: host::on_return(),
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
