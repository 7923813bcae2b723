//! What was about to be done is known afterwards, whatever happened to the process or the file.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use hyperkeep_hyperv::journal::{Call, Intent, Journal, Outcome, Reading, dead, dead_that, read};
use proptest::prelude::*;
use uuid::Uuid;

const VM: Uuid = Uuid::from_u128(1);

fn intent(call: Call) -> Intent {
    Intent {
        vm: VM,
        call,
        at: jiff::Timestamp::UNIX_EPOCH,
    }
}

fn create() -> Intent {
    intent(Call::CreateCheckpoint {
        name: "ours".to_owned(),
        before: vec!["old".to_owned()],
        vm_name: Some("a".to_owned()),
        clock_ahead: Some(-1500),
    })
}

fn destroy(checkpoint: &str) -> Intent {
    let checkpoint = checkpoint.to_owned();
    intent(Call::DestroyCheckpoint { checkpoint })
}

fn convert(checkpoint: &str) -> Intent {
    intent(Call::ConvertCheckpoint {
        checkpoint: checkpoint.to_owned(),
        before: Vec::new(),
    })
}

fn made(what: &str) -> Outcome {
    let made = Some(what.to_owned());
    Outcome::Done { made }
}

fn done() -> Outcome {
    Outcome::Done { made: None }
}

fn pairs(names: &[&str]) -> BTreeSet<(Uuid, String)> {
    names.iter().map(|name| (VM, (*name).to_owned())).collect()
}

#[test]
fn a_run_that_ends_well_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::create(dir.path(), Uuid::from_u128(9)).unwrap();
    let number = journal.begin(create()).unwrap();
    assert_eq!(journal.reading().unwrap().open[0].intent, create());
    journal.job(number, "J1").unwrap();
    assert_eq!(
        journal.reading().unwrap().open[0].job.as_deref(),
        Some("J1")
    );
    journal.end(number, made("C1")).unwrap();
    assert_eq!(journal.reading().unwrap().checkpoints, pairs(&["C1"]));
    let number = journal.begin(convert("C1")).unwrap();
    journal.end(number, made("R1")).unwrap();
    let reading = journal.reading().unwrap();
    assert_eq!(
        (reading.checkpoints, reading.reference_points),
        (pairs(&[]), pairs(&["R1"]))
    );
    journal.release(VM, "R1").unwrap();
    assert!(journal.close().unwrap().is_settled());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

/// Its run had forgotten it since a token named it, and none does any more.
#[test]
fn what_could_not_be_removed_is_known_to_the_next_run() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::create(dir.path(), Uuid::from_u128(9)).unwrap();
    let reference_point = "R1".to_owned();
    let call = Call::DestroyReferencePoint { reference_point };
    for what in [destroy("C1"), intent(call)] {
        let number = journal.begin(what).unwrap();
        let why = "access denied".to_owned();
        journal.end(number, Outcome::NotDone { why }).unwrap();
    }
    assert!(!journal.close().unwrap().is_settled());
    let taken = dead(dir.path()).unwrap().pop().unwrap();
    let reading = taken.reading().unwrap();
    assert_eq!(reading.open, []);
    assert_eq!(
        (reading.checkpoints, reading.reference_points),
        (pairs(&["C1"]), pairs(&["R1"]))
    );
}

/// What a run had suspended or exported is known until it is seen to go on, or to be gone.
#[test]
fn what_was_suspended_or_exported_is_known_until_it_is_undone() {
    let text = |text: &str| text.to_owned();
    let (relationship, folder) = (text("R"), text("F"));
    let suspend = Call::SuspendReplication {
        relationship: relationship.clone(),
    };
    let resume = Call::ResumeReplication { relationship };
    let export = Call::ExportMemory {
        folder: folder.clone(),
        node: None,
    };
    let remove = Call::RemoveExport { folder, node: None };
    let why = text("access denied");
    let not_done = Outcome::NotDone { why };
    // Each call with how it ended, and what is known then of suspensions and exports.
    type Case<'c> = (&'c [(&'c Call, &'c Outcome)], usize, usize);
    let cases: [Case<'_>; 7] = [
        (&[(&suspend, &done())], 1, 0),
        (&[(&suspend, &not_done)], 0, 0),
        (&[(&suspend, &done()), (&resume, &not_done)], 1, 0),
        (&[(&suspend, &done()), (&resume, &done())], 0, 0),
        // Part of what failed may be there.
        (&[(&export, &not_done)], 0, 1),
        (&[(&export, &made("F")), (&remove, &not_done)], 0, 1),
        (&[(&export, &made("F")), (&remove, &done())], 0, 0),
    ];
    for (at, (calls, suspended, exports)) in cases.into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::create(dir.path(), Uuid::from_u128(9)).unwrap();
        for (call, outcome) in calls {
            let number = journal.begin(intent((*call).clone())).unwrap();
            journal.end(number, (*outcome).clone()).unwrap();
        }
        let reading = journal.close().unwrap();
        let known = (reading.suspended.len(), reading.exports.len());
        assert_eq!(known, (suspended, exports), "{at}");
        assert_eq!(reading.is_settled(), suspended + exports == 0, "{at}");
    }
    // Earlier versions did not write down which host has the folder.
    let old = r#"{"call":"export-memory","folder":"F"}"#;
    assert_eq!(serde_json::from_str::<Call>(old).unwrap(), export);
    assert_eq!(serde_json::to_string(&export).unwrap(), old);
}

#[test]
fn what_is_open_is_found_by_the_next_run_and_settled_there() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::create(dir.path(), Uuid::from_u128(9)).unwrap();
    let first = journal.begin(create()).unwrap();
    journal.end(first, made("C1")).unwrap();
    let second = journal.begin(destroy("C1")).unwrap();
    let why = "the connection broke".to_owned();
    journal.end(second, Outcome::Unknown { why }).unwrap();
    assert_eq!(dead(dir.path()).unwrap().len(), 0, "the run is alive");
    assert!(!journal.close().unwrap().is_settled());
    assert!(
        journal.begin(create()).is_err(),
        "it is the next run's already"
    );

    let mut found = dead(dir.path()).unwrap();
    let taken = found.pop().unwrap();
    assert_eq!(dead(dir.path()).unwrap().len(), 0, "somebody sees to it");
    let reading = taken.reading().unwrap();
    assert_eq!(reading.checkpoints, pairs(&["C1"]));
    assert_eq!(reading.open[0].intent, destroy("C1"));
    // It was not done, so it is done again.
    let why = "it is still there".to_owned();
    taken
        .end(reading.open[0].number, Outcome::NotDone { why })
        .unwrap();
    let again = taken.begin(destroy("C1")).unwrap();
    assert!(again > second);
    taken.end(again, done()).unwrap();
    assert!(taken.close().unwrap().is_settled());
    assert_eq!(dead(dir.path()).unwrap().len(), 0);
}

#[test]
fn a_journal_that_cannot_be_written_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, b"").unwrap();
    let error = Journal::create(&file, VM).unwrap_err().to_string();
    assert!(error.contains("nothing on a host is changed"), "{error}");
    let _first = Journal::create(dir.path(), VM).unwrap();
    assert!(
        Journal::create(dir.path(), VM).is_err(),
        "a run has one journal"
    );
    let long = "x".repeat(2 << 20);
    let journal = Journal::create(dir.path(), Uuid::from_u128(2)).unwrap();
    assert!(journal.begin(destroy(&long)).is_err());
    assert!(journal.reading().unwrap().is_settled());
    assert!(dead(&dir.path().join("none")).unwrap().is_empty());
}

/// The format as it is documented, in bytes that another program made.
#[test]
fn the_format_is_the_documented_one() {
    let bytes = include_bytes!("../../../../fuzz/corpus/hyperv_journal/open");
    let reading = read(bytes);
    assert_eq!((reading.damaged, reading.last), (0, 2));
    assert_eq!(reading.checkpoints, pairs(&["Microsoft:C"]));
    let [open] = reading.open.as_slice() else {
        panic!("{reading:?}")
    };
    assert_eq!(open.intent.call, convert("Microsoft:C").call);
    let torn = include_bytes!("../../../../fuzz/corpus/hyperv_journal/torn");
    assert_eq!(read(torn).damaged, 1);
    assert_eq!(read(torn).open, reading.open);
    let host = include_bytes!("../../../../fuzz/corpus/hyperv_journal/host");
    let named = read(host);
    assert_eq!((named.host.as_deref(), named.damaged), (Some("HV01"), 0));
    assert!(named.is_settled() && reading.host.is_none());
}

/// Those of other hosts, of runs that are alive, and what cannot be read keep nobody from the rest.
#[test]
fn only_journals_that_are_wanted_are_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let journal = |run, host| {
        let journal = Journal::create(dir.path(), Uuid::from_u128(run)).unwrap();
        journal.host(host).unwrap();
        journal.begin(create()).unwrap();
        journal
    };
    let alive = journal(1, "HV01");
    drop([journal(2, "HV01"), journal(3, "HV02")]);
    let of_one = |reading: &Reading| reading.host.as_deref() == Some("HV01");
    let found = dead_that(dir.path(), &of_one).unwrap();
    let [Ok(taken)] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert!(
        taken
            .path()
            .ends_with(format!("{}.journal", Uuid::from_u128(2)))
    );
    // Nobody else gets it meanwhile, and all of the others.
    assert_eq!(dead_that(dir.path(), &of_one).unwrap().len(), 0);
    assert_eq!(dead(dir.path()).unwrap().len(), 1);
    drop((alive, found));
    assert_eq!(dead_that(dir.path(), &of_one).unwrap().len(), 2);
    let nowhere = dir.path().join("nowhere");
    assert_eq!(dead_that(&nowhere, &of_one).unwrap().len(), 0);
}

/// Steps of a run and what must be known after any number of them.
fn run(journal: &Journal, steps: &[u8]) {
    let mut open: Vec<u64> = Vec::new();
    for step in steps {
        match step % 4 {
            0 => open.push(journal.begin(create()).unwrap()),
            1 => open.push(
                journal
                    .begin(convert(&format!("C{}", step / 4 % 3)))
                    .unwrap(),
            ),
            2 if !open.is_empty() => {
                let number = open.remove(usize::from(step / 4) % open.len());
                journal
                    .end(number, made(&format!("C{}", step / 4 % 3)))
                    .unwrap();
            }
            _ => drop(
                journal
                    .begin(destroy(&format!("C{}", step / 4 % 3)))
                    .unwrap(),
            ),
        }
    }
}

fn bytes_of(steps: &[u8]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::create(dir.path(), VM).unwrap();
    run(&journal, steps);
    let path = journal.path().to_owned();
    drop(journal);
    fs::read(path).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Cut anywhere, a journal tells all of its whole lines and counts the rest as one at most.
    #[test]
    fn cut_anywhere_it_tells_every_whole_line(steps in prop::collection::vec(any::<u8>(), 0..12)) {
        let bytes = bytes_of(&steps);
        for cut in 0..=bytes.len() {
            let found = read(&bytes[..cut]);
            let whole = bytes[..cut].iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
            let mut expected = read(&bytes[..whole]);
            prop_assert_eq!(expected.damaged, 0);
            expected.damaged = usize::from(whole < cut);
            prop_assert_eq!(&found, &expected);
            // The next run ends the torn line and goes on.
            let mut continued = bytes[..cut].to_vec();
            continued.push(b'\n');
            continued.extend_from_slice(&bytes[whole..]);
            let again = read(&continued);
            prop_assert!(again.damaged <= 1);
            prop_assert_eq!(Reading { damaged: 0, ..again }, read(&bytes));
        }
    }

    /// A changed byte costs its own line and never invents an entry.
    #[test]
    fn damage_never_invents(steps in prop::collection::vec(any::<u8>(), 1..6), at in any::<usize>(), flip in 1_u8..) {
        let bytes = bytes_of(&steps);
        let mut damaged = bytes.clone();
        let at = at % damaged.len();
        damaged[at] ^= flip;
        let (before, after) = (read(&bytes), read(&damaged));
        prop_assert!(after.damaged > 0);
        let known: Vec<_> = before.open.iter().map(|open| open.number).collect();
        for open in &after.open {
            // Only the end of one that was done may be lost, never a beginning come up.
            let begun = bytes.split(|b| *b == b'\n').any(|line| {
                let text = String::from_utf8_lossy(line);
                text.contains("\"begin\"") && text.contains(&format!("\"number\":{}", open.number))
            });
            prop_assert!(begun || known.contains(&open.number));
        }
    }
}

/// The environment variable by which the test program knows that it is the one to be killed.
const VICTIM: &str = "HYPERKEEP_JOURNAL_VICTIM";

#[test]
fn a_killed_process_leaves_what_it_was_about_to_do() {
    if let Ok(folder) = std::env::var(VICTIM) {
        let journal = Journal::create(folder.as_ref(), Uuid::from_u128(5)).unwrap();
        let number = journal.begin(create()).unwrap();
        journal.end(number, made("C1")).unwrap();
        journal.begin(convert("C1")).unwrap();
        println!("ready");
        std::io::stdout().flush().unwrap();
        loop {
            std::thread::park();
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "journal::a_killed_process_leaves_what_it_was_about_to_do",
            "--nocapture",
        ])
        .env(VICTIM, dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = child.stdout.take().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(output));
    let ready = lines.any(|line| line.unwrap().ends_with("ready"));
    assert!(ready, "the other process did not come so far");
    assert_eq!(dead(dir.path()).unwrap().len(), 0, "it is alive");
    child.kill().unwrap();
    child.wait().unwrap();
    let found = dead(dir.path()).unwrap();
    let reading = found[0].reading().unwrap();
    assert_eq!(reading.checkpoints, pairs(&["C1"]));
    assert_eq!(reading.open[0].intent, convert("C1"));
}
