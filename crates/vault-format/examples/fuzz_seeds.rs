//! Writes the inputs that the fuzzing of this crate starts from: well-formed objects, and the
//! plain forms that encryption would keep a fuzzer from.
//!
//! ```text
//! cargo run -p hyperkeep-vault-format --example fuzz_seeds -- fuzz/corpus
//! ```

use std::path::PathBuf;

use hyperkeep_vault_format::index::{IndexEntry, PackRef, build_index};
use hyperkeep_vault_format::map::{
    DEFAULT_SEGMENT, Entry, Inner, Leaf, LeafDelta, MapKind, Node, Root, Target,
};
use hyperkeep_vault_format::pack::{PackBuilder, PackKind, SealedPack};
use hyperkeep_vault_format::payload::Encoder;
use hyperkeep_vault_format::point::{
    Checkpoint, Consistency, Details, DiskDetails, FileDetails, FileRef, LayerDetails, LayerRef,
    Level, Outline, VmIdentity, seal_point,
};
use hyperkeep_vault_format::record::{Retire, seal_record};
use hyperkeep_vault_format::{
    Argon2Cost, ChunkId, Description, Lock, NodeId, ObjectHash, ObjectName, PointId,
    RecipientSecret, RecoveryCode, RetireId, VaultKeys, Writer, fuzz, seal_slot,
};
use serde_json::{Map, json};

type Seeds = Vec<(&'static str, &'static str, Vec<u8>)>;

fn main() -> std::io::Result<()> {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: fuzz_seeds DIR");
        std::process::exit(2);
    };
    let keys = fuzz::keys();
    let mut seeds = Seeds::new();
    packs(&keys, &mut seeds);
    nodes(&mut seeds);
    indexes(&keys, &mut seeds);
    manifests(&keys, &mut seeds);
    slots(&keys, &mut seeds);
    for (target, name, bytes) in seeds {
        let folder = folder.join(target);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}

fn rng() -> impl FnMut(&mut [u8]) {
    let mut n = 0u8;
    move |out: &mut [u8]| {
        n = n.wrapping_add(1);
        out.fill(n);
    }
}

fn pack(keys: &VaultKeys, kind: PackKind) -> SealedPack {
    let mut pack = PackBuilder::new(keys, kind, &mut rng()).expect("a writer key");
    let mut encoder = Encoder::new(3);
    for plain in [&[7; 300][..], b"short"] {
        pack.add(keys.chunk_id(plain), encoder.encode(plain))
            .expect("room");
    }
    pack.finish()
}

fn packs(keys: &VaultKeys, seeds: &mut Seeds) {
    seeds.push(("vault_pack", "data-pack", pack(keys, PackKind::Data).bytes));
    seeds.push(("vault_pack", "map-pack", pack(keys, PackKind::Map).bytes));
    let mut directory = 1u32.to_le_bytes().to_vec();
    directory.extend_from_slice(&[3; 32]);
    directory.extend_from_slice(&44u32.to_le_bytes());
    directory.extend_from_slice(&50u32.to_le_bytes());
    seeds.push(("vault_pack", "plain-directory", directory));
    // Magic and frame header of an 8 KiB frame with one run-length block.
    let frame = [
        1, 0x28, 0xb5, 0x2f, 0xfd, 0x60, 0x00, 0x1f, 0x03, 0x00, 0x01, 0x61,
    ];
    seeds.push(("vault_pack", "plain-frame", frame.to_vec()));
}

fn nodes(seeds: &mut Seeds) {
    let chunk = |n: u8, within| Target::Chunk {
        id: ChunkId([n; 32]),
        within,
    };
    let entry = |offset, len, target| Entry {
        offset,
        len,
        target,
    };
    let leaf = |entries| Leaf::new(entries, DEFAULT_SEGMENT).expect("well-formed");
    let old = leaf(vec![
        entry(0, 65536, chunk(1, 0)),
        entry(131072, 4096, Target::Zero),
    ]);
    let new = leaf(vec![
        entry(0, 4096, chunk(1, 0)),
        entry(4096, 512, chunk(2, 1024)),
    ]);
    let delta = LeafDelta::between(NodeId([9; 32]), &old, &new, DEFAULT_SEGMENT);
    let inner = Inner::new(1, vec![(0, NodeId([1; 32])), (255, NodeId([2; 32]))]);
    let root = Root {
        kind: MapKind::Disk,
        segment: DEFAULT_SEGMENT,
        len: 1 << 40,
        logical_sector: 512,
        physical_sector: 4096,
        top: Some(NodeId([5; 32])),
    };
    let nodes: [(&str, Node); 4] = [
        ("leaf", old.into()),
        ("delta", delta.into()),
        ("inner", inner.expect("well-formed").into()),
        ("root", root.into()),
    ];
    for (name, node) in nodes {
        seeds.push(("vault_node", name, node.encode()));
    }
}

fn indexes(keys: &VaultKeys, seeds: &mut Seeds) {
    let packs = [PackRef {
        hash: ObjectHash([0; 32]),
        len: 1 << 25,
        kind: PackKind::Data,
    }];
    let entries: Vec<IndexEntry> = (1..4)
        .map(|n| IndexEntry {
            id: ChunkId([n; 32]),
            pack: 0,
            offset: 160,
            stored_len: 100,
            plain_len: 4096,
        })
        .collect();
    let run = build_index(keys, &packs, &entries, &mut rng()).expect("well-formed");
    seeds.push(("vault_index", "run", run.bytes));
    let mut block = vec![8; 32];
    [0u32, 160, 100, 4096]
        .iter()
        .for_each(|field| block.extend_from_slice(&field.to_le_bytes()));
    seeds.push(("vault_index", "plain-block", block));
    let mut root = [1u32.to_le_bytes(), 0u32.to_le_bytes()].concat();
    root.extend_from_slice(&[8; 32]);
    root.extend_from_slice(&(1u32 << 25).to_le_bytes());
    root.extend_from_slice(&[1, 0, 0, 0]);
    seeds.push(("vault_index", "plain-root", root));
}

fn manifests(keys: &VaultKeys, seeds: &mut Seeds) {
    let outline = Outline {
        required: vec![],
        point: PointId([1; 16]),
        vm: keys.vm_key("vm"),
        taken: 1,
        written: 2,
        level: Level::Full,
        mode: "folder".into(),
        consistency: Consistency::Crash,
        parent: None,
        partial: false,
        layers: vec![LayerRef {
            id: 0,
            identity: json!(null),
            root: NodeId([1; 32]),
            len: 1 << 30,
            other: Map::new(),
        }],
        files: vec![FileRef {
            id: 0,
            root: NodeId([2; 32]),
            len: 9,
            other: Map::new(),
        }],
        statistics: [("bytes_read".to_owned(), 7)].into(),
        other: Map::new(),
    };
    let disk = DiskDetails {
        name: "d".into(),
        head: 0,
        attachment: json!({}),
        other: Map::new(),
    };
    let details = Details {
        required: vec![],
        vm: VmIdentity {
            id: "vm".into(),
            name: "n".into(),
            host: None,
            other: Map::new(),
        },
        configuration: json!({"a": [1]}),
        disks: vec![disk.clone()],
        layers: vec![LayerDetails {
            id: 0,
            parent: None,
            path: "d.vhdx".into(),
            info: json!({}),
            other: Map::new(),
        }],
        files: vec![FileDetails {
            id: 0,
            path: "f".into(),
            role: "configuration".into(),
            other: Map::new(),
        }],
        checkpoints: vec![Checkpoint {
            id: "c".into(),
            name: "c".into(),
            parent: None,
            created: None,
            disks: vec![disk],
            files: vec![0],
            configuration: json!(null),
            other: Map::new(),
        }],
        current: Some("c".into()),
        consistency_reason: String::new(),
        findings: vec![],
        not_covered: vec![],
        other: Map::new(),
    };
    let point = seal_point(keys, &outline, &details, &mut rng()).expect("well-formed");
    seeds.push(("vault_manifest", "point", point.bytes));
    let json = [serde_json::to_vec(&outline), serde_json::to_vec(&details)]
        .map(|json| json.expect("plain data"));
    seeds.push(("vault_manifest", "plain-sections", json.join(&b'\n')));
    let name = ObjectName::Retire(RetireId([2; 16]));
    let body = Retire {
        packs: vec![ObjectHash([3; 32])],
        other: Map::new(),
    };
    let record = seal_record(keys, &name, &body, &mut rng()).expect("well-formed");
    seeds.push(("vault_manifest", "record", record));
}

fn slots(keys: &VaultKeys, seeds: &mut Seeds) {
    let code = RecoveryCode::random(&mut |out: &mut [u8]| out.fill(1));
    let recipient = RecipientSecret::generate(&mut rng()).public();
    let locks = [
        ("recovery", Lock::Recovery(&code)),
        (
            "passphrase",
            Lock::Passphrase(b"passphrase", Argon2Cost::default()),
        ),
        ("recipient", Lock::Recipient(&recipient)),
    ];
    for (name, lock) in locks {
        let (_, bytes) = seal_slot(keys, lock, Some("label"), 1, &mut rng()).expect("well-formed");
        seeds.push(("vault_slot", name, bytes));
    }
    let description = Description::new(keys, 1).encode(keys).expect("well-formed");
    seeds.push(("vault_slot", "description", description));
    let public = keys.writer().expect("a writer key").public();
    let writer = Writer {
        public,
        label: "label".into(),
        created: 1,
    };
    seeds.push((
        "vault_slot",
        "writer",
        writer.certify(keys, &mut rng()).expect("full access"),
    ));
    seeds.push(("vault_slot", "code", code.to_text().as_bytes().to_vec()));
    seeds.push((
        "vault_slot",
        "name",
        ObjectName::Retire(RetireId([1; 16]))
            .to_string()
            .into_bytes(),
    ));
    seeds.push((
        "vault_slot",
        "plain-keys",
        [&[1, 3][..], &[5; 192]].concat(),
    ));
}
