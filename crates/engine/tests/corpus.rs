//! What the fuzzers start from and once found, on the stable compiler.

#[path = "model/changed_ranges.rs"]
mod changed_ranges;
#[path = "model/details.rs"]
mod details;

use testkit::corpus;

#[test]
fn changed_ranges_corpus() {
    corpus::replay("engine_changed_ranges", changed_ranges::check);
}

#[test]
fn details_corpus() {
    corpus::replay("engine_details", details::check);
    // The corpus reaches beyond the first refusal.
    let chain = std::fs::read(corpus::dir("engine_details").join("chain")).expect("the input");
    assert_eq!(details::read(&chain).expect("details").layers.len(), 2);
}
