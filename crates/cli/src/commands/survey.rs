//! What all nodes of a cluster tell, as one list of VMs.

use engine::source::hyperv::inventory_findings;
use engine::{Code, Finding, Severity};
use hyperv::Inventory;
use hyperv::cluster::{NodeState, Survey};
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
                // Whether a node should have any its cluster tells.
                let may_be_empty = survey.missing.is_empty() && !owns(survey, &node.node.name);
                let mut told = inventory.clone();
                told.findings
                    .retain(|one| !(may_be_empty && *one == Odd::NoMachines));
                findings.extend(of_host(&told, &node.node.name));
                findings.extend(local(survey, inventory));
            }
            Err(not) => {
                let text = format!("what is on it is not known: {}", not.why);
                let name = node.node.name.clone();
                // Of those that the cluster keeps it tells itself.
                let severity = match node.node.state {
                    NodeState::Down => Severity::Warning,
                    _ => Severity::Partial,
                };
                let finding = Finding::new(Code::HostNote, severity, name, text);
                findings.push(finding.hint(HINT));
            }
        }
    }
    findings.extend(survey.missing.iter().map(|missing| {
        let on = missing.role.owner.as_deref().unwrap_or("no node");
        let text = format!("the cluster keeps it on {on}, which does not tell of it");
        let name = missing.role.resource.clone();
        Finding::new(Code::NotCovered, Severity::Partial, name, text).hint(HINT)
    }));
    findings
}

/// Whether the cluster keeps a VM on a node, going by those that were seen on any.
fn owns(survey: &Survey, node: &str) -> bool {
    let all = survey
        .nodes
        .iter()
        .filter_map(|node| node.inventory.as_ref().ok());
    let mut roles = all.flat_map(|all| all.machines.iter().filter_map(|m| m.cluster.as_ref()));
    roles.any(|role| {
        role.owner
            .as_ref()
            .is_some_and(|owner| hyperv::same_host(owner, node))
    })
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
