//! Disks that cannot be had, or that the checkpoint lacks.

use super::*;

#[test]
fn a_disk_that_cannot_be_had_keeps_none_from_being_saved() {
    let place = Place::new(&[(0, "a.vhdx"), (1, "gone.vhdx")]);
    fs::remove_file(place.path().join("gone.vhdx")).unwrap();
    let token = place.with(|control| {
        let frozen = Frozen::take(control, &place.files, &request(Mode::Cbt, None)).unwrap();
        assert_eq!(frozen.disks.len(), 1);
        assert_eq!(frozen.lost[0].medium.path, "D:\\VMs\\gone.vhdx");
        assert!(!frozen.lost[0].why.is_empty());
        frozen.keep().token.unwrap()
    });
    assert_eq!(token.disks.len(), 1);
    place.write("gone.vhdx", 2);
    let readings = place.backup(Some(&token)).0;
    assert!(matches!(readings[0], Reading::Changed(_)));
    assert_eq!(reason(&readings[1]), "the disk is new");
}

/// The host left a disk out of the checkpoint, or somebody attached it a moment before.
#[test]
fn a_disk_that_the_checkpoint_lacks_is_told() {
    let place = Place::new(&[(0, "a.vhdx")]);
    let disk = |place, name: &str| Disk {
        scsi: true,
        number: 0,
        place,
        path: format!("D:\\VMs\\{name}"),
    };
    let own = vec![disk(0, "a_live.avhdx"), disk(5, "late.vhdx")];
    place.host.unmerged_until(Duration::MAX, own);
    fs::write(place.path().join("a_live.avhdx"), "").unwrap();
    place.with(|control| {
        let frozen = Frozen::take(control, &place.files, &request(Mode::Standard, None)).unwrap();
        assert_eq!((frozen.disks.len(), frozen.lost.len()), (1, 1));
        assert_eq!(frozen.lost[0].medium.path, "D:\\VMs\\late.vhdx");
        assert!(frozen.lost[0].why.contains("the checkpoint does not"));
    });
}

/// What is mapped is yesterday's copy: the file that the VM writes to since its checkpoint is not
/// there.
#[test]
fn a_copy_of_the_hosts_folder_is_not_taken_for_it() {
    let place = Place::new(&[(0, "a.vhdx"), (1, "b.vhdx")]);
    let disk = |place, path: &str| Disk {
        scsi: true,
        number: 0,
        place,
        path: path.to_owned(),
    };
    // Of a folder that nobody maps nothing can be told.
    let own = vec![
        disk(0, "D:\\VMs\\a_live.avhdx"),
        disk(1, "E:\\b_live.avhdx"),
    ];
    place.host.unmerged_until(Duration::MAX, own);
    place.with(|control| {
        let frozen = Frozen::take(control, &place.files, &request(Mode::Cbt, None)).unwrap();
        assert_eq!(frozen.disks[0].medium.path, "D:\\VMs\\b.vhdx");
        assert_eq!((frozen.disks.len(), frozen.lost.len()), (1, 1));
        assert!(frozen.lost[0].why.contains("that folder is a copy"));
    });
    fs::write(place.path().join("a_live.avhdx"), "").unwrap();
    place.with(|control| {
        let frozen = Frozen::take(control, &place.files, &request(Mode::Cbt, None)).unwrap();
        assert_eq!((frozen.disks.len(), frozen.lost.len()), (2, 0));
    });
}

#[test]
fn a_checkpoint_whose_disks_are_not_told_is_removed() {
    let place = Place::new(&[(0, "a.vhdx")]);
    place.host.set_disks(Vec::new());
    place.with(|control| {
        let taken = Frozen::take(control, &place.files, &request(Mode::Cbt, None)).map(drop);
        assert!(
            matches!(taken, Err(FreezeError::DisksUnknown(_))),
            "{taken:?}"
        );
    });
    assert!(!place.has_checkpoint());
}
