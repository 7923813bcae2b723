//! Files that Windows' overlay filter would have compressed, with what wimlib packs.

use std::fs;

use hyperkeep_guestfs::{FileSystem, Kind, Name, by_path};
use rustix::fs::{XattrFlags, setxattr};

use crate::codecs::{WAYS, packed};
use crate::extras::reparse;
use crate::mount::Volume;
use crate::support::bytes;

#[test]
fn files_compressed_by_wof_are_plain() {
    let test = "files_compressed_by_wof_are_plain";
    let folder = tempfile::tempdir().unwrap();
    let Some(volume) = Volume::made(test, 64, &[]) else {
        return;
    };
    let Some(mounted) = volume.mount(test, "streams_interface=windows") else {
        return;
    };
    let mut all = Vec::new();
    for way in WAYS {
        let Some(packed) = packed(test, folder.path(), way) else {
            return;
        };
        for (plain, resource) in packed {
            let name = format!("{} {}", way.2, plain.len());
            let path = mounted.path().join(&name);
            fs::File::create(&path)
                .unwrap()
                .set_len(plain.len() as u64)
                .unwrap();
            fs::write(
                mounted.path().join(format!("{name}:WofCompressedData")),
                resource,
            )
            .unwrap();
            fs::write(mounted.path().join(format!("{name}:other")), "stream").unwrap();
            let data: Vec<u8> = [1, 2, 1, way.2]
                .iter()
                .flat_map(|word: &u32| word.to_le_bytes())
                .collect();
            let point = reparse(0x8000_0017, &data);
            setxattr(
                &path,
                "system.ntfs_reparse_data",
                &point,
                XattrFlags::empty(),
            )
            .unwrap();
            all.push((name, plain));
        }
    }
    drop(mounted);
    let ours = volume.open();
    for (name, plain) in all {
        let id = by_path(&ours, &[Name::from(&*name)]).unwrap();
        let node = ours.node(id).unwrap();
        assert_eq!(
            (node.kind, node.len, node.obstacle),
            (Kind::File, plain.len() as u64, None)
        );
        assert_eq!(node.attributes.unwrap() & 0x600, 0);
        let mut content = ours.open(id, None).unwrap();
        assert!(bytes(content.as_mut()) == plain, "{name}");
        let extras = ours.extras(id).unwrap();
        assert_eq!((extras.streams.len(), extras.reparse), (1, None), "{name}");
        assert!(
            ours.open(id, Some(&Name::from("WofCompressedData")))
                .is_err()
        );
    }
}
