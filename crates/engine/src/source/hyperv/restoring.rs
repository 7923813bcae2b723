//! A VM that comes back to a host, with every call in the run's journal.

use cim::CimError;
use hyperv::files::HostPath;
use hyperv::import::{self, Applied, ApplyError, Plan, Point, Step, Target, Written};
use hyperv::inventory;

use super::HostSource;

/// A plan that was not carried out.
#[derive(Debug)]
pub struct NotRestored {
    /// Why.
    pub error: ApplyError,
    /// Why what was written for it may be in use on the host; nothing when surely nothing of it is.
    pub in_use: Option<String>,
}

impl HostSource {
    /// Carries out a plan for this host whose files have been written.
    ///
    /// # Errors
    /// When there is no VM of the plan, as far as is known.
    pub fn restore(
        &self,
        point: &Point,
        plan: &Plan,
        written: &Written,
        tell: &mut dyn FnMut(&Step),
    ) -> Result<Applied, NotRestored> {
        let control = self.controls.own();
        import::apply(control, point, plan, written, tell).map_err(|error| NotRestored {
            in_use: self.in_use(plan),
            error,
        })
    }

    /// Why something on the host may have what was written for a plan that was not carried out.
    fn in_use(&self, plan: &Plan) -> Option<String> {
        let control = self.controls.own();
        match control.journal().reading() {
            Ok(reading) if reading.is_settled() => {}
            Ok(_) => return Some("what became of a call to the host is not known".to_owned()),
            Err(error) => return Some(error.to_string()),
        }
        let taken: Result<_, CimError> = inventory::take(control.session());
        let target = match taken {
            Ok(inventory) => Target {
                inventory,
                has_guardian: false,
            },
            Err(error) => return Some(format!("the host does not tell what it has: {error}")),
        };
        let folders = [Some(&plan.folder), plan.checkpoint_folder.as_ref()];
        let inhabited = folders.into_iter().flatten().any(|folder| {
            let folder = HostPath::parse(folder);
            folder.is_ok_and(|folder| target.is_inhabited(&folder))
        });
        let user = plan.disks.iter().find_map(|disk| target.user_of(&disk.to));
        match (inhabited, user) {
            (_, Some(user)) => Some(format!("the VM {:?} has disks of it", user.name())),
            (true, None) => Some(format!("a VM, or an import, is in {}", plan.folder)),
            (false, None) => None,
        }
    }
}
