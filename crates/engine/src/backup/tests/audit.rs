//! Changes that the changed ranges leave out.

use super::*;

/// Enough for the whole disk.
const ALL: Audit = Audit {
    percent: 100,
    least: 4 * LEN,
    runs: None,
};

fn ranges(sectors: &[u64]) -> Option<ByteRanges> {
    let range = |s: &u64| ByteRange::new(s * SECTOR, (s + 1) * SECTOR);
    Some(sectors.iter().map(range).collect())
}

fn missed(report: &VmReport) -> Vec<&Finding> {
    let findings = report.findings.iter();
    findings.filter(|f| f.code == Code::ChangesMissed).collect()
}

#[test]
fn a_change_that_was_not_told_is_found_healed_and_named() {
    let hidden: [(&str, u64, Sector, Sector); 4] = [
        ("data", 70, Sector::Data(7), Sector::Data(8)),
        ("data into nothing", 70, Sector::Data(7), Sector::Hole),
        ("nothing into data", 70, Sector::Hole, Sector::Data(8)),
        ("zeros into data", 0, Sector::Zero, Sector::Data(8)),
    ];
    for (what, sector, before, after) in hidden {
        let vault = vault();
        let mut base = written(None, 1, 1000);
        base.sectors[sector as usize] = before;
        let mut source = source(vec![base]);
        run_backup(&vault, &mut source, Level::Auto);
        source.chain[0].sectors[sector as usize] = after;
        source.chain[0].sectors[40] = Sector::Data(1);
        source.changed = ranges(&[40]);
        let report = run_audited(&vault, &mut source, Level::Auto, ALL);
        let found = missed(&report);
        assert_eq!(found.len(), 1, "{what}: {:?}", report.findings);
        assert_eq!(found[0].severity, Severity::Warning);
        assert!(found[0].object.starts_with("/model/"), "{}", found[0]);
        assert_eq!(report.outcome, Outcome::Warning, "{what}");
        assert!(matches!(report.layers[0].reading, Reading::Full { .. }));
        check(&vault, &report, &source.chain);
    }
}

/// Above a parent a hole and zeros are not the same.
#[test]
fn in_a_difference_a_hole_that_became_zeros_is_a_change() {
    for (before, after) in [(Sector::Hole, Sector::Zero), (Sector::Zero, Sector::Hole)] {
        let vault = vault();
        let base = written(None, 1, 1000);
        let mut leaf = Model::new(Some(&base), 2);
        leaf.sectors[3] = Sector::Data(3);
        leaf.sectors[90] = before;
        let mut source = source(vec![base, leaf]);
        run_backup(&vault, &mut source, Level::Auto);
        source.chain[1].sectors[90] = after;
        source.changed = ranges(&[]);
        let report = run_audited(&vault, &mut source, Level::Auto, ALL);
        assert_eq!(missed(&report).len(), 1, "{before:?}");
        check(&vault, &report, &source.chain);
    }
}

#[test]
fn without_an_audit_the_ranges_are_believed_and_with_one_the_truth_is_no_finding() {
    let vault = vault();
    // None of these sectors is zeros, which would be no data.
    let mut source = source(vec![written(None, 1, 1)]);
    run_backup(&vault, &mut source, Level::Auto);
    source.changed = ranges(&[]);
    for (audit, compared) in [(Audit::OFF, 0), (ALL, LEN)] {
        reset(&source.chain);
        let report = run_audited(&vault, &mut source, Level::Auto, audit);
        assert_eq!(report.outcome, Outcome::Ok);
        let Reading::Ranges { compared: told, .. } = report.layers[0].reading else {
            panic!("{:?}", report.layers[0].reading);
        };
        assert!(told >= compared, "{told}");
        assert_eq!(reads(&source.chain), [told], "what is read is told");
        assert_eq!(report.stats.read, told);
        assert_eq!(report.stats.data, LEN, "in the point, read or not");
    }
}

/// The sweep goes on where the last one ended, so no change stays hidden for good, and no run
/// reads more than its share.
#[test]
fn a_disk_is_covered_after_enough_runs_each_of_which_costs_little() {
    let share = Audit {
        percent: 5,
        least: 32 << 10,
        runs: None,
    };
    let segment = 64 << 10;
    for hidden in [0, 50, 95] {
        let vault = vault();
        let mut source = source(vec![written(None, 1, 1000)]);
        run_backup(&vault, &mut source, Level::Auto);
        source.changed = ranges(&[]);
        source.chain[0].sectors[hidden] = Sector::Data(1);
        // Half of a share is swept; a chunk is at most 16 KiB.
        let most = LEN / (share.least / 2) + 1;
        let found = (0..most).position(|_| {
            reset(&source.chain);
            let report = run_audited(&vault, &mut source, Level::Auto, share);
            let found = !missed(&report).is_empty();
            assert!(found || reads(&source.chain)[0] <= share.least + segment);
            if found {
                check(&vault, &report, &source.chain);
            }
            found
        });
        assert!(found.is_some(), "sector {hidden} in {most} runs");
    }
}

/// Who says in how many backups the whole disk is to be compared has it so, if they change nothing.
#[test]
fn a_disk_is_covered_in_as_many_runs_as_are_asked_for() {
    for (hidden, runs) in [(0, 1), (95, 1), (50, 3), (95, 4)] {
        let vault = vault();
        let mut source = source(vec![written(None, 1, 1000)]);
        run_backup(&vault, &mut source, Level::Auto);
        source.changed = ranges(&[]);
        source.chain[0].sectors[hidden] = Sector::Data(1);
        let audit = Audit {
            percent: 1,
            least: 1,
            runs: std::num::NonZeroU32::new(runs),
        };
        let found = (0..runs).any(|_| {
            let report = run_audited(&vault, &mut source, Level::Auto, audit);
            !missed(&report).is_empty()
        });
        assert!(found, "sector {hidden} in {runs} runs");
    }
}

/// What a small change leaves of a chunk has no id: it is read as changed, and can be compared
/// from then on.
#[test]
fn parts_of_chunks_are_read_again_and_can_be_compared_afterwards() {
    let vault = vault();
    let mut source = source(vec![written(None, 1, 1000)]);
    run_backup(&vault, &mut source, Level::Auto);
    source.chain[0].sectors[40] = Sector::Data(1);
    source.changed = ranges(&[40]);
    run_backup(&vault, &mut source, Level::Auto);
    source.changed = ranges(&[]);
    for _ in 0..2 {
        let report = run_audited(&vault, &mut source, Level::Auto, ALL);
        assert_eq!(report.outcome, Outcome::Ok, "{:?}", report.findings);
        check(&vault, &report, &source.chain);
    }
    for hidden in 38..43 {
        let kept = source.chain[0].sectors[hidden];
        source.chain[0].sectors[hidden] = Sector::Data(2);
        let report = run_audited(&vault, &mut source, Level::Auto, ALL);
        assert_eq!(missed(&report).len(), 1, "sector {hidden}");
        source.chain[0].sectors[hidden] = kept;
        run_backup(&vault, &mut source, Level::Full);
    }
}
