use proptest::prelude::*;

use super::*;
use crate::keys::{VaultKeys, WriterKey};
use crate::payload::{Decoder, Encoder, Payload};
use crate::testing::{counter, keys};
use crate::{ChunkId, Error, ObjectHash};

fn build(keys: &VaultKeys, kind: PackKind, chunks: &[Vec<u8>]) -> SealedPack {
    let mut encoder = Encoder::new(1);
    let mut pack = PackBuilder::new(keys, kind, &mut counter(9)).unwrap();
    for chunk in chunks {
        pack.add(keys.chunk_id(chunk), encoder.encode(chunk))
            .unwrap();
    }
    let expected = pack.len();
    let pack = pack.finish();
    assert_eq!(pack.bytes.len() as u64, expected);
    pack
}

/// Everything a reader does with a whole pack at hand.
fn read(keys: &VaultKeys, bytes: &[u8]) -> crate::Result<Vec<(ChunkId, Vec<u8>)>> {
    let opener = PackOpener::new(keys, bytes)?;
    let trailer = Trailer::decode(bytes, bytes.len() as u64)?;
    let at = trailer.directory_offset as usize;
    let sealed = &bytes[at..at + trailer.directory_len as usize];
    opener.verify(&trailer, sealed, &keys.writer().unwrap().public())?;
    let mut decoder = Decoder::new();
    opener
        .directory(&trailer, sealed)?
        .entries()
        .iter()
        .map(|e| {
            let sealed = &bytes[e.offset as usize..][..e.stored_len as usize];
            Ok((
                e.id,
                opener.chunk(e.offset, sealed, e.plain_len, &mut decoder)?,
            ))
        })
        .collect()
}

fn small() -> Vec<Vec<u8>> {
    vec![b"first".to_vec(), vec![0; 500], b"third".to_vec()]
}

proptest! {
    #![proptest_config(testkit::vary::config(64))]
    #[test]
    fn chunks_come_back(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2000), 0..20),
        data in any::<bool>(),
    ) {
        let keys = keys();
        let kind = if data { PackKind::Data } else { PackKind::Map };
        let pack = build(&keys, kind, &chunks);
        prop_assert_eq!(pack.hash, ObjectHash::of(&pack.bytes));
        let back = read(&keys, &pack.bytes).unwrap();
        prop_assert_eq!(back.len(), chunks.len());
        for ((id, plain), chunk) in back.iter().zip(&chunks) {
            prop_assert_eq!(plain, chunk);
            prop_assert_eq!(*id, keys.chunk_id(chunk));
        }
    }

    #[test]
    fn any_bytes_are_a_directory_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0u64..1000) {
        let _ = Directory::decode(&bytes, 80, at);
        let _ = Trailer::decode(&bytes, at);
    }
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    let keys = keys();
    for kind in [PackKind::Data, PackKind::Map] {
        let pack = build(&keys, kind, &small()).bytes;
        for i in 0..pack.len() {
            let mut bad = pack.clone();
            bad[i] ^= 1 << (i % 8);
            assert!(read(&keys, &bad).is_err(), "{kind:?}: byte {i}");
            assert!(read(&keys, &pack[..i]).is_err(), "{kind:?}: cut at {i}");
        }
    }
}

#[test]
fn a_truncated_pack_is_called_so_without_a_key() {
    let pack = build(&keys(), PackKind::Data, &small()).bytes;
    for len in 0..pack.len() {
        let cut = &pack[..len];
        assert!(
            matches!(
                Trailer::decode(cut, len as u64),
                Err(Error::Truncated { .. })
            ),
            "{len}"
        );
    }
}

#[test]
fn a_write_only_host_reads_directories_and_maps_but_no_data() {
    let keys = keys();
    let host = keys.without_private(keys.writer().cloned());
    assert_eq!(
        read(&host, &build(&host, PackKind::Map, &small()).bytes)
            .unwrap()
            .len(),
        3
    );

    let pack = build(&host, PackKind::Data, &small());
    let opener = PackOpener::new(&host, &pack.bytes).unwrap();
    let trailer = Trailer::decode(&pack.bytes, pack.bytes.len() as u64).unwrap();
    let at = trailer.directory_offset as usize;
    let sealed = &pack.bytes[at..][..trailer.directory_len as usize];
    assert_eq!(
        opener.directory(&trailer, sealed).unwrap().entries(),
        pack.entries
    );
    assert!(matches!(read(&host, &pack.bytes), Err(Error::NoKey { .. })));
    assert_eq!(read(&keys, &pack.bytes).unwrap().len(), 3);
}

#[test]
fn a_chunk_opens_only_at_its_own_place_and_length() {
    let keys = keys();
    let chunks = [vec![1; 50], vec![2; 50]];
    let pack = build(&keys, PackKind::Data, &chunks);
    let opener = PackOpener::new(&keys, &pack.bytes).unwrap();
    let [a, b] = pack.entries[..] else {
        panic!("two chunks")
    };
    let bytes = |e: DirectoryEntry| &pack.bytes[e.offset as usize..][..e.stored_len as usize];
    let decoder = &mut Decoder::new();
    assert!(opener.chunk(a.offset, bytes(a), 50, decoder).is_ok());
    assert!(opener.chunk(a.offset, bytes(b), 50, decoder).is_err());
    assert!(opener.chunk(b.offset, bytes(a), 50, decoder).is_err());
    assert!(opener.chunk(a.offset, bytes(a), 49, decoder).is_err());
    assert!(opener.chunk(a.offset, bytes(a), 51, decoder).is_err());
    assert!(opener.chunk(a.offset, bytes(a), u32::MAX, decoder).is_err());
}

#[test]
fn packs_of_other_vaults_kinds_and_versions_are_refused_by_name() {
    let keys = keys();
    let other = VaultKeys::generate(&mut counter(77));
    let pack = build(&keys, PackKind::Data, &small()).bytes;
    let message = |bytes: &[u8]| PackOpener::new(&keys, bytes).unwrap_err().to_string();
    assert!(
        PackOpener::new(&other, &pack)
            .unwrap_err()
            .to_string()
            .contains("belongs to vault")
    );
    let with = |at: usize, value: u8| {
        let mut bad = pack.clone();
        bad[at] = value;
        message(&bad)
    };
    assert!(with(0, b'x').contains("not a pack"), "{}", with(0, b'x'));
    assert!(with(8, 9).contains("this pack has format version 9"));
    assert!(with(12, 0b100).contains("feature bit 2"));
    assert!(with(4, b'Q').contains("\"QACK\" object of format version 1"));
    assert!(with(10, 3).contains("unknown pack kind 3"));
    let mut index = pack.clone();
    index[4..8].copy_from_slice(b"INDX");
    assert_eq!(message(&index), "not a pack but a index run");
}

#[test]
fn signatures_belong_to_the_named_writer() {
    let keys = keys();
    let pack = build(&keys, PackKind::Map, &small()).bytes;
    let opener = PackOpener::new(&keys, &pack).unwrap();
    let trailer = Trailer::decode(&pack, pack.len() as u64).unwrap();
    let at = trailer.directory_offset as usize;
    let sealed = &pack[at..][..trailer.directory_len as usize];
    opener
        .verify(&trailer, sealed, &keys.writer().unwrap().public())
        .unwrap();
    let stranger = WriterKey::generate(&mut counter(5)).public();
    assert!(matches!(
        opener.verify(&trailer, sealed, &stranger),
        Err(Error::BadSignature { .. })
    ));
}

#[test]
fn what_the_format_cannot_hold_is_refused_when_writing() {
    let keys = keys();
    assert!(matches!(
        PackBuilder::new(&keys.with_writer(None), PackKind::Data, &mut counter(1)),
        Err(Error::NoKey { .. })
    ));
    let mut pack = PackBuilder::new(&keys, PackKind::Data, &mut counter(1)).unwrap();
    let large = vec![0; MAX_CHUNK_LEN + 1];
    assert!(pack.add(keys.chunk_id(b""), Payload::raw(&large)).is_err());
    pack.add(keys.chunk_id(b""), Payload::raw(&large[1..]))
        .unwrap();
}
