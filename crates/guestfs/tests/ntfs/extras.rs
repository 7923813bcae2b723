//! What few files have: security descriptors, short names, reparse points, extended attributes.

use std::fs;
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::Path;

use hyperkeep_guestfs::{Error, FileSystem, Kind, Name, Obstacle, Owner, Time, by_path};
use rustix::fs::{XattrFlags, lgetxattr, setxattr};

use crate::mount::Volume;
use crate::support::bytes;

fn get(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 65536];
    let len = lgetxattr(path, name, &mut value[..]).ok()?;
    value.truncate(len);
    Some(value)
}

fn set(path: &Path, name: &str, value: &[u8]) {
    setxattr(path, name, value, XattrFlags::empty())
        .unwrap_or_else(|e| panic!("{path:?} {name}: {e}"));
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// A reparse point as it is stored.
pub(crate) fn reparse(tag: u32, data: &[u8]) -> Vec<u8> {
    let len = (data.len() as u16).to_le_bytes();
    [&tag.to_le_bytes()[..], &len, &[0; 2], data].concat()
}

fn junction(followed: &str, printed: &str) -> Vec<u8> {
    let (followed, printed) = (utf16(followed), utf16(printed));
    let places = [0, followed.len(), followed.len() + 2, printed.len()];
    let places: Vec<u8> = places
        .iter()
        .flat_map(|place| (*place as u16).to_le_bytes())
        .collect();
    reparse(
        0xa000_0003,
        &[&places, &followed[..], &[0; 2], &printed, &[0; 2]].concat(),
    )
}

#[test]
fn descriptors_times_attributes_and_short_names_are_those_of_ntfs_3g() {
    let test = "descriptors_times_attributes_and_short_names_are_those_of_ntfs_3g";
    let Some(volume) = Volume::made(test, 32, &[]) else {
        return;
    };
    // With permissions, every owner and mode makes another descriptor.
    let options = "permissions,acl,streams_interface=xattr";
    let Some(mounted) = volume.mount(test, options) else {
        return;
    };
    let mut paths = Vec::new();
    for number in 0..400_u32 {
        let path = mounted.path().join(format!("a rather long name {number}"));
        fs::write(&path, b"x").unwrap();
        std::os::unix::fs::chown(&path, Some(1000 + number), Some(number % 7)).unwrap();
        paths.push(path);
    }
    let folder = mounted.path().join("a folder with a long name");
    fs::create_dir(&folder).unwrap();
    set(&folder, "system.ntfs_dos_name", b"AFOLDE~1");
    set(&paths[3], "system.ntfs_dos_name", b"ARATHE~1");
    set(
        &paths[4],
        "system.ntfs_attrib_be",
        &0x0000_2007_u32.to_be_bytes(),
    );
    let times = [130_000_000_000_000_001_u64, 5, 140_000_000_000_000_003].map(u64::to_le_bytes);
    set(&paths[5], "system.ntfs_times", &times.concat());
    paths.push(folder);
    let names = ["ntfs_acl", "ntfs_dos_name", "ntfs_attrib_be", "ntfs_times"];
    let told = |path: &Path| names.map(|name| get(path, &format!("system.{name}")));
    let theirs: Vec<_> = paths
        .iter()
        .map(|path| (path.file_name().unwrap().to_owned(), told(path)))
        .collect();
    drop(mounted);
    let ours = volume.open();
    for (name, [acl, short, attributes, times]) in theirs {
        let id = by_path(&ours, &[Name::from(name.to_str().unwrap())]).unwrap();
        let (node, extras) = (ours.node(id).unwrap(), ours.extras(id).unwrap());
        assert_eq!(extras.security, acl, "{name:?}");
        let short = short.filter(|short| !short.is_empty());
        assert_eq!(
            extras.short_name,
            short.as_ref().map(|short| Name::new(&short[..]))
        );
        if let Some(short) = extras.short_name {
            let found = ours.entry(ours.root(), &short).unwrap().unwrap();
            assert_eq!(found.node, id);
            assert_eq!(found.name, Name::from(name.to_str().unwrap()));
        }
        let attributes = u32::from_be_bytes(attributes.unwrap().try_into().unwrap());
        assert_eq!(node.attributes, Some(attributes), "{name:?}");
        assert_eq!(node.links, 1, "{name:?}");
        let times = times.unwrap();
        let time = |at: usize| {
            let ticks = u64::from_le_bytes(times[at..at + 8].try_into().unwrap());
            Some(Time::from_windows(ticks))
        };
        let ours = node.times;
        let ours = [ours.created, ours.modified, ours.accessed, ours.changed];
        assert_eq!(ours, [time(0), time(8), time(16), time(24)], "{name:?}");
    }
}

#[test]
fn reparse_points_and_extended_attributes() {
    let test = "reparse_points_and_extended_attributes";
    let Some(volume) = Volume::made(test, 16, &[]) else {
        return;
    };
    let options = "streams_interface=xattr,special_files=wsl";
    let Some(mounted) = volume.mount(test, options) else {
        return;
    };
    let at = |name: &str| mounted.path().join(name);
    fs::create_dir(at("junction")).unwrap();
    let stored = junction(r"\??\C:\Users\All", r"C:\Users\All");
    set(&at("junction"), "system.ntfs_reparse_data", &stored);
    symlink("há/há", at("link")).unwrap();
    let tags = [
        ("dedup", 0x8000_0013_u32),
        ("hsm", 0xc000_0004),
        ("cloud", 0x9000_101a),
        ("own", 0x0000_1234),
        ("alias", 0x8000_001b),
    ];
    for (name, tag) in tags {
        let file = fs::File::create(at(name)).unwrap();
        if name != "alias" {
            file.set_len(100_000).unwrap();
        }
        drop(file);
        let mut point = reparse(tag, &[1; 40]);
        if tag < 0x8000_0000 {
            // Whose it is comes before the data, and is not counted.
            point.splice(8..8, [7; 16]);
        }
        set(&at(name), "system.ntfs_reparse_data", &point);
    }
    fs::write(at("wsl"), "owned").unwrap();
    let ea = |name: &str, value: u32| {
        let value = value.to_le_bytes();
        let head = [0, name.len() as u8, value.len() as u8, 0];
        let mut bytes = [
            &20_u32.to_le_bytes()[..],
            &head,
            name.as_bytes(),
            &[0],
            &value,
        ]
        .concat();
        bytes.resize(20, 0);
        bytes
    };
    let eas = [
        ea("$LXUID", 1000),
        ea("$LXGID", 70_000),
        ea("$LXMOD", 0o100_4751),
    ]
    .concat();
    set(&at("wsl"), "system.ntfs_ea", &eas);
    let stored_eas = get(&at("wsl"), "system.ntfs_ea").unwrap();
    drop(mounted);

    let ours = volume.open();
    let find = |name: &str| by_path(&ours, &[Name::from(name)]).unwrap();
    let (id, extras) = (find("junction"), ours.extras(find("junction")).unwrap());
    assert_eq!(ours.node(id).unwrap().kind, Kind::Junction);
    assert_eq!(ours.target(id).unwrap(), Name::from(r"C:\Users\All"));
    assert_eq!(extras.reparse.unwrap().data, stored[8..]);
    assert!(matches!(
        ours.target(find("wsl")),
        Err(Error::WrongKind { .. })
    ));
    assert_eq!(ours.target(find("link")).unwrap(), Name::from("há/há"));
    for (name, _) in tags {
        let node = ours.node(find(name)).unwrap();
        let opened = ours.open(find(name), None).err();
        let expected = match name {
            "alias" => {
                assert_eq!(node.kind, Kind::Other);
                assert!(matches!(opened, Some(Error::WrongKind { .. })));
                continue;
            }
            "dedup" => matches!(node.obstacle, Some(Obstacle::Deduplicated)),
            "own" => matches!(node.obstacle, Some(Obstacle::Unknown(_))),
            _ => matches!(node.obstacle, Some(Obstacle::Elsewhere(_))),
        };
        assert!(expected, "{name}: {node:?}");
        assert!(matches!(opened, Some(Error::Obstacle(_))), "{name}");
    }
    let (uid, gid, mode) = (1000, 70_000, 0o4751);
    assert_eq!(
        ours.node(find("wsl")).unwrap().owner,
        Some(Owner { uid, gid, mode })
    );
    let xattrs = ours.extras(find("wsl")).unwrap().xattrs;
    assert_eq!(xattrs, [(Name::from("system.ntfs_ea"), stored_eas)]);
}

#[test]
fn streams_are_found_by_any_letters_and_can_be_large() {
    let test = "streams_are_found_by_any_letters_and_can_be_large";
    let Some(volume) = Volume::made(test, 32, &["-c", "1024"]) else {
        return;
    };
    let Some(mounted) = volume.mount(test, "streams_interface=windows") else {
        return;
    };
    let large = testkit::image::noise(8, 3_000_000);
    fs::write(mounted.path().join("file"), "main").unwrap();
    for number in 0..150 {
        let name = format!("file:stream number {number}");
        fs::write(mounted.path().join(name), number.to_string()).unwrap();
    }
    fs::write(mounted.path().join("file:Large"), &large).unwrap();
    let holes = fs::File::create(mounted.path().join("file:holes")).unwrap();
    holes.write_all_at(b"end", 7_000_000).unwrap();
    drop(holes);
    drop(mounted);
    let ours = volume.open();
    let id = by_path(&ours, &[Name::from("file")]).unwrap();
    let extras = ours.extras(id).unwrap();
    assert_eq!(extras.streams.len(), 152);
    for stream in &extras.streams {
        let mut content = ours.open(id, Some(&stream.name)).unwrap();
        assert_eq!(content.len(), stream.len);
        let read = bytes(content.as_mut());
        match stream.name.to_str().unwrap() {
            "Large" => assert!(read == large),
            "holes" => assert_eq!((read.len(), &read[7_000_000..]), (7_000_003, &b"end"[..])),
            name => {
                let number = name.strip_prefix("stream number ").unwrap();
                assert_eq!(read, number.as_bytes());
            }
        }
    }
    assert_eq!(
        ours.open(id, Some(&Name::from("lARGE"))).unwrap().len(),
        3_000_000
    );
    assert!(matches!(
        ours.open(id, Some(&Name::from("none"))),
        Err(Error::NotFound(_))
    ));
}
