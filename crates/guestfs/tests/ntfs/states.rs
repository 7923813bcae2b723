//! In what state a volume is, and names that lead nowhere.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;

use hyperkeep_guestfs::ntfs::Ntfs;
use hyperkeep_guestfs::{Error, FileSystem, How, Name, NodeId, Obstacle, by_path};
use rustix::fs::{XattrFlags, setxattr};

use crate::mount::Volume;
use crate::support::bytes;

const RECORD: u64 = 1024;

/// Where the MFT is.
fn mft(image: &File) -> u64 {
    let mut boot = [0; 512];
    image.read_exact_at(&mut boot, 0).unwrap();
    let cluster = u64::from(u16::from_le_bytes([boot[11], boot[12]])) * u64::from(boot[13]);
    u64::from_le_bytes(boot[48..56].try_into().unwrap()) * cluster
}

/// Where the first attribute of a kind is in a record, and its bytes.
pub(crate) fn attribute(image: &File, number: u64, kind: u8) -> Option<(u64, Vec<u8>)> {
    let place = mft(image) + number * RECORD;
    let mut record = vec![0; RECORD as usize];
    image.read_exact_at(&mut record, place).unwrap();
    let mut at = usize::from(record[0x14]);
    loop {
        let len = u32::from_le_bytes(record[at + 4..at + 8].try_into().unwrap()) as usize;
        match record[at] {
            0xff => return None,
            its if its == kind => return Some((place + at as u64, record[at..at + len].to_vec())),
            _ => at += len,
        }
    }
}

fn image(volume: &Volume) -> File {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(volume.path())
        .unwrap()
}

/// A restart page as Windows writes it: nothing is taken of it but what it is recognised by.
fn restart(number: u64, in_use: u16, flags: u16) -> Vec<u8> {
    let mut page = vec![0; 4096];
    page[..8].copy_from_slice(b"RSTR\x1e\x00\x09\x00");
    page[0x10..0x14].copy_from_slice(&4096_u32.to_le_bytes());
    page[0x14..0x18].copy_from_slice(&4096_u32.to_le_bytes());
    page[0x18..0x1a].copy_from_slice(&0x30_u16.to_le_bytes());
    page[0x1c..0x1e].copy_from_slice(&1_u16.to_le_bytes());
    page[0x30..0x38].copy_from_slice(&number.to_le_bytes());
    page[0x3a..0x3c].copy_from_slice(&0xffff_u16.to_le_bytes());
    page[0x3c..0x3e].copy_from_slice(&in_use.to_le_bytes());
    page[0x3e..0x40].copy_from_slice(&flags.to_le_bytes());
    for stride in 0..8 {
        page[stride * 512 + 510..stride * 512 + 512].copy_from_slice(&7_u16.to_le_bytes());
    }
    page[0x1e..0x20].copy_from_slice(&7_u16.to_le_bytes());
    page
}

#[test]
fn a_log_that_was_not_closed_is_told() {
    let Some(volume) = Volume::made("a_log_that_was_not_closed_is_told", 16, &[]) else {
        return;
    };
    let file = image(&volume);
    let bytes = fs::read(volume.path()).unwrap();
    let log = bytes
        .chunks(65536)
        .position(|part| part.iter().all(|byte| *byte == 0xff));
    let log = log.expect("mkntfs fills the log with ones") as u64 * 65536;
    // The search may have met the log's middle.
    let before = bytes[..log as usize]
        .iter()
        .rev()
        .take_while(|byte| **byte == 0xff)
        .count() as u64;
    let log = log - before;
    let how = || volume.open().about().state.how;
    assert_eq!(how(), How::Clean);
    for (pages, expected) in [
        ([restart(9, 0, 0), restart(8, 0xffff, 2)], How::NotReplayed),
        ([restart(9, 0xffff, 2), restart(10, 0, 0)], How::NotReplayed),
        ([restart(11, 0xffff, 0), restart(10, 0, 0)], How::Clean),
        ([restart(11, 0, 2), restart(10, 0, 0)], How::Clean),
        ([vec![3; 4096], restart(10, 0, 2)], How::Clean),
        ([vec![3; 4096], vec![0; 4096]], How::Dirty),
    ] {
        file.write_all_at(&pages.concat(), log).unwrap();
        assert_eq!(how(), expected);
    }
    // A page that is torn counts for nothing.
    let mut torn = restart(12, 0xffff, 2);
    torn[1022] ^= 1;
    file.write_all_at(&[torn, restart(10, 0, 0)].concat(), log)
        .unwrap();
    assert_eq!(how(), How::NotReplayed);
}

#[test]
fn a_volume_that_is_marked_or_asleep_or_cut_is_told() {
    let test = "a_volume_that_is_marked_or_asleep_or_cut_is_told";
    let Some(volume) = Volume::made(test, 16, &[]) else {
        return;
    };
    let Some(mounted) = volume.mount(test, "streams_interface=none") else {
        return;
    };
    fs::write(
        mounted.path().join("hiberfil.sys"),
        [b"wake".as_slice(), &[0; 5000]].concat(),
    )
    .unwrap();
    drop(mounted);
    assert_eq!(volume.open().about().state.how, How::Clean);
    let Some(mounted) = volume.mount(test, "streams_interface=none") else {
        return;
    };
    fs::write(
        mounted.path().join("hiberfil.sys"),
        [b"HIBR".as_slice(), &[0; 5000]].concat(),
    )
    .unwrap();
    drop(mounted);
    let state = volume.open().about().state.clone();
    assert_eq!(
        (state.how, state.notes.len()),
        (How::Hibernated, 1),
        "{state:?}"
    );

    let file = image(&volume);
    let (place, attribute) = attribute(&file, 3, 0x70).unwrap();
    let flags = place + u64::from(attribute[0x14]) + 10;
    file.write_all_at(&[1], flags).unwrap();
    let state = volume.open().about().state.clone();
    assert_eq!((state.how, state.notes.len()), (How::Dirty, 2), "{state:?}");
    file.set_len(12 << 20).unwrap();
    assert_eq!(volume.open().about().state.how, How::Damaged);
}

#[test]
fn a_name_whose_record_has_another_use_leads_nowhere() {
    let test = "a_name_whose_record_has_another_use_leads_nowhere";
    let Some(volume) = Volume::made(test, 16, &[]) else {
        return;
    };
    let Some(mounted) = volume.mount(test, "streams_interface=none") else {
        return;
    };
    fs::write(mounted.path().join("old"), "old").unwrap();
    drop(mounted);
    let ours = volume.open();
    let id = ours.find(ours.root(), &Name::from("old")).unwrap().unwrap();
    let file = image(&volume);
    let number = id.0 & 0xffff_ffff;
    let place = mft(&file) + number * RECORD + 0x10;
    let sequence = ((id.0 >> 48) as u16).wrapping_add(1);
    file.write_all_at(&sequence.to_le_bytes(), place).unwrap();
    let ours = volume.open();
    assert_eq!(by_path(&ours, &[Name::from("old")]).unwrap(), id);
    assert!(matches!(ours.node(id), Err(Error::NotFound(_))));
    assert!(matches!(ours.open(id, None), Err(Error::NotFound(_))));
    assert!(
        ours.node(NodeId(u64::from(sequence) << 48 | number))
            .is_ok()
    );
    for never in [0, 11, 1 << 40, u64::MAX] {
        assert!(
            matches!(ours.node(NodeId(never)), Err(Error::NotFound(_))),
            "{never}"
        );
    }
    // A record that a power cut tore.
    let torn = mft(&file) + number * RECORD + 510;
    file.write_all_at(&[0xee, 0xee], torn).unwrap();
    let ours = volume.open();
    assert!(matches!(
        ours.node(NodeId(u64::from(sequence) << 48 | number)),
        Err(Error::Damaged { .. })
    ));
}

#[test]
fn contents_that_are_encrypted_or_packed_in_an_unknown_way_are_obstacles() {
    let test = "contents_that_are_encrypted_or_packed_in_an_unknown_way_are_obstacles";
    let Some(volume) = Volume::made(test, 16, &[]) else {
        return;
    };
    let Some(mounted) = volume.mount(test, "streams_interface=none") else {
        return;
    };
    fs::write(mounted.path().join("file"), vec![1; 10_000]).unwrap();
    drop(mounted);
    let ours = volume.open();
    let id = ours
        .find(ours.root(), &Name::from("file"))
        .unwrap()
        .unwrap();
    let file = image(&volume);
    let (place, _) = attribute(&file, id.0 & 0xffff_ffff, 0x80).unwrap();
    for (flags, encrypted) in [(0x4000_u16, true), (0x0002, false)] {
        file.write_all_at(&flags.to_le_bytes(), place + 12).unwrap();
        let ours = volume.open();
        let node = ours.node(id).unwrap();
        assert_eq!(node.len, 10_000);
        let found = match node.obstacle {
            Some(Obstacle::Encrypted("EFS")) => true,
            Some(Obstacle::Unknown(_)) => false,
            other => panic!("{other:?}"),
        };
        assert_eq!(found, encrypted);
        assert!(matches!(ours.open(id, None), Err(Error::Obstacle(_))));
    }
}

#[test]
fn the_copy_of_the_first_records_is_read_where_they_are_torn() {
    let test = "the_copy_of_the_first_records_is_read_where_they_are_torn";
    let Some(volume) = Volume::made(test, 16, &["-L", "label"]) else {
        return;
    };
    let file = image(&volume);
    for number in [0, 3] {
        file.write_all_at(&[0xee, 0xee], mft(&file) + number * RECORD + 510)
            .unwrap();
    }
    let ours = volume.open();
    let about = ours.about();
    assert_eq!(
        (about.label.as_str(), about.state.how),
        ("label", How::Damaged)
    );
    assert_eq!(about.state.notes.len(), 2, "{about:?}");
    let mut boot = [0; 512];
    file.read_exact_at(&mut boot, 0).unwrap();
    let mirror = u64::from_le_bytes(boot[56..64].try_into().unwrap()) * 4096;
    file.write_all_at(&[0xee, 0xee], mirror + 510).unwrap();
    let opened = Ntfs::open(crate::support::image(&volume.path()));
    assert!(matches!(opened, Err(Error::Damaged { .. })));
}

/// What was never written reads as zeros, whatever its clusters hold: as ntfs-3g reads it.
#[test]
fn what_is_behind_the_initialised_size_is_zeros() {
    let test = "what_is_behind_the_initialised_size_is_zeros";
    let Some(volume) = Volume::made(test, 16, &[]) else {
        return;
    };
    let options = "streams_interface=none,compression";
    let Some(mounted) = volume.mount(test, options) else {
        return;
    };
    let (plain, packed) = (mounted.path().join("plain"), mounted.path().join("packed"));
    fs::write(&plain, [7; 100_000]).unwrap();
    fs::create_dir(&packed).unwrap();
    let compress = 0x800_u32.to_be_bytes();
    setxattr(
        &packed,
        "system.ntfs_attrib_be",
        &compress,
        XattrFlags::empty(),
    )
    .unwrap();
    fs::write(packed.join("words"), b"some words ".repeat(10_000)).unwrap();
    drop(mounted);
    let paths = [&["plain"][..], &["packed", "words"]].map(|path| {
        let names = path.iter().map(|name| Name::from(*name));
        names.collect::<Vec<_>>()
    });
    let ours = volume.open();
    let ids = paths.clone().map(|path| by_path(&ours, &path).unwrap());
    let file = image(&volume);
    for (id, initialised) in ids.iter().zip([33_333_u64, 77_777]) {
        let (place, _) = attribute(&file, id.0 & 0xffff_ffff, 0x80).unwrap();
        file.write_all_at(&initialised.to_le_bytes(), place + 0x38)
            .unwrap();
    }
    let Some(mounted) = volume.mount(test, "ro") else {
        return;
    };
    let theirs = ["plain", "packed/words"].map(|path| fs::read(mounted.path().join(path)).unwrap());
    drop(mounted);
    let ours = volume.open();
    for (id, theirs) in ids.into_iter().zip(theirs) {
        assert!(theirs.ends_with(&[0; 20_000]) && !theirs.starts_with(&[0]));
        let mut content = ours.open(id, None).unwrap();
        assert!(bytes(content.as_mut()) == theirs);
    }
}
