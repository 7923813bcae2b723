//! Truncated, flipped and lying images: typed errors, or the right bytes; never a panic.

use hyperkeep_disk::layer::{Layer, PathKind};
use hyperkeep_disk::vhd::{Checksums, Footer, VhdImage, VhdLayout};
use hyperkeep_disk::{BlockRead, ByteRange, Error};

use crate::model::{CHILD, Op, PARENT, child_of_base, image, params, read};

const LEN: u64 = 256 << 10;

/// A small dynamic image, its disk, and where its structures are.
fn sample(differencing: bool) -> (Vec<u8>, Vec<u8>) {
    let layout = match differencing {
        true => child_of_base(16 << 10, Some(r"C:\base.vhd".into())),
        false => VhdLayout::Dynamic {
            block_size: 16 << 10,
        },
    };
    let ops: Vec<_> = [0, 100, 200, 300]
        .map(|at| Op {
            at,
            sectors: 10,
            byte: Some(7),
        })
        .into();
    let mut model = vec![0; LEN as usize];
    let id = if differencing { CHILD } else { PARENT };
    let (bytes, _) = image(&params(LEN, layout, id), &ops, &mut model);
    (bytes, model)
}

/// Opens and reads everything there is; only the answers' types matter.
fn exercise(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    for checksums in [Checksums::Enforce, Checksums::Report] {
        let disk = VhdImage::open_with(bytes, checksums);
        if let Some(disk) = disk.ok().filter(|disk| disk.len() <= 4 << 20) {
            let _ = disk.extents(ByteRange::new(0, disk.len()));
            let _ = disk.read_at(0, &mut vec![0; disk.len() as usize]);
        }
    }
    Ok(read(&VhdImage::open(bytes)?))
}

#[test]
fn a_lost_footer_is_replaced_by_its_copy_with_a_finding() {
    let (bytes, model) = sample(false);
    let without = &bytes[..bytes.len() - 512];
    let disk = VhdImage::open(without).unwrap();
    assert_eq!(disk.findings().len(), 1);
    assert!(read(&disk) == model);

    let mut flipped = bytes.clone();
    let at = bytes.len() - 512 + 50;
    flipped[at] ^= 1;
    let disk = VhdImage::open(&flipped[..]).unwrap();
    assert_eq!(disk.findings().len(), 1);
    assert!(read(&disk) == model);

    flipped[50] ^= 1;
    assert!(matches!(
        VhdImage::open(&flipped[..]),
        Err(Error::Damaged { .. })
    ));
}

#[test]
fn a_footer_of_511_bytes_is_a_footer() {
    let mut model = vec![0; LEN as usize];
    let op = Op {
        at: 3,
        sectors: 2,
        byte: Some(9),
    };
    let (mut bytes, _) = image(&params(LEN, VhdLayout::Fixed, PARENT), &[op], &mut model);
    bytes.pop();
    assert!(read(&VhdImage::open(&bytes[..]).unwrap()) == model);
    bytes.pop();
    assert!(matches!(
        VhdImage::open(&bytes[..]),
        Err(Error::NotThisFormat { .. })
    ));
}

#[test]
fn truncation_is_found_when_opening() {
    for differencing in [false, true] {
        let (bytes, model) = sample(differencing);
        for len in (0..bytes.len() - 512).step_by(509) {
            assert!(exercise(&bytes[..len]).is_err(), "{len} of {}", bytes.len());
        }
        assert!(exercise(&bytes).unwrap() == model);
    }
}

#[test]
fn a_flipped_bit_in_a_structure_never_changes_bytes_silently() {
    let (bytes, model) = sample(false);
    let table = VhdImage::open(&bytes[..])
        .unwrap()
        .header()
        .unwrap()
        .table_offset as usize;
    for byte in (0..table).chain(bytes.len() - 512..bytes.len()) {
        let mut flipped = bytes.clone();
        flipped[byte] ^= 1 << (byte % 8);
        if let Ok(read) = exercise(&flipped) {
            assert!(read == model, "byte {byte}");
        }
    }
    // The BAT has no checksum; what it may not do is name other structures or the file's outside.
    for byte in table..table + 64 {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[byte] ^= 1 << bit;
            let _ = exercise(&flipped);
        }
    }
}

#[test]
fn a_bat_that_names_one_place_twice_is_refused() {
    let (mut bytes, _) = sample(false);
    let table = VhdImage::open(&bytes[..])
        .unwrap()
        .header()
        .unwrap()
        .table_offset as usize;
    let first: [u8; 4] = bytes[table..table + 4].try_into().unwrap();
    for lie in [
        first,
        [0, 0, 0, 0],
        [0, 0, 0, 1],
        [0, 0, 0, 3],
        [0x7F, 0, 0, 0],
    ] {
        let other = table + 4;
        bytes[other..other + 4].copy_from_slice(&lie);
        assert!(
            matches!(VhdImage::open(&bytes[..]), Err(Error::Damaged { .. })),
            "{lie:?}"
        );
    }
}

/// Rewrites a field of footer (both copies) or header and repairs the checksum.
fn forge(bytes: &mut [u8], at: usize, value: &[u8], header: bool) {
    let sum = |part: &mut [u8], field: usize| {
        part[field..field + 4].fill(0);
        let sum = !part.iter().fold(0u32, |s, b| s + u32::from(*b));
        part[field..field + 4].copy_from_slice(&sum.to_be_bytes());
    };
    if header {
        bytes[512 + at..512 + at + value.len()].copy_from_slice(value);
        sum(&mut bytes[512..1536], 36);
        return;
    }
    let end = bytes.len() - 512;
    for start in [0, end] {
        bytes[start + at..start + at + value.len()].copy_from_slice(value);
        sum(&mut bytes[start..start + 512], 64);
    }
}

#[test]
fn lying_sizes_and_offsets_are_refused_without_allocating() {
    let cases: &[(&str, usize, Vec<u8>, bool)] = &[
        ("disk size 0", 48, vec![0; 8], false),
        ("huge disk", 48, vec![0xFF; 8], false),
        (
            "disk of 2040 GiB",
            48,
            (2040u64 << 30).to_be_bytes().into(),
            false,
        ),
        ("half a sector", 48, (LEN + 1).to_be_bytes().into(), false),
        ("header outside", 16, u64::MAX.to_be_bytes().into(), false),
        ("header in the footer", 16, vec![0; 8], false),
        ("disk type 5", 60, 5u32.to_be_bytes().into(), false),
        ("version 2", 12, 0x2_0000u32.to_be_bytes().into(), false),
        ("BAT outside", 16, u64::MAX.to_be_bytes().into(), true),
        ("BAT over the header", 16, 512u64.to_be_bytes().into(), true),
        ("too few entries", 28, 1u32.to_be_bytes().into(), true),
        ("block size 0", 32, vec![0; 4], true),
        ("block size 3", 32, 3u32.to_be_bytes().into(), true),
        (
            "block size 2 GiB",
            32,
            (2u32 << 30).to_be_bytes().into(),
            true,
        ),
    ];
    for (name, at, value, header) in cases {
        let (mut bytes, _) = sample(false);
        forge(&mut bytes, *at, value, *header);
        let error = VhdImage::open(&bytes[..])
            .err()
            .unwrap_or_else(|| panic!("{name}"));
        assert!(
            matches!(error, Error::Damaged { .. } | Error::Unsupported(_)),
            "{name}: {error}"
        );
    }
}

#[test]
fn lying_locators_are_errors_of_the_locator_alone() {
    for (at, value) in [
        (8, u32::MAX.to_be_bytes().to_vec()),
        (8, 3u32.to_be_bytes().to_vec()),
        (16, u64::MAX.to_be_bytes().to_vec()),
    ] {
        let (mut bytes, model) = sample(true);
        forge(&mut bytes, 576 + at, &value, true);
        let disk = VhdImage::open(&bytes[..]).unwrap();
        assert_eq!(disk.findings().len(), 1, "{:?}", disk.findings());
        let link = disk.info().parent.as_ref().unwrap();
        let kinds: Vec<_> = link.paths.iter().map(|path| path.kind).collect();
        assert_eq!(kinds, [PathKind::Absolute, PathKind::Name]);
        assert!(read(&disk) == model);
    }
}

#[test]
fn a_footer_survives_its_own_encoding() {
    let (bytes, _) = sample(true);
    let footer: &[u8; 512] = bytes[..512].try_into().unwrap();
    let (decoded, sound) = Footer::decode(footer).unwrap().unwrap();
    assert!(sound);
    assert_eq!(&decoded.encode(), footer);
}
