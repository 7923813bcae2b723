//! How consistent a VM's disks are, which files come with them, and when the host is done.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cim::Instance;
use cim::job::Pace;
use hyperkeep_hyperv::checkpoint::{CheckpointError, Consistency, GuestBackup, Mark, Options};
use hyperkeep_hyperv::control::Control;
use hyperkeep_hyperv::files::{HostPath, MappedFiles, PathMap};
use hyperkeep_hyperv::frozen::{FileRole, FreezeError, Frozen, Merge, Request};
use hyperkeep_hyperv::inventory::{Family, Finding};
use hyperkeep_hyperv::journal::Journal;
use hyperkeep_hyperv::preflight::{Level, Mode};
use hyperkeep_hyperv::replication::ToldBy;
use testkit::image::{Image, Kind};
use uuid::Uuid;

use crate::support::Disk;
use crate::support::vmms::{Failure, VM, Vmms};

fn disk(name: &str) -> Disk {
    Disk {
        scsi: true,
        number: 0,
        place: 0,
        path: format!("D:\\VMs\\{name}"),
    }
}

/// A host with one VM of one disk.
struct Place {
    host: Vmms,
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let (host, dir) = (Vmms::new(), tempfile::tempdir().unwrap());
        host.set_disks(vec![disk("a.vhdx")]);
        Image::new(Kind::Vhdx, 1 << 20, 1).write(&dir.path().join("a.vhdx"));
        fs::create_dir(dir.path().join("Snapshots")).unwrap();
        Self { host, dir }
    }

    fn snapshots(&self) -> std::path::PathBuf {
        self.dir.path().join("Snapshots")
    }

    fn with<T>(&self, flow: impl FnOnce(&Arc<Control>, &MappedFiles) -> T) -> T {
        let dir = tempfile::tempdir().unwrap();
        let journal = Arc::new(Journal::create(dir.path(), VM).unwrap());
        let folder = HostPath::parse("D:\\VMs").unwrap();
        let files = MappedFiles::new(PathMap::new().with(folder, self.dir.path()));
        flow(&self.host.control(&journal), &files)
    }

    /// The level that is achieved, and why it is less than was asked for.
    fn achieved(&self, request: &Request<'_>) -> Result<(Level, Option<String>), FreezeError> {
        self.with(|control, files| {
            let frozen = Frozen::take(control, files, request)?;
            Ok((frozen.level, frozen.downgrade.clone()))
        })
    }
}

fn request() -> Request<'static> {
    Request {
        vm: VM,
        mode: Mode::Standard,
        options: Options {
            consistency: Consistency::Application,
            guest_backup: GuestBackup::Copy,
            ignore_other_disks: false,
        },
        fall_back: true,
        expected: Level::Crash,
        least: Level::Crash,
        guest: Family::Windows,
        replica: false,
        suspend: None,
        mark: Mark {
            installation: Uuid::from_u128(0x11),
            run: Uuid::from_u128(0x22),
        },
        token: None,
        full: false,
        tree: false,
        choose: None,
    }
}

#[test]
fn the_level_is_what_was_achieved() {
    let crash = || {
        let mut request = request();
        request.options.consistency = Consistency::Crash;
        request
    };
    let level = |power, after, request: Request<'_>| {
        let place = Place::new();
        place.host.set_power(power, after);
        place.achieved(&request).unwrap().0
    };
    assert_eq!(level(2, None, request()), Level::Application);
    for guest in [Family::Other, Family::Unknown] {
        let request = Request { guest, ..request() };
        assert_eq!(level(2, None, request), Level::FileSystem);
    }
    assert_eq!(level(2, None, crash()), Level::Crash);
    assert_eq!(level(3, None, crash()), Level::Offline);
    // Somebody started it meanwhile.
    assert_eq!(level(3, Some(2), crash()), Level::Crash);
    // Its memory is not in the checkpoint.
    assert_eq!(level(6, None, crash()), Level::Crash);
    let replica = Request {
        replica: true,
        ..crash()
    };
    assert_eq!(level(3, None, replica), Level::Crash);
}

/// Between the look at a VM and its checkpoint somebody pauses it, saves it or starts it.
#[test]
fn what_does_not_run_takes_no_part_whatever_the_host_says() {
    let wanted = |expected, consistency, least| {
        let mut request = request();
        (request.expected, request.least) = (expected, least);
        request.options.consistency = consistency;
        request
    };
    let (asked, crash) = (Consistency::Application, Consistency::Crash);
    for (power, after, expected, consistency) in [
        (9, None, Level::Application, asked),
        (6, None, Level::Application, asked),
        (3, Some(2), Level::Offline, crash),
        (2, None, Level::Offline, crash),
    ] {
        let place = Place::new();
        place.host.set_power(power, after);
        let request = wanted(expected, consistency, Level::Crash);
        let (level, downgrade) = place.achieved(&request).unwrap();
        assert_eq!(level, Level::Crash, "{power}");
        assert!(downgrade.unwrap().contains("another state"), "{power}");
        let place = Place::new();
        place.host.set_power(power, after);
        let strict = wanted(expected, consistency, Level::FileSystem);
        let refused = place.achieved(&strict);
        assert!(
            matches!(refused, Err(FreezeError::NotConsistent(_))),
            "{power}: {refused:?}"
        );
        assert!(place.host.checkpoints().is_empty());
    }
    // A VM that stays off is as consistent as can be; where the host does not tell since when it
    // is off, it may have run.
    let mut place = Place::new();
    place.host.set_power(3, None);
    let off = wanted(Level::Offline, crash, Level::FileSystem);
    assert_eq!(place.achieved(&off).unwrap(), (Level::Offline, None));
    place.host.tells_state_time = false;
    assert!(place.achieved(&off).is_err());
}

#[test]
fn a_guest_that_does_not_settle_costs_the_level_only_where_that_is_wanted() {
    let fails = |failure, request: &Request<'_>| {
        let place = Place::new();
        place.host.fail("CreateSnapshot", failure);
        let achieved = place.achieved(request);
        let taken = place
            .host
            .methods()
            .iter()
            .filter(|m| *m == "CreateSnapshot")
            .count();
        assert!(place.host.checkpoints().is_empty());
        (achieved, taken)
    };
    let (achieved, taken) = fails(Failure::FailedJob, &request());
    let (level, downgrade) = achieved.unwrap();
    assert_eq!((level, taken), (Level::Crash, 2));
    assert!(downgrade.unwrap().contains("失敗"));
    let strict = Request {
        fall_back: false,
        ..request()
    };
    let (achieved, taken) = fails(Failure::FailedJob, &strict);
    assert!(achieved.is_err() && taken == 1);
    // It is not the guest, and less would not do any better.
    let (achieved, taken) = fails(Failure::Refused(32769), &request());
    assert!(achieved.is_err() && taken == 1);
}

/// The `ConsistencyLevel` of each checkpoint that the host was asked for.
fn levels(host: &Vmms) -> Vec<u8> {
    let inputs = host.inputs().into_iter();
    let asked = inputs.filter_map(|inputs| inputs.get_opt::<Instance>("SnapshotSettings").unwrap());
    asked
        .map(|settings| settings.get("ConsistencyLevel").unwrap())
        .collect()
}

/// The guest is not blamed for what the host was at work on: the VM has another turn, with its guest.
#[test]
fn a_vm_that_is_only_busy_keeps_its_level() {
    let refused = |at_work: &[u16], failures: &[Failure]| {
        let place = Place::new();
        place.host.set_at_work(at_work);
        for failure in failures {
            place.host.fail("CreateSnapshot", *failure);
        }
        let refused = place.achieved(&request()).unwrap_err();
        let levels = levels(&place.host);
        assert!(levels.iter().all(|level| *level == 1), "{levels:?}");
        assert!(place.host.checkpoints().is_empty());
        let FreezeError::Checkpoint(error) = refused else {
            panic!("{refused}");
        };
        error
    };
    // A delta is sent (107), which shows in nothing but the job that goes on.
    let error = refused(&[107], &[Failure::FailedJob]);
    let CheckpointError::Conflict(conflict) = &error else {
        panic!("{error}");
    };
    assert_eq!(conflict.told_by, ToldBy::Job(107));
    // 32775, as long as anybody waits for it.
    let error = refused(&[], &[Failure::BusyJob; 60]);
    assert!(
        matches!(&error, CheckpointError::Change(error) if error.is_worth_waiting()),
        "{error}"
    );
    // Any other job is in nobody's way.
    let place = Place::new();
    place.host.set_at_work(&[4]);
    place.host.fail("CreateSnapshot", Failure::FailedJob);
    let (level, downgrade) = place.achieved(&request()).unwrap();
    assert_eq!((level, downgrade.is_some()), (Level::Crash, true));
}

/// A guest that takes a copy for a full backup cuts logs that another backup needs.
#[test]
fn that_a_backup_is_a_copy_is_told_to_the_guest_or_to_people() {
    let crash = Options {
        consistency: Consistency::Crash,
        ..request().options
    };
    let full = Options {
        guest_backup: GuestBackup::Full,
        ..request().options
    };
    for (options, told, may_be_hidden) in [
        (request().options, true, false),
        (crash, false, true),
        (full, false, true),
    ] {
        let request = || Request {
            options,
            ..request()
        };
        let mut place = Place::new();
        place.host.guest_backup_type = false;
        let findings = place.with(|control, files| {
            let frozen = Frozen::take(control, files, &request()).unwrap();
            frozen.findings.clone()
        });
        assert_eq!(findings.contains(&Finding::BackupKindUntold), told);
        place.host.hides_classes = true;
        let calls = place.host.methods().len();
        assert_eq!(place.achieved(&request()).is_ok(), may_be_hidden);
        assert_eq!(place.host.methods().len() > calls, may_be_hidden);
    }
}

#[test]
fn a_host_that_takes_its_word_back_is_told() {
    let place = Place::new();
    place.host.set_consistency(2);
    let kept = place.with(|control, files| {
        let request = Request {
            mode: Mode::Cbt,
            ..request()
        };
        Frozen::take(control, files, &request).unwrap().keep()
    });
    assert!(kept.token.is_some());
    assert!(
        kept.less
            .as_ref()
            .is_some_and(|l| l.contains("crash-consistent")),
        "{kept:?}"
    );
    assert_eq!(kept.problems, [""; 0]);
}

/// The checkpoint's id is not known before it is there, so its files are made as it is taken.
fn lay(folder: &Path, id: &str, endings: &[&str]) {
    for ending in endings {
        fs::write(folder.join(format!("{id}.{ending}")), ending).unwrap();
    }
}

/// The id that the host gives to its next checkpoint.
const NEXT: u128 = 101;

#[test]
fn the_files_of_the_checkpoint_come_with_it() {
    let place = Place::new();
    let id = Uuid::from_u128(NEXT).to_string().to_uppercase();
    lay(&place.snapshots(), &id, &["vmcx", "VMRS", "txt"]);
    lay(&place.snapshots(), &id.to_lowercase(), &["vmgs"]);
    // Somebody else's.
    lay(&place.snapshots(), &format!("{id}0"), &["vmcx", "vmgs"]);
    place.with(|control, files| {
        let frozen = Frozen::take(control, files, &request()).unwrap();
        let roles: Vec<FileRole> = frozen.files.iter().map(|file| file.role).collect();
        assert_eq!(
            roles,
            [
                FileRole::Configuration,
                FileRole::RuntimeState,
                FileRole::GuestState
            ]
        );
        assert_eq!(
            (frozen.lost_files.len(), frozen.key_protector.is_some()),
            (0, false)
        );
        let mut bytes = [0; 4];
        disk::ReadAt::read_exact_at(&*frozen.files[1].data, &mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"VMRS");
        // They must hold still as well.
        frozen.verify().unwrap();
        fs::write(place.snapshots().join(format!("{id}.VMRS")), b"").unwrap();
        assert!(frozen.verify().is_err());
    });
}

#[test]
fn a_virtual_tpm_comes_with_what_its_state_is_encrypted_for() {
    let place = Place::new();
    place.host.set_tpm();
    let id = Uuid::from_u128(NEXT).to_string().to_uppercase();
    lay(&place.snapshots(), &id, &["vmcx"]);
    place.with(|control, files| {
        let frozen = Frozen::take(control, files, &request()).unwrap();
        assert_eq!(frozen.key_protector.as_deref(), Some(&[1, 2, 255][..]));
        // And it is told that the state itself is absent.
        assert!(
            frozen.lost_files[0].path.contains("TPM"),
            "{:?}",
            frozen.lost_files
        );
        let told = |f: &Finding| matches!(f, Finding::NotTold { .. });
        assert!(!frozen.findings.iter().any(told));
    });
}

#[test]
fn a_configuration_that_is_not_there_is_told() {
    let place = Place::new();
    place.with(|control, files| {
        let frozen = Frozen::take(control, files, &request()).unwrap();
        assert!(frozen.files.is_empty());
        assert!(
            frozen.lost_files[0].path.ends_with(".vmcx"),
            "{:?}",
            frozen.lost_files
        );
        assert_eq!(frozen.disks.len(), 1, "the disks are saved all the same");
    });
}

#[test]
fn merges_are_waited_for_and_not_for_ever() {
    let merge = |until, operation| {
        let place = Place::new();
        fs::write(place.dir.path().join("a_1.avhdx"), "").unwrap();
        place
            .host
            .unmerged_until(Duration::from_secs(until), vec![disk("a_1.avhdx")]);
        place.with(|control, files| {
            let kept = Frozen::take(control, files, &request()).unwrap().keep();
            place.host.set_operation(operation);
            place.host.end_operation_at(Duration::from_secs(until));
            let begun = place.host.now();
            let most = Duration::from_secs(60);
            let seen = Merge::wait(control, VM, &kept.resting, most).unwrap();
            (seen, (place.host.now() - begun).as_secs())
        })
    };
    assert_eq!(merge(0, None).0, Merge::Done);
    let (seen, took) = merge(30, Some(32772));
    assert_eq!(seen, Merge::Done);
    assert!((20..=35).contains(&took), "{took}");
    for (operation, at_work) in [(Some(32772), true), (None, false)] {
        let (seen, took) = merge(10_000, operation);
        let files = vec!["D:\\VMs\\a_1.avhdx".to_owned()];
        let log = None;
        assert_eq!(
            seen,
            Merge::Pending {
                files,
                at_work,
                log
            }
        );
        assert!((60..=65).contains(&took), "{took}");
    }
}
