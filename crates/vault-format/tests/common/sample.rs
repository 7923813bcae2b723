//! A small vault with one of everything, made with nothing but this crate's public functions.
//!
//! A VM with a disk of two layers (a base and a difference on top) and a configuration file,
//! backed up twice: the second time one leaf is stored as a delta. The entropy is a counter, so
//! the vault comes out the same every time.

use std::collections::{BTreeMap, HashSet};

use hyperkeep_vault_format::index::{IndexEntry, PackRef, build_index};
use hyperkeep_vault_format::map::{
    Entry, Inner, Leaf, LeafDelta, MapKind, Node, Root, Target, height_for,
};
use hyperkeep_vault_format::pack::{PackBuilder, PackKind, SealedPack};
use hyperkeep_vault_format::payload::{Encoder, Payload};
use hyperkeep_vault_format::point::{
    Checkpoint, Consistency, Details, DiskDetails, FileDetails, FileRef, LayerDetails, LayerRef,
    Level, Outline, VmIdentity, seal_point,
};
use hyperkeep_vault_format::record::{Retire, Session, seal_record};
use hyperkeep_vault_format::{
    Argon2Cost, ChunkId, Description, Entropy, Lock, NodeId, ObjectName, PointId, RecipientSecret,
    RecoveryCode, RetireId, SessionId, VaultKeys, Writer, WriterKey, seal_slot,
};
use serde_json::{Map, json};

/// The segment size of the vault: the smallest there is, so that a small disk has a deep map.
pub(crate) const SEGMENT: u32 = 64 << 10;
/// The disk's size: 320 segments and a part, so that its map has two levels of inner nodes.
pub(crate) const DISK_LEN: u64 = 320 * SEGMENT as u64 + 4096;
/// The passphrase of one of its slots.
pub(crate) const PASSPHRASE: &str = "correct horse battery stäple";
/// The VM's id.
pub(crate) const VM: &str = "0F9A6B3E-7B1C-4E55-8D0A-000000000001";

/// Randomness that is none.
pub(crate) fn counter(seed: u64) -> impl FnMut(&mut [u8]) {
    let mut hash = blake3::Hasher::new_keyed(&[seed as u8; 32])
        .update(b"entropy")
        .finalize_xof();
    move |out: &mut [u8]| hash.fill(out)
}

/// The vault, and what a reader must find in it.
pub(crate) struct Sample {
    /// Every object by its name in the store.
    pub(crate) objects: BTreeMap<String, Vec<u8>>,
    /// What opens it.
    pub(crate) recovery: RecoveryCode,
    /// What opens a slot with full access.
    pub(crate) reader: RecipientSecret,
    /// What opens a slot that can only write.
    pub(crate) host: RecipientSecret,
    /// For each point: the base layer, the whole disk, the file.
    pub(crate) points: Vec<(PointId, [Vec<u8>; 3])>,
}

/// Chunks and nodes on their way into packs.
struct Store<'a> {
    keys: &'a VaultKeys,
    packs: [PackBuilder; 2],
    encoder: Encoder,
    known: HashSet<ChunkId>,
}

impl Store<'_> {
    fn chunk(&mut self, plain: &[u8]) -> ChunkId {
        let id = self.keys.chunk_id(plain);
        let payload = self.encoder.encode(plain);
        self.packs[0].add(id, payload).unwrap();
        id
    }

    fn node(&mut self, node: impl Into<Node>) -> NodeId {
        let bytes = node.into().encode();
        let id = self.keys.node_id(&bytes);
        if !self.known.insert(id.into()) {
            return id;
        }
        let payload = if bytes.len() < 64 {
            Payload::raw(&bytes)
        } else {
            self.encoder.encode(&bytes)
        };
        self.packs[1].add(id.into(), payload).unwrap();
        id
    }

    /// Builds the inner nodes and the root above `leaves` (by segment).
    fn tree(&mut self, root: Root, leaves: &BTreeMap<u64, NodeId>) -> NodeId {
        let mut level: BTreeMap<u64, NodeId> = leaves.clone();
        for height in 1..=height_for(root.len, root.segment) {
            let mut above: BTreeMap<u64, Vec<(u8, NodeId)>> = BTreeMap::new();
            for (index, id) in level {
                above.entry(index >> 8).or_default().push((index as u8, id));
            }
            level = above
                .into_iter()
                .map(|(index, children)| (index, self.node(Inner::new(height, children).unwrap())))
                .collect();
        }
        self.node(Root {
            top: level.get(&0).copied(),
            ..root
        })
    }
}

fn entry(offset: u32, len: u32, target: Target) -> Entry {
    Entry {
        offset,
        len,
        target,
    }
}

fn part(id: ChunkId, within: u32) -> Target {
    Target::Chunk { id, within }
}

fn disk(kind: MapKind) -> Root {
    Root {
        kind,
        segment: SEGMENT,
        len: DISK_LEN,
        logical_sector: 512,
        physical_sector: 4096,
        top: None,
    }
}

/// Makes the vault.
pub(crate) fn make() -> Sample {
    let rng = &mut counter(1);
    let keys = VaultKeys::generate(rng);
    let mut objects = BTreeMap::new();
    let recovery = RecoveryCode::random(rng);
    let (reader, host) = (
        RecipientSecret::generate(rng),
        RecipientSecret::generate(rng),
    );
    describe(&keys, &mut objects);
    hold(&keys, &recovery, [&reader, &host], &mut objects, rng);

    let mut store = Store {
        keys: &keys,
        packs: [PackKind::Data, PackKind::Map]
            .map(|kind| PackBuilder::new(&keys, kind, rng).unwrap()),
        encoder: Encoder::new(3),
        known: HashSet::new(),
    };
    // Data that compresses and data that does not.
    let text: Vec<u8> = (0..40_000u32)
        .flat_map(|i| (i / 16).to_le_bytes())
        .take(64 << 10)
        .collect();
    let mut noise = vec![0; 20 << 10];
    counter(7).fill(&mut noise);
    let patch = vec![0xa5; 8 << 10];
    let (text_id, noise_id, patch_id) =
        (store.chunk(&text), store.chunk(&noise), store.chunk(&patch));

    // The base: a whole segment, a part of a chunk after a hole, and the end of the disk.
    let mut base = vec![0; DISK_LEN as usize];
    let segment = |index: usize| index * SEGMENT as usize;
    base[..text.len()].copy_from_slice(&text);
    base[segment(5) + 4096..][..8192].copy_from_slice(&noise[1024..][..8192]);
    base[segment(5) + 40960..][..4096].copy_from_slice(&noise[..4096]);
    base[segment(320)..][..4096].copy_from_slice(&text[..4096]);
    let leaf = |entries: Vec<Entry>| Leaf::new(entries, SEGMENT).unwrap();
    let middle = leaf(vec![
        entry(4096, 8192, part(noise_id, 1024)),
        entry(40960, 4096, part(noise_id, 0)),
    ]);
    let mut leaves = BTreeMap::new();
    leaves.insert(
        0,
        store.node(leaf(vec![entry(0, SEGMENT, part(text_id, 0))])),
    );
    let middle_id = store.node(middle.clone());
    leaves.insert(5, middle_id);
    leaves.insert(
        320,
        store.node(leaf(vec![entry(0, 4096, part(text_id, 0))])),
    );
    let base_root = store.tree(disk(MapKind::Disk), &leaves);

    // The difference: new data in one place, explicit zeros over the base's data in another.
    let mut whole = base.clone();
    whole[8192..16384].copy_from_slice(&patch);
    whole[segment(5) + 4096..][..4096].fill(0);
    let mut changed = BTreeMap::new();
    changed.insert(
        0,
        store.node(leaf(vec![entry(8192, 8192, part(patch_id, 0))])),
    );
    changed.insert(5, store.node(leaf(vec![entry(4096, 4096, Target::Zero)])));
    let difference_root = store.tree(disk(MapKind::Difference), &changed);

    // The second day, the base has changed in one segment, which is stored as a delta.
    let mut base_2 = base.clone();
    base_2[segment(5) + 6144..][..4096].copy_from_slice(&patch[..4096]);
    base_2[segment(5) + 40960..][..4096].fill(0);
    let middle_2 = leaf(vec![
        entry(4096, 2048, part(noise_id, 1024)),
        entry(6144, 4096, part(patch_id, 0)),
        entry(10240, 2048, part(noise_id, 7168)),
    ]);
    let delta = LeafDelta::between(middle_id, &middle, &middle_2, SEGMENT);
    assert_eq!(delta.apply(&middle), middle_2);
    leaves.insert(5, store.node(delta));
    let base_root_2 = store.tree(disk(MapKind::Disk), &leaves);
    let mut whole_2 = base_2.clone();
    whole_2[8192..16384].copy_from_slice(&patch);
    whole_2[segment(5) + 4096..][..4096].fill(0);

    let file = b"a configuration file of a VM, as its host has it".to_vec();
    let file_id = store.chunk(&file);
    let len = file.len() as u32;
    let file_leaf = store.node(leaf(vec![entry(0, len, part(file_id, 0))]));
    let root = Root {
        kind: MapKind::File,
        segment: SEGMENT,
        len: len.into(),
        logical_sector: 0,
        physical_sector: 0,
        top: None,
    };
    let file_root = store.tree(root, &BTreeMap::from([(0, file_leaf)]));

    let packs = store.packs.map(PackBuilder::finish);
    list(&keys, &packs, &mut objects, rng);
    for pack in packs {
        objects.insert(ObjectName::Pack(pack.hash).to_string(), pack.bytes);
    }
    let mut points = Vec::new();
    for (n, base_root, disks) in [
        (1, base_root, [base, whole, file.clone()]),
        (2, base_root_2, [base_2, whole_2, file]),
    ] {
        let outline = outline(&keys, n, base_root, difference_root, file_root, &disks[2]);
        let sealed = seal_point(&keys, &outline, &details(), rng).unwrap();
        objects.insert(sealed.name.to_string(), sealed.bytes);
        points.push((outline.point, disks));
    }
    note(&keys, points[1].0, &mut objects, rng);
    Sample {
        objects,
        recovery,
        reader,
        host,
        points,
    }
}

fn describe(keys: &VaultKeys, objects: &mut BTreeMap<String, Vec<u8>>) {
    let mut description = Description::new(keys, 1_790_000_000_000);
    description.segment = SEGMENT;
    description.cutter.max = SEGMENT;
    let bytes = description.encode(keys).unwrap();
    objects.insert(ObjectName::Description.to_string(), bytes);
}

fn hold(
    keys: &VaultKeys,
    recovery: &RecoveryCode,
    [reader, host]: [&RecipientSecret; 2],
    objects: &mut BTreeMap<String, Vec<u8>>,
    rng: &mut dyn Entropy,
) {
    let cost = Argon2Cost {
        memory_kib: 1024,
        passes: 3,
        lanes: 4,
    };
    let write_only = keys.without_private(Some(WriterKey::generate(rng)));
    for (keys, lock, label) in [
        (keys, Lock::Passphrase(PASSPHRASE.as_bytes(), cost), None),
        (
            &keys.with_writer(None),
            Lock::Recovery(recovery),
            Some("recovery sheet"),
        ),
        (keys, Lock::Recipient(&reader.public()), Some("reader")),
        (&write_only, Lock::Recipient(&host.public()), Some("host")),
    ] {
        let (slot, bytes) = seal_slot(keys, lock, label, 1_790_000_000_000, rng).unwrap();
        objects.insert(ObjectName::Slot(slot).to_string(), bytes);
    }
    for (keys_of, label) in [(keys, "first writer"), (&write_only, "host 7")] {
        let public = keys_of.writer().unwrap().public();
        let writer = Writer {
            public,
            label: label.into(),
            created: 1_790_000_000_000,
        };
        let bytes = writer.certify(keys, rng).unwrap();
        objects.insert(ObjectName::Writer(writer.id()).to_string(), bytes);
    }
}

fn list(
    keys: &VaultKeys,
    packs: &[SealedPack],
    objects: &mut BTreeMap<String, Vec<u8>>,
    rng: &mut dyn Entropy,
) {
    let table: Vec<PackRef> = packs
        .iter()
        .map(|pack| PackRef {
            hash: pack.hash,
            len: pack.bytes.len() as u32,
            kind: pack.kind,
        })
        .collect();
    let mut entries: Vec<IndexEntry> = (0..)
        .zip(packs)
        .flat_map(|(number, pack)| {
            pack.entries.iter().map(move |entry| IndexEntry {
                id: entry.id,
                pack: number,
                offset: entry.offset,
                stored_len: entry.stored_len,
                plain_len: entry.plain_len,
            })
        })
        .collect();
    entries.sort_unstable_by_key(|entry| entry.id);
    let run = build_index(keys, &table, &entries, rng).unwrap();
    objects.insert(ObjectName::Index(run.hash).to_string(), run.bytes);
}

fn outline(
    keys: &VaultKeys,
    n: u8,
    base: NodeId,
    difference: NodeId,
    file_root: NodeId,
    file: &[u8],
) -> Outline {
    let layer = |id, root| LayerRef {
        id,
        identity: json!({"generation": n}),
        root,
        len: DISK_LEN,
        other: Map::new(),
    };
    Outline {
        required: Vec::new(),
        point: PointId([n; 16]),
        vm: keys.vm_key(VM),
        taken: 1_790_000_000_000 + u64::from(n),
        written: 1_790_000_001_000 + u64::from(n),
        level: if n == 1 {
            Level::Full
        } else {
            Level::Incremental
        },
        mode: "folder".into(),
        consistency: Consistency::Offline,
        parent: (n > 1).then_some(PointId([n - 1; 16])),
        partial: false,
        layers: vec![layer(0, base), layer(1, difference)],
        files: vec![FileRef {
            id: 0,
            root: file_root,
            len: file.len() as u64,
            other: Map::new(),
        }],
        statistics: BTreeMap::from([("bytes_read".into(), DISK_LEN)]),
        other: Map::new(),
    }
}

fn details() -> Details {
    let disk = |head| DiskDetails {
        name: "system".into(),
        head,
        attachment: json!({"controller": 0, "lun": 0}),
        other: Map::new(),
    };
    let layer = |id: u32, parent, path: &str| LayerDetails {
        id,
        parent,
        path: path.into(),
        info: json!({"format": "vhdx"}),
        other: Map::new(),
    };
    Details {
        required: Vec::new(),
        vm: VmIdentity {
            id: VM.into(),
            name: "wärter 07".into(),
            host: Some("HV1".into()),
            other: Map::new(),
        },
        configuration: json!({"cpus": 2, "memory_mib": 4096}),
        disks: vec![disk(1)],
        layers: vec![
            layer(0, None, "Virtual Hard Disks/system.vhdx"),
            layer(1, Some(0), "Virtual Hard Disks/system_1.avhdx"),
        ],
        files: vec![FileDetails {
            id: 0,
            path: "Virtual Machines/x.vmcx".into(),
            role: "configuration".into(),
            other: Map::new(),
        }],
        checkpoints: vec![Checkpoint {
            id: "c1".into(),
            name: "before the update".into(),
            parent: None,
            created: Some(1_780_000_000_000),
            disks: vec![disk(0)],
            files: vec![0],
            configuration: json!(null),
            other: Map::new(),
        }],
        current: Some("c1".into()),
        consistency_reason: "the VM was off".into(),
        findings: Vec::new(),
        not_covered: Vec::new(),
        other: Map::new(),
    }
}

fn note(
    keys: &VaultKeys,
    point: PointId,
    objects: &mut BTreeMap<String, Vec<u8>>,
    rng: &mut dyn Entropy,
) {
    let token = ObjectName::Token {
        vm: keys.vm_key(VM),
        point,
    };
    let session = ObjectName::Session {
        session: SessionId([3; 16]),
        number: 1,
    };
    let retire = ObjectName::Retire(RetireId([4; 16]));
    let session_body = Session {
        ended: true,
        ..Session::default()
    };
    let records = [
        (token, seal_record(keys, &token, &json!({"rct": "id"}), rng)),
        (session, seal_record(keys, &session, &session_body, rng)),
        (retire, seal_record(keys, &retire, &Retire::default(), rng)),
    ];
    for (name, bytes) in records {
        objects.insert(name.to_string(), bytes.unwrap());
    }
}
