//! What a verdict rests on that nobody has shown to be right.

use guestfs::How;
use guestfs::probe::What;
use guestfs::volumes::Volume;

/// Of a volume, and of its file system if that was read.
pub(super) fn of(volume: &Volume, fs: Option<(&str, How)>) -> Vec<String> {
    let part_of_dynamic = volume.partition.as_ref();
    let part_of_dynamic = part_of_dynamic.is_some_and(|one| one.kind.is_dynamic());
    let recognised = |name: &str| {
        format!("that it is {name}: it is told by what is documented of it, and none was at hand")
    };
    let mut all = Vec::new();
    if volume.is_of_dynamic_disks() {
        all.push(
            "where it lies on its dynamic disks: it is read by a description, and none that Windows wrote was at hand"
                .to_owned(),
        );
    }
    if part_of_dynamic {
        all.push(recognised("a part of a dynamic disk"));
    } else if volume.encrypted == Some(What::BitLocker) {
        all.push(match volume.is_locked() {
            true => recognised(What::BitLocker.name()),
            false => "how BitLocker keeps it: it is read by a description, and none that Windows wrote was at hand"
                .to_owned(),
        });
    }
    if let What::Refs | What::StorageSpaces | What::MdRaid | What::Bcache = volume.what {
        all.push(recognised(volume.what.name()));
    }
    if let Some((format, how)) = fs {
        if how == How::NotReplayed {
            all.push("that its journal can be replayed, which was not tried here".to_owned());
        }
        if format == "ntfs" {
            all.push(
                "how Windows leaves its log, and what it compresses or deduplicates itself (CompactOS, WOF, LZX): \
                 volumes that it wrote were not at hand"
                    .to_owned(),
            );
        }
    }
    all
}
