//! Of a VM that several hosts have, which one is backed up.
//!
//! A pure function over inventories. A VM keeps its id when it is replicated, and when it moves to
//! another node of its cluster: the same id on several hosts is one VM if they say so, by the
//! cluster's owner or by the modes of its replication. Otherwise they are two VMs of one id, such
//! as a restored one beside its original, and none of them is left out.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::REPLICATING;
use crate::inventory::{Inventory, Machine, ReplicationMode};

/// `ReplicationState` of a copy that has all there is.
const SYNCED: u16 = 4;
/// `ReplicationHealth` that is critical.
const CRITICAL: u16 = 3;

/// Which side is wanted where both are in reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prefer {
    /// Where the VM runs: its guest can take part.
    #[default]
    PreferPrimary,
    /// The copy: the host where the VM runs is left in peace, and the backup is as after a power
    /// cut.
    PreferReplica,
}

/// A host's inventory, by the name that the job has for the host.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'i> {
    /// The job's name for the host.
    pub host: &'i str,
    /// What is on it.
    pub inventory: &'i Inventory,
}

/// What one host has of a VM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// The job's name for the host.
    pub host: String,
    /// On which side of a replication it is.
    pub mode: ReplicationMode,
}

/// A side that is backed up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The side.
    pub side: Side,
    /// Why this one.
    pub why: Why,
}

/// What is done with the sides of one VM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The VM.
    pub vm: Uuid,
    /// Its name, as the first side that is taken has it.
    pub name: String,
    /// What is backed up: one side, or several VMs of one id.
    pub taken: Vec<Taken>,
    /// What is left out, since it is the same VM.
    pub left_out: Vec<Side>,
}

/// Why a side is backed up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Why {
    /// No other host in reach has it.
    Only,
    /// It is the side that was wanted.
    Preferred,
    /// The copy was wanted, and it is behind or the host does not tell that it is not.
    CopyIsBehind {
        /// Where the copy is.
        host: String,
        /// `ReplicationState`.
        state: Option<u16>,
        /// `ReplicationHealth`.
        health: Option<u16>,
    },
    /// The cluster says that it owns the VM.
    Owner,
    /// Only copies of it are in reach.
    Copy,
    /// Several hosts have it, and nothing says that they are the same VM.
    SameId,
}

/// Decides what of each VM is backed up, in the order of their ids.
pub fn sides(seen: &[Seen<'_>], prefer: Prefer) -> Vec<Choice> {
    let mut by_id: BTreeMap<Uuid, Vec<(&Seen<'_>, &Machine)>> = BTreeMap::new();
    for host in seen {
        for machine in &host.inventory.machines {
            by_id.entry(machine.id).or_default().push((host, machine));
        }
    }
    let choose = |(vm, all): (Uuid, Vec<(&Seen<'_>, &Machine)>)| {
        let side = |(host, machine): &(&Seen<'_>, &Machine)| Side {
            host: host.host.to_owned(),
            mode: machine.replication.mode,
        };
        let taken = taken(&all, prefer);
        let is_taken = |at: usize| taken.iter().any(|(taken, _)| *taken == at);
        let numbered = all.iter().enumerate();
        let left_out = numbered.filter(|(at, _)| !is_taken(*at));
        let name = taken.first().and_then(|(at, _)| all.get(*at));
        Choice {
            vm,
            name: name.map(|(_, m)| m.name().to_owned()).unwrap_or_default(),
            left_out: left_out.map(|(_, one)| side(one)).collect(),
            taken: taken
                .into_iter()
                .filter_map(|(at, why)| {
                    let side = side(all.get(at)?);
                    Some(Taken { side, why })
                })
                .collect(),
        }
    };
    by_id.into_iter().map(choose).collect()
}

/// Which of them are taken, by their places.
fn taken(all: &[(&Seen<'_>, &Machine)], prefer: Prefer) -> Vec<(usize, Why)> {
    if all.len() == 1 {
        return vec![(0, Why::Only)];
    }
    let places = places(all);
    let machine = |at: usize| all.get(at).map(|(_, machine)| *machine);
    let mode = |at: usize| machine(at).map(|m| m.replication.mode).unwrap_or_default();
    if let &[at] = places.as_slice() {
        let (host, machine) = match all.get(at) {
            Some((host, machine)) => (host, machine),
            None => return Vec::new(),
        };
        let why = match cluster(host, machine) {
            Some(_) => Why::Owner,
            None => Why::Only,
        };
        return vec![(at, why)];
    }
    let copies = places.iter().filter(|at| mode(**at).is_copy());
    let mut copies: Vec<usize> = copies.copied().collect();
    copies.sort_by_key(|at| mode(*at) == ReplicationMode::ExtendedReplica);
    let others: Vec<usize> = places
        .into_iter()
        .filter(|at| !copies.contains(at))
        .collect();
    let originals = others
        .iter()
        .filter(|at| mode(**at) == ReplicationMode::Primary);
    let host = |at: usize| all.get(at).map(|(host, _)| host.host.to_owned());
    match (originals.collect::<Vec<_>>().as_slice(), copies.first()) {
        // One VM with its copies, and perhaps others of its id that nobody copies.
        (&[&original], Some(&copy)) => {
            let mut found = vec![match (prefer, machine(copy).is_some_and(is_current)) {
                (Prefer::PreferPrimary, _) => (original, Why::Preferred),
                (Prefer::PreferReplica, true) => (copy, Why::Preferred),
                (Prefer::PreferReplica, false) => {
                    let of = machine(copy).and_then(|m| m.replication.relationships.first());
                    let why = Why::CopyIsBehind {
                        host: host(copy).unwrap_or_default(),
                        state: of.and_then(|of| of.state),
                        health: of.and_then(|of| of.health),
                    };
                    (original, why)
                }
            }];
            let strangers = others.into_iter().filter(|at| *at != original);
            found.extend(strangers.map(|at| (at, Why::SameId)));
            found
        }
        // Copies of one that is out of reach: the nearest to it.
        ([], Some(&copy)) if others.is_empty() => {
            let current = copies
                .iter()
                .find(|at| machine(**at).is_some_and(is_current));
            vec![(*current.unwrap_or(&copy), Why::Copy)]
        }
        // Nothing says that these are the same.
        _ => {
            let all = others.into_iter().chain(copies);
            all.map(|at| (at, Why::SameId)).collect()
        }
    }
}

/// The nodes of one cluster that have it count as one, that which owns it: a list is taken at some
/// time, so a VM that moves may be on two of them.
fn places(all: &[(&Seen<'_>, &Machine)]) -> Vec<usize> {
    let mut places: Vec<usize> = Vec::new();
    for (at, (host, machine)) in all.iter().enumerate() {
        let own = cluster(host, machine);
        let same = |other: &&mut usize| {
            let Some((other, of)) = all.get(**other) else {
                return false;
            };
            (own.is_some() && cluster(other, of) == own) || is_same((host, machine), (other, of))
        };
        match places.iter_mut().find(same) {
            None => places.push(at),
            Some(place) if is_owner(host, machine) => *place = at,
            Some(_) => {}
        }
    }
    places
}

/// Whether two lists are of one host, which the job knows by two names: then the VM is the same to
/// its disks and reference points.
fn is_same((one, a): (&Seen<'_>, &Machine), (other, b): (&Seen<'_>, &Machine)) -> bool {
    let named = match (&one.inventory.host.name, &other.inventory.host.name) {
        (Some(one), Some(other)) => crate::ids::same_host(one, other),
        _ => false,
    };
    named && a.settings.media == b.settings.media && a.reference_points == b.reference_points
}

/// The cluster of a VM that a cluster keeps, as its host tells it.
fn cluster<'i>(host: &Seen<'i>, machine: &Machine) -> Option<&'i str> {
    machine.cluster.as_ref()?;
    host.inventory.host.cluster.as_deref()
}

/// Whether the cluster says that the VM is on the host that tells of it.
fn is_owner(host: &Seen<'_>, machine: &Machine) -> bool {
    let owner = machine
        .cluster
        .as_ref()
        .and_then(|role| role.owner.as_deref());
    let own = host.inventory.host.name.as_deref();
    match (owner, own) {
        (Some(owner), Some(own)) => crate::ids::same_host(owner, own),
        _ => false,
    }
}

/// Whether a copy surely has what there is.
fn is_current(machine: &Machine) -> bool {
    let all = &machine.replication.relationships;
    let good = all.iter().all(|of| {
        matches!(of.state, Some(REPLICATING | SYNCED)) && of.health.is_some_and(|h| h != CRITICAL)
    });
    !all.is_empty() && good
}

impl Choice {
    /// Whether people should look at it: VMs that share an id.
    pub fn is_odd(&self) -> bool {
        self.taken.iter().any(|taken| taken.why == Why::SameId)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only => f.write_str("no other host has it"),
            Self::Preferred => f.write_str("this side of its replication was asked for"),
            Self::CopyIsBehind {
                host,
                state,
                health,
            } => {
                let told = |n: &Option<u16>| n.map_or("unknown".to_owned(), |n| n.to_string());
                write!(
                    f,
                    "its copy on {host} was asked for and may be behind (state {}, health {})",
                    told(state),
                    told(health)
                )
            }
            Self::Owner => f.write_str("the cluster says that it is here"),
            Self::Copy => {
                f.write_str("it is a copy, and what it is a copy of is on no host of these")
            }
            Self::SameId => f.write_str(
                "several hosts have VMs of this id, and nothing says that they are the same: all \
                 are backed up",
            ),
        }
    }
}

#[cfg(test)]
mod tests;
