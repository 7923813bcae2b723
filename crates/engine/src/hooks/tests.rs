use std::fs;
use std::path::Path;

use super::*;

fn sh(script: &str) -> Hook {
    Hook {
        program: "sh".into(),
        args: vec!["-c".to_owned(), script.to_owned()],
        timeout_s: 60,
        policy: Policy::Fail,
        codes: BTreeMap::new(),
    }
}

fn run(hook: &Hook) -> Ran {
    hook.run(Moment::Before, &BTreeMap::new(), None)
}

/// Hooks that each write a line to a file: what they are, and what they were told.
fn writing(file: &Path) -> Hooks {
    let file = file.display();
    let hook = || {
        let line = "$HYPERKEEP_HOOK $HYPERKEEP_VM $HYPERKEEP_OUTCOME";
        Some(sh(&format!("echo {line} >> '{file}'")))
    };
    Hooks {
        before: hook(),
        after_freeze: hook(),
        after: hook(),
    }
}

#[test]
fn they_run_in_their_order_and_know_what_it_is_about() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lines");
    let hooks = writing(&file);
    let mut around = hooks.begin(&[("VM", "web")], &Cancel::new());
    assert!(around.after_freeze(&Cancel::new()));
    let ran = around.end("warning");
    assert_eq!(ran.len(), 3);
    let lines = fs::read_to_string(&file).unwrap();
    assert_eq!(lines, "before web\nafter-freeze web\nafter web warning\n");
}

#[test]
fn the_one_after_runs_once_on_every_path() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lines");
    let mut hooks = writing(&file);
    drop(hooks.begin(&[], &Cancel::new()));
    let stopped = Cancel::new();
    stopped.cancel();
    hooks.before = Some(sh("sleep 60"));
    let around = hooks.begin(&[], &stopped);
    assert!(!around.may_go_on());
    let ran = around.end("cancelled");
    assert_eq!(ran[0].ended, Ended::Cancelled);
    assert_eq!(ran[1].ended, Ended::Code(0));
    let panics = std::panic::catch_unwind(|| {
        let hooks = writing(&file);
        let _around = hooks.begin(&[], &Cancel::new());
        panic!("in the middle");
    });
    assert!(panics.is_err());
    let lines = fs::read_to_string(&file).unwrap();
    assert_eq!(
        lines,
        "before\nafter failed\nafter cancelled\nbefore\nafter failed\n"
    );
}

#[test]
fn what_its_end_means_is_for_the_policy_and_the_codes() {
    let verdict = |script: &str, policy, codes: &[(i32, Policy)]| {
        let hook = Hook {
            policy,
            codes: codes.iter().copied().collect(),
            ..sh(script)
        };
        let ran = run(&hook);
        (ran.verdict, ran.to_string())
    };
    use Policy::{Fail, Ignore, Warn};
    assert_eq!(verdict("exit 0", Fail, &[]).0, Verdict::Good);
    let (failed, text) = verdict("echo no such database >&2; exit 3", Fail, &[]);
    assert_eq!(failed, Verdict::Failed);
    assert!(text.contains("ended with 3: no such database"), "{text}");
    assert_eq!(verdict("exit 3", Warn, &[]).0, Verdict::Warning);
    assert_eq!(verdict("exit 3", Ignore, &[]).0, Verdict::Ignored);
    assert_eq!(verdict("exit 3", Fail, &[(3, Warn)]).0, Verdict::Warning);
    assert_eq!(verdict("exit 0", Ignore, &[(0, Warn)]).0, Verdict::Warning);
    let (killed, text) = verdict("kill -9 $$", Warn, &[]);
    assert!(
        killed == Verdict::Warning && text.contains("somebody else"),
        "{text}"
    );
    let none = Hook {
        program: "/nowhere/at/all".into(),
        ..sh("")
    };
    let ran = run(&none);
    assert!(matches!(ran.ended, Ended::NotRun(_)), "{ran}");
    assert_eq!(ran.verdict, Verdict::Failed);
}

#[test]
fn at_its_limit_it_is_killed_with_all_that_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let (child, alive) = (dir.path().join("child"), dir.path().join("alive"));
    // The inner program would say that it outlived the outer one.
    let script = format!(
        "sh -c 'sleep 4; touch {}' & echo $! > {}; echo begun; wait",
        alive.display(),
        child.display()
    );
    let hook = Hook {
        timeout_s: 1,
        ..sh(&script)
    };
    let ran = run(&hook);
    assert_eq!(ran.ended, Ended::TimedOut);
    assert_eq!(
        (ran.verdict, ran.output.as_str()),
        (Verdict::Failed, "begun\n")
    );
    let child = fs::read_to_string(child).unwrap();
    let child = rustix::process::Pid::from_raw(child.trim().parse().unwrap()).unwrap();
    // Whoever adopts it may still have to notice its end.
    let gone = (0..200).any(|_| {
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.as_raw_nonzero()));
        let gone = stat.map_or(true, |stat| stat.contains(") Z "));
        if !gone {
            std::thread::yield_now();
        }
        gone
    });
    assert!(gone && !alive.exists());
}

#[test]
fn of_what_it_writes_the_end_is_kept() {
    let ran = run(&sh(
        "i=0; while [ $i -lt 9000 ]; do echo line $i; i=$((i+1)); done; echo last >&2",
    ));
    assert_eq!(ran.ended, Ended::Code(0));
    assert_eq!(ran.output.len(), 16 << 10);
    let all: u64 = (0..9000_u64)
        .map(|i| format!("line {i}\n").len() as u64)
        .sum();
    assert_eq!(ran.dropped + (16 << 10), all + 5);
    assert!(ran.output.contains("line 8999\n"));
}

/// What it starts and lets go may hold its output open for ever: it is not waited for.
#[test]
fn what_it_lets_go_does_not_hold_the_backup() {
    let ran = run(&sh("setsid sleep 30 & echo done"));
    assert_eq!((ran.ended, ran.output.as_str()), (Ended::Code(0), "done\n"));
}

#[test]
fn no_secret_of_ours_is_in_its_environment() {
    let script = "env | grep ^HYPERKEEP_ | cut -d= -f1 | sort";
    let about = BTreeMap::from([("VM".to_owned(), "a b; c".to_owned())]);
    // The build's own variables of this name are enough to see that they are gone.
    let ran = sh(script).run(Moment::After, &about, None);
    assert_eq!(ran.output, "HYPERKEEP_HOOK\nHYPERKEEP_VM\n");
    let told = sh("printf %s \"$HYPERKEEP_VM\"").run(Moment::After, &about, None);
    assert_eq!(told.output, "a b; c");
}

#[test]
fn a_job_can_name_them() {
    let json = r#"{"before": {"program": "/usr/bin/stop-db", "args": ["now"],
                              "timeout-s": 30, "policy": "warn", "codes": {"4": "ignore"}}}"#;
    let hooks: Hooks = serde_json::from_str(json).unwrap();
    let before = hooks.before.unwrap();
    assert_eq!((before.timeout_s, before.policy), (30, Policy::Warn));
    assert_eq!(before.codes[&4], Policy::Ignore);
    assert!(hooks.after.is_none());
    assert!(serde_json::from_str::<Hooks>(r#"{"befor": null}"#).is_err());
}
