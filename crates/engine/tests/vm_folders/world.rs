//! A vault, folders of VMs, and what is done with them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use disk::BlockRead;
use engine::backup::{Job, JobReport, Options, VmReport, backup};
use engine::pipeline::Limits;
use engine::progress::Quiet;
use engine::restore::layer::open_chain;
use engine::restore::{Opened, RestoreReport, Task, WindowsFolder, restore_folder};
use engine::source::Owner;
use engine::source::folder::FolderSource;
use engine::{Cancel, Clock, Finding, Severity, SystemClock};
use hyperkeep_engine as engine;
use store::MemoryStore;
use tempfile::TempDir;
use testkit::image::{Image, Kind, noise};
use testkit::vm::{Layout, Vm};
use vault::{Env, InitOptions, Vault};

pub(crate) const MIB: u64 = 1 << 20;
const LIMITS: Limits = Limits {
    workers: 2,
    in_flight: 16 << 20,
    results: 16 << 20,
};

/// A clock that stops the work after some looks at it.
struct Stopping<'a> {
    clock: SystemClock,
    cancel: &'a Cancel,
    left: AtomicU64,
}

impl Clock for Stopping<'_> {
    fn monotonic(&self) -> Duration {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.cancel.cancel();
        }
        self.clock.monotonic()
    }

    fn unix_seconds(&self) -> u64 {
        self.clock.unix_seconds()
    }

    fn sleep(&self, span: Duration) {
        self.clock.sleep(span);
    }
}

pub(crate) struct World {
    pub(crate) dir: TempDir,
    vault: Vault,
}

impl World {
    pub(crate) fn new() -> Self {
        let options = InitOptions {
            writer: "test",
            ..InitOptions::default()
        };
        let store = Arc::new(MemoryStore::default());
        let (vault, _) = Vault::init(store, &options, Env::system()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("vms")).unwrap();
        Self { dir, vault }
    }

    pub(crate) fn vms(&self) -> PathBuf {
        self.dir.path().join("vms")
    }

    pub(crate) fn backup(&self, folder: &Path) -> JobReport {
        self.backup_of(folder, Options::default())
    }

    pub(crate) fn backup_of(&self, folder: &Path, options: Options) -> JobReport {
        let clock = SystemClock::new();
        let job = Job {
            vault: &self.vault,
            clock: &clock,
            sink: &Quiet,
            cancel: &Cancel::new(),
            limits: LIMITS,
        };
        let mut source = FolderSource::open(folder).unwrap();
        let mut seed = self.vault.points(None).unwrap().len() as u64;
        let mut rng = |out: &mut [u8]| {
            seed += 1000;
            out.copy_from_slice(&noise(seed, out.len()));
        };
        let report = backup(&job, &mut source, &options, &mut rng).unwrap();
        advised(&report.findings);
        report.vms.iter().for_each(|vm| advised(&vm.findings));
        report
    }

    pub(crate) fn open(&self, vm: &VmReport) -> Opened {
        let id = vm.point.as_ref().unwrap();
        let all = self.vault.points(None).unwrap();
        let reference = all.iter().find(|p| p.point.to_string() == *id).unwrap();
        Opened::open(&self.vault.point(reference).unwrap()).unwrap()
    }

    pub(crate) fn with_task(&self, f: impl FnOnce(&Task<'_>) -> RestoreReport) -> RestoreReport {
        let clock = SystemClock::new();
        let report = f(&Task {
            vault: &self.vault,
            clock: &clock,
            sink: &Quiet,
            cancel: &Cancel::new(),
            limits: LIMITS,
        });
        advised(&report.findings);
        report
    }

    /// As [`with_task`](Self::with_task), with somebody who stops it after it has looked at the clock
    /// so many times, which it does for every piece of a disk.
    pub(crate) fn stopped_after(
        &self,
        looks: u64,
        f: impl FnOnce(&Task<'_>) -> RestoreReport,
    ) -> RestoreReport {
        let cancel = Cancel::new();
        let clock = Stopping {
            clock: SystemClock::new(),
            cancel: &cancel,
            left: AtomicU64::new(looks),
        };
        let report = f(&Task {
            vault: &self.vault,
            clock: &clock,
            sink: &Quiet,
            cancel: &cancel,
            limits: LIMITS,
        });
        advised(&report.findings);
        report
    }

    pub(crate) fn restore_folder(&self, point: &Opened, to: &Path) -> RestoreReport {
        self.with_task(|task| restore_folder(task, point, to, None))
    }

    /// The same, for a place on a Windows host.
    pub(crate) fn restore_for(&self, point: &Opened, to: &Path, windows: &str) -> RestoreReport {
        let windows: WindowsFolder = windows.parse().unwrap();
        self.with_task(|task| restore_folder(task, point, to, Some(&windows)))
    }

    /// What a guest sees of each of the owner's disks, by where it is attached.
    pub(crate) fn disks(&self, point: &Opened, owner: &Owner) -> Vec<(String, Vec<u8>)> {
        let uses = point.details.uses.iter().filter(|u| u.owner == *owner);
        uses.map(|u| {
            let chain =
                open_chain(&self.vault, &point.details, &point.layer_roots, u.layer).unwrap();
            let mut bytes = vec![0; chain.len() as usize];
            chain.read_at(0, &mut bytes).unwrap();
            (u.slot.clone(), bytes)
        })
        .collect()
    }
}

/// Whatever somebody should act on says how.
fn advised(findings: &[Finding]) {
    for finding in findings {
        let advice = finding.hint.as_ref().is_some_and(|hint| !hint.is_empty());
        assert!(advice || finding.severity == Severity::Info, "{finding:?}");
    }
}

/// A VM with a disk that has one checkpoint, and a second disk.
pub(crate) fn web(number: u64, folder: &Path) -> Vm {
    let vm = Vm::generation2("Web & “数” 💾", number)
        .disk("web_1.avhdx")
        .checkpoint("before <the> update", &["web.vhdx"])
        .disk("data.vhdx");
    vm.write_to(folder, Layout::Export).unwrap();
    let disks = folder.join(vm.disk_folder(Layout::Export));
    let base = Image::new(Kind::Vhdx, 8 * MIB, 10 * number)
        .data(0, &noise(number, 300_000))
        .write(&disks.join("web.vhdx"));
    Image::child(&base, "web.vhdx", 10 * number + 1)
        .data(4096, &noise(number + 1, 8192))
        .write(&disks.join("web_1.avhdx"));
    Image::new(Kind::VhdxFixed, 4 * MIB, 10 * number + 2)
        .data(MIB, &noise(number + 2, 5000))
        .write(&disks.join("data.vhdx"));
    vm
}

pub(crate) fn only(report: &JobReport) -> &VmReport {
    assert_eq!(report.vms.len(), 1, "{report:?}");
    &report.vms[0]
}
