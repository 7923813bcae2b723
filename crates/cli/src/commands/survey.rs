//! What all nodes of a cluster tell, as one list of VMs.

use engine::source::hyperv::inventory_findings;
use engine::{Code, Finding, Severity};
use hyperv::Inventory;
use hyperv::cluster::Survey;
use hyperv::inventory::{Finding as Odd, Host, Machine};
use hyperv::replication::{Prefer, sides};

/// What to do about a node that does not tell.
const HINT: &str = "see that the node is up and can be reached by its name, or name it in --hosts";

/// The VMs of all nodes, each once, where it is, with its host; by name.
pub(crate) fn machines(survey: &Survey) -> Vec<(&Machine, &Host)> {
    let mut found = Vec::new();
    for choice in sides(&survey.seen(), Prefer::default()) {
        for taken in &choice.taken {
            let mut nodes = survey.nodes.iter();
            let node = nodes.find(|node| node.node.name == taken.side.host);
            let inventory = node.and_then(|node| node.inventory.as_ref().ok());
            found.extend(inventory.and_then(|all| Some((all.machine(choice.vm)?, &all.host))));
        }
    }
    found.sort_by(|(a, _), (b, _)| (a.name(), a.id).cmp(&(b.name(), b.id)));
    found
}

/// What concerns no one VM of a host. `name` is what the host is called if it does not tell.
pub(crate) fn of_host(inventory: &Inventory, name: &str) -> Vec<Finding> {
    let object = inventory.host.name.as_deref().unwrap_or(name);
    inventory_findings(&inventory.findings, Some(object))
}

/// What the nodes tell besides, and what none of them does.
pub(crate) fn findings(survey: &Survey) -> Vec<Finding> {
    let mut findings = Vec::new();
    for node in &survey.nodes {
        match &node.inventory {
            Ok(inventory) => {
                // What a node should have its cluster tells.
                let mut inventory = inventory.clone();
                inventory.findings.retain(|one| *one != Odd::NoMachines);
                let inventory = &inventory;
                findings.extend(of_host(inventory, &node.node.name));
                findings.extend(local(survey, inventory));
            }
            Err(not) => {
                let text = format!("what is on it is not known: {}", not.why);
                let name = node.node.name.clone();
                let finding = Finding::new(Code::HostNote, Severity::Warning, name, text);
                findings.push(finding.hint(HINT));
            }
        }
    }
    findings.extend(survey.missing.iter().map(|missing| {
        let on = missing.role.owner.as_deref().unwrap_or("no node");
        let text = format!("the cluster keeps it on {on}, which does not tell of it");
        let name = missing.role.resource.clone();
        Finding::new(Code::NotCovered, Severity::Warning, name, text).hint(HINT)
    }));
    findings
}

/// VMs that the cluster keeps, with disks that it cannot take along.
fn local(survey: &Survey, inventory: &Inventory) -> Vec<Finding> {
    let kept = inventory.machines.iter().filter(|m| m.cluster.is_some());
    let local = kept.filter_map(|machine| {
        let files = survey.volumes.local(machine);
        let text = format!("no other node finds its disks {}", files.join(", "));
        (!files.is_empty()).then(|| Finding::note(Code::HostNote, machine.name(), text))
    });
    local.collect()
}
