//! Replays the committed fuzz corpus of this crate.

use testkit::corpus;

#[path = "fuzz/logon.rs"]
mod logon;
#[path = "fuzz/request.rs"]
mod request;

#[test]
fn lab_logon() {
    corpus::replay("lab_logon", |data| _ = logon::check(data));
}

/// A client of ours was recorded; what is whole of it logs on, and nothing else does.
#[test]
fn only_whole_logons_log_on() {
    for (data, expected) in [
        (
            &include_bytes!("../../../fuzz/corpus/lab_logon/bare")[..],
            true,
        ),
        (
            include_bytes!("../../../fuzz/corpus/lab_logon/spnego"),
            true,
        ),
        (
            include_bytes!("../../../fuzz/corpus/lab_logon/second-choice"),
            true,
        ),
        (
            include_bytes!("../../../fuzz/corpus/lab_logon/again"),
            false,
        ),
        (
            include_bytes!("../../../fuzz/corpus/lab_logon/wrong-code"),
            false,
        ),
        (
            include_bytes!("../../../fuzz/corpus/lab_logon/changed-key"),
            false,
        ),
        (
            include_bytes!("../../../fuzz/corpus/lab_logon/changed-mic"),
            false,
        ),
        (
            include_bytes!("../../../fuzz/corpus/lab_logon/short"),
            false,
        ),
    ] {
        assert_eq!(logon::check(data), expected);
    }
}

#[test]
fn lab_request() {
    corpus::replay("lab_request", request::check);
}
