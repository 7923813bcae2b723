//! [`Details`] as the vault's manifest, and back.
//!
//! A manifest has two parts. The *outline* is all that a host with a write-only key can read, so
//! everything by which the next backup recognises a layer is in it, as an [`Identity`] that tells
//! nothing: hashes and two flags. The *details* hold what people and restores need.

use disk::LayerInfo;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;
use vault_format::point as format;

use crate::finding::{Code, Finding, Severity};
use crate::outcome::Outcome;
use crate::point::{Details, Level, PointFile, PointLayer, Reading, Stats};
use crate::saved_memory::SavedMemory;
use crate::source::{
    Checkpoint, CheckpointParent, Consistency, DiskUse, FileRole, MissingLayer, Owner, RelPath,
};

/// By what the next backup recognises a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Hash of everything that the image says about itself.
    pub image: String,
    /// Hash of where it was found.
    pub place: String,
    /// Another image named it as its parent.
    pub interior: bool,
    /// It did not hold still while it was read.
    pub moved: bool,
}

impl Identity {
    /// The identity of a layer.
    pub fn of(info: &LayerInfo, origin: &str, interior: bool, moved: bool) -> Self {
        // Plain data whose keys are strings always serialises; were it not so, the hash of
        // nothing would equal no other.
        let image = serde_json::to_vec(info).unwrap_or_default();
        Self {
            image: hash("image", &image),
            place: hash("place", origin.as_bytes()),
            interior,
            moved,
        }
    }

    /// Reads what a manifest has; `None` for what another kind of source wrote.
    pub fn from_value(value: &Value) -> Option<Self> {
        Self::deserialize(value).ok()
    }
}

fn hash(what: &str, bytes: &[u8]) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("hyperkeep engine, identity of a layer");
    hasher.update(what.as_bytes());
    hasher.update(&[0]);
    hasher.update(bytes);
    hasher.finalize().to_hex().as_str()[..32].to_owned()
}

/// Why a manifest could not be understood.
#[derive(Debug, thiserror::Error)]
#[error("the restore point says something that this version of hyperkeep does not understand: {0}")]
pub struct Misunderstood(String);

/// The details of a manifest.
pub fn to_format(details: &Details) -> format::Details {
    let disks_of = |owner: &Owner| -> Vec<format::DiskDetails> {
        let uses = details.uses.iter().filter(|u| u.owner == *owner);
        uses.map(|u| format::DiskDetails {
            name: u.slot.clone(),
            head: number(u.layer),
            attachment: json!(u.slot),
            other: u
                .consistency
                .map(|level| ("consistency".to_owned(), json!(level)))
                .into_iter()
                .collect(),
        })
        .collect()
    };
    let mut other = Map::new();
    other.insert("source".into(), json!(details.source));
    other.insert("asked".into(), json!(details.level));
    other.insert("outcome".into(), json!(details.outcome));
    other.insert("consistency".into(), json!(details.consistency));
    other.insert("mode".into(), json!(details.mode));
    if let Some(saved) = details.has_memory(&Owner::Vm) {
        other.insert("saved_memory".into(), json!(saved));
    }
    if !details.missing.is_empty() {
        other.insert("missing".into(), json!(details.missing));
    }
    format::Details {
        required: Vec::new(),
        vm: format::VmIdentity {
            id: details.vm_id.to_string(),
            name: details.vm_name.clone(),
            host: None,
            other: Map::new(),
        },
        configuration: details.config.clone().unwrap_or_default(),
        disks: disks_of(&Owner::Vm),
        layers: details.layers.iter().enumerate().map(layer).collect(),
        files: details.files.iter().enumerate().map(file).collect(),
        checkpoints: details
            .checkpoints
            .iter()
            .map(|c| checkpoint(details, c, disks_of(&Owner::Checkpoint(c.id))))
            .collect(),
        current: details.current.map(|id| id.to_string()),
        consistency_reason: details.mode_reason.clone().unwrap_or_default(),
        findings: details.findings.iter().map(finding).collect(),
        not_covered: details
            .not_covered
            .iter()
            .map(|what| format::NotCovered {
                what: what.clone(),
                why: String::new(),
                other: Map::new(),
            })
            .collect(),
        other,
    }
}

fn number(index: usize) -> u32 {
    // The format bounds the number of items far below this.
    u32::try_from(index).unwrap_or(u32::MAX)
}

fn layer((index, layer): (usize, &PointLayer)) -> format::LayerDetails {
    let mut other = Map::new();
    other.insert("origin".into(), json!(layer.origin));
    other.insert("interior".into(), json!(layer.interior));
    other.insert("moved".into(), json!(layer.moved));
    other.insert("reading".into(), json!(layer.reading));
    other.insert("stats".into(), json!(layer.stats));
    format::LayerDetails {
        id: number(index),
        parent: layer.parent.map(number),
        path: layer.path.to_string(),
        info: json!(layer.info),
        other,
    }
}

fn file((index, file): (usize, &PointFile)) -> format::FileDetails {
    let role = json!(file.role);
    let mut other = Map::new();
    other.insert("len".into(), json!(file.len));
    format::FileDetails {
        id: number(index),
        path: file.path.to_string(),
        role: role.as_str().unwrap_or("other").to_owned(),
        other,
    }
}

fn checkpoint(
    details: &Details,
    checkpoint: &Checkpoint,
    disks: Vec<format::DiskDetails>,
) -> format::Checkpoint {
    let owner = Owner::Checkpoint(checkpoint.id);
    let mut other = Map::new();
    if checkpoint.parent == CheckpointParent::Unknown {
        other.insert("order".into(), json!("unknown"));
    }
    if let Some(saved) = details.has_memory(&owner) {
        other.insert("saved_memory".into(), json!(saved));
    }
    format::Checkpoint {
        id: checkpoint.id.to_string(),
        name: checkpoint.name.clone(),
        parent: match checkpoint.parent {
            CheckpointParent::After(id) => Some(id.to_string()),
            CheckpointParent::Root | CheckpointParent::Unknown => None,
        },
        created: checkpoint.time.map(|seconds| seconds.saturating_mul(1000)),
        disks,
        files: (0..details.files.len())
            .filter(|index| details.files[*index].owner == owner)
            .map(number)
            .collect(),
        configuration: checkpoint.config.clone().unwrap_or_default(),
        other,
    }
}

fn finding(finding: &Finding) -> format::Finding {
    let mut other = Map::new();
    other.insert("object".into(), json!(finding.object));
    if let Some(hint) = &finding.hint {
        other.insert("hint".into(), json!(hint));
    }
    format::Finding {
        severity: match finding.severity {
            Severity::Info => format::Severity::Info,
            Severity::Warning => format::Severity::Warning,
            Severity::Partial => format::Severity::Other("partial".to_owned()),
            Severity::Error => format::Severity::Error,
        },
        code: finding.code.as_str().to_owned(),
        message: finding.message.clone(),
        other,
    }
}

/// The consistency as an outline has it.
pub fn consistency_to_format(consistency: Consistency) -> format::Consistency {
    match consistency {
        Consistency::Torn => format::Consistency::Other("torn".to_owned()),
        Consistency::Crash => format::Consistency::Crash,
        Consistency::FileSystem => format::Consistency::FileSystem,
        Consistency::Application => format::Consistency::Application,
        Consistency::Offline => format::Consistency::Offline,
    }
}

/// Reads a manifest.
///
/// A checkpoint whose id is no GUID, which another program may have written, gets a GUID made of
/// its id, the same each time.
///
/// # Errors
/// When something that a restore depends on cannot be understood. What only informs is taken as
/// far as it goes.
pub fn from_format(details: &format::Details) -> Result<Details, Misunderstood> {
    let bad = |why: String| Err(Misunderstood(why));
    let member = |name: &str| details.other.get(name).cloned().unwrap_or_default();
    let mut layers = Vec::new();
    for (index, layer) in details.layers.iter().enumerate() {
        // The format's rule: a list that begins at 0, parents before their children.
        if layer.id != number(index) || layer.parent.is_some_and(|parent| parent >= layer.id) {
            return bad(format!("its layers are not in order at layer {}", layer.id));
        }
        layers.push(read_layer(layer)?);
    }
    let mut files = Vec::new();
    for (index, file) in details.files.iter().enumerate() {
        if file.id != number(index) {
            return bad(format!("its files are not in order at file {}", file.id));
        }
        files.push(PointFile {
            path: path(&file.path)?,
            role: FileRole::deserialize(json!(file.role)).unwrap_or(FileRole::Other),
            owner: Owner::Vm,
            len: file.other.get("len").and_then(Value::as_u64).unwrap_or(0),
        });
    }
    let mut uses: Vec<DiskUse> = details.disks.iter().map(|d| disk(&Owner::Vm, d)).collect();
    let mut checkpoints = Vec::new();
    let mut saved_memory = Vec::new();
    let mut memory = |owner: &Owner, other: &Map<String, Value>| {
        let saved = other.get("saved_memory").and_then(Value::as_bool);
        let owner = owner.clone();
        saved_memory.extend(saved.map(|saved| SavedMemory { owner, saved }));
    };
    memory(&Owner::Vm, &details.other);
    for checkpoint in &details.checkpoints {
        let id = checkpoint_id(&checkpoint.id);
        if checkpoints.iter().any(|other: &Checkpoint| other.id == id) {
            return bad(format!("two checkpoints have the id {:?}", checkpoint.id));
        }
        let owner = Owner::Checkpoint(id);
        memory(&owner, &checkpoint.other);
        uses.extend(checkpoint.disks.iter().map(|d| disk(&owner, d)));
        for file in &checkpoint.files {
            if let Some(file) = files.get_mut(*file as usize) {
                file.owner = owner.clone();
            }
        }
        checkpoints.push(Checkpoint {
            id,
            name: checkpoint.name.clone(),
            time: checkpoint.created.map(|ms| ms / 1000),
            parent: match &checkpoint.parent {
                Some(parent) => CheckpointParent::After(checkpoint_id(parent)),
                None if checkpoint.other.contains_key("order") => CheckpointParent::Unknown,
                None => CheckpointParent::Root,
            },
            config: some(&checkpoint.configuration),
        });
    }
    let read = Details {
        vm_id: uuid(&details.vm.id)?,
        vm_name: details.vm.name.clone(),
        source: member("source").as_str().unwrap_or_default().to_owned(),
        mode: member("mode").as_str().unwrap_or_default().to_owned(),
        mode_reason: Some(details.consistency_reason.clone()).filter(|why| !why.is_empty()),
        level: Level::deserialize(member("asked")).unwrap_or_default(),
        consistency: Consistency::deserialize(member("consistency")).unwrap_or(Consistency::Crash),
        outcome: Outcome::deserialize(member("outcome")).unwrap_or_default(),
        config: some(&details.configuration),
        layers,
        files,
        uses,
        checkpoints,
        current: details.current.as_deref().map(checkpoint_id),
        saved_memory,
        missing: Vec::<MissingLayer>::deserialize(member("missing")).unwrap_or_default(),
        findings: details.findings.iter().map(read_finding).collect(),
        not_covered: details.not_covered.iter().map(|n| n.what.clone()).collect(),
    };
    match read.uses.iter().find(|u| u.layer >= read.layers.len()) {
        Some(lost) => bad(format!("disk {} has no layer", lost.slot)),
        None => Ok(read),
    }
}

fn read_layer(layer: &format::LayerDetails) -> Result<PointLayer, Misunderstood> {
    let info = LayerInfo::deserialize(&layer.info)
        .map_err(|e| Misunderstood(format!("layer {}: {e}", layer.id)))?;
    let member = |name: &str| layer.other.get(name).cloned().unwrap_or_default();
    Ok(PointLayer {
        path: path(&layer.path)?,
        origin: member("origin").as_str().unwrap_or_default().to_owned(),
        info,
        parent: layer.parent.map(|parent| parent as usize),
        interior: member("interior").as_bool().unwrap_or(false),
        moved: member("moved").as_bool().unwrap_or(false),
        reading: Reading::deserialize(member("reading"))
            .unwrap_or(Reading::Full { why: String::new() }),
        stats: Stats::deserialize(member("stats")).unwrap_or_default(),
    })
}

fn disk(owner: &Owner, disk: &format::DiskDetails) -> DiskUse {
    DiskUse {
        owner: owner.clone(),
        slot: disk.name.clone(),
        layer: disk.head as usize,
        // Points of earlier versions do not tell, and an unknown word tells nothing.
        consistency: disk
            .other
            .get("consistency")
            .and_then(|level| Consistency::deserialize(level).ok()),
    }
}

fn read_finding(finding: &format::Finding) -> Finding {
    let member = |name: &str| finding.other.get(name).and_then(Value::as_str);
    Finding {
        code: Code::deserialize(json!(finding.code)).unwrap_or(Code::Other),
        severity: match &finding.severity {
            format::Severity::Info => Severity::Info,
            format::Severity::Warning => Severity::Warning,
            format::Severity::Error => Severity::Error,
            // Unknown ones as bad as what they may stand for.
            format::Severity::Other(_) => Severity::Partial,
        },
        object: member("object").unwrap_or_default().to_owned(),
        message: finding.message.clone(),
        hint: member("hint").map(str::to_owned),
    }
}

fn path(text: &str) -> Result<RelPath, Misunderstood> {
    RelPath::new(text).map_err(|e| Misunderstood(e.to_string()))
}

fn uuid(text: &str) -> Result<Uuid, Misunderstood> {
    Uuid::try_parse(text).map_err(|e| Misunderstood(format!("the id {text:?}: {e}")))
}

/// Under what the engine knows a checkpoint. Hyper-V's ids are GUIDs, the format's are any text.
fn checkpoint_id(text: &str) -> Uuid {
    Uuid::try_parse(text).unwrap_or_else(|_| {
        let mut bytes = [0; 16];
        blake3::Hasher::new_derive_key("hyperkeep engine, id of a checkpoint")
            .update(text.as_bytes())
            .finalize_xof()
            .fill(&mut bytes);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    })
}

fn some(value: &Value) -> Option<Value> {
    Some(value.clone()).filter(|value| !value.is_null())
}
