//! A differencing VHD laid down byte by byte from the specification, without our encoders: no tool
//! can be trusted with these (see `docs/oracles.md`).

use hyperkeep_disk::layer::{Format, Layer, PathKind, VhdKind};
use hyperkeep_disk::vhd::VhdImage;
use hyperkeep_disk::{BlockRead, ByteRange, Content};

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn checksum(part: &mut [u8], at: usize) {
    let sum: u32 = part.iter().map(|byte| u32::from(*byte)).sum();
    put(part, at, &(!sum).to_be_bytes());
}

/// A disk of 40 KiB in blocks of 16 KiB: 80 sectors, 32 to a block, the last block half used.
fn image() -> Vec<u8> {
    let mut footer = [0; 512];
    put(&mut footer, 0, b"conectix");
    put(&mut footer, 8, &[0, 0, 0, 2, 0, 1, 0, 0]);
    put(&mut footer, 16, &512u64.to_be_bytes());
    put(&mut footer, 24, &[0x1B, 0, 0, 1]);
    put(&mut footer, 28, b"win \x00\x0A\x00\x00Wi2k");
    put(&mut footer, 40, &40960u64.to_be_bytes());
    put(&mut footer, 48, &40960u64.to_be_bytes());
    put(&mut footer, 56, &[0, 1, 4, 17]);
    put(&mut footer, 60, &[0, 0, 0, 4]);
    put(&mut footer, 68, &[0xC1; 16]);
    checksum(&mut footer, 64);

    let mut header = [0; 1024];
    put(&mut header, 0, b"cxsparse\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF");
    put(&mut header, 16, &2048u64.to_be_bytes());
    put(&mut header, 24, &[0, 1, 0, 0]);
    put(&mut header, 28, &3u32.to_be_bytes());
    put(&mut header, 32, &16384u32.to_be_bytes());
    put(&mut header, 40, &[0xBA; 16]);
    put(&mut header, 64, b"\0p\0.\0v\0h\0d");
    // The locator's space is in bytes, as Windows writes it.
    put(
        &mut header,
        576,
        b"W2ru\x00\x00\x02\x00\x00\x00\x00\x0E\0\0\0\0",
    );
    put(&mut header, 592, &1536u64.to_be_bytes());
    checksum(&mut header, 36);

    // Block 0 at sector 7, block 1 nowhere, block 2 behind block 0.
    let mut file = vec![0; (7 + 2 * 33) * 512];
    put(&mut file, 0, &footer);
    put(&mut file, 512, &header);
    put(&mut file, 1536, b".\0\\\0p\0.\0v\0h\0d\0");
    put(
        &mut file,
        2048,
        &[0, 0, 0, 7, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 40],
    );
    file[2060..2560].fill(0xFF);
    // Most significant bit first: sectors 0, 7, 8 and 31 of block 0; 1 to 3 of block 2.
    put(&mut file, 7 * 512, &[0x81, 0x80, 0, 0x01]);
    put(&mut file, 40 * 512, &[0x70]);
    for (block, sectors) in [(7, &[0, 7, 8, 31][..]), (40, &[1, 2, 3])] {
        for sector in sectors {
            let at = (block + 1 + sector) * 512;
            file[at..at + 512].fill(block as u8 + *sector as u8);
        }
        // Left from earlier days, and not this image's to show.
        let at = (block + 1 + 5) * 512;
        file[at..at + 512].fill(0xEE);
    }
    file.extend(footer);
    file
}

#[test]
fn a_differencing_image_shows_the_sectors_whose_bits_are_set() {
    let disk = VhdImage::open(image()).unwrap();
    assert!(disk.findings().is_empty(), "{:?}", disk.findings());
    let Format::Vhd(info) = &disk.info().format else {
        panic!()
    };
    assert_eq!(info.kind, VhdKind::Differencing);
    assert_eq!((info.chs, info.block_size), ((1, 4, 17), Some(16384)));
    let link = disk.info().parent.as_ref().unwrap();
    assert_eq!(link.identities[0].as_bytes(), &[0xBA; 16]);
    let paths: Vec<_> = link
        .paths
        .iter()
        .map(|p| (p.kind, p.path.as_str()))
        .collect();
    assert_eq!(
        paths,
        [(PathKind::Relative, r".\p.vhd"), (PathKind::Name, "p.vhd")]
    );

    let expected = [
        (0, 7),
        (7, 14),
        (8, 15),
        (31, 38),
        (65, 41),
        (66, 42),
        (67, 43),
    ];
    let mut bytes = vec![1; 40960];
    disk.read_at(0, &mut bytes).unwrap();
    for (n, sector) in bytes.chunks_exact(512).enumerate() {
        let byte = expected
            .iter()
            .find(|(at, _)| *at == n)
            .map_or(0, |(_, byte)| *byte);
        assert!(sector.iter().all(|found| *found == byte), "sector {n}");
    }
    let data: Vec<_> = disk
        .extents(ByteRange::new(0, 40960))
        .unwrap()
        .into_iter()
        .filter(|extent| extent.content == Content::Data)
        .map(|extent| (extent.range.start / 512, extent.range.end / 512))
        .collect();
    assert_eq!(data, [(0, 1), (7, 9), (31, 32), (65, 68)]);
}

/// The same image with further locators: each a code and the bytes that it points to.
fn with_locators(more: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut file = image();
    for (n, (code, text)) in more.iter().enumerate() {
        let (entry, at) = (512 + 576 + 24 * (n + 1), 1536 + 64 * (n + 1));
        put(&mut file, at, text);
        put(&mut file, entry, *code);
        put(&mut file, entry + 4, &64u32.to_be_bytes());
        put(&mut file, entry + 8, &(text.len() as u32).to_be_bytes());
        put(&mut file, entry + 16, &(at as u64).to_be_bytes());
    }
    put(&mut file, 512 + 36, &[0; 4]);
    checksum(&mut file[512..1536], 36);
    file
}

#[test]
fn a_locator_of_a_mac_is_a_url_in_utf_8() {
    let url = "file://localhost/Disks/основа.vhd";
    let disk = VhdImage::open(with_locators(&[(b"MacX", url.as_bytes())])).unwrap();
    assert!(disk.findings().is_empty(), "{:?}", disk.findings());
    let link = disk.info().parent.as_ref().unwrap();
    let paths: Vec<_> = link.paths.iter().map(|p| (p.kind, &*p.path)).collect();
    let expected = [
        (PathKind::Relative, r".\p.vhd"),
        (PathKind::Url, url),
        (PathKind::Name, "p.vhd"),
    ];
    assert_eq!(paths, expected);

    let latin = VhdImage::open(with_locators(&[(b"MacX", b"file:///\xe9")])).unwrap();
    assert!(latin.findings()[0].contains("not UTF-8"));
    assert_eq!(latin.info().parent.as_ref().unwrap().paths.len(), 2);
}

#[test]
fn an_old_windows_path_is_read_where_every_code_page_agrees_on_it() {
    let old: [(&[u8; 4], &[u8]); 3] = [
        (b"Wi2k", br"C:\vm\p.vhd"),
        (b"Wi2r", b".\\\xe4lter.vhd"),
        (b"Mac ", b"an alias"),
    ];
    let disk = VhdImage::open(with_locators(&old)).unwrap();
    assert!(disk.findings().is_empty(), "{:?}", disk.findings());
    let link = disk.info().parent.as_ref().unwrap();
    let paths: Vec<_> = link.paths.iter().map(|p| (p.kind, &*p.path)).collect();
    let expected = [
        (PathKind::Relative, r".\p.vhd"),
        (PathKind::Absolute, r"C:\vm\p.vhd"),
        (PathKind::Name, "p.vhd"),
    ];
    assert_eq!(paths, expected);
}
