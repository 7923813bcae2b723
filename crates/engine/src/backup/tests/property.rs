//! Chains that grow and are written to at random, against the model.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    /// Writes sectors of the leaf.
    Write(u64, u64, u8),
    /// A checkpoint: the leaf becomes interior.
    Checkpoint,
    /// A backup at a level.
    Backup(Level),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let level = prop_oneof![
        Just(Level::Auto),
        Just(Level::Full),
        Just(Level::Incremental),
        Just(Level::Differential)
    ];
    let step = prop_oneof![
        6 => (0..SECTORS, 1u64..30, 0u8..6).prop_map(|(at, n, kind)| Step::Write(at, n, kind)),
        1 => Just(Step::Checkpoint),
        3 => level.prop_map(Step::Backup),
    ];
    prop::collection::vec(step, 1..25)
}

proptest! {
    #![proptest_config(testkit::vary::config(32))]

    /// However a chain grew and was written to between backups of whatever level, with changed
    /// ranges or without, audited or not, every point restores to what the chain was then.
    #[test]
    fn every_point_restores_to_what_was(steps in steps(), ranges in any::<bool>(), audit in any::<bool>()) {
        let vault = vault();
        let mut source = source(vec![Model::new(None, 100)]);
        let mut changed: Option<Vec<ByteRange>> = None;
        let mut points: Vec<(VmReport, Vec<Model>)> = Vec::new();
        let mut seed = 1;
        for step in steps {
            match step {
                Step::Write(at, count, kind) => {
                    let end = (at + count).min(SECTORS);
                    let depth = source.chain.len();
                    let leaf = source.chain.last_mut().unwrap();
                    for sector in &mut leaf.sectors[at as usize..end as usize] {
                        seed += 1;
                        *sector = match kind {
                            0 => Sector::Zero,
                            1 if depth == 1 => Sector::Hole,
                            2 => Sector::Data(7),
                            _ => Sector::Data(seed),
                        };
                    }
                    if let Some(changed) = &mut changed {
                        changed.push(ByteRange::new(at * SECTOR, end * SECTOR));
                    }
                }
                Step::Checkpoint => {
                    let number = 100 + source.chain.len() as u128;
                    let child = Model::new(source.chain.last(), number);
                    source.chain.push(child);
                    // The new leaf was in no point yet, and so was nobody's place.
                    changed = None;
                }
                Step::Backup(level) => {
                    source.changed = changed.take().filter(|_| ranges).map(|c| c.into_iter().collect());
                    let audit = if audit { Audit::percent(100) } else { Audit::OFF };
                    let report = run_audited(&vault, &mut source, level, audit);
                    prop_assert_eq!(report.outcome, Outcome::Ok, "{:?}", report.findings);
                    points.push((report, source.chain.clone()));
                    changed = Some(Vec::new());
                }
            }
        }
        for (report, chain) in &points {
            check(&vault, report, chain);
        }
        let ends = source.ends.lock().unwrap();
        prop_assert!(ends.iter().all(|end| *end == End::Durable));
        prop_assert_eq!(ends.len(), points.len());
    }
}
