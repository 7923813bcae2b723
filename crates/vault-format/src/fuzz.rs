//! What the fuzz targets and the replay of their corpora run: every decoder on foreign bytes.
//!
//! Encryption keeps a fuzzer out of everything behind it, so each target takes the bytes both as
//! a stored object and as the plain form of each part that is sealed inside one. None of them
//! may panic or allocate beyond what the format allows, whatever the bytes; what decodes must
//! encode to the same bytes again where the encoding is canonical.

use crate::id::{PointId, RetireId, VmKey};
use crate::index::{IndexOpener, PackRef, decode_block, decode_root};
use crate::keys::VaultKeys;
use crate::map::{DEFAULT_SEGMENT, Node};
use crate::name::ObjectName;
use crate::pack::{Directory, PackKind, PackOpener, Trailer};
use crate::payload::Decoder;
use crate::point::{PointOpener, parse_details, parse_outline};
use crate::recovery::RecoveryCode;
use crate::slot::{Slot, Unlock, unpack_keys};
use crate::{Description, ObjectHash, Writer};

/// The keys that the objects of the corpora were made with.
pub fn keys() -> VaultKeys {
    let mut n = 0u8;
    VaultKeys::generate(&mut |out: &mut [u8]| {
        n += 1;
        out.fill(n);
    })
}

/// Packs: header, trailer, directory, chunks, payloads.
pub fn pack(data: &[u8]) {
    let keys = keys();
    let mut decoder = Decoder::new();
    if let Ok(opener) = PackOpener::new(&keys, data)
        && let Ok(trailer) = Trailer::decode(data, data.len() as u64)
    {
        let start = trailer.directory_offset as usize;
        let sealed = &data[start..start + trailer.directory_len as usize];
        let _ = opener.verify(&trailer, sealed, &keys.authority_public());
        if let Ok(directory) = opener.directory(&trailer, sealed) {
            for entry in directory.entries() {
                let chunk = &data[entry.offset as usize..][..entry.stored_len as usize];
                let _ = opener.chunk(entry.offset, chunk, entry.plain_len, &mut decoder);
            }
        }
    }
    if let Ok(directory) = Directory::decode(data, 160, 160 + data.len() as u64) {
        assert!(directory.entries().len() <= data.len() / 40);
    }
    let _ = Directory::decode(data, 80, 80);
    if let Ok(plain) = decoder.decode("chunk", data, 1 << 16) {
        assert!(plain.len() <= 1 << 16);
    }
}

/// Nodes of disk maps.
pub fn node(data: &[u8]) {
    let Ok(node) = Node::decode(data, DEFAULT_SEGMENT) else {
        return;
    };
    assert_eq!(node.encode(), data, "one value has one encoding");
    match node {
        Node::Leaf(leaf) => {
            let covered: u64 = leaf
                .pieces(0, DEFAULT_SEGMENT)
                .iter()
                .map(|piece| u64::from(piece.len))
                .sum();
            assert_eq!(covered, u64::from(DEFAULT_SEGMENT));
        }
        Node::Delta(delta) => {
            let leaf = delta.apply(&Default::default());
            assert_eq!(delta.apply(&leaf), leaf, "what is applied stays");
        }
        Node::Root(root) => root.check().expect("checked on decode"),
        Node::Inner(_) => {}
    }
}

/// Index runs: the whole object, the root, a block.
pub fn index(data: &[u8]) {
    let packs = [PackRef {
        hash: ObjectHash([0; 32]),
        len: 1 << 25,
        kind: PackKind::Data,
    }];
    let _ = IndexOpener::read_all(&keys(), data);
    let _ = decode_root(data, 64);
    if let Ok(entries) = decode_block(data, &packs) {
        assert!(entries.is_sorted_by(|a, b| a.id < b.id));
    }
}

/// Restore points and records.
pub fn manifest(data: &[u8]) {
    let keys = keys();
    let (vm, point) = (keys.vm_key("vm"), PointId([1; 16]));
    if let Ok(opener) = PointOpener::new(&keys, vm, point, data)
        && let Ok(outline) = opener.outline(data)
    {
        let _ = opener.details(data, &outline);
        let _ = opener.verify(data, &keys.authority_public());
    }
    // Outline and details as JSON, one line each.
    let line = data
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(data.len());
    let (first, rest) = data.split_at(line);
    if let Ok(outline) = parse_outline(first) {
        let _ = parse_details(rest, &outline);
    }
    for name in [
        ObjectName::Token {
            vm: VmKey([1; 16]),
            point,
        },
        ObjectName::Retire(RetireId([2; 16])),
    ] {
        let _ = crate::record::open_record::<serde_json::Value>(&keys, &name, data, None);
    }
}

/// Key slots, certificates, `vault.json`, recovery codes, names.
pub fn slot(data: &[u8]) {
    let keys = keys();
    if let Ok(slot) = Slot::decode(data) {
        let code = RecoveryCode::random(&mut |out: &mut [u8]| out.fill(1));
        let _ = slot.open(Unlock::Recovery(&code));
    }
    let _ = Writer::decode(&keys, data);
    if let Ok(description) = Description::decode(data) {
        let _ = description.cutter.check(description.segment);
        let _ = Description::verify(&keys, data);
    }
    let _ = unpack_keys(data);
    if let Ok(text) = std::str::from_utf8(data) {
        if let Ok(code) = RecoveryCode::parse(text) {
            assert_eq!(
                RecoveryCode::parse(&code.to_text()).expect("a code reads back"),
                code
            );
        }
        if let Ok(name) = text.parse::<ObjectName>() {
            assert_eq!(name.to_string(), text);
        }
        let _ = text.parse::<crate::RecipientPublic>();
    }
}
