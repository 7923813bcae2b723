//! A power cut at any moment of changing a file: what was synced is there, what was never touched
//! is intact, and the rest is old or new, sector by sector.

use hyperkeep_disk::MemFile;
use hyperkeep_disk::vhdx::{VhdxEditor, VhdxImage, VhdxLayout};
use testkit::crash::{Crash, CrashFile, Random};
use testkit::ops::Op;
use testkit::vary;
use testkit::vhd::oracle;

use crate::images::{image, over, params};
use crate::model::{Shown, Step, ids, perform};

const LEN: u64 = 5 << 20;
const BLOCK: u64 = 1 << 20;

/// Sixteen bytes tell 512-byte sectors apart: the tests' sectors are filled with one byte and a
/// number.
type Sector = (bool, [u8; 16]);

fn sectors(shown: &Shown) -> Vec<Sector> {
    let all = shown.bytes.chunks_exact(512).zip(&shown.own);
    all.map(|(bytes, own)| (*own, bytes[..16].try_into().unwrap()))
        .collect()
}

/// What each sector showed, in time: after the file was opened, and after each step.
struct History {
    states: Vec<Vec<Sector>>,
    differencing: bool,
}

impl History {
    /// Checks a crash, of which the promise is the number of a state.
    fn check(&self, crash: &Crash, shown: &Shown) {
        let from = crash.promised.unwrap_or(0) as usize;
        for (n, found) in sectors(shown).iter().enumerate() {
            let possible = self.states[from..].iter().any(|state| {
                let (own, bytes) = state[n];
                bytes == found.1 && (own == found.0 || !self.differencing)
            });
            assert!(
                possible,
                "sector {n} shows {found:?}, which it never did since state {from}: {}",
                crash.story
            );
        }
    }
}

fn random_step(random: &mut Random) -> Step {
    let sectors = LEN / 512;
    let at = random.below(sectors);
    let longest = if random.below(2) == 0 { 20 } else { 5000 };
    let op = Op {
        at,
        sectors: (1 + random.below(longest)).min(sectors - at),
        byte: (random.below(3) > 0).then(|| random.below(255) as u8 + 1),
    };
    match random.below(8) {
        0 | 1 => Step::Sync,
        2 => Step::Unmap(op),
        _ => Step::Change(op),
    }
}

/// Records random changes to a file of the given layout.
fn record(layout: VhdxLayout, seed: u64) -> (CrashFile, History) {
    let mut random = Random(seed);
    let fixed = matches!(layout, VhdxLayout::Fixed);
    let differencing = matches!(layout, VhdxLayout::Differencing(_));
    let params = params(LEN, BLOCK as u32, 512, layout);
    let before: Vec<Op> = (0..3)
        .filter_map(|_| match random_step(&mut random) {
            Step::Change(op) => Some(op),
            _ => None,
        })
        .collect();
    let mut bytes = vec![0; LEN as usize];
    let (file, own) = image(&params, &before, &mut bytes);
    let file = CrashFile::new(file);
    let own = if differencing {
        own
    } else {
        Shown::of(&VhdxImage::open(file.bytes()).unwrap()).own
    };
    let mut model = Shown { bytes, own };

    let mut history = History {
        states: vec![sectors(&model)],
        differencing,
    };
    let mut editor = VhdxEditor::open(file.clone(), ids(u128::from(seed) * 10)).unwrap();
    for _ in 0..14 {
        let step = random_step(&mut random);
        model.apply(&step, 512, BLOCK, fixed);
        perform(&step, 512, &mut editor, &model);
        history.states.push(sectors(&model));
        if matches!(step, Step::Sync) {
            file.promise(history.states.len() as u64 - 1);
        }
    }
    editor.close().unwrap();
    file.promise(history.states.len() as u64 - 1);
    (file, history)
}

fn layouts() -> [VhdxLayout; 3] {
    [VhdxLayout::Fixed, VhdxLayout::Dynamic, over("base.vhdx")]
}

/// `count` seeds from `first` on; in a nightly run more, and others.
fn seeds(first: u64, count: u32) -> impl Iterator<Item = u64> {
    (0..u64::from(vary::cases(count))).map(move |n| vary::seed(first) + n)
}

#[test]
fn synced_changes_survive_and_untouched_sectors_stay() {
    for (seed, layout) in seeds(0, 6).flat_map(|seed| layouts().map(|layout| (seed, layout))) {
        let (file, history) = record(layout, seed);
        let mut random = Random(seed);
        file.crashes(seed, 3, |crash| {
            let disk = VhdxImage::open(&crash.bytes[..])
                .unwrap_or_else(|e| panic!("{e}: {}", crash.story));
            let shown = Shown::of(&disk);
            history.check(&crash, &shown);

            // Replaying for real, now and then, shows the same and can be written to again.
            if random.below(20) == 0 {
                let after = std::sync::Arc::new(MemFile::new(crash.bytes.clone()));
                VhdxEditor::open(after.clone(), ids(999))
                    .unwrap()
                    .close()
                    .unwrap();
                let again = Shown::of(&VhdxImage::open(after.bytes()).unwrap());
                assert!(again.bytes == shown.bytes && again.own == shown.own);
                let mut editor = VhdxEditor::open(after.clone(), ids(1000)).unwrap();
                editor.write_at(0, &[0xAB; 4096]).unwrap();
                editor.close().unwrap();
                let again = Shown::of(&VhdxImage::open(after.bytes()).unwrap());
                assert!(again.bytes[..4096] == [0xAB; 4096]);
                assert!(again.bytes[4096..] == shown.bytes[4096..]);
            }
        });
    }
}

#[test]
fn a_crash_while_a_log_is_applied_leaves_it_to_be_applied_again() {
    for (seed, layout) in seeds(20, 3).flat_map(|seed| layouts().map(|layout| (seed, layout))) {
        let (file, _) = record(layout, seed);
        let mut dirty = Vec::new();
        file.crashes(seed, 1, |crash| dirty.push(crash.bytes));
        for bytes in dirty.iter().step_by(17) {
            let shown = Shown::of(&VhdxImage::open(&bytes[..]).unwrap());
            let replaying = CrashFile::new(bytes.clone());
            VhdxEditor::open(replaying.clone(), ids(77))
                .unwrap()
                .close()
                .unwrap();
            replaying.crashes(seed, 4, |crash| {
                let again = Shown::of(&VhdxImage::open(&crash.bytes[..]).unwrap());
                assert!(
                    again.bytes == shown.bytes && again.own == shown.own,
                    "{}",
                    crash.story
                );
            });
        }
    }
}

#[test]
fn qemu_repairs_what_a_crash_leaves_to_what_we_read() {
    let Some(qemu) = oracle::qemu_img("crashed VHDX against qemu-img") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("crashed.vhdx");
    for seed in seeds(40, 2) {
        let (file, _) = record(VhdxLayout::Dynamic, seed);
        let mut crashes = Vec::new();
        file.crashes(seed, 1, |crash| crashes.push(crash));
        let step = crashes.len() / 12 + 1;
        for crash in crashes.iter().step_by(step) {
            std::fs::write(&path, &crash.bytes).unwrap();
            qemu.run(&["check", "-f", "vhdx", "-r", "all"], &[&path])
                .unwrap_or_else(|e| panic!("{e}: {}", crash.story));
            let ours = Shown::of(&VhdxImage::open(&crash.bytes[..]).unwrap()).bytes;
            assert!(qemu.read("vhdx", &path).unwrap() == ours, "{}", crash.story);
        }
    }
}
