//! Ways in which hosts misbehave, and what comes of each: a restore point that comes back as the VM
//! held still, or none; nothing of ours on the host, and what is others' untouched; and a run after
//! it that is well.

#[path = "misbehaves/world.rs"]
mod world;

use hyperkeep_engine::Severity;
use lab::state::Rules;
use testkit::vary;
use world::World;

use super::*;

const WINDOWS: &str = r#""guest": {"name": "Windows", "version": "10.0", "platform": 2}"#;
const REPLICA: &str = r#""state": "off", "replication": {"mode": 2, "state": 3, "health": 1,
    "interval": 300, "delta-ms": 40000, "delta-bytes": 0}"#;

/// A host that misbehaves in its second backup.
struct Way {
    what: &'static str,
    /// As scenarios write it.
    mishaps: &'static str,
    /// From then on, until that backup is over.
    rules: fn(&mut Rules),
    /// What that backup comes to: its outcome, how its point was read, and what it warns of.
    told: &'static str,
    /// How the point of the one after it was read.
    next: &'static str,
}

/// The outcome, the level, and the codes of warnings and errors.
fn told(report: &JobReport) -> String {
    let of_vms = report.vms.iter().flat_map(|vm| &vm.findings);
    let all = of_vms.chain(&report.findings);
    let worse = all.filter(|finding| finding.severity > Severity::Info);
    let mut codes: Vec<String> = worse.map(|finding| finding.code.to_string()).collect();
    codes.dedup();
    let level = report.vms.iter().find_map(|vm| vm.level).unwrap_or("-");
    let outcome = format!("{:?}", report.outcome).to_lowercase();
    format!("{outcome} {level} {}", codes.join(" "))
        .trim_end()
        .to_owned()
}

fn nothing(_: &mut Rules) {}

/// The second backup on a host that misbehaves, and the one after it; what both come to.
fn goes(vm: &str, cluster: bool, way: &Way) -> (String, String) {
    let what = way.what;
    let (world, mishaps) = World::new(vm, cluster, way.mishaps);
    let first = world.labs[0].clone();
    let rules = first.server.service().repository.host.rules.clone();
    {
        let mut service = first.server.service();
        service.mishaps = mishaps;
        (way.rules)(&mut service.repository.host.rules);
    }
    world.write();
    let second = world.run(Audit::percent(100));
    assert!(first.server.service().mishaps.is_empty(), "{what}");
    first.server.service().repository.host.rules = rules;
    world.holds(&second, what);
    world.rest(what);
    // It is over: there is room, the guest settles, and nobody else is at work.
    let home = world.home();
    let id = home.server.service().repository.host.vms()[0].id;
    let volume = "D:\\".to_owned();
    if !cluster {
        suffer(home, &Accident::Space(volume, 1 << 40));
    }
    suffer(home, &Accident::Settles(id, true));
    let mut theirs = Vec::new();
    theirs.extend(
        home.server.service().repository.host.vms()[0]
            .checkpoints
            .iter()
            .filter(|c| c.settings.name == "theirs")
            .map(|_| ()),
    );
    for () in theirs {
        suffer(home, &Accident::DropsCheckpoint(id, "theirs".to_owned()));
    }
    world.rest(what);
    world.write();
    let third = world.run(Audit::OFF);
    assert_eq!(third.outcome, Outcome::Ok, "{what}: {third:#?}");
    world.holds(&third, what);
    assert_eq!(world.rest(what), 1, "{what}: what the next one asks by");
    assert_eq!(
        world.journals(),
        [""; 0].map(std::path::PathBuf::from),
        "{what}"
    );
    let next = third.vms[0].level.unwrap_or("-").to_owned();
    (told(&second), next)
}

fn all_go(vm: &str, cluster: bool, ways: &[Way]) {
    let mut other = Vec::new();
    for way in ways {
        let found = goes(vm, cluster, way);
        if (found.0.as_str(), found.1.as_str()) != (way.told, way.next) {
            other.push(format!("{}: {found:?}", way.what));
        }
    }
    assert!(other.is_empty(), "{other:#?}");
}

macro_rules! way {
    ($what:literal, $mishaps:literal, $told:literal, $next:literal) => {
        way!($what, $mishaps, nothing, $told, $next)
    };
    ($what:literal, $mishaps:literal, $rules:expr, $told:literal, $next:literal) => {
        Way {
            what: $what,
            mishaps: $mishaps,
            rules: $rules,
            told: $told,
            next: $next,
        }
    };
}

#[test]
fn jobs_and_the_service_behind_them() {
    let ways = [
        way!(
            "jobs are forgotten at once",
            "",
            |rules| rules.removed_after = Duration::ZERO,
            "failed - failed",
            "incremental"
        ),
        way!(
            "a job is forgotten before its end is seen",
            r#"{"on": "Get", "skip": 4, "after": ["restart-service-when-done"]}"#,
            "ok incremental",
            "incremental"
        ),
        way!(
            "the VM is busy once",
            r#"{"on": "CreateSnapshot", "does": {"returns": 32775}}"#,
            "ok incremental",
            "incremental"
        ),
        way!(
            "the VM is busy for long",
            r#"{"on": "CreateSnapshot", "times": 12, "does": {"returns": 32775}}"#,
            "ok incremental",
            "incremental"
        ),
        way!(
            "the service restarts with a checkpoint under way",
            r#"{"on": "CreateSnapshot", "after": ["restart-service"]}"#,
            "failed - failed",
            "incremental"
        ),
        way!(
            "the service restarts and the checkpoint is there",
            r#"{"on": "CreateSnapshot", "after": ["restart-service-when-done"]}"#,
            "failed - failed",
            "incremental"
        ),
        way!(
            "the service restarts as a checkpoint ends",
            r#"{"on": "ConvertToReferencePoint", "after": ["restart-service"]}"#,
            "ok incremental",
            "incremental"
        ),
        way!(
            "the service restarts when a checkpoint has ended",
            r#"{"on": "ConvertToReferencePoint", "after": ["restart-service-when-done"]}"#,
            "ok incremental",
            "incremental"
        ),
    ];
    all_go(WINDOWS, false, &ways);
}

#[test]
fn checkpoints_that_fail_and_hosts_that_are_full() {
    let ways = [
        way!(
            "the guest does not settle",
            r#"{"on": "CreateSnapshot", "before": [{"settles": {"vm": "a", "is": false}}]}"#,
            "warning incremental less-consistent",
            "incremental"
        ),
        way!(
            "no right to a checkpoint",
            r#"{"on": "CreateSnapshot", "does": {"refused": "access-denied"}}"#,
            "failed - failed",
            "incremental"
        ),
        way!(
            "no right to end one",
            r#"{"on": "ConvertToReferencePoint", "does": {"refused": "access-denied"}}"#,
            "warning incremental cleanup-failed",
            "full"
        ),
        way!(
            "no room for a checkpoint",
            r#"{"on": "CreateSnapshot", "before": [{"space": {"volume": "D:\\", "free": 0}}]}"#,
            "failed - failed",
            "incremental"
        ),
        way!(
            "no room when it is to end",
            r#"{"on": "ConvertToReferencePoint", "before": [{"space": {"volume": "D:\\", "free": 0}}]}"#,
            "warning incremental cleanup-failed",
            "incremental"
        ),
        way!(
            "a merge fails",
            r#"{"on": "ConvertToReferencePoint", "before": [{"merge-fails": {"hresult": "0x80070299"}}]}"#,
            "warning incremental cleanup-failed",
            "incremental"
        ),
        way!(
            "somebody else's checkpoint comes meanwhile",
            r#"{"on": "ConvertToReferencePoint", "before": [{"takes-checkpoint": {"vm": "a", "name": "theirs", "kind": "recovery"}}]}"#,
            "ok incremental",
            "incremental"
        ),
    ];
    all_go(WINDOWS, false, &ways);
}

#[test]
fn change_tracking_that_is_lost_or_does_not_tell() {
    let ways = [
        way!(
            "its ids are lost before the checkpoint",
            r#"{"on": "CreateSnapshot", "before": [{"loses-tracking": "D:\\VMs\\a.vhdx"}]}"#,
            "ok full",
            "incremental"
        ),
        way!(
            "its ids are lost before the question",
            r#"{"on": "GetVirtualDiskChanges", "before": [{"loses-tracking": "D:\\VMs\\a.vhdx"}]}"#,
            "ok full",
            "full"
        ),
        way!(
            "it omits changes",
            "",
            |rules| rules.missed_writes = 1000,
            "warning full changes-missed",
            "incremental"
        ),
        way!(
            "its answers are partial",
            "",
            |rules| rules.most_changes = 1,
            "ok incremental",
            "incremental"
        ),
        way!(
            "its answers do not get on",
            "",
            |rules| rules.changes_stand_still = true,
            "ok full",
            "incremental"
        ),
    ];
    all_go(WINDOWS, false, &ways);
}

#[test]
fn connections_that_are_cut() {
    let ways = [
        way!(
            "a checkpoint's, with no answer",
            r#"{"on": "CreateSnapshot", "does": {"cut": 0}}"#,
            "failed - failed",
            "incremental"
        ),
        way!(
            "a checkpoint's, in the answer",
            r#"{"on": "CreateSnapshot", "does": {"cut": 700}}"#,
            "failed - failed",
            "incremental"
        ),
        way!(
            "a question's",
            r#"{"on": "GetVirtualDiskChanges", "does": {"cut": 700}}"#,
            "ok incremental",
            "incremental"
        ),
        way!(
            "a checkpoint's end",
            r#"{"on": "ConvertToReferencePoint", "does": {"cut": 0}}"#,
            "ok incremental",
            "incremental"
        ),
        way!(
            "a checkpoint's end that is not done",
            r#"{"on": "ConvertToReferencePoint", "does": "lost"}"#,
            "ok incremental",
            "incremental"
        ),
        way!(
            "a reference point's end",
            r#"{"on": "DestroyReferencePoint", "does": {"cut": 0}}"#,
            "warning incremental cleanup-failed",
            "incremental"
        ),
    ];
    all_go(WINDOWS, false, &ways);
}

#[test]
fn replicas_that_are_at_work() {
    let ways = [
        way!(
            "a delta as it is to hold still",
            r#"{"on": "CreateSnapshot", "before": [{"receives-delta": "a"}]}"#,
            "ok incremental",
            "incremental"
        ),
        way!(
            "a delta as it is to be let go",
            r#"{"on": "ConvertToReferencePoint", "before": [{"receives-delta": "a"}]}"#,
            "ok incremental",
            "incremental"
        ),
    ];
    all_go(REPLICA, false, &ways);
}

/// Where the power goes, change tracking forgets here what it had in memory.
#[test]
fn hosts_that_start_anew() {
    let ways = [
        way!(
            "shut down",
            r#"{"on": "CreateSnapshot", "before": ["restart"]}"#,
            "ok incremental",
            "incremental"
        ),
        way!(
            "without power",
            r#"{"on": "CreateSnapshot", "before": ["power-cut"]}"#,
            |rules| rules.power_cut_omits = true,
            "ok full",
            "incremental"
        ),
    ];
    all_go(WINDOWS, false, &ways);
}

#[test]
fn vms_that_move_in_the_middle() {
    let ways = [
        way!(
            "with its checkpoint",
            r#"{"on": "CreateSnapshot", "after": [{"migrates": {"vm": "a", "to": "HV02"}}]}"#,
            "ok incremental",
            "incremental"
        ),
        way!(
            "before the question",
            r#"{"on": "GetVirtualDiskChanges", "before": [{"migrates": {"vm": "a", "to": "HV02"}}]}"#,
            "ok incremental",
            "incremental"
        ),
        way!(
            "before its checkpoint ends",
            r#"{"on": "ConvertToReferencePoint", "before": [{"migrates": {"vm": "a", "to": "HV02"}}]}"#,
            "ok incremental",
            "incremental"
        ),
        way!(
            "when its checkpoint has ended",
            r#"{"on": "DestroyReferencePoint", "before": [{"migrates": {"vm": "a", "to": "HV02"}}]}"#,
            "ok incremental",
            "incremental"
        ),
    ];
    all_go(WINDOWS, true, &ways);
}

/// Whatever a query leaves out, nothing worse comes of it than of a host that does not answer.
#[test]
fn queries_that_are_answered_in_part() {
    answered_in_part("");
}

/// What the host's log does not tell of a power cut is not taken for a quiet night.
#[test]
fn queries_that_are_answered_in_part_after_a_power_cut() {
    answered_in_part(r#", {"on": "CreateSnapshot", "before": ["power-cut"]}"#);
}

fn answered_in_part(and: &str) {
    let step = if vary::cases(1) > 1 { 1 } else { 5 };
    let mut met = 0;
    for skip in (0..).step_by(step) {
        let what = format!("query {skip}");
        let mishap =
            format!(r#"{{"on": "Enumerate", "skip": {skip}, "does": {{"fewer": 0}}}}{and}"#);
        let (world, mishaps) = World::new(WINDOWS, false, &mishap);
        let lab = Arc::clone(&world.place.lab);
        {
            let mut service = lab.server.service();
            service.mishaps = mishaps;
            service.repository.host.rules.power_cut_omits = true;
        }
        world.write();
        let second = world.run(Audit::OFF);
        let left = std::mem::take(&mut lab.server.service().mishaps);
        if left.iter().any(|mishap| mishap.on == "Enumerate") {
            break;
        }
        met += 1;
        world.holds(&second, &what);
        world.rest(&what);
        world.write();
        let third = world.run(Audit::OFF);
        assert_eq!(third.outcome, Outcome::Ok, "{what}: {third:#?}");
        world.holds(&third, &what);
        assert_eq!(world.rest(&what), 1, "{what}");
        assert_eq!(world.journals().len(), 0, "{what}");
    }
    assert!(met > 5, "{met}");
}
