//! What goes wrong in a scenario.

use uuid::Uuid;

use super::super::file::{
    AccidentSpec, CutPlaceSpec, CutSpec, DoesSpec, DropsSpec, FailureSpec, HeldSpec, MishapSpec,
    MoveSpec, RefusedSpec, SpaceSpec, SwitchSpec, TurnsSpec, WritesSpec,
};
use super::{BuildError, tree};
use crate::state::{Accident, Failure, Host};
use crate::wsman::{Cut, Fault, Held, Mishap, What};

impl MishapSpec {
    /// What goes wrong with a host.
    pub fn build(&self, host: &Host) -> Result<Mishap, BuildError> {
        build(host, self)
    }
}

fn build(host: &Host, spec: &MishapSpec) -> Result<Mishap, BuildError> {
    let bad = |problem| BuildError::Mishap {
        on: spec.on.clone(),
        problem,
    };
    let accidents = |specs: &[AccidentSpec]| {
        let all = specs.iter().map(|spec| accident(host, spec));
        all.collect::<Result<Vec<_>, _>>().map_err(bad)
    };
    if spec.on.is_empty() {
        return Err(bad("it does not say at which request"));
    }
    if spec.does.is_none() && spec.before.is_empty() && spec.after.is_empty() {
        return Err(bad("nothing happens"));
    }
    let enumerates = ["Enumerate", "Pull"].iter();
    let mut enumerates = enumerates.map(|name| spec.on.eq_ignore_ascii_case(name));
    if matches!(spec.does, Some(DoesSpec::Fewer(_))) && !enumerates.any(|is| is) {
        return Err(bad("only Enumerate and Pull have items"));
    }
    if matches!(spec.does, Some(DoesSpec::Held(HeldSpec::Late))) && !spec.after.is_empty() {
        return Err(bad("what is done late has nothing after it"));
    }
    Ok(Mishap {
        on: spec.on.clone(),
        skip: spec.skip,
        times: spec.times.unwrap_or(1),
        what: spec.does.map(what),
        before: accidents(&spec.before)?,
        after: accidents(&spec.after)?,
    })
}

fn what(spec: DoesSpec) -> What {
    match spec {
        DoesSpec::Returns(code) => What::Return(code),
        DoesSpec::Refused(how) => What::Refuse(match how {
            RefusedSpec::AccessDenied => Fault::AccessDenied,
            RefusedSpec::TimedOut => Fault::TimedOut,
            RefusedSpec::Quota => Fault::Quota,
        }),
        DoesSpec::Fewer(items) => What::Fewer(items),
        DoesSpec::Cut(place) => What::Cut(match place {
            CutSpec::After(bytes) => Cut::After(bytes),
            CutSpec::At(CutPlaceSpec::BeforeBody) => Cut::BeforeBody,
            CutSpec::At(CutPlaceSpec::BeforeLast) => Cut::BeforeLast,
        }),
        DoesSpec::Lost => What::Lose,
        DoesSpec::Held(how) => What::Hold(match how {
            HeldSpec::Never => Held::Never,
            HeldSpec::Late => Held::Late,
            HeldSpec::Done => Held::Done,
        }),
        DoesSpec::Told => What::Tell,
    }
}

fn accident(host: &Host, spec: &AccidentSpec) -> Result<Accident, &'static str> {
    Ok(match spec {
        AccidentSpec::RestartService => Accident::RestartService { finishes: false },
        AccidentSpec::RestartServiceWhenDone => Accident::RestartService { finishes: true },
        AccidentSpec::Restart => Accident::Restart { in_order: true },
        AccidentSpec::PowerCut => Accident::Restart { in_order: false },
        AccidentSpec::JobFails(spec) => Accident::JobFails(failure(spec)?),
        AccidentSpec::JobFailsWhenDone(spec) => Accident::JobFailsWhenDone(failure(spec)?),
        AccidentSpec::MergeFails(spec) => Accident::MergeFails(failure(spec)?),
        AccidentSpec::Space(SpaceSpec { volume, free }) => {
            Accident::Space(format!("{}\\", volume.trim_end_matches('\\')), *free)
        }
        AccidentSpec::Migrates(MoveSpec { vm: name, to }) => {
            Accident::Migrates(vm(host, name)?, to.clone())
        }
        AccidentSpec::Writes(WritesSpec { vm: name, what }) => Accident::Writes {
            vm: vm(host, name)?,
            drive: what.drive,
            offset: what.offset,
            data: tree::content(what),
        },
        AccidentSpec::TakesCheckpoint(taken) => Accident::TakesCheckpoint {
            vm: vm(host, &taken.vm)?,
            kind: tree::kind(taken.kind),
            name: taken.name.clone(),
        },
        AccidentSpec::DropsCheckpoint(DropsSpec { vm: of, name }) => {
            Accident::DropsCheckpoint(vm(host, of)?, name.clone())
        }
        AccidentSpec::Settles(SwitchSpec { vm: name, is }) => {
            Accident::Settles(vm(host, name)?, *is)
        }
        AccidentSpec::Turns(TurnsSpec { vm: name, state }) => {
            Accident::Turns(vm(host, name)?, super::vm::power(*state))
        }
        AccidentSpec::Stuck(SwitchSpec { vm: name, is }) => Accident::Stuck(vm(host, name)?, *is),
        AccidentSpec::ReceivesDelta(name) => Accident::ReceivesDelta(vm(host, name)?),
        AccidentSpec::LosesTracking(path) => Accident::LosesTracking(path.clone()),
        AccidentSpec::TimePassesS(seconds) => Accident::TimePasses(*seconds),
    })
}

fn vm(host: &Host, name: &str) -> Result<Uuid, &'static str> {
    let mut vms = host.vms().iter();
    let found = vms.find(|vm| vm.settings.name == name);
    Ok(found.ok_or("there is no such VM")?.id)
}

fn failure(spec: &FailureSpec) -> Result<Failure, &'static str> {
    let hresult = match &spec.hresult {
        None => None,
        Some(text) => {
            let digits = text.strip_prefix("0x").ok_or("a code begins with 0x")?;
            Some(u32::from_str_radix(digits, 16).map_err(|_| "a code is no number")?)
        }
    };
    let text = spec.text.clone();
    Ok(Failure {
        code: spec.code.unwrap_or(32768),
        hresult,
        text: text.unwrap_or_else(|| "Fehler beim Vorgang.".to_owned()),
        others: Vec::new(),
    })
}
