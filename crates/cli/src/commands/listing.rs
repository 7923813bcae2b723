//! What a VM consists of, for `ls` and `show`: disks, the tree of checkpoints, files.

use std::collections::HashSet;

use engine::point::Details;
use engine::source::{
    Checkpoint, CheckpointParent, Consistency, DiskUse, FileRole, MissingLayer, Owner,
};
use serde::Serialize;
use uuid::Uuid;

use crate::text;

/// One VM.
#[derive(Serialize)]
pub(crate) struct VmListing {
    pub(crate) vm_id: String,
    pub(crate) vm_name: String,
    disks: Vec<Disk>,
    checkpoints: Vec<ListedCheckpoint>,
    /// The checkpoint that the VM's present state was made on, where something tells.
    current: Option<Uuid>,
    files: Vec<File>,
    missing: Vec<MissingLayer>,
    /// Whether the VM has saved memory; nothing when it cannot be told.
    saved_memory: Option<bool>,
}

#[derive(Serialize)]
struct ListedCheckpoint {
    #[serde(flatten)]
    is: Checkpoint,
    saved_memory: Option<bool>,
}

/// A disk of the VM or of one of its checkpoints.
#[derive(Serialize)]
struct Disk {
    owner: Owner,
    /// Where it is attached; nothing for a disk that no configuration names.
    slot: Option<String>,
    format: &'static str,
    disk_bytes: u64,
    /// How consistent it is by itself, as far as that is known.
    consistency: Option<Consistency>,
    /// Its layers from the topmost down to its base.
    chain: Vec<String>,
}

#[derive(Serialize)]
struct File {
    path: String,
    role: FileRole,
    owner: Owner,
    bytes: u64,
}

impl VmListing {
    /// What a point, or a look at a folder, tells.
    pub(crate) fn of(details: &Details) -> Self {
        let disk = |used: Option<&DiskUse>, layer: usize| {
            let info = &details.layers[layer].info;
            Disk {
                owner: used.map_or(Owner::Vm, |used| used.owner.clone()),
                slot: used.map(|used| used.slot.clone()),
                format: info.format.name(),
                disk_bytes: info.geometry.len,
                consistency: used.and_then(|used| used.consistency),
                chain: details
                    .chain(layer)
                    .into_iter()
                    .map(|index| details.layers[index].path.to_string())
                    .collect(),
            }
        };
        let uses = details.uses.iter();
        let mut disks: Vec<Disk> = uses.map(|used| disk(Some(used), used.layer)).collect();
        // Layers above which nothing stands and that nothing names are disks as well.
        let mut inside: HashSet<usize> = details.layers.iter().filter_map(|l| l.parent).collect();
        inside.extend(details.uses.iter().map(|u| u.layer));
        let loose = (0..details.layers.len()).filter(|layer| !inside.contains(layer));
        disks.extend(loose.map(|layer| disk(None, layer)));
        Self {
            vm_id: details.vm_id.to_string(),
            vm_name: details.vm_name.clone(),
            disks,
            checkpoints: details
                .checkpoints
                .iter()
                .map(|checkpoint| ListedCheckpoint {
                    is: checkpoint.clone(),
                    saved_memory: details.has_memory(&Owner::Checkpoint(checkpoint.id)),
                })
                .collect(),
            current: details.current,
            files: details
                .files
                .iter()
                .map(|file| File {
                    path: file.path.to_string(),
                    role: file.role,
                    owner: file.owner.clone(),
                    bytes: file.len,
                })
                .collect(),
            missing: details.missing.clone(),
            saved_memory: details.has_memory(&Owner::Vm),
        }
    }

    /// A line for each layer that is missing.
    pub(crate) fn missing_lines(&self) -> Vec<String> {
        self.missing
            .iter()
            .map(|missing| format!("{}: {}", missing.name, missing.why))
            .collect()
    }

    /// Everything but the name.
    pub(crate) fn body(&self) -> String {
        let mut out = String::from("Disks\n");
        let present = self.disks.iter().filter(|d| d.owner == Owner::Vm);
        out.extend(present.map(|disk| disk.text(2)));
        for missing in self
            .missing
            .iter()
            .filter(|m| m.needed_by.contains(&Owner::Vm) || m.needed_by.is_empty())
        {
            let (name, why) = (text::line(&missing.name), text::line(&missing.why));
            out.push_str(&format!("  missing: {name}: {why}\n"));
        }
        // A disk by itself has no memory to speak of.
        if !self.files.is_empty() {
            let told = match self.saved_memory {
                Some(true) => "yes",
                Some(false) => "none",
                None => "cannot be told",
            };
            out.push_str(&format!("\nSaved memory\n  {told}\n"));
        }
        if !self.checkpoints.is_empty() {
            out.push_str("\nCheckpoints\n");
            out.push_str(&self.tree());
        }
        if !self.files.is_empty() {
            out.push_str("\nFiles\n");
        }
        for file in &self.files {
            out.push_str(&format!(
                "  {}  {}\n",
                text::line(&file.path),
                text::size(file.bytes)
            ));
        }
        out
    }

    /// The checkpoints as a tree, as far as their order is known.
    fn tree(&self) -> String {
        let mut out = String::new();
        let mut shown = HashSet::new();
        let of = |wanted: CheckpointParent| {
            self.checkpoints
                .iter()
                .filter(move |c| c.is.parent == wanted)
        };
        // Depth first, without recursion: nobody bounds the depth. The last one pushed is shown
        // first.
        let mut open: Vec<(&ListedCheckpoint, usize)> =
            of(CheckpointParent::Root).map(|c| (c, 1)).collect();
        open.reverse();
        let mut rest = Vec::new();
        loop {
            while let Some((checkpoint, depth)) = open.pop() {
                if !shown.insert(checkpoint.is.id) {
                    continue;
                }
                out.push_str(&self.checkpoint_text(checkpoint, depth));
                let children: Vec<_> = of(CheckpointParent::After(checkpoint.is.id)).collect();
                open.extend(children.into_iter().rev().map(|c| (c, depth + 1)));
            }
            if rest.is_empty() {
                rest = self
                    .checkpoints
                    .iter()
                    .filter(|c| !shown.contains(&c.is.id))
                    .collect();
                if rest.is_empty() {
                    return out;
                }
                out.push_str("  order unknown:\n");
                rest.reverse();
                // Those that stand on another of them come with it.
                let heads = rest
                    .iter()
                    .filter(|c| matches!(c.is.parent, CheckpointParent::Unknown));
                open.extend(heads.map(|c| (*c, 2)));
            }
            match rest.pop() {
                Some(checkpoint) if open.is_empty() => open.push((checkpoint, 2)),
                Some(_) => {}
                None => return out,
            }
        }
    }

    fn checkpoint_text(&self, listed: &ListedCheckpoint, depth: usize) -> String {
        let checkpoint = &listed.is;
        let pad = "  ".repeat(depth.min(40));
        let time = checkpoint
            .time
            .map(|time| format!("  {} UTC", text::time(time)))
            .unwrap_or_default();
        let here = if self.current == Some(checkpoint.id) {
            "  <- the VM stands on this one"
        } else {
            ""
        };
        let memory = match listed.saved_memory {
            Some(true) => "  with saved memory",
            Some(false) => "",
            None => "  saved memory: cannot be told",
        };
        let name = text::line(&checkpoint.name);
        let mut out = format!("{pad}{name}{time}  {}{memory}{here}\n", checkpoint.id);
        let owner = Owner::Checkpoint(checkpoint.id);
        let disks = self.disks.iter().filter(|d| d.owner == owner);
        out.extend(disks.map(|disk| disk.text(2 * depth.min(40) + 4)));
        out
    }
}

impl Disk {
    fn text(&self, indent: usize) -> String {
        let pad = " ".repeat(indent);
        let slot = self.slot.as_deref().unwrap_or("disk");
        let level = self.consistency.map(Consistency::as_str);
        let mut out = format!(
            "{pad}{}  {} {}  consistency {}\n",
            text::line(slot),
            text::size(self.disk_bytes),
            self.format,
            level.unwrap_or("unknown")
        );
        for (depth, path) in self.chain.iter().enumerate() {
            let inner = "  ".repeat(depth.min(20));
            out.push_str(&format!("{pad}  {inner}{}\n", text::line(path)));
        }
        out
    }
}
