//! Replays the committed fuzz corpora of this crate.

use testkit::corpus;

#[path = "fuzz/reply.rs"]
mod reply;

#[test]
fn sharefiles_reply() {
    corpus::replay("sharefiles_reply", reply::check);
}
