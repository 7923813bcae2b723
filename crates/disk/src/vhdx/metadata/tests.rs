use super::*;
use crate::vhdx::region::METADATA;

fn item(id: u128, user: bool, required: bool, data: &[u8]) -> MetadataItem {
    MetadataItem {
        id: Uuid::from_u128(id),
        user,
        virtual_disk: false,
        required,
        data: data.to_vec(),
    }
}

fn sample() -> Metadata {
    Metadata {
        block_size: 2 << 20,
        leave_allocated: false,
        parent: None,
        disk_len: 10 << 20,
        disk_id: Uuid::from_u128(7),
        logical_sector: 512,
        physical_sector: 4096,
        other: vec![
            item(1, true, false, b"user's"),
            item(2, false, false, b""),
            item(
                CHS_PARAMETERS.as_u128(),
                false,
                true,
                &[16, 0, 0, 0, 63, 0, 0, 0],
            ),
        ],
    }
}

fn read(bytes: Vec<u8>) -> Result<Metadata> {
    let region = Region {
        id: METADATA,
        offset: 0,
        len: bytes.len() as u32,
        required: true,
    };
    Metadata::read(&bytes, &region)
}

#[test]
fn items_survive() {
    assert_eq!(read(sample().encode().unwrap()).unwrap(), sample());
    let child = Metadata {
        leave_allocated: true,
        parent: Some(ParentLocator {
            entries: vec![("parent_linkage".into(), DISK_ID.to_string())],
        }),
        ..sample()
    };
    assert_eq!(read(child.encode().unwrap()).unwrap(), child);
}

#[test]
fn required_unknown_items_are_refused_by_name() {
    let unknown = item(0xabc, false, true, b"?");
    let name = unknown.id.to_string();
    let bytes = Metadata {
        other: vec![unknown],
        ..sample()
    }
    .encode()
    .unwrap();
    let error = read(bytes).unwrap_err();
    assert!(matches!(error, Error::Unsupported(_)));
    assert!(error.to_string().contains(&name), "{error}");
}

#[test]
fn an_unfinished_file_is_refused() {
    for required in [true, false] {
        let marker = item(INCOMPLETE.as_u128(), false, required, b"");
        let bytes = Metadata {
            other: vec![marker],
            ..sample()
        }
        .encode()
        .unwrap();
        let error = read(bytes).unwrap_err().to_string();
        assert!(error.contains("not finished"), "{error}");
    }
}

#[test]
fn a_parent_flag_and_a_locator_go_together() {
    let mut bytes = sample().encode().unwrap();
    // The file parameters are the first item behind the table.
    bytes[TABLE_LEN + 4] ^= 2;
    assert!(
        read(bytes)
            .unwrap_err()
            .to_string()
            .contains("without a parent locator")
    );
    let child = Metadata {
        parent: Some(ParentLocator {
            entries: vec![("k".into(), "v".into())],
        }),
        ..sample()
    };
    let mut bytes = child.encode().unwrap();
    bytes[TABLE_LEN + 4] ^= 2;
    assert!(read(bytes).unwrap_err().to_string().contains("no parent"));
}

#[test]
fn each_needed_item_is_missed() {
    let whole = sample().encode().unwrap();
    for i in 0..5 {
        let mut bytes = whole.clone();
        // Another id that is optional; the item's content stays.
        put(&mut bytes, 32 + 32 * i, &Uuid::from_u128(99).to_bytes_le());
        bytes[32 + 32 * i + 24] = 0;
        assert!(
            read(bytes).unwrap_err().to_string().contains("no item for"),
            "{i}"
        );
    }
}

#[test]
fn lying_places_are_damage() {
    let whole = sample().encode().unwrap();
    for (at, value) in [
        (16, 100u32),               // in the table
        (16, 0xFFFF_FFF0),          // outside
        (16, (1 << 20) - 4),        // across the end
        (16, TABLE_LEN as u32 + 8), // over the next item
        (20, MAX_ITEM_LEN + 1),
        (20, u32::MAX),
        (20, 0), // file parameters without content
    ] {
        let mut bytes = whole.clone();
        put(&mut bytes, 32 + at, &value.to_le_bytes());
        assert!(read(bytes).is_err(), "{at} {value}");
    }
    let mut bytes = whole.clone();
    put(&mut bytes, 10, &2048u16.to_le_bytes());
    read(bytes).unwrap_err();
    let mut bytes = whole.clone();
    put(&mut bytes, 32 + 32, &FILE_PARAMETERS.to_bytes_le());
    assert!(read(bytes).unwrap_err().to_string().contains("twice"));
    read(whole[..TABLE_LEN - 1].to_vec()).unwrap_err();
}

#[test]
fn what_cannot_be_written_is_refused() {
    let long = item(1, true, false, &vec![0; MAX_ITEM_LEN as usize + 1]);
    let twice = vec![item(1, true, false, b""), item(1, true, false, b"")];
    let one_of_each = vec![item(1, true, false, b""), item(1, false, false, b"")];
    for (other, fits) in [(vec![long], false), (twice, false), (one_of_each, true)] {
        assert_eq!(Metadata { other, ..sample() }.encode().is_ok(), fits);
    }
}
