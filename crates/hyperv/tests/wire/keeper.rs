//! An installation that protects a VM run after run, as a job would, and what may not come to harm
//! by it.

use disk::{BlockRead, ByteRange};
use hyperkeep_hyperv::Hint;
use hyperkeep_hyperv::checkpoint::Mark;
use hyperkeep_hyperv::control::Control;
use hyperkeep_hyperv::frozen::{FreezeError, Frozen, FrozenDisk, LayerReading, Reading, Resting};
use hyperkeep_hyperv::inventory;
use hyperkeep_hyperv::journal::{Journal, dead};
use hyperkeep_hyperv::plan::{Plan, Policy, plan};
use hyperkeep_hyperv::preflight::Level;
use hyperkeep_hyperv::recovery::{Remembered, Report, recover};
use hyperkeep_hyperv::tracking::Token;
use jiff::Timestamp;
use lab::Clock;
use lab::state::{CheckpointKind, CheckpointWish, Consistency};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use uuid::Uuid;

use crate::support::{Lab, folder};

/// What came of a run.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// A point of what changed.
    Incremental(Level),
    /// A point of everything, and why.
    Full(Level, String),
    /// No point, and why.
    None(String),
}

/// A run, when it is over.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) outcome: Outcome,
    /// What was told of the end.
    pub(crate) problems: Vec<String>,
    /// What the run's own recovery told.
    pub(crate) report: Report,
    /// Bytes of disks that were read.
    pub(crate) bytes: u64,
    /// What the host merges now.
    pub(crate) resting: Vec<Resting>,
}

/// One installation, with one of its vaults.
pub(crate) struct Keeper {
    pub(crate) mark: Mark,
    pub(crate) policy: Policy,
    pub(crate) token: Option<Token>,
    /// Whether everything is read, whatever changed.
    pub(crate) full: bool,
    /// The disks of the last point, or each layer of it by its file.
    disks: HashMap<String, Vec<u8>>,
    /// The installation's, whichever the vault.
    journals: Arc<tempfile::TempDir>,
    /// Whether the installation has other vaults, which cannot be asked just now.
    pub(crate) has_other_vaults: bool,
}

impl Keeper {
    pub(crate) fn new(installation: u128, policy: Policy) -> Self {
        let mark = Mark {
            installation: Uuid::from_u128(installation),
            run: Uuid::from_u128(installation << 64),
        };
        Self {
            mark,
            policy,
            token: None,
            full: false,
            disks: HashMap::new(),
            journals: Arc::new(folder()),
            has_other_vaults: false,
        }
    }

    /// Another vault of the same installation.
    pub(crate) fn other_vault(&mut self) -> Self {
        self.has_other_vaults = true;
        let Mark { installation, run } = self.mark;
        let mut other = Self::new(installation.as_u128(), self.policy);
        other.mark.run = Uuid::from_u128(run.as_u128() + (1 << 32));
        other.journals = Arc::clone(&self.journals);
        other.has_other_vaults = true;
        other
    }

    /// Sees to what earlier runs have left, backs up, and sees to what this run has left. A point
    /// is compared with `guest`, what the guest had written when the run began, or when nobody
    /// knows with the frozen disks.
    pub(crate) fn run(&mut self, lab: &Lab, guest: &[Vec<u8>]) -> Run {
        self.clean(lab);
        let run = self.next_run();
        let journal = Arc::new(Journal::create(self.journals(), run).unwrap());
        let control = lab.control(&journal);
        let (mut problems, mut resting) = (Vec::new(), Vec::new());
        let (outcome, bytes) = match self.take(lab, &control) {
            Ok(frozen) => {
                let was = self.disks.clone();
                let bytes = self.read(&frozen);
                self.compare(&frozen, guest);
                match frozen.verify() {
                    Ok(()) => {
                        let outcome = outcome(&frozen);
                        let kept = frozen.keep();
                        (self.token, problems) = (kept.token, kept.problems);
                        resting = kept.resting;
                        (outcome, bytes)
                    }
                    Err(error) => {
                        self.disks = was;
                        problems.extend(frozen.abandon().err().map(|error| error.to_string()));
                        (Outcome::None(error.to_string()), bytes)
                    }
                }
            }
            Err(error) => (Outcome::None(error), 0),
        };
        let report = recover(&control, &|vm, point| self.remembers(vm, point)).unwrap();
        journal.close().unwrap();
        Run {
            outcome,
            problems,
            report,
            bytes,
            resting,
        }
    }

    /// A run of its own.
    pub(crate) fn next_run(&mut self) -> Uuid {
        self.mark.run = Uuid::from_u128(self.mark.run.as_u128() + 1);
        self.mark.run
    }

    /// Forgets a token whose reference point is gone, as a vault cannot know.
    pub(crate) fn forget(&mut self, lab: &Lab) {
        let service = lab.server.service();
        let points = &service.repository.host.vms()[0].reference_points;
        let is_there = |name: &String| {
            let mut ids = points.iter().map(|point| point.id.to_string());
            ids.any(|id| name.to_lowercase().ends_with(&id))
        };
        self.token
            .take_if(|token| !token.reference_point.iter().all(is_there));
    }

    /// Where its journals are.
    pub(crate) fn journals(&self) -> &Path {
        self.journals.path()
    }

    /// Sees to what runs have left that are gone.
    pub(crate) fn clean(&self, lab: &Lab) -> Vec<Report> {
        let taken = dead(self.journals.path()).unwrap();
        let reports = taken.into_iter().map(|journal| {
            let journal = Arc::new(journal);
            let control = lab.control(&journal);
            let report = recover(&control, &|vm, point| self.remembers(vm, point)).unwrap();
            journal.close().unwrap();
            report
        });
        reports.collect()
    }

    /// Whether no run has left anything to see to.
    pub(crate) fn is_clean(&self) -> bool {
        std::fs::read_dir(self.journals.path()).unwrap().count() == 0
    }

    fn remembers(&self, _: Uuid, point: &str) -> Remembered {
        let token = self.token.as_ref();
        let named = token.and_then(|token| token.reference_point.as_deref());
        match named == Some(point) {
            true => Remembered::Yes,
            false if self.has_other_vaults => Remembered::NotYet,
            false => Remembered::No,
        }
    }

    fn take(&self, lab: &Lab, control: &Arc<Control>) -> Result<Frozen, String> {
        let inventory = inventory::take(control.session()).map_err(|error| error.to_string())?;
        let machine = inventory.machine(lab.vm());
        let machine = machine.ok_or("the host does not have the VM")?;
        let plan = plan(machine, &inventory.host, &self.policy);
        let plan = plan.map_err(|refused| refused.to_string())?;
        self.hold(lab, control, &plan).map_err(|error| {
            assert!(!error.hint().is_empty(), "{error}");
            error.to_string()
        })
    }

    /// Makes the VM hold still.
    pub(crate) fn hold(
        &self,
        lab: &Lab,
        control: &Arc<Control>,
        plan: &Plan,
    ) -> Result<Frozen, FreezeError> {
        let request = plan.request(self.mark, self.token.as_ref(), self.full);
        Frozen::take(control, &lab.files(), &request)
    }

    /// Reads what the host says has to be read; the number of its bytes.
    fn read(&mut self, frozen: &Frozen) -> u64 {
        assert_eq!((frozen.lost.len(), frozen.lost_files.len()), (0, 0));
        let mut bytes = 0;
        let mut next = HashMap::new();
        let mut read = |name: &str, from: &dyn BlockRead, ranges: Option<Vec<ByteRange>>| {
            let whole = ranges.is_none();
            let ranges = ranges.unwrap_or_else(|| vec![ByteRange::new(0, from.len())]);
            let old = self.disks.get(name).filter(|_| !whole).cloned();
            let mut copy = old.unwrap_or_else(|| vec![0; from.len() as usize]);
            for range in ranges {
                let (at, end) = (range.start as usize, range.end as usize);
                from.read_at(range.start, &mut copy[at..end]).unwrap();
                bytes += range.len();
            }
            next.insert(name.to_owned(), copy);
        };
        for disk in &frozen.disks {
            let ranges = match &disk.reading {
                Reading::Full(_) => None,
                Reading::Changed(ranges) => Some(ranges.iter().collect()),
            };
            read(place(disk), &disk.chain, ranges);
        }
        for layer in frozen.tree.iter().flat_map(|tree| &tree.layers) {
            let ranges = match &layer.reading {
                LayerReading::Full(_) => None,
                LayerReading::Changed(ranges) => Some(ranges.iter().collect()),
                LayerReading::Unchanged => Some(Vec::new()),
            };
            read(&layer.path, &*layer.layer, ranges);
        }
        self.disks = next;
        bytes
    }

    /// What was read is what the guest had written, and each layer what it is in full.
    fn compare(&self, frozen: &Frozen, guest: &[Vec<u8>]) {
        let whole = |from: &dyn BlockRead| {
            let mut all = vec![0; from.len() as usize];
            from.read_at(0, &mut all).unwrap();
            all
        };
        for (at, disk) in frozen.disks.iter().enumerate() {
            let copy = &self.disks[place(disk)];
            let expected = match guest.is_empty() {
                true => &whole(&disk.chain),
                false => &guest[at],
            };
            assert!(copy == expected, "{}: {:?}", disk.medium.path, disk.reading);
        }
        for layer in frozen.tree.iter().flat_map(|tree| &tree.layers) {
            let same = self.disks[&layer.path] == whole(&*layer.layer);
            assert!(same, "{}: {:?}", layer.path, layer.reading);
        }
    }
}

/// The place of a disk, which is the same in each checkpoint.
fn place(disk: &FrozenDisk) -> &str {
    disk.medium.instance_id.split_once('\\').unwrap().1
}

fn outcome(frozen: &Frozen) -> Outcome {
    let full = frozen.disks.iter().find_map(|disk| match &disk.reading {
        Reading::Full(why) => Some(why.clone()),
        Reading::Changed(_) => None,
    });
    match full {
        Some(why) => Outcome::Full(frozen.level, why),
        None => Outcome::Incremental(frozen.level),
    }
}

/// What belongs to other people: a checkpoint of a user, and a reference point of another program.
pub(crate) struct Others {
    checkpoint: Uuid,
    point: Uuid,
}

impl Others {
    pub(crate) fn settle(lab: &Lab) -> Self {
        let checkpoint = lab.user_checkpoint();
        let (vm, mut service) = (lab.vm(), lab.server.service());
        let host = &mut service.repository.host;
        let wish = CheckpointWish {
            kind: CheckpointKind::Recovery,
            consistency: Consistency::Crash,
            ignore_unfreezable: true,
            memory: false,
        };
        let now: Timestamp = lab.time.clock.now();
        let made = host.freeze(vm, wish, now).unwrap();
        host.convert_checkpoint(vm, made).unwrap();
        drop(service);
        lab.rest();
        let service = lab.server.service();
        let point = service.repository.host.vms()[0].reference_points[0].id;
        Self { checkpoint, point }
    }

    /// They are there, as they were; of ours there is nothing but what the keepers remember. Other
    /// programs' checkpoints for backups are named `theirs`; how many there are.
    pub(crate) fn check(&self, lab: &Lab, keepers: &[&Keeper], what: &str) -> usize {
        self.check_beside(lab, keepers, &[], what)
    }

    /// The same beside reference points that somebody was told of.
    pub(crate) fn check_beside(
        &self,
        lab: &Lab,
        keepers: &[&Keeper],
        told: &[String],
        what: &str,
    ) -> usize {
        lab.rest();
        let service = lab.server.service();
        let vm = &service.repository.host.vms()[0];
        let mut theirs = 0;
        for checkpoint in &vm.checkpoints {
            match checkpoint.kind {
                CheckpointKind::Recovery => {
                    assert_eq!(checkpoint.settings.name, "theirs", "{what}");
                    theirs += 1;
                }
                _ => assert_eq!(checkpoint.settings.id, self.checkpoint, "{what}"),
            }
        }
        assert_eq!(vm.checkpoints.len(), theirs + 1, "{what}");
        let ids = vm.reference_points.iter().map(|point| point.id);
        let mut ids: Vec<Uuid> = ids.collect();
        assert!(ids.contains(&self.point), "{what}");
        ids.retain(|id| *id != self.point);
        for keeper in keepers {
            let token = keeper.token.as_ref();
            let Some(point) = token.and_then(|token| token.reference_point.as_deref()) else {
                continue;
            };
            let known = ids.len();
            ids.retain(|id| !point.to_lowercase().ends_with(&id.to_string()));
            assert_eq!(ids.len() + 1, known, "{what}: {point} is gone");
        }
        let known = |id: &Uuid| {
            told.iter()
                .any(|told| told.to_lowercase() == id.to_string())
        };
        ids.retain(|id| !known(id));
        assert!(ids.is_empty(), "{what}: nobody remembers {ids:?}");
        theirs
    }
}
