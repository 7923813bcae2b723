use vault_format::pack::PackKind;

use super::layout::{HEADER, RECORD};
use super::*;

fn record(n: u64) -> IndexEntry {
    IndexEntry {
        id: ChunkId(*blake3::hash(&n.to_le_bytes()).as_bytes()),
        pack: 0,
        offset: n as u32,
        stored_len: 5,
        plain_len: 6,
    }
}

fn build(path: Option<&Path>, count: u64) -> Table {
    let mut records: Vec<_> = (0..count).map(record).collect();
    records.sort_by_key(|r| r.id);
    let pack = PackRef {
        hash: ObjectHash([7; 32]),
        len: 99,
        kind: PackKind::Map,
    };
    let create = |path: &Path| {
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(true);
        options.open(path).unwrap()
    };
    let mut builder = Builder::new(
        path.map(create),
        count,
        vec![ObjectHash([1; 32])],
        vec![pack],
    )
    .unwrap();
    for r in &records {
        builder.push(r).unwrap();
        builder.push(r).unwrap();
    }
    builder.finish().unwrap()
}

#[test]
fn every_record_is_found_in_memory_and_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    for count in [0, 1, 127, 128, 129, 5000] {
        let path = dir.path().join(count.to_string());
        let tables = [
            build(None, count),
            build(Some(&path), count),
            Table::open(&path).unwrap(),
        ];
        for table in tables {
            assert_eq!(table.count(), count);
            assert_eq!(table.packs()[0].len, 99);
            assert_eq!(table.covered(), [ObjectHash([1; 32])]);
            for n in 0..count {
                assert_eq!(table.get(&record(n).id).unwrap(), Some(record(n)), "{n}");
            }
            for n in count..count + 500 {
                assert_eq!(table.get(&record(n).id).unwrap(), None);
            }
            let all: Vec<_> = table.iter().map(Result::unwrap).collect();
            assert_eq!(all.len() as u64, count);
            assert!(all.is_sorted_by(|a, b| a.id < b.id));
        }
    }
}

#[test]
fn a_damaged_cache_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("table");
    build(Some(&path), 300);
    let good = std::fs::read(&path).unwrap();
    let records = HEADER..HEADER + 300 * RECORD;
    for at in (0..good.len()).filter(|at| !records.contains(at) && !(56..64).contains(at)) {
        let mut bad = good.clone();
        bad[at] ^= 0x41;
        std::fs::write(&path, &bad).unwrap();
        assert!(Table::open(&path).is_err(), "byte {at}");
    }
    for len in [0, 10, 64, 1000, good.len() - 1] {
        std::fs::write(&path, &good[..len]).unwrap();
        assert!(Table::open(&path).is_err(), "cut to {len}");
    }
}
