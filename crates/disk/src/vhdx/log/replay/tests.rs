use uuid::Uuid;

use super::*;
use crate::vhdx::MIB;
use crate::vhdx::log::entry::{LogEntry, LogWrite, SECTOR_LEN};

const LOG: u64 = MIB;
const TARGET: u64 = 2 * MIB;

fn guid() -> Uuid {
    Uuid::from_u128(5)
}

fn header() -> Header {
    Header {
        sequence: 1,
        file_write_guid: Uuid::nil(),
        data_write_guid: Uuid::nil(),
        log_guid: guid(),
        log_len: MIB as u32,
        log_offset: LOG,
    }
}

/// An entry that fills `data` sectors from `TARGET` with `fill`.
fn entry(sequence: u64, tail: u64, fill: u8, data: u64) -> LogEntry {
    LogEntry {
        sequence,
        tail: tail as u32,
        log_guid: guid(),
        flushed_file_offset: 3 * MIB,
        last_file_offset: 3 * MIB,
        writes: (0..data)
            .map(|i| LogWrite::Data {
                file_offset: TARGET + i * SECTOR,
                sector: Box::new([fill; SECTOR_LEN]),
            })
            .collect(),
    }
}

fn file() -> Vec<u8> {
    vec![0; 3 * MIB as usize]
}

/// Writes an entry into the log, around its end if need be; returns where the next one goes.
fn put(file: &mut [u8], at: u64, entry: &LogEntry) -> u64 {
    let bytes = entry.encode();
    for (i, sector) in bytes.chunks(SECTOR_LEN).enumerate() {
        let place = (LOG + (at + i as u64 * SECTOR) % MIB) as usize;
        file[place..place + SECTOR_LEN].copy_from_slice(sector);
    }
    (at + bytes.len() as u64) % MIB
}

fn first_byte(file: Vec<u8>) -> Result<u8> {
    let view = replay(file, &header())?;
    let mut byte = [0xEE];
    view.read_exact_at(&mut byte, TARGET).unwrap();
    Ok(byte[0])
}

#[test]
fn the_last_entry_wins_and_entries_before_the_tail_are_not_applied() {
    let mut f = file();
    let a = put(&mut f, 0, &entry(7, 0, 1, 3));
    let b = put(&mut f, a, &entry(8, 0, 2, 1));
    let view = replay(f.clone(), &header()).unwrap();
    let mut buf = vec![0; 4 * SECTOR_LEN];
    view.read_exact_at(&mut buf, TARGET).unwrap();
    let firsts: Vec<_> = buf.chunks(SECTOR_LEN).map(|s| (s[0], s[4095])).collect();
    assert_eq!(firsts, [(2, 2), (1, 1), (1, 1), (0, 0)]);

    // The third entry says that only itself is needed.
    put(&mut f, b, &entry(9, b, 3, 1));
    let view = replay(f, &header()).unwrap();
    view.read_exact_at(&mut buf, TARGET).unwrap();
    let firsts: Vec<_> = buf.chunks(SECTOR_LEN).map(|s| s[0]).collect();
    assert_eq!(firsts, [3, 0, 0, 0]);
}

#[test]
fn a_sequence_goes_around_the_end_of_the_log() {
    for start in [MIB - SECTOR, MIB - 2 * SECTOR, MIB - 3 * SECTOR] {
        let mut f = file();
        let a = put(&mut f, start, &entry(7, start, 1, 2));
        put(&mut f, a, &entry(8, start, 2, 1));
        assert_eq!(first_byte(f).unwrap(), 2, "{start}");
    }
}

#[test]
fn of_two_sequences_the_newer_counts_wherever_it_is() {
    for (old, new) in [(0, 100 * SECTOR), (100 * SECTOR, 0)] {
        let mut f = file();
        put(&mut f, old, &entry(7, old, 1, 1));
        put(&mut f, new, &entry(50, new, 2, 1));
        assert_eq!(first_byte(f).unwrap(), 2);
    }
}

#[test]
fn a_torn_last_entry_is_as_if_never_written() {
    let mut f = file();
    let a = put(&mut f, 0, &entry(7, 0, 1, 1));
    put(&mut f, a, &entry(8, 0, 2, 2));
    for sector in 0..3 {
        for at in [0, 9, 4095] {
            let mut torn = f.clone();
            torn[(LOG + a + sector * SECTOR) as usize + at] ^= 0x40;
            assert_eq!(first_byte(torn).unwrap(), 1, "sector {sector} byte {at}");
        }
    }
}

#[test]
fn a_sequence_whose_tail_is_gone_does_not_count() {
    let mut f = file();
    let a = put(&mut f, 0, &entry(7, 500 * SECTOR % MIB, 1, 1));
    assert!(first_byte(f.clone()).is_err());
    // Nor one whose tail is within an entry.
    put(&mut f, 0, &entry(7, SECTOR, 1, 1));
    assert!(first_byte(f.clone()).is_err());
    put(&mut f, 0, &entry(7, 0, 1, 1));
    put(&mut f, a, &entry(9, a, 2, 1));
    assert_eq!(
        first_byte(f).unwrap(),
        2,
        "a gap in the numbers begins a new sequence"
    );
}

#[test]
fn entries_of_another_log_do_not_count() {
    let mut f = file();
    let other = LogEntry {
        log_guid: Uuid::from_u128(6),
        ..entry(9, 0, 9, 1)
    };
    let a = put(&mut f, 0, &other);
    assert!(first_byte(f.clone()).is_err());
    put(&mut f, a, &entry(7, a, 1, 1));
    assert_eq!(first_byte(f).unwrap(), 1);
}

#[test]
fn a_whole_ring_of_entries_is_one_sequence() {
    let mut f = file();
    let start = 77 * SECTOR;
    let mut at = start;
    for i in 0..256 {
        at = put(&mut f, at, &entry(1000 + i, start, 0, 0));
    }
    assert_eq!(at, start);
    replay(f, &header()).unwrap();
}

#[test]
fn a_file_that_was_cut_short_is_refused_and_one_that_must_grow_grows() {
    let mut f = file();
    let longer = LogEntry {
        flushed_file_offset: 4 * MIB,
        ..entry(7, 0, 1, 1)
    };
    put(&mut f, 0, &longer);
    assert!(
        first_byte(f.clone())
            .unwrap_err()
            .to_string()
            .contains("cut short")
    );
    put(
        &mut f,
        0,
        &LogEntry {
            last_file_offset: 5 * MIB,
            ..entry(7, 0, 1, 1)
        },
    );
    let view = replay(f, &header()).unwrap();
    assert_eq!(view.virtual_len(), 5 * MIB);
    let mut last = [1; 2];
    view.read_exact_at(&mut last, 5 * MIB - 2).unwrap();
    assert_eq!(last, [0, 0]);
}

#[test]
fn headers_and_the_log_itself_are_never_logged() {
    for file_offset in [0, 128 << 10, LOG, LOG + MIB - SECTOR] {
        let mut f = file();
        let write = LogWrite::Zero {
            file_offset,
            len: SECTOR,
        };
        put(
            &mut f,
            0,
            &LogEntry {
                writes: vec![write],
                ..entry(7, 0, 0, 0)
            },
        );
        assert!(first_byte(f).is_err(), "{file_offset}");
    }
}

#[test]
fn many_zero_descriptors_are_bounded() {
    // More descriptors than are accepted, in a log that is large enough for them.
    let mut f = file();
    let log_offset = 3 * MIB;
    let count = MAX_CHANGES + 1;
    let bytes = LogEntry {
        writes: (0..u64::from(count))
            .map(|_| LogWrite::Zero {
                file_offset: TARGET,
                len: SECTOR,
            })
            .collect(),
        ..entry(7, 0, 0, 0)
    }
    .encode();
    f.extend(&bytes);
    let log_len = (bytes.len() as u64 + SECTOR).next_multiple_of(MIB);
    f.resize((log_offset + log_len) as usize, 0);
    let header = Header {
        log_offset,
        log_len: log_len as u32,
        ..header()
    };
    let error = replay(f, &header).unwrap_err();
    assert!(matches!(error, Error::Unsupported(_)), "{error}");
}
