//! Replays the committed fuzz corpora of this crate.

use testkit::corpus;

#[path = "fuzz/http.rs"]
mod http;
#[path = "fuzz/path.rs"]
mod path;
#[path = "fuzz/soap.rs"]
mod soap;
#[path = "fuzz/xml.rs"]
mod xml;

#[test]
fn cim_http() {
    corpus::replay("cim_http", http::check);
}

#[test]
fn cim_path() {
    corpus::replay("cim_path", path::check);
}

#[test]
fn cim_soap() {
    corpus::replay("cim_soap", soap::check);
}

#[test]
fn cim_xml() {
    corpus::replay("cim_xml", xml::check);
}
