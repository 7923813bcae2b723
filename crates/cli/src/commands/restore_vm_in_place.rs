//! `restore vm --in-place`: the disks of the VM that is there, brought back.

use engine::finding::outcome_of;
use engine::restore::rollback::{Became, RollbackDisk, RolledBack, roll_back, undo_path};
use engine::restore::vm::{InPlaceDisk, InPlacePlan, Reached, Target, plan_in_place, roll_back_vm};
use engine::source::hyperv::HostSource;
use engine::{Code, Finding, Outcome, Severity};
use hyperv::files::MappedFiles;
use serde::Serialize;
use uuid::Uuid;

use crate::args::{HostArgs, VmArgs};
use crate::commands::backup::random;
use crate::commands::findings::findings_text;
use crate::commands::host_run::HostRun;
use crate::commands::restore_vm::{From, ask, may_go_on, not_here};
use crate::commands::source;
use crate::failure::{Exit, Failure, Result};
use crate::host::{self, Claim, Done, HostAddress, KeptVm, Stage, kept_in};
use crate::table::Table;
use crate::ui::Document;
use crate::{apart, open, text};

/// Tells what it comes to on a host, or on one that was described.
pub(super) fn tells(
    from: &From<'_>,
    (point, host): (&str, &str),
    (target, may_remove): (&Target, bool),
    files: Option<&MappedFiles>,
) -> Result<Exit> {
    let plan = plan_in_place(from.opened, target, may_remove);
    let mut document = InPlaceVmDocument::new((point, host), &plan, true);
    // Of a VM that runs nobody else opens the disks.
    if let Some(files) = files
        && plan.is_possible()
        && !plan.turns_off
    {
        let disks = plan.find(files).map_err(not_here)?;
        let report = from.task(|task| roll_back(task, from.opened, &disks, None, &mut random));
        document.take(&plan, &disks, &report.disks);
        document.findings.extend(report.findings);
    }
    from.ui.print(&document)
}

/// Brings the disks back.
pub(super) fn run(
    from: &From<'_>,
    (address, reach): (&HostAddress, &HostArgs),
    point: &str,
    args: &VmArgs,
) -> Result<Exit> {
    let files = host::mapped(address, reach)?;
    let HostRun {
        files,
        session,
        mut source,
        claim,
        ..
    } = HostRun::begin(from.vault, from.cancel, (address, reach), files)?;
    let done = engine::backup::in_run(from.vault, &mut source, |source| {
        let may_remove = args.wanted.remove_replication;
        let plan = plan_in_place(from.opened, &ask(address, &*session)?, may_remove);
        let host = address.to_string();
        let document = InPlaceVmDocument::new((point, &host), &plan, false);
        if !plan.is_possible() {
            return Ok(document);
        }
        let disks = plan.find(&files).map_err(not_here)?;
        let run = Run {
            from,
            source,
            claim: &claim,
            args,
            plan: &plan,
            disks: &disks,
        };
        run.carry_out(document)
    });
    // The journal ends before another run may have its folder.
    drop((source, claim));
    let (document, findings) = done.map_err(source::failure)?;
    // What earlier runs had left is told however this one ends.
    if !findings.is_empty() && document.is_err() {
        from.ui.note(findings_text(&findings, 0).trim_end());
    }
    let mut document = document?;
    document.findings.extend(findings);
    from.ui.print(&document)
}

struct Run<'a> {
    from: &'a From<'a>,
    source: &'a HostSource,
    claim: &'a Claim,
    args: &'a VmArgs,
    plan: &'a InPlacePlan,
    disks: &'a [RollbackDisk],
}

impl Run<'_> {
    fn carry_out(&self, mut document: InPlaceVmDocument) -> Result<InPlaceVmDocument> {
        let Self {
            from, plan, disks, ..
        } = self;
        for disk in *disks {
            if let Some(folder) = disk.file.parent() {
                apart::target(open::location(from.global)?, folder)?;
            }
        }
        let (mut kept, is_new) = self.kept(&document)?;
        from.ui.note(document.text().trim_end());
        if !self.args.yes && !may_go_on(from.ui) {
            return Err(Failure::new("nothing was done")
                .outcome(Outcome::Cancelled)
                .hint("answer y to carry the plan out"));
        }
        // Whatever becomes of this process, what is needed to undo it is known.
        kept.write(&self.claim.journals)?;
        let is_written = matches!(
            &kept.done,
            Done::RolledBack {
                stage: Stage::Written,
                ..
            }
        );
        let mut all_written = || {
            self.is_written(&mut kept)
                .map_err(|failure| format!("{:#}", failure.error))
        };
        let ended = from.task(|task| {
            let to = (self.source, self.args.wanted.start);
            roll_back_vm(
                task,
                from.opened,
                (plan, disks),
                to,
                (is_written, &mut all_written),
                &mut random,
            )
        });
        document.take(plan, disks, &ended.disks);
        document.findings.extend(ended.findings);
        (document.started, document.done) = (ended.started, ended.done);
        document.ended = Some(ended.outcome);
        let noted = match ended.reached {
            // What an earlier run may have begun is not ended by a failure.
            Reached::Nothing if is_new || ended.done => kept.remove(&self.claim.journals),
            Reached::Nothing => Ok(()),
            Reached::Part | Reached::Written => {
                document.kept = Some(kept.id);
                Ok(())
            }
            Reached::Used => {
                document.kept = Some(kept.id);
                kept.reach(&self.claim.journals, Stage::Used)
            }
        };
        if let Err(failure) = noted {
            let what = format!("{:#}", failure.error);
            let finding = Finding::new(Code::HostNote, Severity::Warning, &plan.name, what);
            document
                .findings
                .push(finding.hint(failure.hint.unwrap_or_default()));
        }
        Ok(document)
    }

    /// Notes that all disks are as the point has them, and of which something is kept.
    fn is_written(&self, kept: &mut KeptVm) -> Result<()> {
        if let Done::RolledBack { changed, .. } = &mut kept.done {
            let is_kept = |disk: &RollbackDisk| undo_path(&disk.file).exists();
            let pairs = self.plan.disks.iter().zip(self.disks);
            let paths = pairs.filter(|(_, disk)| is_kept(disk));
            *changed = paths.map(|(of, _)| of.path.clone()).collect();
        }
        kept.reach(&self.claim.journals, Stage::Written)
    }

    /// What is kept of it, and whether that is new: what an earlier run of the same has begun goes on under
    /// its id.
    fn kept(&self, document: &InPlaceVmDocument) -> Result<(KeptVm, bool)> {
        let vm = self.plan.vm;
        let is_of =
            |one: &KeptVm| matches!(&one.done, Done::RolledBack { vm: of, .. } if *of == vm);
        let open = kept_in(&self.claim.journals)?;
        let earlier = open.into_iter().rfind(is_of);
        let is_kept = |disk: &RollbackDisk| undo_path(&disk.file).exists();
        if let Some(mut earlier) = earlier {
            self.may_go_on_with(&mut earlier, document)?;
            if let Done::RolledBack { disks, .. } = &mut earlier.done {
                let more = self.plan.disks.iter().map(|disk| &disk.path);
                let more: Vec<_> = more.filter(|path| !disks.contains(path)).cloned().collect();
                disks.extend(more);
            }
            return Ok((earlier, false));
        }
        if let Some(disk) = self.disks.iter().find(|disk| is_kept(disk)) {
            return Err(Failure::new(format!(
                "{}: an earlier rollback of it was neither confirmed nor undone",
                disk.file.display()
            ))
            .hint("`restore confirm` keeps what is there, `restore undo` puts back what was"));
        }
        let done = Done::RolledBack {
            vm,
            disks: self.plan.disks.iter().map(|d| d.path.clone()).collect(),
            stage: Stage::Writing,
            changed: Vec::new(),
        };
        let vault = self.from.vault.id().to_string();
        let told = (
            document.host.as_str(),
            vault.as_str(),
            document.point.as_str(),
        );
        let kept = KeptVm::new(self.claim.mark.run, told, &self.plan.name, done);
        Ok((kept, true))
    }

    /// Whether what an earlier run has begun may be gone on with: a VM that lives is not turned off for it.
    fn may_go_on_with(&self, earlier: &mut KeptVm, document: &InPlaceVmDocument) -> Result<()> {
        let Done::RolledBack { stage, .. } = earlier.done else {
            return Ok(());
        };
        let refused = |what: &str, hint: &str| {
            let what = format!("{}: {what}", self.plan.name);
            Err(Failure::new(what).hint(hint.to_owned()))
        };
        let end = "`restore kept` lists it; `restore confirm --vm` or `restore undo --vm` ends it";
        if earlier.point != document.point {
            return refused(
                "was rolled back to another restore point, which was neither confirmed nor undone",
                end,
            );
        }
        let used = "somebody has used it while an earlier run brought its disks back: they may be part old and \
                    part new";
        let anew = "turn it off; `restore confirm --vm` gives up what is kept, then the same command brings its \
                    disks back anew";
        let any_kept = self.disks.iter().any(|disk| undo_path(&disk.file).exists());
        match stage {
            Stage::Written if self.plan.turns_off => refused(
                "was rolled back to this restore point before, which was neither confirmed nor undone: it is \
                 left as it is",
                end,
            ),
            Stage::Writing if self.plan.turns_off && any_kept => {
                earlier.reach(&self.claim.journals, Stage::Used)?;
                refused(used, anew)
            }
            Stage::Writing | Stage::Written => Ok(()),
            Stage::Used => refused(used, anew),
            Stage::Confirming => refused(
                "what an earlier rollback had kept of it was being given up",
                "`restore confirm --vm` brings that to its end",
            ),
            Stage::Undoing => refused(
                "its disks were being put back",
                "`restore undo --vm` brings that to its end",
            ),
        }
    }
}

/// A disk, and what became of it.
#[derive(Serialize)]
struct Told {
    #[serde(flatten)]
    disk: InPlaceDisk,
    /// Nothing is known yet, or it was not brought back.
    became: Option<Became>,
    changed: Option<u64>,
    undo: Option<String>,
}

#[derive(Serialize)]
struct InPlaceVmDocument {
    point: String,
    host: String,
    vm: Uuid,
    name: String,
    /// Only told, not done.
    planned: bool,
    /// All of it was done.
    done: bool,
    turns_off: bool,
    removes_replication: bool,
    reference_points: usize,
    disks: Vec<Told>,
    started: bool,
    kept: Option<Uuid>,
    findings: Vec<Finding>,
    #[serde(skip)]
    ended: Option<Outcome>,
}

impl InPlaceVmDocument {
    fn new((point, host): (&str, &str), plan: &InPlacePlan, planned: bool) -> Self {
        let told = |disk: &InPlaceDisk| Told {
            disk: disk.clone(),
            became: None,
            changed: None,
            undo: None,
        };
        Self {
            point: point.to_owned(),
            host: host.to_owned(),
            vm: plan.vm,
            name: plan.name.clone(),
            planned,
            done: false,
            turns_off: plan.turns_off,
            removes_replication: plan.removes_replication,
            reference_points: plan.reference_points,
            disks: plan.disks.iter().map(told).collect(),
            started: false,
            kept: None,
            findings: plan.findings.clone(),
            ended: None,
        }
    }

    /// Tells what became of disks.
    fn take(&mut self, plan: &InPlacePlan, disks: &[RollbackDisk], done: &[RolledBack]) {
        for one in done {
            let is_it = |disk: &RollbackDisk| disk.file.display().to_string() == one.path;
            let at = disks.iter().position(is_it);
            let of = at.and_then(|at| plan.disks.get(at));
            let told = self.disks.iter_mut();
            for told in told.filter(|told| Some(&told.disk) == of) {
                told.became = Some(one.became);
                told.changed = Some(one.changed);
                told.undo.clone_from(&one.undo);
            }
        }
    }

    /// For people, without a word on what comes of it.
    fn text(&self) -> String {
        let name = text::line(&self.name).into_owned();
        let mut out = format!(
            "{name} ({}) on {}\n",
            self.vm.as_hyphenated(),
            text::line(&self.host)
        );
        let mut table = Table::new(&["DISK", "FILE", ">DIFFERENT", "NOW"]).indent(2);
        for told in &self.disks {
            let place = told.disk.location.to_string();
            let changed = told.changed.map_or("?".to_owned(), text::size);
            let became = match told.became {
                None => "-",
                Some(Became::Same) => "as it was then",
                Some(Became::Before) => "brought back by an earlier run",
                Some(Became::Now) => "brought back",
                Some(Became::Would) => "would be brought back",
            };
            table.row([place.as_str(), &told.disk.path, &changed, became]);
        }
        out.push_str(&table.render());
        if self.turns_off && self.ended.is_none() {
            out.push_str("the VM is turned off, with what it has in memory\n");
        }
        out.push_str(
            "its next backup reads all of it, as no host tells what is written to disks of a VM that is off",
        );
        out.push_str(&match self.reference_points {
            0 => "\n".to_owned(),
            count => format!(
                ": {} by which backups ask what has changed, whoever made them, go\n",
                text::count(count, "reference point")
            ),
        });
        out.push_str(&findings_text(&self.findings, 0));
        out
    }
}

impl Document for InPlaceVmDocument {
    const KIND: &'static str = "restore-vm-in-place";

    fn outcome(&self) -> Outcome {
        let told = outcome_of(&self.findings);
        self.ended
            .map_or(told, |ended| Outcome::worst([ended, told]))
    }

    fn human(&self) -> String {
        let mut out = self.text();
        let end = match (self.planned, self.done, self.started) {
            (true, ..) => "nothing was done",
            (_, true, true) => "its disks are as they were then, and it runs",
            (_, true, false) => "its disks are as they were then, and it is off",
            (_, false, true) => "it was not brought back, and runs as before",
            (_, false, false) if self.kept.is_some() => {
                "it was not brought back, or not wholly: do not start it before you know"
            }
            (_, false, false) => "it was not brought back",
        };
        out.push_str(&format!("{}: {end}\n", self.outcome()));
        if let Some(kept) = self.kept {
            let id = kept.simple();
            out.push_str(&format!(
                "what its disks were is kept: `restore undo --vm {id} --host …` puts it back, \
                 `restore confirm --vm {id} --host …` gives it up\n"
            ));
        }
        out
    }
}
