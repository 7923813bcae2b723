//! Replays the committed fuzz corpora of this crate.

use testkit::corpus;

#[path = "fuzz/hvs.rs"]
mod hvs;
#[path = "fuzz/layout.rs"]
mod layout;
#[path = "fuzz/vmgs.rs"]
mod vmgs;
#[path = "fuzz/xml.rs"]
mod xml;

#[test]
fn vmconfig_hvs() {
    corpus::replay("vmconfig_hvs", hvs::check);
}

#[test]
fn vmconfig_xml() {
    corpus::replay("vmconfig_xml", xml::check);
}

#[test]
fn vmconfig_vmgs() {
    corpus::replay("vmconfig_vmgs", vmgs::check);
}

#[test]
fn vmconfig_layout() {
    corpus::replay("vmconfig_layout", layout::check);
}
