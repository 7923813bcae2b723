//! A small FAT file system with one file, for tests that may not have tools that make one.

/// What is in `HELLO.TXT`.
pub const HELLO: &[u8] = b"hello\n";

/// A floppy disk of 1.44 MB with the label `SMALL`.
pub fn floppy() -> Vec<u8> {
    let mut disk = vec![0; 2880 * 512];
    disk[..3].copy_from_slice(&[0xeb, 0x3c, 0x90]);
    disk[3..11].copy_from_slice(b"MSDOS5.0");
    // Bytes of a sector, sectors of a cluster, reserved ones, tables, entries of the root, sectors in
    // all, kind of medium, sectors of a table.
    disk[11..24].copy_from_slice(&[0, 2, 1, 1, 0, 2, 224, 0, 0x40, 0x0b, 0xf0, 9, 0]);
    disk[24..28].copy_from_slice(&[18, 0, 2, 0]);
    disk[38] = 0x29;
    disk[43..54].copy_from_slice(b"SMALL      ");
    disk[54..62].copy_from_slice(b"FAT12   ");
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    for table in [512, 10 * 512] {
        // Two entries of its own, and the end of the file in cluster 2.
        disk[table..table + 5].copy_from_slice(&[0xf0, 0xff, 0xff, 0xff, 0x0f]);
    }
    let root = 19 * 512;
    disk[root..root + 11].copy_from_slice(b"SMALL      ");
    disk[root + 11] = 8;
    let file = root + 32;
    disk[file..file + 11].copy_from_slice(b"HELLO   TXT");
    disk[file + 11] = 0x20;
    // The first of January 2020, and its only cluster.
    disk[file + 24..file + 26].copy_from_slice(&(40_u16 << 9 | 1 << 5 | 1).to_le_bytes());
    disk[file + 26..file + 28].copy_from_slice(&2_u16.to_le_bytes());
    disk[file + 28..file + 32].copy_from_slice(&(HELLO.len() as u32).to_le_bytes());
    disk[33 * 512..][..HELLO.len()].copy_from_slice(HELLO);
    disk
}
