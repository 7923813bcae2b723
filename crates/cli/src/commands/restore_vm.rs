//! `restore vm`: what it comes to, and whether anybody may do it.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};
use std::sync::Arc;

use cim::CimSession;
use engine::restore::vm::{Request, Target, VmPlaces, script, written_earlier};
use engine::restore::{Opened, Task, VmError, VmPlan, plan_vm};
use engine::{Cancel, SystemClock};
use hyperv::files::MappedFiles;
use hyperv::inventory;
use vault::Vault;

use crate::args::{Global, VmArgs};
use crate::commands::backup::limits;
use crate::commands::points::find_point;
use crate::commands::restore_vm_apply::Work;
use crate::commands::restore_vm_in_place;
use crate::commands::restore_vm_plan::{PlanDocument, ScriptDocument};
use crate::commands::restore_vm_wanted::request;
use crate::failure::{Exit, Failure, Result};
use crate::host::{self, Description, HostAddress};
use crate::progress::Progress;
use crate::ui::Ui;
use crate::{open, stop};

/// Restores a VM to a host, or tells what that comes to.
pub(crate) fn run(global: &Global, args: &VmArgs, ui: Ui) -> Result<Exit> {
    let request = request(args)?;
    let applies = !(args.plan || args.script);
    if applies {
        may_begin(args, ui)?;
    }
    let vault = open::vault(global, ui)?;
    let (line, opened, _) = find_point(global, &vault, &args.point, ui)?;
    let cancel = stop::on_signal(ui);
    let from = From {
        global,
        vault: &vault,
        opened: &opened,
        cancel: &cancel,
        ui,
    };
    let Some(named) = &args.host else {
        let description = Description::read(args.description.as_deref().unwrap_or("".as_ref()))?;
        if args.wanted.in_place {
            let host = (line.id.as_str(), description.host.as_str());
            let target = (&description.target, args.wanted.remove_replication);
            return restore_vm_in_place::tells(&from, host, target, None);
        }
        let told = (description.host.clone(), description.taken.clone());
        return from.tells(args, &line.id, told, &request, &description.target);
    };
    let (address, reach) = host::find(named, &args.reach)?;
    if applies && args.wanted.in_place {
        return restore_vm_in_place::run(&from, (&address, &reach), &line.id, args);
    }
    if applies {
        let work = Work::begin(&from, (&address, &reach), args)?;
        return work.run(&from, &line.id, &request);
    }
    let session = host::session(&address, &reach)?;
    let target = ask(&address, session.as_ref())?;
    if args.wanted.in_place {
        let files = (!reach.map.is_empty()).then(|| host::mapped(&address, &reach));
        let files = files.transpose()?;
        let host = address.to_string();
        let told = (line.id.as_str(), host.as_str());
        let target = (&target, args.wanted.remove_replication);
        return restore_vm_in_place::tells(&from, told, target, files.as_ref());
    }
    from.tells(
        args,
        &line.id,
        (address.to_string(), None),
        &request,
        &target,
    )
}

/// Nothing is done that nobody has seen or asked for.
fn may_begin(args: &VmArgs, ui: Ui) -> Result<()> {
    if args.description.is_some() {
        let why = "a description of a host is not the host: only a plan or a script is made for it";
        return Err(Failure::usage(why).hint("say --plan or --script, or name the host: --host"));
    }
    let asks = ui.watched() && io::stdin().is_terminal() && !ui.is_json();
    if !args.yes && !asks {
        let why = "nobody is there to be asked whether the plan may be carried out";
        return Err(Failure::usage(why).hint("look at it with --plan, and then say --yes"));
    }
    Ok(())
}

/// Whether somebody at the terminal says that it may be carried out. No answer is none.
pub(super) fn may_go_on(ui: Ui) -> bool {
    ui.say("Shall this be done? [y/N] ");
    let mut answer = String::new();
    let read = io::stdin().lock().take(1000).read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

/// What a host has now.
pub(super) fn ask(address: &HostAddress, session: &dyn CimSession) -> Result<Target> {
    let taken = inventory::take(session);
    let inventory = taken.map_err(|error| host::failure(address, &error))?;
    Ok(Target { inventory })
}

/// What is restored, and how.
pub(super) struct From<'a> {
    pub(super) global: &'a Global,
    pub(super) vault: &'a Vault,
    pub(super) opened: &'a Opened,
    pub(super) cancel: &'a Cancel,
    pub(super) ui: Ui,
}

impl From<'_> {
    /// Works with the restore point.
    pub(super) fn task<T>(&self, work: impl FnOnce(&Task<'_>) -> T) -> T {
        let (clock, progress) = (SystemClock::new(), Progress::new(self.ui));
        work(&Task {
            vault: self.vault,
            clock: &clock,
            sink: &progress,
            cancel: self.cancel,
            limits: limits(self.global),
        })
    }

    pub(super) fn plan(&self, request: &Request, target: &Target) -> Result<VmPlan> {
        let planned = self.task(|task| plan_vm(task, self.opened, request, target));
        planned.map_err(not_here)
    }

    /// The same, where an earlier run of it may have written some of it already.
    pub(super) fn plan_going_on(
        &self,
        request: &Request,
        target: &Target,
        files: &MappedFiles,
    ) -> Result<VmPlan> {
        let planned = self.plan(request, target)?;
        let Ok(places) = VmPlaces::find(&planned, files) else {
            return Ok(planned);
        };
        let written = self.task(|task| written_earlier(task, self.opened, &planned, &places));
        if written.is_empty() {
            return Ok(planned);
        }
        let request = Request {
            written,
            ..request.clone()
        };
        self.plan(&request, target)
    }

    /// Tells what it would come to, and does nothing.
    fn tells(
        &self,
        args: &VmArgs,
        point: &str,
        host: (String, Option<String>),
        request: &Request,
        target: &Target,
    ) -> Result<Exit> {
        let planned = self.plan(request, target)?;
        if !args.script || !planned.plan.is_possible() {
            let document = PlanDocument::new(point.to_owned(), host, &planned);
            return self.ui.print(&document);
        }
        let script = script(&planned.point, &planned.plan, point).map_err(|error| {
            Failure::new(error).hint("choose another name or folder: --name, --folder")
        })?;
        let point = point.to_owned();
        self.ui.print(&ScriptDocument { point, script })
    }
}

/// Why nothing can be planned, or where it goes is not found here.
pub(super) fn not_here(error: VmError) -> Failure {
    let hint = error.hint();
    Failure::from(anyhow::Error::new(error)).hint(hint)
}

/// A session that is shared.
pub(super) type Session = Arc<dyn CimSession>;
