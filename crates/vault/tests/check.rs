//! What a check tells of vaults that no honest writer made, and of objects that nobody needs.

#![allow(clippy::single_range_in_vec_init)] // Lists of ranges, some of which have one.

mod common;

use std::sync::Arc;

use common::*;
use hyperkeep_vault::*;
use store::{MemoryStore, Store};
use vault_format::map::{Inner, Root};
use vault_format::pack::{PackBuilder, PackKind};
use vault_format::payload::Encoder;
use vault_format::point::seal_point;
use vault_format::{ChunkId, VaultKeys, WriterKey};

fn counter() -> impl FnMut(&mut [u8]) {
    let mut n = 0u8;
    move |out: &mut [u8]| {
        n += 1;
        out.fill(n);
    }
}

fn keys(store: &MemoryStore) -> VaultKeys {
    let opens = |name: &String| {
        let slot = Slot::decode(&store.get(name, 1 << 20).unwrap()).ok()?;
        slot.open(Unlock::Passphrase(b"open sesame")).ok()
    };
    let names = store.names();
    let mut slots = names.iter().filter(|name| name.starts_with("keys/"));
    slots.find_map(opens).unwrap()
}

/// Stores a pack of these chunks or nodes, and tells its name.
fn put_pack(
    store: &MemoryStore,
    keys: &VaultKeys,
    kind: PackKind,
    chunks: &[(ChunkId, Vec<u8>)],
) -> String {
    let mut pack = PackBuilder::new(keys, kind, &mut counter()).unwrap();
    for (id, plain) in chunks {
        pack.add(*id, Encoder::new(1).encode(plain)).unwrap();
    }
    let pack = pack.finish();
    let name = ObjectName::Pack(pack.hash).to_string();
    store.put(&name, &pack.bytes).unwrap();
    name
}

/// A vault with one point.
fn with_point() -> (Arc<MemoryStore>, NodeId, PointRef) {
    let store = Arc::new(MemoryStore::new());
    let vault = init(store.clone());
    let session = vault.session(small_packs()).unwrap();
    let root = write_full(&session, &noise(1, 2 * SEGMENT), 1).unwrap();
    let point = commit(&session, "vm", 1, &[root]).unwrap();
    vault.put_token(&point, &"token").unwrap();
    session.finish().unwrap();
    (store, root, point)
}

#[test]
fn a_pack_of_a_writer_that_the_vault_does_not_know_is_told() {
    let (store, _, _) = with_point();
    let stranger = WriterKey::generate(&mut |out: &mut [u8]| out.fill(99));
    let id = stranger.id();
    let keys = keys(&store).with_writer(Some(stranger));
    let plain = vec![7; 5000];
    let chunk = (keys.chunk_id(&plain), plain);
    let pack = put_pack(&store, &keys, PackKind::Data, &[chunk]);
    let report = check(&open(store, 2), true);
    let expected = Finding::UnknownWriter {
        object: pack,
        writer: id,
    };
    assert_eq!(report.findings, [expected]);
}

#[test]
fn a_point_that_tells_another_length_than_its_map_has_is_told() {
    let (store, root, _) = with_point();
    let vault = open(store.clone(), 2);
    let (mut outline, details) = manifest(&vault, "other", 5, &[root]);
    outline.layers[0].len += 512;
    let sealed = seal_point(&keys(&store), &outline, &details, &mut counter()).unwrap();
    store.put(&sealed.name.to_string(), &sealed.bytes).unwrap();
    let report = check(&vault, false);
    let expected = Finding::LengthDiffers {
        vm: vault.vm_key("other"),
        point: PointId([5; 16]),
        map: check::MapOf::Layer(0),
        told: 2 * SEGMENT as u64 + 512,
        found: 2 * SEGMENT as u64,
    };
    assert_eq!(report.findings, [expected]);
    let affected = [(vault.vm_key("other"), PointId([5; 16]))];
    assert_eq!(report.affected_points(), affected);
}

#[test]
fn a_node_that_is_reached_at_two_heights_is_told_at_the_wrong_one() {
    let (store, root, _) = with_point();
    let vault = open(store.clone(), 2);
    let keys = keys(&store);
    // The leaf of a small map, taken from its root: where it should stand is a node above leaves.
    let good = vault.disk(&root).unwrap();
    let mut nodes = Vec::new();
    let mut node = |bytes: Vec<u8>| {
        let id = keys.node_id(&bytes);
        nodes.push((ChunkId::from(id), bytes));
        id
    };
    let leaf = node(leaf_of_zeros());
    let above = node(Inner::new(1, vec![(0, leaf)]).unwrap().encode());
    let top = node(Inner::new(2, vec![(0, leaf), (1, above)]).unwrap().encode());
    let len = 300 * SEGMENT as u64;
    let wrong = Root {
        kind: MapKind::Disk,
        segment: good.segment_size(),
        len,
        logical_sector: 512,
        physical_sector: 4096,
        top: Some(top),
    };
    let wrong = node(wrong.encode());
    put_pack(&store, &keys, PackKind::Map, &nodes);
    let vault = open(store.clone(), 3);
    let (outline, details) = manifest(&vault, "other", 5, &[wrong]);
    let sealed = seal_point(&keys, &outline, &details, &mut counter()).unwrap();
    store.put(&sealed.name.to_string(), &sealed.bytes).unwrap();

    let disk = vault.disk(&wrong).unwrap();
    let mut byte = [0];
    disk.read_at(len - 1, &mut byte).unwrap();
    disk.read_at(0, &mut byte).unwrap_err();
    let report = check(&vault, false);
    let [Finding::ChunkLost { id, affected, .. }] = &report.findings[..] else {
        panic!("{:?}", report.findings);
    };
    assert_eq!(*id, leaf.into());
    assert_eq!(affected.len(), 1);
    assert_eq!(affected[0].ranges, [0..256 * SEGMENT as u64]);
}

/// A leaf whose segment is all zeros.
fn leaf_of_zeros() -> Vec<u8> {
    let mut leaf = vec![1, 1, 0, 0];
    leaf.extend_from_slice(&0u32.to_le_bytes());
    leaf.extend_from_slice(&1u32.to_le_bytes());
    for field in [0, SEGMENT as u32, u32::MAX, 0] {
        leaf.extend_from_slice(&field.to_le_bytes());
    }
    leaf
}

#[test]
fn packs_that_no_point_needs_are_told_and_are_no_error() {
    let (store, _, point) = with_point();
    let vault = open(store.clone(), 2);
    assert!(check(&vault, true).unreferenced_packs.is_empty());
    // A pack that no index run names: a writer died before it wrote one.
    let keys = keys(&store);
    let plain = vec![7; 5000];
    let chunk = (keys.chunk_id(&plain), plain);
    let left = put_pack(&store, &keys, PackKind::Data, &[chunk]);
    for read_data in [false, true] {
        let report = check(&open(store.clone(), 3), read_data);
        assert!(report.findings.is_empty(), "{:?}", report.findings);
        assert_eq!(report.unreferenced_packs, std::slice::from_ref(&left));
        let len = store.stat(&left).unwrap().len;
        assert_eq!(report.unreferenced_bytes, len);
    }
    // Packs of which every point was removed.
    vault.forget(&point).unwrap();
    let report = check(&vault, false);
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert_eq!(report.unreferenced_packs.len() as u64, report.packs);
}

#[test]
fn every_small_object_that_is_damaged_is_told_by_its_name() {
    let (good, _, _) = with_point();
    let session = open(good.clone(), 8).session(small_packs()).unwrap();
    drop(session);
    let mut tried = 0;
    for name in good.names() {
        let folder = name.split_inclusive('/').next().unwrap();
        if !["keys/", "tokens/", "sessions/", "index/"].contains(&folder) {
            continue;
        }
        for spoil in [
            |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 2),
            |bytes: &mut Vec<u8>| bytes.clear(),
        ] {
            let store = Arc::new(MemoryStore::clone(&good));
            let vault = open(store.clone(), 3);
            let mut bytes = store.get(&name, 1 << 20).unwrap();
            spoil(&mut bytes);
            store.overwrite(&name, bytes);
            let report = check(&vault, true);
            let texts = report.findings.iter().map(ToString::to_string);
            let mut texts = texts.chain(report.warnings.iter().map(ToString::to_string));
            assert!(texts.any(|text| text.contains(&name)), "{name}: {report:?}");
            let harmless = ["tokens/", "sessions/"].contains(&folder);
            assert_eq!(report.findings.is_empty(), harmless, "{name}: {report:?}");
            assert!(report.affected_points().is_empty());
            tried += 1;
        }
    }
    assert!(tried >= 12, "{tried}");
    // A slot of a later version is nobody's damage.
    let store = Arc::new(MemoryStore::clone(&good));
    let slot = format!("keys/{:016x}", 1);
    let later = br#"{"hyperkeep":"key-slot","version":2,"required":[]}"#;
    store.put(&slot, later).unwrap();
    let report = check(&open(store, 3), false);
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    let told = |w: &Warning| matches!(w, Warning::Unusable { object, .. } if *object == slot);
    assert!(report.warnings.iter().any(told), "{:?}", report.warnings);
}
