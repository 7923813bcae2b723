//! Replays the committed fuzz corpora of this crate.

use testkit::corpus;

#[path = "fuzz/host_path.rs"]
mod host_path;
#[path = "fuzz/journal.rs"]
mod journal;

#[test]
fn hyperv_host_path() {
    corpus::replay("hyperv_host_path", host_path::check);
}

#[test]
fn hyperv_journal() {
    corpus::replay("hyperv_journal", journal::check);
}
