//! `restore vm`.

use engine::SystemClock;
use engine::restore::vm::{Request, Target, script};
use engine::restore::{Opened, Task, VmPlan, plan_vm};
use hyperv::inventory;
use vault::Vault;

use crate::args::{Global, VmArgs};
use crate::commands::backup::limits;
use crate::commands::points::find_point;
use crate::commands::restore_vm_plan::{PlanDocument, ScriptDocument};
use crate::commands::restore_vm_wanted::request;
use crate::failure::{Exit, Failure, Result};
use crate::host::{self, Description};
use crate::progress::Progress;
use crate::ui::Ui;
use crate::{open, stop};

/// Restores a VM to a host, or tells what that comes to.
pub(crate) fn run(global: &Global, args: &VmArgs, ui: Ui) -> Result<Exit> {
    let request = request(args)?;
    let vault = open::vault(global, ui)?;
    let (line, opened, _) = find_point(global, &vault, &args.point, ui)?;
    let asked = Asked::find(args)?;
    let planned = plan(global, (&vault, &opened), &request, &asked.target, ui)?;
    let told = (asked.host, asked.described);
    let document = PlanDocument::new(line.id.clone(), told, &planned);
    if !args.script || !planned.plan.is_possible() {
        return ui.print(&document);
    }
    let script = script(&planned.point, &planned.plan, &line.id).map_err(|error| {
        Failure::new(error).hint("choose another name or folder: --name, --folder")
    })?;
    let point = line.id;
    ui.print(&ScriptDocument { point, script })
}

fn plan(
    global: &Global,
    (vault, opened): (&Vault, &Opened),
    request: &Request,
    target: &Target,
    ui: Ui,
) -> Result<VmPlan> {
    let cancel = stop::on_signal(ui);
    let (clock, progress) = (SystemClock::new(), Progress::new(ui));
    let task = Task {
        vault,
        clock: &clock,
        sink: &progress,
        cancel: &cancel,
        limits: limits(global),
    };
    plan_vm(&task, opened, request, target).map_err(|error| {
        let hint = error.hint();
        Failure::from(anyhow::Error::new(error)).hint(hint)
    })
}

/// The host, as it tells itself now or was described.
struct Asked {
    host: String,
    described: Option<String>,
    target: Target,
}

impl Asked {
    fn find(args: &VmArgs) -> Result<Self> {
        if let Some(path) = &args.description {
            let description = Description::read(path)?;
            return Ok(Self {
                host: description.host,
                described: description.taken,
                target: description.target,
            });
        }
        let named = args.host.as_deref().unwrap_or_default();
        let (address, reach) = host::find(named, &args.reach)?;
        let session = host::session(&address, &reach)?;
        let taken = inventory::take(session.as_ref());
        let taken = taken.map_err(|error| host::failure(&address, &error))?;
        let description = Description::of(address.to_string(), taken);
        Ok(Self {
            host: description.host,
            described: None,
            target: description.target,
        })
    }
}
