//! Something goes wrong once, at any one of the requests by which a host is asked.

use testkit::vary;

use crate::accidents::Story;
use crate::keeper::Outcome;

/// What goes wrong, and whether it costs nothing.
const WAYS: &[(&str, bool)] = &[
    (r#""does": "lost""#, true),
    (r#""does": {"cut": 0}"#, true),
    (r#""does": {"cut": 300}"#, true),
    (r#""does": {"refused": "quota"}"#, true),
    (r#""does": {"refused": "timed-out"}"#, true),
    (r#""does": {"refused": "access-denied"}"#, false),
    (r#""after": ["restart-service"]"#, false),
    (r#""after": ["restart-service-when-done"]"#, false),
];

/// Goes on until there is no such request; how many there are.
fn at_each(on: &str) -> usize {
    for at in 0..200 {
        let ways = WAYS.iter().enumerate();
        // By day each request has one way, and each way some requests.
        let today = |way: usize| vary::cases(1) > 1 || at % WAYS.len() == way;
        for (_, (way, harmless)) in ways.filter(|(way, _)| today(*way)) {
            let what = format!(r#"{{"on": "{on}", "skip": {at}, {way}}}"#);
            let mut story = Story::of("", &what);
            let run = story.run();
            if !story.lab.server.service().mishaps.is_empty() {
                return at;
            }
            if *harmless {
                let right = matches!(run.outcome, Outcome::Incremental(_));
                assert!(right && run.problems.is_empty(), "{what}: {run:?}");
            }
            assert!(run.report.suspects.is_empty(), "{what}: {run:?}");
            story.ends();
        }
    }
    panic!("there is no end of {on}");
}

#[test]
fn a_host_that_does_not_answer_one_question() {
    let requests: usize = ["Get", "Enumerate", "Pull"].map(at_each).into_iter().sum();
    assert!((20..150).contains(&requests), "{requests}");
}
