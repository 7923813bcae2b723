//! `restore kept`, and `restore confirm --vm` and `restore undo --vm`.

use std::path::Path;

use engine::finding::outcome_of;
use engine::restore::vm::{Confirmed, Found, HereFile, confirm_in_place, here, undo_in_place};
use engine::source::hyperv::HostSource;
use engine::{Code, Finding, Outcome, Severity};
use hyperv::files::MappedFiles;
use hyperv::inventory::PowerState;
use serde::Serialize;

use crate::args::{Global, HostArgs, KeptArgs, KeptListArgs, UndoArgs};
use crate::commands::backup::random;
use crate::commands::findings::findings_text;
use crate::commands::host_run::HostRun;
use crate::commands::source;
use crate::failure::{Exit, Failure, Result};
use crate::host::{self, Done, KeptVm, Stage, State, kept_in, meant};
use crate::table::Table;
use crate::ui::{Document, Ui};
use crate::{open, stop, text};

/// Lists what can be confirmed or undone.
pub(crate) fn list(args: &KeptListArgs, ui: Ui) -> Result<Exit> {
    let reach = HostArgs {
        state: args.state.clone(),
        ..HostArgs::default()
    };
    let vms = State::kept(&reach)?;
    ui.print(&KeptVmsDocument {
        vms: vms.iter().map(|kept| Told::of(kept, "open")).collect(),
        findings: Vec::new(),
    })
}

/// Gives up what was put aside.
pub(crate) fn confirm(global: &Global, vm: &str, args: &KeptArgs, ui: Ui) -> Result<Exit> {
    ended(global, (vm, args), ui, |end, kept| match &kept.done {
        Done::Replaced { .. } => end.agree_to_replaced(kept),
        Done::RolledBack { .. } => end.agree_to_rolled_back(kept),
    })
}

/// Brings back what was there before.
pub(crate) fn undo(global: &Global, vm: &str, args: &UndoArgs, ui: Ui) -> Result<Exit> {
    ended(global, (vm, &args.kept), ui, |end, kept| match &kept.done {
        Done::Replaced { .. } => end.bring_back(kept, args.gone),
        Done::RolledBack { .. } => end.put_back(kept),
    })
}

/// How it ended.
enum Ends {
    Confirmed,
    Undone,
}

impl Ends {
    fn word(&self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Undone => "undone",
        }
    }
}

/// What one is ended with.
struct End<'e> {
    host: &'e HostSource,
    files: &'e MappedFiles,
    journals: &'e Path,
    /// All that is kept with this host and vault.
    all: &'e [KeptVm],
}

/// How it ended, the folder in which the VM has its configuration then, and what there is to say.
type Ended = (Ends, Option<String>, Vec<Finding>);

impl End<'_> {
    fn agree_to_replaced(&self, kept: &mut KeptVm) -> Result<Ended> {
        if let Done::Replaced { confirming, .. } = &mut kept.done {
            *confirming = true;
            kept.write(self.journals)?;
        }
        let Done::Replaced { undo, disks, .. } = &kept.done else {
            return Err(of_another_kind());
        };
        self.host.confirm(undo).map_err(source::failure)?;
        let told = (!disks.is_empty()).then(|| {
            let what = format!(
                "the disks of the VM that was replaced are nobody's now: {}",
                disks.join(", ")
            );
            note(kept, what).hint("remove them by hand when nobody needs them")
        });
        let now = Some(undo.folder.clone());
        Ok((Ends::Confirmed, now, told.into_iter().collect()))
    }

    fn bring_back(&self, kept: &mut KeptVm, gone: bool) -> Result<Ended> {
        let Done::Replaced {
            undo, confirming, ..
        } = &mut kept.done
        else {
            return Err(of_another_kind());
        };
        if *confirming {
            return Err(not_in(
                kept,
                "what was put aside of the VM that it replaced was being given up, and may be gone in part",
                "`restore confirm --vm` brings that to its end; what is still there can be imported by hand",
            ));
        }
        let is_of =
            |one: &KeptVm| matches!(&one.done, Done::RolledBack { vm, .. } if *vm == undo.vm);
        if let Some(other) = self.all.iter().find(|one| is_of(one)) {
            return Err(Failure::new(format!(
                "{}: the disks of the VM that was restored were rolled back since, which was neither \
                 confirmed nor undone",
                kept.name
            ))
            .hint(format!("end that first: its id is {}", other.id.simple())));
        }
        let (undone, notes) = match self.host.undo(undo, gone) {
            Ok(undone) => undone,
            Err(not) => {
                // It is this VM as long as it has its configuration there.
                if let Some(folder) = not.folder {
                    undo.folder = folder;
                    kept.write(self.journals)?;
                }
                return Err(source::failure(not.error));
            }
        };
        let restored = undo.folder.clone();
        let warn = |note| {
            Finding::new(Code::HostNote, Severity::Warning, &kept.name, note)
                .hint("look at the VM on its host")
        };
        let mut told: Vec<Finding> = notes.into_iter().map(warn).collect();
        if let Some(folder) = &undone.back {
            let state = match undone.state {
                Some(PowerState::Off) => "off".to_owned(),
                Some(state) => format!("{state:?}").to_lowercase(),
                None => "in a state that the host did not tell".to_owned(),
            };
            let what = format!("it is back, {state}, with its configuration in {folder}");
            told.push(note(kept, what));
        }
        let what = match undone.found {
            Found::Restored => format!("the files of the restored VM stay in {restored}"),
            Found::Back => {
                format!("it was back before: files of what was restored may be in {restored}")
            }
            Found::Gone => format!(
                "the restored VM was not on this host any more: files of it may be in {restored}, and on \
                 another host it would be a second VM of the same id"
            ),
        };
        told.push(note(kept, what).hint("remove them by hand when nobody needs them"));
        Ok((Ends::Undone, undone.back, told))
    }

    fn agree_to_rolled_back(&self, kept: &mut KeptVm) -> Result<Ended> {
        let Done::RolledBack {
            vm,
            disks,
            stage,
            changed,
        } = &kept.done
        else {
            return Err(of_another_kind());
        };
        let changed = changed.clone();
        let which = match stage {
            Stage::Written => Confirmed::Brought,
            // Nothing was put back before the first of these is gone.
            Stage::Undoing if !changed.is_empty() => Confirmed::All(&changed),
            Stage::Used | Stage::Confirming => Confirmed::Whatever,
            Stage::Writing => {
                return Err(not_in(
                    kept,
                    "its disks were not wholly brought back",
                    "give the restore's command again to finish it, or take it back with `restore undo --vm`",
                ));
            }
            Stage::Undoing => {
                return Err(not_in(
                    kept,
                    "its disks were being put back, and that did not come to its end",
                    "`restore undo --vm` brings it to its end",
                ));
            }
        };
        let (vm, here) = (*vm, self.here(disks)?);
        let mut noted = || {
            let done = kept.reach(self.journals, Stage::Confirming);
            done.map_err(|failure| format!("{:#}", failure.error))
        };
        let notes = confirm_in_place(self.host, vm, (&here, &which), &mut noted, &mut random);
        let notes = notes.map_err(source::failure)?.into_iter();
        Ok((
            Ends::Confirmed,
            None,
            notes.map(|what| note(kept, what)).collect(),
        ))
    }

    fn put_back(&self, kept: &mut KeptVm) -> Result<Ended> {
        let Done::RolledBack {
            vm,
            disks,
            stage,
            changed,
        } = &kept.done
        else {
            return Err(of_another_kind());
        };
        let all = match stage {
            Stage::Writing | Stage::Undoing => Vec::new(),
            Stage::Written => changed.clone(),
            Stage::Used => {
                return Err(not_in(
                    kept,
                    "somebody has used the VM while its disks were brought back: what they were would be mixed \
                     with that",
                    "`restore confirm --vm` gives up what is kept; `restore undo` with a disk's file puts it \
                     back alone",
                ));
            }
            Stage::Confirming => {
                return Err(not_in(
                    kept,
                    "what its disks were was being given up, and may be gone in part",
                    "`restore confirm --vm` brings it to its end",
                ));
            }
        };
        let (vm, here) = (*vm, self.here(disks)?);
        let mut noted = || {
            let done = kept.reach(self.journals, Stage::Undoing);
            done.map_err(|failure| format!("{:#}", failure.error))
        };
        undo_in_place(self.host, vm, (&here, &all), &mut noted, &mut random)
            .map_err(source::failure)?;
        Ok((Ends::Undone, None, Vec::new()))
    }

    fn here(&self, disks: &[String]) -> Result<Vec<HereFile>> {
        here(self.host, self.files, disks).map_err(source::failure)
    }
}

fn note(kept: &KeptVm, what: String) -> Finding {
    Finding::note(Code::HostNote, kept.name.clone(), what)
}

fn not_in(kept: &KeptVm, what: &str, hint: &str) -> Failure {
    Failure::new(format!("{}: {what}", kept.name)).hint(hint.to_owned())
}

fn of_another_kind() -> Failure {
    Failure::new("what is kept is of another kind than was looked for")
        .hint("`hyperkeep restore kept` lists what can be confirmed or undone")
}

/// Ends one restore on its host.
fn ended(
    global: &Global,
    (vm, args): (&str, &KeptArgs),
    ui: Ui,
    end: impl Fn(&End<'_>, &mut KeptVm) -> Result<Ended>,
) -> Result<Exit> {
    let named = args.host.as_deref().unwrap_or_default();
    let (address, reach) = host::find(named, &args.reach)?;
    let vault = open::vault(global, ui)?;
    let cancel = stop::on_signal(ui);
    let files = host::mapped_if_any(&reach)?;
    let HostRun {
        mut source,
        claim,
        files,
        ..
    } = HostRun::begin(&vault, &cancel, (&address, &reach), files)?;
    let wanted = meant(kept_in(&claim.journals)?, vm)?;
    let done = engine::backup::in_run(&vault, &mut source, |source| {
        // What earlier runs had left may have come back by now, to another folder.
        let all = kept_in(&claim.journals)?;
        let Some(mut kept) = all.iter().find(|one| one.id == wanted.id).cloned() else {
            let what =
                "the restore had not come to its end: the VM that it should have replaced is back";
            return Ok((
                Ends::Undone,
                wanted.clone(),
                vec![note(&wanted, what.to_owned())],
            ));
        };
        let with = End {
            host: source,
            files: &files,
            journals: &claim.journals,
            all: &all,
        };
        let (became, now, findings) = end(&with, &mut kept).map_err(|failure| {
            let path = kept.path(&claim.journals);
            failure.hint(format!("what is needed for it is in {}", path.display()))
        })?;
        match now {
            Some(folder) => kept.end(&claim.journals, &folder)?,
            None => kept.remove(&claim.journals)?,
        }
        Ok::<_, Failure>((became, kept, findings))
    });
    drop((source, claim));
    let (done, later) = done.map_err(source::failure)?;
    // What earlier runs had left is told however this one ends.
    if !later.is_empty() && done.is_err() {
        ui.note(findings_text(&later, 0).trim_end());
    }
    let (became, kept, mut findings) = done?;
    findings.extend(later);
    ui.print(&KeptVmsDocument {
        vms: vec![Told::of(&kept, became.word())],
        findings,
    })
}

/// A restore of which something is kept, or was.
#[derive(Serialize)]
struct Told {
    became: &'static str,
    #[serde(flatten)]
    kept: KeptVm,
}

impl Told {
    fn of(kept: &KeptVm, became: &'static str) -> Self {
        Self {
            became,
            kept: kept.clone(),
        }
    }
}

#[derive(Serialize)]
struct KeptVmsDocument {
    vms: Vec<Told>,
    findings: Vec<Finding>,
}

impl Document for KeptVmsDocument {
    const KIND: &'static str = "restore-vm-kept";

    fn outcome(&self) -> Outcome {
        outcome_of(&self.findings)
    }

    fn human(&self) -> String {
        let mut out = String::new();
        if !self.vms.is_empty() {
            let mut table = Table::new(&["ID", "VM", "HOST", "AT", "IT WAS", "NOW"]);
            for Told { became, kept } in &self.vms {
                let id = kept.id.simple().to_string();
                let at = kept.at.to_string();
                let done = match &kept.done {
                    Done::Replaced { .. } => "replaced",
                    Done::RolledBack { .. } => "rolled back",
                };
                let id = id.get(..8).unwrap_or(&id);
                table.row([id, &kept.name, &kept.host, &at, done, became]);
            }
            out.push_str(&table.render());
        }
        out.push_str(&findings_text(&self.findings, 0));
        let count = text::count(self.vms.len(), "restore");
        out.push_str(&format!("{}: {count}\n", self.outcome()));
        out
    }
}
