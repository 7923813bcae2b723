//! How often a host that leaves out changes is found out: as often as what is looked at says.
//!
//! Each trial is a vault of its own, and a disk in which one sector changes between two backups.
//! The host leaves that out of its answer now and then. What the audit looks at follows from seeds
//! and not from the change, so it is measured by a twin on whose disk nothing changed: it finds the
//! change with a chance of that share of the disk.

use testkit::crash::Random;
use testkit::vary;

use super::*;

/// Of a hundred changes, so many are left out.
const LEFT_OUT: u64 = 75;
/// An eighth of the disk is looked at.
const SHARE: Audit = Audit {
    percent: 5,
    least: LEN / 8,
    runs: None,
};

fn seeded(seed: u64) -> Vault {
    let mut random = Random(seed);
    let entropy = move |out: &mut [u8]| out.fill_with(|| random.number() as u8);
    let clock = Arc::new(vault::SystemClock::default());
    vault_of(&Arc::new(MemoryStore::default()), Env::new(clock, entropy)).0
}

/// A disk of data, and a first backup of it.
fn begun(seed: u64) -> (Vault, ModelSource) {
    let vault = seeded(seed);
    let mut source = source(vec![written(None, 1, 1)]);
    run_backup(&vault, &mut source, Level::Auto);
    reset(&source.chain);
    (vault, source)
}

#[test]
fn what_is_left_out_is_found_as_often_as_chance_says() {
    let trials = u64::from(vary::cases(300));
    let mut random = Random(vary::seed(6));
    let (mut left_out, mut found) = (0_u64, 0_u64);
    let (mut expected, mut variance) = (0.0, 0.0);
    for trial in 0..trials {
        let seed = vary::seed(trial);
        let (vault, mut twin) = begun(seed);
        twin.changed = Some(ByteRanges::default());
        let report = run_audited(&vault, &mut twin, Level::Auto, SHARE);
        assert_eq!(missed(&report), 0);
        let looked_at = twin.chain[0].touched.lock().unwrap().len();
        let share = looked_at as f64 / SECTORS as f64;
        assert!((0.1..0.4).contains(&share), "{share}");

        let (vault, mut source) = begun(seed);
        let sector = random.below(SECTORS);
        source.chain[0].sectors[sector as usize] = Sector::Data(random.number());
        let told = random.below(100) >= LEFT_OUT;
        let range = ByteRange::new(sector * SECTOR, (sector + 1) * SECTOR);
        source.changed = Some(told.then_some(range).into_iter().collect());
        let report = run_audited(&vault, &mut source, Level::Auto, SHARE);
        assert!(missed(&report) == 0 || !told, "what was told is no finding");
        if missed(&report) > 0 {
            // The point is right again.
            check(&vault, &report, &source.chain);
        }
        left_out += u64::from(!told);
        found += missed(&report) as u64;
        let chance = share * LEFT_OUT as f64 / 100.0;
        expected += chance;
        variance += chance * (1.0 - chance);
    }
    let band = 4.0 * variance.sqrt();
    let off = (found as f64 - expected).abs();
    assert!(
        off <= band,
        "{found} found of {left_out} in {trials}, where {expected:.1} ± {band:.1} were expected"
    );
    assert!(found > 15, "it is no proof if nothing is found: {found}");
}

fn missed(report: &VmReport) -> usize {
    let findings = report.findings.iter();
    findings.filter(|f| f.code == Code::ChangesMissed).count()
}
