//! What holds for any bytes that are sent to the lab.

use std::path::Path;
use std::sync::Arc;

use hyperkeep_lab::repository::wql::Query;
use hyperkeep_lab::scenario::Scenario;
use hyperkeep_lab::server::unpack;
use hyperkeep_lab::wsman::{Caller, Rights};
use hyperkeep_lab::{Clock, ManualClock};

/// Answers `data` as an envelope, reads it as an encrypted message and as a query.
///
/// # Panics
/// Never, but for an answer that is neither a reply nor a fault.
pub(crate) fn check(data: &[u8]) {
    let start = "2026-10-05T04:00:00Z".parse().expect("a time");
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(start));
    // A host without VMs touches no folder.
    let scenario = Scenario::read(r#"{"switches": ["LAN"]}"#).expect("a scenario");
    let host = scenario
        .build(Path::new("/nowhere"), clock)
        .expect("a host");
    let mut service = scenario.service(host).unwrap();
    for caller in [Caller::Account(Rights::Administrator), Caller::Anonymous] {
        let answer = service.answer(data, caller);
        assert!(matches!(answer.status, 200 | 400 | 500));
        assert_eq!(answer.status != 200, answer.envelope.contains("<s:Fault>"));
    }
    let _ = unpack(data);
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = text.parse::<Query>();
    }
}
