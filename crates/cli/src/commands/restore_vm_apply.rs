//! A restore to a host, carried out.

use std::sync::Arc;

use engine::finding::outcome_of;
use engine::restore::vm::{Applied, Request, Step, VmPlaces, write_vm};
use engine::restore::{RestoredFile, VmPlan};
use engine::source::hyperv::{HostSource, Hurry, NotRestored, Pacing, Setup};
use engine::{Code, Finding, Outcome, Severity};
use hyperv::files::MappedFiles;
use hyperv::plan::Policy;
use serde::Serialize;

use crate::args::{HostArgs, VmArgs};
use crate::commands::findings::findings_text;
use crate::commands::restore_vm::{From, Session, ask, may_go_on};
use crate::commands::restore_vm_plan::PlanDocument;
use crate::commands::source;
use crate::failure::{Exit, Failure, Result};
use crate::host::{self, Claim, HostAddress, HostPace, State};
use crate::ui::Document;
use crate::{apart, open, text};

/// A host that is this run's.
pub(super) struct Work {
    address: HostAddress,
    files: MappedFiles,
    session: Session,
    source: HostSource,
    claim: Claim,
    asks: bool,
}

impl Work {
    /// Takes the host. Nothing is done to it.
    pub(super) fn begin(
        from: &From<'_>,
        (address, reach): (&HostAddress, &HostArgs),
        args: &VmArgs,
    ) -> Result<Self> {
        let files = host::mapped(address, reach)?;
        let session = host::session(address, reach)?;
        let claim = State::open(reach)?.claim(address, &from.vault.id().to_string())?;
        let source = HostSource::open(Setup {
            name: address.to_string(),
            session: Arc::clone(&session),
            files: Arc::new(files.clone()),
            hurry: Hurry::default(),
            pace: Arc::new(HostPace::new(from.cancel.clone())),
            clock: Arc::new(jiff::Timestamp::now),
            policy: Policy::default(),
            pacing: Pacing::default(),
            mark: claim.mark,
            journals: claim.journals.clone(),
            neighbours: claim.neighbours.clone(),
            node: None,
        });
        Ok(Self {
            address: address.clone(),
            files,
            session,
            source: source.map_err(source::failure)?,
            claim,
            asks: !args.yes,
        })
    }

    /// What earlier runs have left is put right first: it may be in the way.
    pub(super) fn run(self, from: &From<'_>, point: &str, request: &Request) -> Result<Exit> {
        let Self {
            address,
            files,
            session,
            mut source,
            claim,
            asks,
        } = self;
        let mut planned = None;
        let done = engine::backup::in_run(from.vault, &mut source, |source| {
            let planned = planned.insert(from.plan(request, &ask(&address, &*session)?)?);
            carry_out(from, &address, &files, source, (point, planned), asks)
        });
        // The journal ends before another run may have its folder.
        drop((source, claim));
        let (done, findings) = done.map_err(source::failure)?;
        // What earlier runs had left is told however this one ends.
        if !findings.is_empty() && !matches!(done, Ok(Done::Restored(_))) {
            from.ui.note(findings_text(&findings, 0).trim_end());
        }
        match done? {
            Done::Printed(Exit::Outcome(outcome)) => {
                let worst = Outcome::worst([outcome, outcome_of(&findings)]);
                Ok(Exit::Outcome(worst))
            }
            Done::Printed(exit) => Ok(exit),
            Done::Restored(mut document) => {
                document.findings.extend(findings);
                from.ui.print(&*document)
            }
        }
    }
}

/// How it ended.
enum Done {
    /// What there is to say was said.
    Printed(Exit),
    Restored(Box<VmDocument>),
}

fn carry_out(
    from: &From<'_>,
    address: &HostAddress,
    files: &MappedFiles,
    source: &HostSource,
    (point, planned): (&str, &VmPlan),
    asks: bool,
) -> Result<Done> {
    let host = address.to_string();
    let told = PlanDocument::new(point.to_owned(), (host.clone(), None), planned);
    if !planned.plan.is_possible() {
        return from.ui.print(&told).map(Done::Printed);
    }
    if !PlanDocument::is_carried_out(&planned.plan) {
        let why = "this version carries out restores beside other VMs, and not in place of one";
        return Err(Failure::new(why).hint(
            "restore it as a copy; or look at --plan, and do it by hand from what `restore folder` restores",
        ));
    }
    // Before anybody is asked: what cannot be written to cannot be restored to.
    let places = VmPlaces::find(planned, files).map_err(|error| {
        let hint = error.hint();
        Failure::from(anyhow::Error::new(error)).hint(hint)
    })?;
    for place in places.folders() {
        apart::target(open::location(from.global)?, place)?;
    }
    from.ui.note(told.text().trim_end());
    if asks && !may_go_on(from.ui) {
        return Err(Failure::new("nothing was done")
            .outcome(Outcome::Cancelled)
            .hint("answer y to carry the plan out"));
    }
    let mut document = VmDocument {
        point: point.to_owned(),
        host,
        plan: told,
        vm: None,
        files: Vec::new(),
        findings: planned.findings.clone(),
        stopped: None,
        may_be_there: false,
    };
    let written = from.task(|task| write_vm(task, from.opened, planned, &places));
    let mut written = match written {
        Ok(written) => written,
        Err(not) => {
            document.findings.extend(not.findings);
            document.stopped = Some(not.outcome);
            return Ok(Done::Restored(Box::new(document)));
        }
    };
    document.findings.append(&mut written.findings);
    let mut tell = |step: &Step| {
        if !matches!(
            step,
            Step::WriteDisk { .. } | Step::WriteConfiguration { .. }
        ) {
            from.ui.note(&format!("{step}"));
        }
    };
    let (point, plan) = (&planned.point, &planned.plan);
    match source.restore(point, plan, &written.written, &mut tell) {
        Ok(applied) => {
            document.files = std::mem::take(&mut written.files);
            document.findings.extend(noticed(&applied));
            document.vm = Some(applied);
        }
        Err(NotRestored { error, in_use }) => {
            document.may_be_there = in_use.is_some();
            let kept = match &in_use {
                None => {
                    document.findings.extend(written.remove());
                    String::new()
                }
                Some(why) => {
                    document.files = std::mem::take(&mut written.files);
                    format!("; what was written stays, since {why}")
                }
            };
            let what = format!("{error}{kept}");
            let finding = Finding::new(Code::Failed, Severity::Error, &plan.name, what);
            document.findings.push(finding.hint(
                "see to what the host says and give the same command again: what is left of this \
                 one is put right first",
            ));
        }
    }
    Ok(Done::Restored(Box::new(document)))
}

/// What is told of a VM that is there.
fn noticed(applied: &Applied) -> Vec<Finding> {
    let warn = |severity, message: String, hint: &str| {
        Finding::new(Code::HostNote, severity, &applied.name, message).hint(hint)
    };
    let differs = applied.differences.iter().map(|difference| {
        let hint = "set it right on the host, or restore again";
        warn(Severity::Partial, difference.to_string(), hint)
    });
    let unverified = applied.unverified.iter().map(|why| {
        let why = format!("it could not be compared with its plan: {why}");
        warn(Severity::Partial, why, "look at it on the host")
    });
    let off = applied.not_started.iter().map(|why| {
        let why = format!("it was not started: {why}");
        warn(Severity::Partial, why, "start it on the host")
    });
    differs.chain(unverified).chain(off).collect()
}

/// What came of it.
#[derive(Serialize)]
struct VmDocument {
    point: String,
    host: String,
    plan: PlanDocument,
    vm: Option<Applied>,
    files: Vec<RestoredFile>,
    findings: Vec<Finding>,
    /// It was not even written.
    #[serde(skip)]
    stopped: Option<Outcome>,
    /// Nobody knows whether the host has made something of it; `vm` is null then.
    may_be_there: bool,
}

impl Document for VmDocument {
    const KIND: &'static str = "restore-vm";

    fn outcome(&self) -> Outcome {
        match (self.stopped, &self.vm) {
            (Some(outcome), _) => outcome,
            (None, None) => Outcome::Failed,
            (None, Some(_)) => outcome_of(&self.findings),
        }
    }

    fn human(&self) -> String {
        let mut out = findings_text(&self.findings, 0);
        let end = match &self.vm {
            Some(vm) => {
                let state = if vm.started { "and runs" } else { "and is off" };
                let files = text::count(self.files.len(), "file");
                let name = text::line(&vm.name);
                format!("{name} ({}) is there, {files}, {state}\n", vm.vm)
            }
            None if self.may_be_there => {
                "whether the host has a VM of it is not known: look before you go on\n".to_owned()
            }
            None => "there is no VM of it on the host\n".to_owned(),
        };
        out.push_str(&format!("{}: {end}", self.outcome()));
        out
    }
}
