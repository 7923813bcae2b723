//! The whole tree of checkpoints, file by file.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use disk::layer::LayerInfo;
use disk::{BlockRead, ByteRange};
use hyperkeep_hyperv::checkpoint::{Consistency, GuestBackup, Mark, Options};
use hyperkeep_hyperv::files::{
    FileError, FileProblem, FrozenFile, HostEntry, HostFiles, HostPath, MappedFiles, PathMap,
};
use hyperkeep_hyperv::frozen::{Frozen, LayerReading, Owner, Request};
use hyperkeep_hyperv::inventory::{Family, Parent};
use hyperkeep_hyperv::journal::Journal;
use hyperkeep_hyperv::preflight::{Level, Mode};
use hyperkeep_hyperv::tracking::Token;
use testkit::image::{Image, Kind};
use uuid::Uuid;

use crate::support::vmms::{VM, Vmms};
use crate::support::{Disk, guid};

const SIZE: u64 = 4 << 20;

fn disks(name: &str) -> Vec<Disk> {
    vec![Disk {
        scsi: true,
        number: 0,
        place: 0,
        path: format!("D:\\VMs\\{name}"),
    }]
}

fn id(number: u128) -> String {
    format!("Microsoft:{}", guid(number))
}

/// A VM whose present state goes on after the checkpoint 12, which was made after 11.
struct Place {
    host: Vmms,
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self {
            host: Vmms::new(),
            dir: tempfile::tempdir().unwrap(),
        };
        let base = Image::new(Kind::Vhdx, SIZE, 1).data(0, &[1; 4096]);
        let base = base.write(&place.path().join("a.vhdx"));
        let middle = Image::child(&base, "a.vhdx", 2).data(4096, &[2; 4096]);
        let middle = middle.write(&place.path().join("a_1.avhdx"));
        place.leaf(&middle, "a_2.avhdx", "a_1.avhdx", 3);
        place.host.grow(&id(11), disks("a.vhdx"));
        place.host.grow(&id(12), disks("a_1.avhdx"));
        place.host.set_disks(disks("a_2.avhdx"));
        place
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn files(&self) -> MappedFiles {
        let folder = HostPath::parse("D:\\VMs").unwrap();
        MappedFiles::new(PathMap::new().with(folder, self.path()))
    }

    fn leaf(&self, parent: &LayerInfo, name: &str, over: &str, number: u64) -> LayerInfo {
        let path = self.path().join(name);
        let _ = fs::remove_file(&path);
        let image = Image::child(parent, over, number).data(8192, &[3; 4096]);
        image.write(&path)
    }

    fn backup<T>(
        &self,
        mode: Mode,
        token: Option<&Token>,
        look: impl FnOnce(&Frozen) -> T,
    ) -> (T, Option<Token>) {
        let dir = tempfile::tempdir().unwrap();
        let journal = Arc::new(Journal::create(dir.path(), VM).unwrap());
        let control = self.host.control(&journal);
        let files = self.files();
        let request = request(mode, token, true);
        let frozen = Frozen::take(&control, &files, &request).unwrap();
        let seen = look(&frozen);
        frozen.verify().unwrap();
        let kept = frozen.keep();
        assert_eq!(kept.problems, [""; 0]);
        (seen, kept.token)
    }

    fn readings(&self, mode: Mode, token: Option<&Token>) -> (Vec<LayerReading>, Option<Token>) {
        self.backup(mode, token, |frozen| {
            let layers = frozen.tree.as_ref().unwrap().layers.iter();
            layers.map(|layer| layer.reading.clone()).collect()
        })
    }
}

fn request(mode: Mode, token: Option<&Token>, tree: bool) -> Request<'_> {
    Request {
        vm: VM,
        mode,
        options: Options {
            consistency: Consistency::Crash,
            guest_backup: GuestBackup::Copy,
            ignore_other_disks: false,
        },
        fall_back: false,
        expected: Level::Crash,
        least: Level::Crash,
        guest: Family::Windows,
        replica: false,
        suspend: None,
        mark: Mark {
            installation: Uuid::from_u128(0x11),
            run: Uuid::from_u128(0x22),
        },
        token,
        full: false,
        tree,
        choose: None,
    }
}

#[test]
fn every_layer_and_checkpoint_is_there_once_and_ours_is_not() {
    let place = Place::new();
    place.backup(Mode::Standard, None, |frozen| {
        let tree = frozen.tree.as_ref().unwrap();
        let layers: Vec<_> = tree
            .layers
            .iter()
            .map(|l| (l.path.as_str(), l.parent))
            .collect();
        assert_eq!(
            layers,
            [
                ("D:\\VMs\\a.vhdx", None),
                ("D:\\VMs\\a_1.avhdx", Some(0)),
                ("D:\\VMs\\a_2.avhdx", Some(1)),
            ]
        );
        let mut uses: Vec<_> = tree.uses.iter().map(|u| (u.owner, u.layer)).collect();
        uses.sort_unstable();
        let (x, y) = (Uuid::from_u128(11), Uuid::from_u128(12));
        let of = Owner::Checkpoint;
        assert_eq!(uses, [(Owner::Vm, 2), (of(x), 0), (of(y), 1)]);
        let tree_of: Vec<_> = tree.checkpoints.iter().map(|c| (c.id, c.parent)).collect();
        assert_eq!(tree_of, [(x, Parent::None), (y, Parent::Of(x))]);
        assert_eq!(tree.current, Parent::Of(y));
        // Each layer alone.
        let mut bytes = [9; 4096];
        tree.layers[2].layer.read_at(8192, &mut bytes).unwrap();
        assert_eq!(bytes, [3; 4096]);
        tree.layers[2].layer.read_at(0, &mut bytes).unwrap();
        assert_eq!(bytes, [0; 4096]);
        // Configurations that are not there are told, one for each checkpoint.
        assert_eq!((tree.lost.len(), tree.lost_files.len()), (0, 2));
    });
}

#[test]
fn layers_that_are_what_they_were_are_not_read_again() {
    let place = Place::new();
    let changed: disk::ByteRanges = [ByteRange::new(8192, 12288)].into_iter().collect();
    let full = |why: &str| LayerReading::Full(why.to_owned());
    for mode in [Mode::Cbt, Mode::Standard] {
        let (place_token, unchanged) = (place.readings(mode, None).1, LayerReading::Unchanged);
        let token = place_token.unwrap();
        assert_eq!(token.reference_point.is_some(), mode == Mode::Cbt);
        // Nothing was written at all. Without tracking nobody knows that of the file that the VM
        // had open.
        place.host.set_changes(Vec::new());
        let (readings, token) = place.readings(mode, Some(&token));
        let leaf = match mode {
            Mode::Cbt => unchanged.clone(),
            Mode::Standard => full("changes are not tracked"),
        };
        assert_eq!(readings, [unchanged.clone(), unchanged.clone(), leaf]);
        // The VM writes to the file that it has open, whose names stay the same.
        place.host.set_changes(vec![(8192, 4096)]);
        let (readings, token) = place.readings(mode, token.as_ref());
        assert_ne!(readings[2], unchanged, "{mode:?}");
        // The VM wrote, and then somebody took a checkpoint.
        let number = if mode == Mode::Cbt { 33 } else { 34 };
        let base = disk_info(&place.path().join("a_1.avhdx"));
        let now = place.leaf(&base, "a_2.avhdx", "a_1.avhdx", number);
        let (readings, token) = place.readings(mode, token.as_ref());
        let leaf_reading = match mode {
            Mode::Cbt => LayerReading::Changed(changed.clone()),
            Mode::Standard => full("changes are not tracked"),
        };
        let mut expected = vec![unchanged.clone(), unchanged.clone(), leaf_reading];
        assert_eq!(readings, expected);
        if mode == Mode::Cbt {
            place.leaf(&now, "a_3.avhdx", "a_2.avhdx", 4);
            place.host.grow(&id(13), disks("a_2.avhdx"));
            place.host.set_disks(disks("a_3.avhdx"));
            let (readings, _) = place.readings(mode, token.as_ref());
            expected = vec![unchanged.clone(), unchanged];
            expected.push(LayerReading::Changed(changed.clone()));
            expected.push(full("the file is new"));
            assert_eq!(readings, expected);
            // Back to where it was.
            place.host.set_disks(disks("a_2.avhdx"));
        }
    }
}

/// Files of which one is held by another program for a while.
struct Held {
    files: MappedFiles,
    name: &'static str,
    times: Mutex<u32>,
}

impl HostFiles for Held {
    fn open(&self, path: &HostPath) -> Result<Arc<FrozenFile>, FileError> {
        let mut times = self.times.lock().unwrap();
        if path.name() == Some(self.name) && *times > 0 {
            *times -= 1;
            return Err(FileError {
                path: path.to_string(),
                problem: FileProblem::InUse("scanner".to_owned()),
            });
        }
        self.files.open(path)
    }

    fn len(&self, path: &HostPath) -> Result<u64, FileError> {
        self.files.len(path)
    }

    fn list(&self, folder: &HostPath) -> Result<Vec<HostEntry>, FileError> {
        self.files.list(folder)
    }
}

/// Virus scanners and merges hold parents as well as the image itself.
#[test]
fn what_is_held_for_a_while_is_waited_for_along_the_chain() {
    for name in ["a_2.avhdx", "a_1.avhdx", "a.vhdx"] {
        for (times, had) in [(6, true), (1000, false)] {
            let place = Place::new();
            let dir = tempfile::tempdir().unwrap();
            let journal = Arc::new(Journal::create(dir.path(), VM).unwrap());
            let files = Held {
                files: place.files(),
                name,
                times: Mutex::new(times),
            };
            let request = request(Mode::Standard, None, false);
            let control = place.host.control(&journal);
            let frozen = Frozen::take(&control, &files, &request).unwrap();
            assert_eq!(frozen.disks.len(), usize::from(had), "{name} {times}");
            let waited = cim::job::Pace::now(&place.host).as_secs();
            assert!((5..=100).contains(&waited), "{name} {times}: {waited}");
        }
    }
}

/// Nobody may read them, which Windows says of files that are held as well.
struct Denied(MappedFiles);

impl HostFiles for Denied {
    fn open(&self, path: &HostPath) -> Result<Arc<FrozenFile>, FileError> {
        Err(FileError {
            path: path.to_string(),
            problem: FileProblem::Denied("no rights".to_owned()),
        })
    }

    fn len(&self, path: &HostPath) -> Result<u64, FileError> {
        self.0.len(path)
    }

    fn list(&self, folder: &HostPath) -> Result<Vec<HostEntry>, FileError> {
        self.0.list(folder)
    }
}

/// The checkpoint is there as long as that is waited for.
#[test]
fn disks_that_cannot_be_had_are_waited_for_together() {
    let place = Place::new();
    let dir = tempfile::tempdir().unwrap();
    let journal = Arc::new(Journal::create(dir.path(), VM).unwrap());
    let files = Denied(place.files());
    let request = request(Mode::Standard, None, true);
    let control = place.host.control(&journal);
    let frozen = Frozen::take(&control, &files, &request).unwrap();
    // The VM's own disk, and those of two checkpoints.
    let lost = frozen.tree.as_ref().unwrap().lost.len() + frozen.lost.len();
    assert!(lost >= 3, "{lost}");
    let waited = cim::job::Pace::now(&place.host).as_secs();
    assert!((90..=100).contains(&waited), "{waited}");
}

/// What a file that is there says about itself.
fn disk_info(path: &Path) -> LayerInfo {
    let finder = disk::resolve::Folders::new();
    let chain = disk::resolve::resolve(&finder, path).unwrap();
    chain[0].layer.info().clone()
}

#[test]
fn another_file_under_the_same_name_is_read() {
    let place = Place::new();
    let token = place.readings(Mode::Cbt, None).1.unwrap();
    // Somebody puts another file in the place of one that no VM writes to.
    let base = disk_info(&place.path().join("a.vhdx"));
    let middle = place.leaf(&base, "a_1.avhdx", "a.vhdx", 77);
    place.leaf(&middle, "a_2.avhdx", "a_1.avhdx", 3);
    let (readings, _) = place.readings(Mode::Cbt, Some(&token));
    assert_eq!(readings[0], LayerReading::Unchanged);
    assert_eq!(
        readings[1],
        LayerReading::Full("the file is not what it was".to_owned())
    );
}

/// Its parent is our checkpoint, which will be gone, and its disk is what the VM wrote since.
#[test]
fn a_checkpoint_that_is_taken_after_the_freeze_is_told_and_left_out() {
    let place = Place::new();
    place.host.grow_after(&id(13), disks("a_3.avhdx"));
    place.backup(Mode::Standard, None, |frozen| {
        let tree = frozen.tree.as_ref().unwrap();
        let ids: Vec<Uuid> = tree.checkpoints.iter().map(|c| c.id).collect();
        assert_eq!(ids, [Uuid::from_u128(11), Uuid::from_u128(12)]);
        assert_eq!((tree.layers.len(), tree.lost.len()), (3, 0));
        let told = tree.findings.iter().map(ToString::to_string);
        assert!(
            told.into_iter()
                .any(|told| told.contains("after the VM was frozen"))
        );
    });
}

/// A VHD's id names the file, and not what is in it.
#[test]
fn vhds_are_read_in_full_each_time() {
    let place = Place {
        host: Vmms::new(),
        dir: tempfile::tempdir().unwrap(),
    };
    let write = |byte| {
        let path = place.path().join("a.vhd");
        let _ = fs::remove_file(&path);
        let image = Image::new(Kind::Vhd, SIZE, 1).data(0, &[byte; 512]);
        image.write(&path)
    };
    let first = write(1);
    place.host.set_disks(disks("a.vhd"));
    let token = place.readings(Mode::Standard, None).1.unwrap();
    let second = write(2);
    assert_eq!(first.identity(), second.identity());
    let (readings, _) = place.readings(Mode::Standard, Some(&token));
    assert!(matches!(readings[0], LayerReading::Full(_)), "{readings:?}");
}
