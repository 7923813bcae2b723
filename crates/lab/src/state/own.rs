//! What a configuration must tell and no public source has a key for: written under keys that are
//! the lab's own (`configuration/lab/…`), which no reader but the lab's import looks at.
//!
//! Which checkpoint one descends from, which checkpoints a VM has, VLANs, and legacy adapters.
//! A real host has other keys for the same, so nothing outside the lab may lean on these.

use jiff::Timestamp;
use uuid::Uuid;
use vmconfig::tree::parse_guid;
use vmconfig::{Entry, Tree, Value};

use super::vm::{CheckpointKind, Settings, Vm, upper};

/// What is told of a configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct Own {
    /// The checkpoint that it descends from.
    pub(super) parent: Option<Uuid>,
    /// Who a checkpoint was made for.
    pub(super) kind: Option<CheckpointKind>,
    /// The checkpoints that its VM has.
    pub(super) checkpoints: Vec<Uuid>,
    /// `UserSnapshotType`.
    pub(super) checkpoint_type: Option<u16>,
    /// When its memory was saved.
    pub(super) saved: Option<Timestamp>,
    /// VLANs of adapters, and whether they are legacy ones.
    pub(super) adapters: Vec<(Uuid, Option<u16>, bool)>,
}

const KINDS: [(CheckpointKind, &str); 3] = [
    (CheckpointKind::User, "user"),
    (CheckpointKind::Recovery, "recovery"),
    (CheckpointKind::Replica, "replica"),
];

pub(super) fn write(tree: &mut Tree, vm: &Vm, settings: &Settings) {
    let mut put = |path: &[&str], value: Value| {
        let path = [&["configuration", "lab"], path].concat();
        tree.set(&path, value);
    };
    let id = |id: Uuid| Value::String(upper(id));
    let checkpoint = vm.checkpoint(settings.id);
    let parent = match checkpoint {
        Some(checkpoint) => checkpoint.parent,
        None => vm.parent,
    };
    if let Some(parent) = parent {
        put(&["parent"], id(parent));
    }
    let kind = checkpoint.and_then(|c| KINDS.iter().find(|(kind, _)| *kind == c.kind));
    if let Some((_, name)) = kind {
        put(&["kind"], Value::String((*name).to_owned()));
    }
    put(
        &["checkpoint_type"],
        Value::Int(settings.checkpoint_type.into()),
    );
    if let Some(saved) = settings.saved {
        put(&["saved"], Value::String(saved.to_string()));
    }
    if checkpoint.is_none() {
        for (at, checkpoint) in vm.checkpoints.iter().enumerate() {
            put(
                &["checkpoints", &format!("checkpoint{at}")],
                id(checkpoint.settings.id),
            );
        }
    }
    for adapter in &settings.adapters {
        // As devices are named, since a name in XML begins with no digit.
        let name = format!("_{}_", upper(adapter.id));
        put(&["adapters", &name, "legacy"], Value::Bool(adapter.legacy));
        if let Some(vlan) = adapter.vlan {
            put(&["adapters", &name, "vlan"], Value::Int(vlan.into()));
        }
    }
}

pub(super) fn read(tree: &Tree) -> Own {
    let Some(own) = tree.get(&["configuration", "lab"]) else {
        return Own::default();
    };
    let children = |name: &str| own.get(&[name]).map(Entry::children).unwrap_or_default();
    let checkpoint = |entry: &Entry| match &entry.value {
        Value::String(text) => parse_guid(text),
        _ => None,
    };
    let adapter = |entry: &Entry| {
        let vlan = entry.int(&["vlan"]).and_then(|v| u16::try_from(v).ok());
        let legacy = entry.bool(&["legacy"]) == Some(true);
        Some((parse_guid(entry.name.trim_matches('_'))?, vlan, legacy))
    };
    let kind = own.text(&["kind"]);
    Own {
        parent: own.guid(&["parent"]),
        kind: kind.and_then(|told| {
            let known = KINDS.iter().find(|(_, name)| *name == told);
            known.map(|(kind, _)| *kind)
        }),
        checkpoints: children("checkpoints")
            .iter()
            .filter_map(checkpoint)
            .collect(),
        checkpoint_type: own
            .int(&["checkpoint_type"])
            .and_then(|kind| u16::try_from(kind).ok()),
        saved: own.text(&["saved"]).and_then(|text| text.parse().ok()),
        adapters: children("adapters").iter().filter_map(adapter).collect(),
    }
}
