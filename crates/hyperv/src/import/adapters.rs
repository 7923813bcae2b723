//! To what each adapter is connected, and by which address.

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use vmconfig::model::NetworkAdapter;

use super::finding::Finding;
use super::request::{Identity, Mac, Place, Request, SwitchMap};
use super::{Point, Target};
use crate::ids::fold;
use crate::inventory::Switch;

/// An adapter as it will be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdapterPlan {
    /// Its id within the configuration.
    pub instance: Option<Uuid>,
    /// Its name.
    pub name: String,
    /// Whether it is one that generation 1 boots from.
    pub legacy: bool,
    /// The switch that it is connected to, as the host calls it (`Name`) and by its name.
    pub switch: Option<(String, String)>,
    /// The address, if it is not of the host's choice.
    pub mac: Option<String>,
    /// The VLAN, where it is connected.
    pub vlan: Option<u16>,
}

pub(super) fn plan(
    point: &Point,
    request: &Request,
    target: &Target,
    findings: &mut Vec<Finding>,
) -> Vec<AdapterPlan> {
    let all = point.config.network_adapters.iter();
    all.map(|adapter| one(adapter, point, request, target, findings))
        .collect()
}

fn one(
    adapter: &NetworkAdapter,
    point: &Point,
    request: &Request,
    target: &Target,
    findings: &mut Vec<Finding>,
) -> AdapterPlan {
    let switch = match switch(
        adapter,
        &request.network.switches,
        &target.inventory.host.switches,
    ) {
        Ok(found) => found,
        Err(switch) => {
            let adapter = adapter.name.clone();
            findings.push(Finding::SwitchMissing { adapter, switch });
            None
        }
    };
    // The host chose it before from a pool of its own, and another host would choose again.
    let keeps = request.network.mac == Mac::Keep;
    let mac = adapter.mac.clone().filter(|_| keeps);
    if let Some(mac) = &mac {
        let replaced = (request.place == Place::InPlace).then_some(point.vm);
        let machines = target.inventory.machines.iter();
        let clash = machines.filter(|vm| Some(vm.id) != replaced).find(|vm| {
            let mut adapters = vm.config().network_adapters.iter();
            adapters.any(|a| {
                a.mac
                    .as_deref()
                    .is_some_and(|other| fold(other) == fold(mac))
            })
        });
        // An id that is kept elsewhere is no clash of itself: then its VM is told as such.
        let same = |id: Uuid| request.identity == Identity::Keep && id == point.vm;
        if let Some(clash) = clash.filter(|vm| !same(vm.id)) {
            findings.push(Finding::MacClash {
                adapter: adapter.name.clone(),
                mac: mac.clone(),
                name: clash.name().to_owned(),
            });
        }
    }
    AdapterPlan {
        instance: adapter.instance,
        name: adapter.name.clone(),
        legacy: adapter.legacy,
        vlan: adapter.vlan.filter(|_| switch.is_some()),
        switch,
        mac,
    }
}

/// The switch of an adapter; an error names one that is not there.
fn switch(
    adapter: &NetworkAdapter,
    map: &SwitchMap,
    there: &[Switch],
) -> Result<Option<(String, String)>, String> {
    let had = adapter.connected != Some(false)
        && (adapter.switch_id.is_some() || adapter.switch_name.is_some());
    let told = |switch: &Switch| Some((switch.key.clone(), switch.name.clone()));
    let by_name = |name: &str| there.iter().find(|s| fold(&s.name) == fold(name));
    let name = adapter.switch_name.as_deref();
    match map {
        SwitchMap::Disconnected => return Ok(None),
        SwitchMap::Map(map) => {
            let named = map
                .iter()
                .find(|(old, _)| Some(fold(old)) == name.map(fold));
            match named {
                Some((_, None)) => return Ok(None),
                Some((_, Some(new))) => {
                    return by_name(new).map(told).ok_or_else(|| new.clone());
                }
                None => {}
            }
        }
        SwitchMap::Same => {}
    }
    if !had {
        return Ok(None);
    }
    let by_id = || {
        there
            .iter()
            .find(|s| s.id.is_some() && s.id == adapter.switch_id)
    };
    let found = name.and_then(by_name).or_else(by_id);
    let missing = || {
        let id = adapter.switch_id.map(|id| id.to_string());
        name.map(str::to_owned).or(id).unwrap_or_default()
    };
    found.map(told).ok_or_else(missing)
}
