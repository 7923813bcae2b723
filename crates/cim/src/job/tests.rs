use std::cell::{Cell, RefCell};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::path::HYPER_V;
use crate::recorded::{Answer, Asked, fault, host, object, returned};
use crate::{Hresult, ObjectPath};

const GONE: u32 = 2_150_858_752;

/// A clock that only sleeping moves.
#[derive(Default)]
struct Fast {
    now: Cell<Duration>,
    naps: RefCell<Vec<Duration>>,
    cancel_at: Option<Duration>,
}

impl Pace for Fast {
    fn now(&self) -> Duration {
        self.now.get()
    }

    fn sleep(&self, span: Duration) {
        self.naps.borrow_mut().push(span);
        self.now.set(self.now.get() + span);
    }

    fn cancelled(&self) -> bool {
        self.cancel_at.is_some_and(|at| self.now() >= at)
    }
}

fn path() -> ObjectPath {
    ObjectPath::new(HYPER_V, "Msvm_ConcreteJob").with_key("InstanceID", "J")
}

fn job(state: u16, more: &str) -> Answer {
    let state = format!("<p:JobState>{state}</p:JobState>{more}");
    object("Msvm_ConcreteJob", &state)
}

/// Follows a job whose looks are told, the last one again and again.
fn run(
    looks: Vec<fn() -> Answer>,
    pace: &Fast,
    patience: &Patience,
) -> (Result<JobEnd, String>, Asked, Vec<JobState>) {
    let at = Arc::new(Mutex::new(0));
    let (session, asked) = host(move |message| {
        if message.contains("p:GetErrorEx_INPUT") {
            let error = "&lt;INSTANCE CLASSNAME=\"Msvm_Error\"&gt;&lt;PROPERTY NAME=\"Message\" \
                TYPE=\"string\"&gt;&lt;VALUE&gt;失敗 (0x80070020)&lt;/VALUE&gt;&lt;/PROPERTY&gt;\
                &lt;PROPERTY NAME=\"MessageID\" TYPE=\"string\"&gt;&lt;VALUE&gt;M7&lt;/VALUE&gt;\
                &lt;/PROPERTY&gt;&lt;/INSTANCE&gt;";
            let inner = format!(
                "<p:Errors>{error}</p:Errors><p:Errors>roh</p:Errors><p:ReturnValue>0</p:ReturnValue>"
            );
            return returned("GetErrorEx", &inner);
        }
        if message.contains("p:RequestStateChange_INPUT") {
            return returned("RequestStateChange", "<p:ReturnValue>0</p:ReturnValue>");
        }
        let mut at = at.lock().unwrap();
        let look = looks[(*at).min(looks.len() - 1)];
        *at += 1;
        look()
    });
    let mut seen = Vec::new();
    let end = follow(&session, &path(), pace, patience, &mut |job| {
        seen.push(job.state)
    });
    (end.map_err(|error| error.to_string()), asked, seen)
}

fn simple(looks: Vec<fn() -> Answer>) -> JobEnd {
    run(looks, &Fast::default(), &Patience::default())
        .0
        .unwrap()
}

#[test]
fn a_job_is_followed_through_every_state_to_its_end() {
    let looks: Vec<fn() -> Answer> = vec![
        || job(2, ""),
        || job(3, ""),
        || job(4, "<p:PercentComplete>40</p:PercentComplete>"),
        || job(5, ""),
        || job(11, ""),
        || job(6, ""),
        || job(7, "<p:PercentComplete>100</p:PercentComplete>"),
    ];
    let pace = Fast::default();
    let (end, _, seen) = run(looks, &pace, &Patience::default());
    let Ok(JobEnd::Completed(job)) = end else {
        panic!("{end:?}")
    };
    assert_eq!(job.percent, Some(100));
    use JobState::{Completed, New, Other, Running, ShuttingDown, Starting, Suspended};
    assert_eq!(
        seen,
        [
            New,
            Starting,
            Running,
            Suspended,
            Other(11),
            ShuttingDown,
            Completed
        ]
    );
    let naps: Vec<_> = pace.naps.borrow().iter().map(Duration::as_millis).collect();
    assert_eq!(naps, [100, 150, 225, 337, 506, 759]);
}

#[test]
fn ends_are_told_apart() {
    let warned = simple(vec![|| job(32768, "")]);
    assert!(
        matches!(warned, JobEnd::Completed(job) if job.state == JobState::CompletedWithWarnings)
    );
    for look in [|| job(8, ""), || job(9, ""), || job(10, "")] as [fn() -> Answer; 3] {
        assert!(matches!(simple(vec![look]), JobEnd::Failed(_)));
    }
    let lied = simple(vec![|| job(7, "<p:ErrorCode>32768</p:ErrorCode>")]);
    assert!(
        matches!(&lied, JobEnd::Failed(f) if f.job.error_code == 32768),
        "{lied:?}"
    );
    let storage = simple(vec![|| {
        job(
            7,
            "<p:JobCompletionStatusCode>3224567849</p:JobCompletionStatusCode>",
        )
    }]);
    let JobEnd::Failed(failure) = storage else {
        panic!("{storage:?}")
    };
    assert_eq!(failure.code, Some(Hresult(0xc033_0029)));
}

#[test]
fn a_failure_tells_all_that_the_host_tells() {
    let JobEnd::Failed(failure) = simple(vec![|| {
        job(
            10,
            "<p:ErrorCode>32768</p:ErrorCode><p:ErrorDescription>失敗しました (0x8007052F)</p:ErrorDescription>",
        )
    }]) else {
        panic!()
    };
    assert_eq!(failure.code, Some(Hresult(0x8007_052f)));
    assert_eq!(failure.errors[0].id.as_deref(), Some("M7"));
    assert_eq!(failure.errors[1].message, "roh");
    assert_eq!(failure.unasked, None);
    assert_eq!(
        failure.to_string(),
        "the job ended in state Exception with error 32768, code 0x8007052f (an account \
         restriction); the host says: 失敗 (0x80070020)"
    );
    let JobEnd::Failed(failure) = simple(vec![|| {
        job(10, "<p:ErrorDescription> </p:ErrorDescription>")
    }]) else {
        panic!()
    };
    assert_eq!(failure.code, Some(Hresult(0x8007_0020)), "from GetErrorEx");
}

#[test]
fn a_job_that_is_gone_has_an_unknown_end() {
    let end = simple(vec![|| job(4, ""), || fault(GONE)]);
    assert!(matches!(&end, JobEnd::Vanished(Some(job)) if job.state == JobState::Running));
    assert_eq!(simple(vec![|| fault(GONE)]), JobEnd::Vanished(None));
}

#[test]
fn silence_is_borne_for_a_while() {
    const BUSY: u32 = 2_150_859_174;
    let end = simple(vec![
        || fault(BUSY),
        || Answer::Broken { maybe_sent: true },
        || Answer::Broken { maybe_sent: true },
        || job(4, ""),
        || fault(BUSY),
        || job(7, ""),
    ]);
    assert!(matches!(end, JobEnd::Completed(_)));
    let pace = Fast::default();
    let (end, _, _) = run(vec![|| fault(BUSY)], &pace, &Patience::default());
    assert!(end.unwrap_err().contains("too much to do"));
    assert!(
        (120..125).contains(&pace.now().as_secs()),
        "{:?}",
        pace.now()
    );
    let (end, asked, _) = run(vec![|| fault(5)], &Fast::default(), &Patience::default());
    assert!(end.unwrap_err().contains("denies access"));
    assert_eq!(asked.all().len(), 1, "what stays so is not tried again");
}

#[test]
fn cancelling_asks_once_and_follows_on() {
    let pace = || Fast {
        cancel_at: Some(Duration::from_millis(200)),
        ..Fast::default()
    };
    let can: fn() -> Answer = || job(4, "<p:Cancellable>true</p:Cancellable>");
    let (end, asked, _) = run(
        vec![can, can, can, can, || job(8, "")],
        &pace(),
        &Patience::default(),
    );
    assert!(matches!(end, Ok(JobEnd::Cancelled(_))), "{end:?}");
    let asks = |asked: &Asked| {
        asked
            .actions()
            .iter()
            .filter(|a| *a == "RequestStateChange")
            .count()
    };
    assert_eq!(asks(&asked), 1);
    assert!(
        asked
            .all()
            .iter()
            .any(|m| m.contains("<p:RequestedState>4</p:RequestedState>"))
    );
    // It may end well before it notices.
    let (end, _, _) = run(
        vec![can, can, can, || job(7, "")],
        &pace(),
        &Patience::default(),
    );
    assert!(matches!(end, Ok(JobEnd::Completed(_))), "{end:?}");
    // One that cannot be cancelled is followed on, and given up on when it takes too long.
    let fixed: fn() -> Answer = || job(4, "<p:Cancellable>false</p:Cancellable>");
    let slow = pace();
    let (end, asked, _) = run(vec![fixed], &slow, &Patience::default());
    assert!(matches!(end, Ok(JobEnd::StillRunning(_))), "{end:?}");
    assert_eq!(asks(&asked), 0);
    assert!((120..125).contains(&slow.now().as_secs()));
    let (end, _, _) = run(
        vec![fixed, fixed, fixed, || job(8, "")],
        &pace(),
        &Patience::default(),
    );
    assert!(
        matches!(end, Ok(JobEnd::Failed(_))),
        "somebody else ended it: {end:?}"
    );
}

#[test]
fn a_job_may_take_too_long_in_all() {
    let patience = Patience {
        total: Some(Duration::from_secs(10)),
        ..Patience::default()
    };
    let pace = Fast::default();
    let (end, _, _) = run(vec![|| job(4, "")], &pace, &patience);
    assert!(matches!(end, Ok(JobEnd::StillRunning(_))));
    assert!((10..13).contains(&pace.now().as_secs()));
}

#[test]
fn a_job_without_a_state_is_no_job() {
    let (end, _, _) = run(
        vec![|| object("Msvm_ConcreteJob", "")],
        &Fast::default(),
        &Patience::default(),
    );
    assert!(
        end.unwrap_err()
            .contains("JobState of Msvm_ConcreteJob is missing")
    );
}
