//! Making a VM of a host hold still.

use std::sync::{Arc, PoisonError};

use hyperv::frozen::{Asked, FreezeError, Frozen, Resting};
use hyperv::inventory::{Host, Machine, Medium, PowerState};
use hyperv::memory::MemoryExport;
use hyperv::pacing::Place;
use hyperv::tracking::Token;

use super::peace::{Quiet, volumes_of};
use super::{HostSource, calm, choose, errors, findings, memory, view, vm};
use crate::finding::{Code, Finding};
use crate::select::Disks;
use crate::source::{FrozenVm, Request, SourceError, VmRef};

impl HostSource {
    /// Waits for the place that a VM is to have before it holds still; `None` when that is stopped,
    /// and when it is not known where its disks lie. One that is exported does not hold still.
    pub(super) fn first_place(
        &self,
        vm: &VmRef,
        disks: &Disks,
        stopped: &dyn Fn() -> bool,
    ) -> Option<Place> {
        // Why it is not known is told by whoever makes the plan.
        let inventory = self.inventory(false).ok()?;
        let machine = inventory.machine(vm.id)?;
        match self.exports(machine) {
            true => None,
            false => self.place_of((machine, &inventory.host), disks, stopped),
        }
    }

    /// Waits for a place to read one of a VM's disks.
    fn place_of(
        &self,
        (machine, host): (&Machine, &Host),
        disks: &Disks,
        stopped: &dyn Fn() -> bool,
    ) -> Option<Place> {
        let wanted = |medium: &&Medium| {
            let files = None;
            choose(disks, &Asked { medium, files }) != Some(false)
        };
        let wanted = machine.settings.media.iter().filter(wanted);
        let files: Vec<String> = wanted.map(|medium| medium.path.clone()).collect();
        self.peace.place(&volumes_of(host, &files), stopped)
    }

    /// Whether a VM is saved with its memory.
    fn exports(&self, machine: &Machine) -> bool {
        self.staging.is_some() && machine.state == PowerState::Running
    }

    /// Makes a VM hold still. `findings` are what is known of it already.
    pub(super) fn freeze_telling(
        &self,
        vm: &VmRef,
        request: &Request,
        mut findings: Vec<Finding>,
    ) -> Result<Box<dyn FrozenVm>, SourceError> {
        let stopped = || request.cancel.is_cancelled();
        let place = self.peace.early(&request.early);
        // What is planned is planned when there is one.
        let place = place.or_else(|| self.first_place(vm, &request.disks, &stopped));
        let first = self.is_first(vm.id);
        let (machine, plan, host) = self.reachable(vm)?;
        // An export may wait for others, and holds nothing still.
        let place = place.filter(|_| !self.exports(&machine));
        let control = self.controls.of(vm.id);
        let control = control.map_err(|error| errors::hinted(&vm.name, &error))?;
        if first {
            calm::wait(&control, vm, machine.replication.mode)?;
        }
        findings.extend(findings::preflight(&plan.findings, vm));
        findings.extend(findings::inventory(&machine.findings, Some(&vm.name)));
        let token = match request
            .token
            .as_deref()
            .map(serde_json::from_slice::<Token>)
        {
            Some(Ok(token)) => Some(token),
            Some(Err(error)) => {
                findings.push(Finding::note(
                    Code::ReadInFull,
                    vm.name.clone(),
                    format!("what was kept of the last backup is not understood: {error}"),
                ));
                None
            }
            None => None,
        };
        let settings = self.host_settings(&host, &mut findings);
        let choose = |asked: &Asked<'_>| choose(&request.disks, asked);
        let mut wanted = plan.request(self.setup.mark, token.as_ref(), request.full);
        if request.disks.choose() {
            // What is told without a checkpoint needs none.
            errors::none_wanted(vm, &machine.settings.media, &choose)?;
            wanted.choose = Some(&choose);
        }
        let start = self.peace.start_of(control.session(), vm.id);
        let start = start.map_err(|error| errors::not_answered(&vm.name, &error))?;
        let files = self.setup.files.as_ref();
        // With notes of its own: other VMs may be at it as well.
        let control = control.for_one();
        let moves = self.controls.moves(vm.id);
        let mut around = vm::Around {
            control: Arc::clone(&control),
            floor: self.setup.policy.floor,
            resting: Arc::clone(&self.resting),
            least: plan.least,
            hurry: self.setup.hurry.clone(),
            look_every: self.look_every,
            quiet: Quiet::new(Arc::clone(&self.peace), host.clone(), place),
            start,
        };
        if let Some(staging) = &self.staging
            && self.exports(&machine)
        {
            let one = self
                .exporting
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let export = MemoryExport::take(
                &control,
                files,
                &hyperv::memory::Request {
                    vm: vm.id,
                    staging,
                    floor: self.setup.policy.floor,
                    mark: self.setup.mark,
                },
            );
            drop(one);
            match export {
                Ok(export) if export.disks.is_empty() && !export.lost.is_empty() => {
                    findings.extend(memory::no_disks(vm, export, control.as_ref()));
                }
                Ok(export) => {
                    let goes_on = memory::goes_on(token.as_ref(), &self.setup.mark, vm);
                    let token = request.token.clone().filter(|_| goes_on);
                    let host = (&host, settings.as_ref());
                    let view =
                        view::exported(vm, &machine, &plan, host, &export, &choose, findings);
                    return Ok(Box::new(memory::ExportedVm::new(
                        export, view, around, token,
                    )));
                }
                Err(error) => {
                    let notes = control.take_notes();
                    let cancelled = request.cancel.is_cancelled();
                    match memory::not(vm, &error, notes, cancelled) {
                        memory::Not::Failed(error) => return Err(error),
                        memory::Not::Without(told) => findings.extend(told),
                    }
                }
            }
        }
        if self.exports(&machine) {
            // It is to hold still after all.
            let place = self.place_of((&machine, &host), &request.disks, &stopped);
            around.quiet.had(place);
        }
        let frozen = Frozen::take(&control, files, &wanted).map_err(|error| {
            // There may have been a checkpoint, whose end leaves something to be merged.
            if !matches!(error, FreezeError::Checkpoint(_)) {
                self.rests(vm.id, Resting::of(&machine.settings));
            }
            let conflict = Self::conflict(&control, &machine, &error);
            let notes = control.take_notes();
            let cancelled = request.cancel.is_cancelled();
            let error = errors::freeze(vm, &error, conflict.as_ref(), &notes, cancelled);
            // What is told in several answers was told by two nodes.
            match self.controls.moves(vm.id) != moves {
                true => SourceError {
                    not_now: true,
                    code: Code::NotNow,
                    ..error
                },
                false => error,
            }
        })?;
        if let Some(error) = errors::no_disks(vm, &frozen) {
            // A point of it would be the newest one, and its end would take away what the next
            // backup asks by.
            self.rests(vm.id, frozen.resting());
            let left = frozen.abandon().err().map(|error| error.to_string());
            let notes: Vec<String> = left.into_iter().chain(control.take_notes()).collect();
            return Err(errors::with_notes(error, &notes));
        }
        let host = (&host, settings.as_ref());
        let view = view::view(vm, &machine, &plan, host, &frozen, findings);
        Ok(Box::new(vm::HostVm::new(frozen, view, around)))
    }
}
