//! What happens to hosts: jobs that are forgotten, replicas that are busy, VMs that move.

use std::time::Duration;

use cim::job::Pace;
use disk::ByteRanges;
use hyperkeep_hyperv::frozen::{Frozen, Merge, Reading};
use hyperkeep_hyperv::plan::{Policy, WantedMode};
use hyperkeep_hyperv::preflight::Level;
use lab::state::{Accident, Power};

use crate::keeper::{Keeper, Others, Outcome, Run};
use crate::support::{BACKUP, Lab, MARK, NOBODY, SIZE};

const MINUTE: Duration = Duration::from_secs(60);
const WINDOWS: &str = r#""guest": {"name": "Windows", "version": "10.0", "platform": 2}"#;

/// A host with one VM, and these words about it, about rules and about what goes wrong.
fn scenario(vm: &str, rules: &str, mishaps: &str) -> String {
    format!(
        r#"{{"volumes": [{{"name": "D:\\", "capacity": 107374182400}}],
            "vms": [{{"name": "a", {vm}
                      "disks": [{{"path": "D:\\VMs\\a\\a.vhdx", "size": {SIZE}}}]}}],
            "rules": {{"tracking-unit": 4096 {rules}}}, "mishaps": [{mishaps}]}}"#
    )
}

/// A host, what is others' on it, and an installation that has protected its VM once.
pub(crate) struct Story {
    pub(crate) lab: Lab,
    others: Others,
    keeper: Keeper,
    guest: Vec<Vec<u8>>,
    writes: u64,
}

impl Story {
    /// What goes wrong begins after the first run.
    fn begin(scenario: &str, policy: Policy) -> Self {
        let lab = Lab::start(scenario);
        let mishaps = std::mem::take(&mut lab.server.service().mishaps);
        let mut story = Self {
            others: Others::settle(&lab),
            keeper: Keeper::new(1, policy),
            guest: vec![vec![0; SIZE as usize]],
            lab,
            writes: 0,
        };
        let first = story.write().run();
        assert!(matches!(first.outcome, Outcome::Full(..)), "{first:?}");
        story.lab.rest();
        story.write().lab.server.service().mishaps = mishaps;
        story
    }

    pub(crate) fn of(rules: &str, mishaps: &str) -> Self {
        let vm = format!("{WINDOWS},");
        Self::begin(&scenario(&vm, rules, mishaps), Policy::default())
    }

    fn write(&mut self) -> &mut Self {
        self.writes += 1;
        // In one half of the disk and the other.
        let half = self.writes % 2 * SIZE / 2;
        let (offset, byte) = (half + self.writes * 20_480, self.writes as u8);
        self.lab.write(0, offset, &[byte; 4096], &mut self.guest[0]);
        self
    }

    pub(crate) fn run(&mut self) -> Run {
        self.keeper.run(&self.lab, &self.guest)
    }

    fn suffer(&self, accident: &Accident) {
        let host = &mut self.lab.server.service().repository.host;
        host.suffer(accident).unwrap();
    }

    /// What went wrong is over: the next run is right, by what changed, and nothing stays.
    fn end(self) {
        assert!(self.ends(), "all was read");
    }

    /// The same; whether it was by what changed.
    pub(crate) fn ends(mut self) -> bool {
        assert!(self.lab.server.service().mishaps.is_empty());
        self.lab.rest();
        let last = self.write().run();
        let was = matches!(last.outcome, Outcome::Incremental(_));
        assert!(!matches!(last.outcome, Outcome::None(_)), "{last:?}");
        assert_eq!(last.problems, [""; 0]);
        self.keeper.clean(&self.lab);
        assert_eq!(self.others.check(&self.lab, &[&self.keeper], "the end"), 0);
        assert!(self.keeper.is_clean());
        was
    }
}

fn failed(run: &Run) -> &str {
    match &run.outcome {
        Outcome::None(why) => why,
        other => panic!("{other:?}"),
    }
}

fn full(run: &Run) -> &str {
    match &run.outcome {
        Outcome::Full(_, why) => why,
        other => panic!("{other:?}"),
    }
}

/// Each ends as it should, but the host has forgotten it before anybody looks.
#[test]
fn jobs_that_expire_before_their_end_is_seen() {
    let restart = r#"{"on": "Get", "skip": 4, "after": ["restart-service-when-done"]}"#;
    let mut story = Story::of("", restart);
    let run = story.run();
    assert!(failed(&run).contains("its job is gone"), "{run:?}");
    assert_eq!(run.report.removed.len(), 1, "{run:?}");
    story.end();
    let lab = Lab::start(&scenario(
        &format!("{WINDOWS},"),
        r#", "job-removed-ms": 0"#,
        "",
    ));
    let others = Others::settle(&lab);
    let mut keeper = Keeper::new(1, Policy::default());
    for _ in 0..2 {
        let run = keeper.run(&lab, &[]);
        assert!(failed(&run).contains("its job is gone"), "{run:?}");
        assert!(run.report.suspects.is_empty() && run.report.left.is_empty());
        assert_eq!(others.check(&lab, &[&keeper], "expired"), 0);
        assert!(keeper.is_clean());
    }
}

#[test]
fn a_vm_that_is_busy_for_longer_than_anybody_waits() {
    let mut story = Story::of(
        "",
        r#"{"on": "CreateSnapshot", "times": 18, "does": {"returns": 32775}}"#,
    );
    let run = story.run();
    assert!(failed(&run).contains("not in this state"), "{run:?}");
    story.lab.server.service().mishaps.clear();
    let vm = story.lab.vm();
    story.suffer(&Accident::Stuck(vm, true));
    let run = story.run();
    assert!(failed(&run).contains("not in this state"), "{run:?}");
    story.suffer(&Accident::Stuck(vm, false));
    story.end();
}

#[test]
fn a_guest_that_does_not_settle_for_once() {
    let vm = format!("{WINDOWS},");
    let unsettled =
        r#"{"on": "CreateSnapshot", "before": [{"settles": {"vm": "a", "is": false}}]}"#;
    let mut story = Story::begin(&scenario(&vm, "", unsettled), Policy::default());
    let run = story.run();
    assert!(
        matches!(run.outcome, Outcome::Incremental(Level::Crash)),
        "{run:?}"
    );
    let vm = story.lab.vm();
    story.suffer(&Accident::Settles(vm, true));
    let run = story.write().run();
    assert!(
        matches!(run.outcome, Outcome::Incremental(Level::Application)),
        "{run:?}"
    );
    story.end();
}

#[test]
fn answers_about_changes_in_every_way_that_nobody_rules_out() {
    for (rule, why) in [
        (r#", "most-changes": 1"#, None),
        (r#", "whole-disk-refused": true"#, None),
        (r#", "points-name-drives": true"#, None),
        (r#", "names-at-once": true"#, None),
        (r#", "clock-ahead-s": 90000"#, None),
        (r#", "clock-ahead-s": -90000"#, None),
        (r#", "forgets-free-ids": false"#, None),
        (r#", "changes-count-from-question": true"#, None),
        (r#", "changes-as-job": true"#, Some("job")),
        (r#", "changes-stand-still": true"#, Some("does not get on")),
        (
            r#", "whole-disk-refused": true, "changes-count-from-question": true"#,
            Some("makes no sense"),
        ),
    ] {
        let mut story = Story::of(rule, "");
        story.write().write().write();
        let run = story.run();
        match why {
            None => {
                let right = matches!(run.outcome, Outcome::Incremental(_));
                assert!(right && run.bytes <= 5 * 8192, "{rule}: {run:?}");
            }
            Some(why) => assert!(full(&run).contains(why), "{rule}: {run:?}"),
        }
        assert!(story.ends() || why.is_some(), "{rule}");
    }
}

/// The library believes what it is told; whoever reads again a part of what is unchanged finds it,
/// and a full read puts it right.
#[test]
fn changes_that_are_not_told_are_put_right_by_a_full_read() {
    let mut story = Story::of("", "");
    story.run();
    story.lab.rest();
    let miss = |story: &Story, writes| {
        let host = &mut story.lab.server.service().repository.host;
        host.rules.missed_writes = writes;
    };
    miss(&story, 1000);
    story.write();
    story.lab.with(|control| {
        let plan = story.lab.plan(&Policy::default());
        let request = plan.request(story.keeper.mark, story.keeper.token.as_ref(), false);
        let frozen = Frozen::take(control, &story.lab.files(), &request).unwrap();
        let nothing = Reading::Changed(ByteRanges::default());
        assert_eq!(frozen.disks[0].reading, nothing);
        frozen.abandon().unwrap();
    });
    miss(&story, 0);
    story.lab.rest();
    story.keeper.full = true;
    let run = story.run();
    assert!(full(&run).contains("was asked for"), "{run:?}");
    story.keeper.full = false;
    story.end();
}

#[test]
fn replicas_that_apply_deltas_while_they_are_backed_up() {
    let vm = r#""state": "off", "replication":
        {"mode": 2, "state": 3, "health": 1, "interval": 300, "delta-ms": 40000, "delta-bytes": 8192},"#;
    let delta = r#"{"on": "CreateSnapshot", "before": [{"receives-delta": "a"}]}"#;
    for rule in [
        r#", "replica-conflict": {"job": 32768}"#,
        r#", "replica-conflict": {"job": 32775}"#,
        r#", "replica-conflict": "refused""#,
        r#", "held-checkpoint-blocks-deltas": true"#,
    ] {
        for mode in [WantedMode::Auto, WantedMode::AllCheckpoints] {
            let policy = Policy {
                mode,
                ..Policy::default()
            };
            let lab = Lab::start(&scenario(vm, rule, delta));
            let others = Others::settle(&lab);
            let mut keeper = Keeper::new(1, policy);
            let mut refused = 0;
            for round in 0..3 {
                let mut run = keeper.run(&lab, &[]);
                if let Outcome::None(why) = &run.outcome {
                    // Only the text tells why, in the host's language: later, it works.
                    assert!(why.contains("32768") && round == 0, "{rule}: {why}");
                    assert_eq!(others.check(&lab, &[&keeper], rule), 0);
                    refused += 1;
                    run = keeper.run(&lab, &[]);
                }
                let level = match run.outcome {
                    Outcome::Incremental(level) if round > 0 => level,
                    Outcome::Full(level, _) if round == 0 => level,
                    _ => panic!("{rule} {round}: {run:?}"),
                };
                assert_eq!(level, Level::Crash, "{rule}");
                lab.rest();
            }
            assert!(lab.server.service().mishaps.is_empty());
            let waits = rule.contains("32775") || rule.contains("refused");
            assert_eq!(refused, usize::from(!waits), "{rule}");
            keeper.clean(&lab);
            assert_eq!(others.check(&lab, &[&keeper], rule), 0);
        }
    }
}

#[test]
fn a_vm_that_moves_in_the_middle_of_a_backup() {
    for (stays, on) in [
        (false, "CreateSnapshot"),
        (false, "ModifySystemSettings"),
        (false, "GetVirtualDiskChanges"),
        (false, "ConvertToReferencePoint"),
        (false, "DestroyReferencePoint"),
        (true, "CreateSnapshot"),
        (true, "ConvertToReferencePoint"),
    ] {
        let what = format!("{on}, stays {stays}");
        let volume = r"C:\\ClusterStorage\\Volume1";
        let scenario = format!(
            r#"{{"cluster": {{"name": "CL", "nodes": ["HV01", "HV02"]}},
                "volumes": [{{"name": "{volume}", "capacity": 107374182400}}],
                "vms": [{{"name": "a", {WINDOWS},
                          "disks": [{{"path": "{volume}\\a\\a.vhdx", "size": {SIZE}}}]}}],
                "rules": {{"tracking-unit": 4096, "migrates-with-checkpoint": {moves}}},
                "mishaps": [{{"on": "{on}", "after": [{{"migrates": {{"vm": "a", "to": "HV02"}}}}]}}]}}"#,
            moves = !stays
        );
        let nodes = Lab::start_all(&scenario);
        let mishaps = std::mem::take(&mut nodes[0].server.service().mishaps);
        let others = Others::settle(&nodes[0]);
        let mut keeper = Keeper::new(1, Policy::default());
        let mut guest = vec![vec![0; SIZE as usize]];
        nodes[0].write(0, 4096, &[1; 4096], &mut guest[0]);
        keeper.run(&nodes[0], &guest);
        nodes[0].rest();
        nodes[0].write(0, 8192, &[2; 4096], &mut guest[0]);
        nodes[0].server.service().mishaps = mishaps;
        let run = keeper.run(&nodes[0], &guest);
        if stays {
            assert!(
                matches!(run.outcome, Outcome::Incremental(_)),
                "{what}: {run:?}"
            );
        }
        nodes[0].time.clock.advance(Duration::from_secs(300));
        nodes[0].server.service().repository.host.advance();
        nodes[1].server.service().repository.host.advance();
        assert_eq!(
            nodes[1].server.service().repository.host.vms().len(),
            1,
            "{what}"
        );
        nodes[1].write(0, 16384, &[3; 4096], &mut guest[0]);
        let run = keeper.run(&nodes[1], &guest);
        assert!(!matches!(run.outcome, Outcome::None(_)), "{what}: {run:?}");
        keeper.clean(&nodes[1]);
        assert_eq!(others.check(&nodes[1], &[&keeper], &what), 0);
        assert!(keeper.is_clean(), "{what}: {:?}", keeper.clean(&nodes[1]));
    }
}

#[test]
fn an_account_without_rights_sees_no_vm_and_does_nothing() {
    let mut story = Story::of("", "");
    story.suffer(&Accident::Turns(story.lab.vm(), Power::Running));
    let before = story.lab.rest();
    story.lab.user = NOBODY;
    let run = story.run();
    assert!(failed(&run).contains("does not have the VM"), "{run:?}");
    assert_eq!(story.lab.rest(), before);
    story.lab.user = BACKUP;
    story.end();
}

/// Answers end anywhere: nothing of them is there, part of the status line, part of the headers, the head
/// alone, part of the body, and all but the last byte. Anywhere else too where there is time for it.
#[test]
fn connections_that_are_cut_at_any_byte() {
    let cuts = testkit::vary::cases(1) as usize;
    let places = [
        "0",
        "5",
        "60",
        r#""before-body""#,
        "600",
        r#""before-last""#,
    ];
    let places = places.map(str::to_owned).into_iter();
    let blind = (0..1800).step_by(600_usize.div_ceil(cuts).max(7));
    let blind = blind.filter(|_| cuts > 1).map(|bytes| bytes.to_string());
    let places: Vec<String> = places.chain(blind).collect();
    for on in [
        "CreateSnapshot",
        "ConvertToReferencePoint",
        "DestroyReferencePoint",
    ] {
        for bytes in &places {
            let cut = format!(r#"{{"on": "{on}", "does": {{"cut": {bytes}}}}}"#);
            let mut story = Story::of("", &cut);
            let run = story.run();
            let lost = matches!(run.outcome, Outcome::None(_));
            assert!(!lost || on == "CreateSnapshot", "{cut}: {run:?}");
            story.end();
        }
    }
}

/// People take a checkpoint while ours is there: the disk stays in a new file for good, and what we
/// left behind is merged all the same.
#[test]
fn a_checkpoint_of_people_is_not_waited_for_as_a_merge() {
    let lab = Lab::start(&scenario(
        &format!("{WINDOWS},"),
        r#", "merge-ms": 20000"#,
        "",
    ));
    let merges = |fails: bool| {
        lab.with(|control| {
            let plan = lab.plan(&Policy::default());
            let request = plan.request(MARK, None, false);
            let frozen = Frozen::take(control, &lab.files(), &request).unwrap();
            lab.user_checkpoint();
            lab.server.service().repository.host.rules.merges_fail = fails;
            let kept = frozen.keep();
            let point = kept.token.unwrap().reference_point.unwrap();
            control.journal().release(lab.vm(), &point).unwrap();
            let begun = lab.time.now();
            let seen = Merge::wait(control, lab.vm(), &kept.resting, 15 * MINUTE).unwrap();
            (seen, lab.time.now() - begun)
        })
    };
    let (seen, took) = merges(false);
    assert_eq!(seen, Merge::Done);
    assert!(took < MINUTE, "{took:?}");
    // What is not merged is still told.
    let (seen, _) = merges(true);
    assert!(
        matches!(&seen, Merge::Pending { files, .. } if files.len() == 1),
        "{seen:?}"
    );
}
