//! A restore to a host, carried out.

use std::collections::BTreeSet;

use engine::finding::outcome_of;
use engine::restore::vm::{
    Applied, Plan, Replaced, Request, Step, Target, Undo, VmPlaces, write_vm,
};
use engine::restore::{RestoredFile, VmPlan};
use engine::source::hyperv::{HostSource, NotRestored};
use engine::{Code, Finding, Outcome, Severity};
use hyperv::files::MappedFiles;
use serde::Serialize;
use uuid::Uuid;

use crate::args::{HostArgs, VmArgs};
use crate::commands::findings::findings_text;
use crate::commands::host_run::HostRun;
use crate::commands::restore_vm::{From, ask, may_go_on, not_here};
use crate::commands::restore_vm_plan::PlanDocument;
use crate::commands::source;
use crate::failure::{Exit, Failure, Result};
use crate::host::{Claim, Done, HostAddress, KeptVm, kept_in, mapped, moved};
use crate::ui::Document;
use crate::{apart, open, text};

/// A host that is this run's, and whether somebody is asked.
pub(super) struct Work {
    run: HostRun,
    asks: bool,
}

impl Work {
    /// Takes the host. Nothing is done to it.
    pub(super) fn begin(
        from: &From<'_>,
        host: (&HostAddress, &HostArgs),
        args: &VmArgs,
    ) -> Result<Self> {
        let files = mapped(host.0, host.1)?;
        Ok(Self {
            run: HostRun::begin(from.vault, from.cancel, host, files)?,
            asks: !args.yes,
        })
    }

    /// What earlier runs have left is put right first: it may be in the way.
    pub(super) fn run(self, from: &From<'_>, point: &str, request: &Request) -> Result<Exit> {
        let HostRun {
            address,
            files,
            session,
            mut source,
            claim,
        } = self.run;
        let done = engine::backup::in_run(from.vault, &mut source, |source| {
            let target = ask(&address, &*session)?;
            let planned = from.plan_going_on(request, &target, &files)?;
            let carried = Carried {
                from,
                address: &address,
                files: &files,
                source,
                claim: &claim,
                disks: disks_of(&target, planned.plan.replaces),
                asks: self.asks,
            };
            carried.out(point, &planned)
        });
        // The journal ends before another run may have its folder.
        drop((source, claim));
        let (done, findings) = done.map_err(source::failure)?;
        // What earlier runs had left is told however this one ends.
        if !findings.is_empty() && !matches!(done, Ok(Ended::Restored(_))) {
            from.ui.note(findings_text(&findings, 0).trim_end());
        }
        match done? {
            Ended::Printed(Exit::Outcome(outcome)) => {
                let worst = Outcome::worst([outcome, outcome_of(&findings)]);
                Ok(Exit::Outcome(worst))
            }
            Ended::Printed(exit) => Ok(exit),
            Ended::Restored(mut document) => {
                document.findings.extend(findings);
                from.ui.print(&*document)
            }
        }
    }
}

/// The disks of the VM that is replaced: nobody has them then.
fn disks_of(target: &Target, replaced: Option<Uuid>) -> Vec<String> {
    let machine = replaced.and_then(|vm| target.inventory.machine(vm));
    let all = machine.into_iter().flat_map(|machine| {
        let checkpoints = machine.checkpoints.iter().map(|c| &c.settings);
        std::iter::once(&machine.settings).chain(checkpoints)
    });
    let media = all.flat_map(|settings| settings.media.iter().map(|medium| medium.path.clone()));
    let disks: BTreeSet<String> = media.collect();
    disks.into_iter().collect()
}

/// How it ended.
enum Ended {
    /// What there is to say was said.
    Printed(Exit),
    Restored(Box<VmDocument>),
}

/// A plan that is carried out on a host.
struct Carried<'a> {
    from: &'a From<'a>,
    address: &'a HostAddress,
    files: &'a MappedFiles,
    source: &'a HostSource,
    claim: &'a Claim,
    /// Those of the VM that is replaced.
    disks: Vec<String>,
    asks: bool,
}

impl Carried<'_> {
    fn out(self, point: &str, planned: &VmPlan) -> Result<Ended> {
        let Self {
            from,
            address,
            files,
            source,
            ..
        } = self;
        let host = address.to_string();
        let told = PlanDocument::new(point.to_owned(), (host.clone(), None), planned);
        if !planned.plan.is_possible() {
            return from.ui.print(&told).map(Ended::Printed);
        }
        self.none_is_rolled_back(&planned.plan)?;
        source
            .has_room_aside(&planned.plan)
            .map_err(source::failure)?;
        // Before anybody is asked: what cannot be written to cannot be restored to.
        let places = VmPlaces::find(planned, files).map_err(not_here)?;
        for place in places.folders() {
            apart::target(open::location(from.global)?, place)?;
        }
        from.ui.note(told.text().trim_end());
        if self.asks && !may_go_on(from.ui) {
            return Err(Failure::new("nothing was done")
                .outcome(Outcome::Cancelled)
                .hint("answer y to carry the plan out"));
        }
        let mut document = VmDocument {
            point: point.to_owned(),
            host,
            plan: told,
            vm: None,
            kept: None,
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
                return Ok(Ended::Restored(Box::new(document)));
            }
        };
        document.findings.append(&mut written.findings);
        let own = written.written.clone();
        let mut tell = |step: &Step| {
            // It is a VM by then, and its files are its own.
            if matches!(step, Step::Verify) {
                written.is_made();
            }
            if !matches!(
                step,
                Step::WriteDisk { .. } | Step::WriteConfiguration { .. }
            ) {
                from.ui.note(&format!("{step}"));
            }
        };
        let (point, plan) = (&planned.point, &planned.plan);
        let mut kept = None;
        let mut keep = |undo: &Undo| {
            let one = self.kept(undo, &document.point, plan);
            let done = one.write(&self.claim.journals);
            done.map_err(|failure| format!("{:#}", failure.error))?;
            kept = Some(one);
            Ok(())
        };
        let done = source.restore(point, plan, &own, &mut tell, &mut keep);
        match done {
            Ok(applied) => {
                document.files = std::mem::take(&mut written.files);
                document.findings.extend(noticed(&applied));
                document.kept = kept.map(|kept| kept.id);
                document.vm = Some(applied);
            }
            Err(NotRestored { error, in_use }) => {
                let noted = match (&kept, error.replaced.as_deref()) {
                    // What the next run may still bring back is told until it has.
                    (Some(kept), Some(Replaced::Away { .. })) => {
                        document.kept = Some(kept.id);
                        Ok(())
                    }
                    (kept, Some(Replaced::Back { folder, .. })) => {
                        self.is_back(kept.as_ref(), plan, folder)
                    }
                    (Some(kept), _) => kept.remove(&self.claim.journals),
                    (None, _) => Ok(()),
                };
                if let Err(failure) = noted {
                    let what = format!("{:#}", failure.error);
                    let finding = Finding::new(Code::HostNote, Severity::Warning, &plan.name, what);
                    document
                        .findings
                        .push(finding.hint(failure.hint.unwrap_or_default()));
                }
                document.may_be_there = in_use.is_some();
                let kept = match &in_use {
                    None => {
                        document.findings.extend(written.remove());
                        String::new()
                    }
                    Some(why) => {
                        // Should the next run find that nobody has it, it goes on with it.
                        written.leave();
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
        Ok(Ended::Restored(Box::new(document)))
    }

    /// Disks that were brought back in place are seen to first: undoing that needs the VM that has them.
    fn none_is_rolled_back(&self, plan: &Plan) -> Result<()> {
        let Some(vm) = plan.replaces else {
            return Ok(());
        };
        let is_of =
            |one: &KeptVm| matches!(&one.done, Done::RolledBack { vm: of, .. } if *of == vm);
        match kept_in(&self.claim.journals)?.iter().any(is_of) {
            false => Ok(()),
            true => Err(Failure::new(format!(
                "{}: its disks were rolled back, which was neither confirmed nor undone",
                plan.name
            ))
            .hint(
                "`restore kept` lists it; `restore confirm --vm` or `restore undo --vm` ends it",
            )),
        }
    }

    /// The VM that should have been replaced is back in `folder`: what earlier restores have kept of it is
    /// told that.
    fn is_back(&self, kept: Option<&KeptVm>, plan: &Plan, folder: &str) -> Result<()> {
        let journals = &self.claim.journals;
        if let (Some(vm), Some(was)) = (plan.replaces, &plan.replaced_folder) {
            moved(journals, vm, (was, folder))?;
        }
        kept.map_or(Ok(()), |kept| kept.remove(journals))
    }

    /// What is needed to bring the VM back that is replaced.
    fn kept(&self, undo: &Undo, point: &str, plan: &Plan) -> KeptVm {
        let name = &plan.name;
        let done = Done::Replaced {
            undo: undo.clone(),
            disks: self.disks.clone(),
            was: plan.replaced_folder.clone(),
            confirming: false,
        };
        let (host, vault) = (self.address.to_string(), self.from.vault.id().to_string());
        KeptVm::new(self.claim.mark.run, (&host, &vault, point), name, done)
    }
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
    /// By what `restore confirm` and `restore undo` know it, if it replaced another one.
    kept: Option<Uuid>,
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
        if let Some(kept) = self.kept {
            let id = kept.simple().to_string();
            out.push_str(&format!(
                "what is needed to bring the VM back that it replaced is kept: \
                 `restore undo --vm {id} --host …` does it, `restore confirm --vm {id} --host …` gives it up\n",
            ));
        }
        out
    }
}
