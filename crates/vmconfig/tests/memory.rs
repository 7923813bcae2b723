//! Memory does not follow what a configuration or state file claims.
//!
//! A program of its own, because it counts every allocation of its process.

use std::io;

use hyperkeep_vmconfig::hvs::{self, Error, HvsFile, Limits};
use hyperkeep_vmconfig::{Entry, ReadAt, Tree, Value, vmgs, vmrs, xml};
use testkit::memory::{Counting, peak};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MIB: usize = 1 << 20;
const PAGE: usize = 4096;

/// Bytes at the start of a file that claims to be longer; the rest are zeros.
struct Long(Vec<u8>, u64);

impl ReadAt for Long {
    fn len(&self) -> io::Result<u64> {
        Ok(self.1)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64);
        if end.is_none_or(|end| end > self.1) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let start = offset.min(self.0.len() as u64) as usize;
        let stored = buf.len().min(self.0.len() - start);
        buf[..stored].copy_from_slice(&self.0[start..start + stored]);
        buf[stored..].fill(0);
        Ok(())
    }
}

/// A small container: two nodes, one of them that of saved memory.
fn small() -> Vec<u8> {
    let node = |name: &str| Entry::node(name, vec![Entry::new("notes", Value::Int(1))]);
    let tree = Tree {
        entries: vec![node("savedstate"), node("configuration")],
    };
    hvs::write_tree(&tree, 0).unwrap()
}

/// Puts the right checksum into the four bytes at `sum` of `bytes`.
fn seal(bytes: &mut [u8], sum: usize) {
    bytes[sum..sum + 4].fill(0);
    let crc = crc32fast::hash(bytes);
    bytes[sum..sum + 4].copy_from_slice(&crc.to_le_bytes());
}

/// An object table's slot.
fn slot(kind: u8, offset: usize, len: u32) -> [u8; 18] {
    let mut slot = [0; 18];
    slot[0] = kind;
    slot[5..13].copy_from_slice(&(offset as u64).to_le_bytes());
    slot[13..17].copy_from_slice(&len.to_le_bytes());
    slot[17] = 1;
    seal(&mut slot, 1);
    slot
}

/// [`small`], and `tables` key tables full of the smallest keys, which are children of `parent`.
fn crowded(tables: u16, parent: (u16, u32)) -> Vec<u8> {
    let mut file = small();
    // The slot that chains leads to a table of as many slots.
    let at = file.len();
    file[8192 + 8 + 226 * 18..][..18].copy_from_slice(&slot(1, at, PAGE as u32));
    let first = (at + 8 + 18 * usize::from(tables)).next_multiple_of(PAGE);
    file.extend([1, 0, 0x11, 1]);
    file.extend(u32::from(tables).to_le_bytes());
    for n in 0..usize::from(tables) {
        file.extend(slot(2, first + n * PAGE, PAGE as u32));
    }
    file.resize(first, 0);
    let mut key = [8, 0, 27, 0, 0, 0].to_vec();
    key.extend(parent.0.to_le_bytes());
    key.extend(parent.1.to_le_bytes());
    key.extend([0; 8]);
    key.extend([2, b'k', 0, 1, 0, 0, 0]);
    for n in 0..tables {
        let mut table = vec![2, 0];
        // The first table is that of `small`.
        table.extend((n + 2).to_le_bytes());
        table.extend([1, 0, 0, 0, 0, 0]);
        seal(&mut table, 6);
        (0..(PAGE - 10) / key.len()).for_each(|_| table.extend(&key));
        table.resize(PAGE, 0);
        file.extend(table);
    }
    file
}

fn open(file: &dyn ReadAt) -> Result<usize, Error> {
    HvsFile::open(file, Limits::CONFIGURATION).map(|open| open.tree().count())
}

fn containers() {
    // As many keys as there may be.
    let full = crowded(868, (0, 0));
    let used = peak(|| assert_eq!(open(&full).unwrap(), 4 + 868 * 151));
    assert!(used < 48 * MIB, "{used} bytes for 2^17 keys");

    // More than that, in tables of 15 MiB.
    let many = crowded(3800, (1, 10));
    let used = peak(|| assert!(matches!(open(&many), Err(Error::TooMany { .. }))));
    assert!(used < 48 * MIB, "{used} bytes for 570000 keys");
    // None is what is looked for, so all are looked at, several times.
    let used = peak(|| assert!(!vmrs::has_memory(&many).unwrap()));
    assert!(used < 2 * MIB, "{used} bytes to look for memory");

    // An object table of three million empty slots, and one as long as 32 bits can tell.
    let mut file = small();
    file[8192 + 8 + 226 * 18..][..18].copy_from_slice(&slot(1, MIB, PAGE as u32));
    file.resize(MIB, 0);
    file.extend([1, 0, 0x11, 1]);
    for (count, fine) in [(3_000_000u32, true), (u32::MAX, false)] {
        file.truncate(MIB + 4);
        file.extend(count.to_le_bytes());
        let long = Long(file.clone(), 1 << 40);
        let used = peak(|| assert_eq!(vmrs::has_memory(&long).is_ok(), fine));
        assert!(used < 4 * MIB, "{used} bytes for an object table");
    }
}

/// Every four bytes of every structure of a small container set to large numbers, in a file that
/// claims to have whatever they lead to. The checksums are right.
fn lying_numbers() {
    let file = small();
    let log = file.len() - PAGE;
    let slots = 8192..8192 + 8 + 3 * 18;
    let keys = 12288..12288 + 10 + 100;
    for at in (4..42).chain(slots).chain(keys).chain(log + 4..log + 62) {
        for lie in [u32::MAX, i32::MAX as u32, 1 << 24, 1 << 20, 1] {
            let mut file = file.clone();
            file[at..at + 4].copy_from_slice(&lie.to_le_bytes());
            // One change is outstanding.
            file[log + 8..log + 12].copy_from_slice(&1u32.to_le_bytes());
            seal(&mut file[..46], 4);
            seal(&mut file[log..log + 34], 4);
            let long = Long(file, 1 << 40);
            let used = peak(|| {
                let _ = (open(&long).is_ok(), vmrs::has_memory(&long).is_ok());
            });
            // A log may have 16 MiB, and of what it does not account for a key table one.
            assert!(used < 20 * MIB, "{used} bytes: {lie} at {at}");
        }
    }
}

/// Large values that lie outside the file, or each in the same place as the others.
fn large_values() {
    let tree = Tree {
        entries: (0..40)
            .map(|n| Entry::new(format!("value{n}"), Value::String("x".repeat(MIB / 2))))
            .collect(),
    };
    let file = hvs::write_tree(&tree, 0).unwrap();
    let used = peak(|| assert!(matches!(open(&file), Err(Error::TooLarge { .. }))));
    assert!(used < 48 * MIB, "{used} bytes for values of 40 MiB");
}

fn xml_files() {
    for part in ["<a/>", "=", "<a b=''/>"] {
        let many = part.repeat((xml::MAX_LEN - 10) / part.len());
        let file = format!("<c>{many}</c>");
        let used = peak(|| assert!(xml::read_tree(file.as_bytes()).is_err()));
        assert!(used < 17 * MIB, "{used} bytes for {part:?} again and again");
    }
    let odd = format!("<c>{}</c>", "<a type=\"integer\">x</a>".repeat(120_000));
    let used = peak(|| assert_eq!(xml::read_tree(odd.as_bytes()).unwrap().1.len(), 65));
    assert!(used < 64 * MIB, "{used} bytes for odd leaves");
}

fn guest_states() {
    let file = testkit::vm::vmgs(true);
    for at in 8..40 {
        for lie in [u32::MAX, i32::MAX as u32, 1 << 24] {
            let mut file = file.clone();
            file[at..at + 4].copy_from_slice(&lie.to_le_bytes());
            seal(&mut file[..168], 12);
            let long = Long(file, 1 << 50);
            let used = peak(|| drop(vmgs::read(&long)));
            assert!(used < MIB / 16, "{used} bytes: {lie} at {at}");
        }
    }
}

/// One test: others at the same time would be counted too.
#[test]
fn memory_is_bounded_whatever_a_file_claims() {
    containers();
    lying_numbers();
    large_values();
    xml_files();
    guest_states();
}
