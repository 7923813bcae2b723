//! What the fuzz target of tables and the replay of its corpus run.

use xxhash_rust::xxh3::xxh3_64;

use super::layout::{GROUP, HEADER, Header, RECORD};
use super::{Builder, Bytes, Table};

/// Any bytes as a table, and once more with all checksums put right: behind them a fuzzer would
/// hardly come by itself.
pub(crate) fn cache_table(data: &[u8]) {
    if let Ok(table) = Table::decode(Bytes::Memory(data.to_vec())) {
        use_table(&table);
    }
    if let Some(table) = put_right(data).and_then(|data| Table::decode(Bytes::Memory(data)).ok()) {
        use_table(&table);
    }
}

fn put_right(data: &[u8]) -> Option<Vec<u8>> {
    let mut data = data.to_vec();
    let header = Header::decode(data.first_chunk::<HEADER>()?)?;
    let (records_end, end) = header.ends()?;
    if end != data.len() as u64 {
        return None;
    }
    let records = &data[HEADER..records_end as usize];
    let sums: Vec<u64> = records.chunks(GROUP * RECORD).map(xxh3_64).collect();
    let sums_at = data.len() - header.fence as usize * 8;
    for (place, sum) in data[sums_at..].as_chunks_mut::<8>().0.iter_mut().zip(sums) {
        *place = sum.to_le_bytes();
    }
    let sum = header.checksum(&data[records_end as usize..]);
    data[..HEADER].copy_from_slice(&Header { sum, ..header }.encode());
    Some(data)
}

/// Whatever a table tells is told without a panic; and what is told in order can be found once it
/// was built anew.
fn use_table(table: &Table) {
    let records: Vec<_> = table.iter().map_while(Result::ok).collect();
    assert!(records.len() as u64 <= table.count());
    for record in records.iter().take(300) {
        if let Ok(Some(found)) = table.get(&record.id) {
            assert_eq!(found.id, record.id);
        }
    }
    let (covered, packs) = (table.covered().to_vec(), table.packs().to_vec());
    let Ok(mut builder) = Builder::new(None, table.count(), covered, packs) else {
        unreachable!("memory does not fail");
    };
    let mut ascending = Vec::new();
    for record in &records {
        assert!(builder.push(record).is_ok());
        if ascending.last().is_none_or(|(last, _)| *last < record.id) {
            ascending.push((record.id, *record));
        }
    }
    let Ok(built) = builder.finish() else {
        unreachable!("memory does not fail");
    };
    assert_eq!(built.count(), ascending.len() as u64);
    for (id, record) in ascending.iter().take(300) {
        assert!(matches!(built.get(id), Ok(Some(found)) if found == *record));
    }
}
