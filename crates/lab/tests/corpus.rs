//! Replays the committed fuzz corpus of this crate.

use testkit::corpus;

#[path = "fuzz/request.rs"]
mod request;

#[test]
fn lab_request() {
    corpus::replay("lab_request", request::check);
}
