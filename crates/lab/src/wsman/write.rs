//! Envelopes of replies.

use cim::ObjectPath;

use super::ns;
use super::reference;
use super::xml::escape;

/// What an envelope takes beside its body, generously.
pub(super) const OVERHEAD: usize = 2048;

/// A reply's header and body. The prefixes `s`, `a`, `x`, `n`, `w`, `p` and `b` are for the body.
pub(super) fn envelope(action: &str, id: &str, relates_to: &str, body: &str) -> String {
    let relates = match relates_to {
        "" => String::new(),
        told => format!("<a:RelatesTo>{}</a:RelatesTo>", escape(told)),
    };
    format!(
        "<s:Envelope xml:lang=\"de-DE\" xmlns:s=\"{}\" xmlns:a=\"{}\" xmlns:x=\"{}\" xmlns:n=\"{}\" xmlns:w=\"{}\" xmlns:p=\"{}\" xmlns:b=\"{}\">\
         <s:Header><a:Action>{}</a:Action><a:MessageID>{id}</a:MessageID><a:To>{}</a:To>{relates}</s:Header>\
         <s:Body>{body}</s:Body></s:Envelope>",
        ns::SOAP,
        ns::ADDRESSING,
        ns::TRANSFER,
        ns::ENUMERATION,
        ns::WSMAN,
        ns::MS_WSMAN,
        ns::BINDING,
        escape(action),
        ns::ANONYMOUS,
    )
}

/// The answer to Identify, which has no header.
pub(super) fn identity(version: &str, authenticated: bool) -> String {
    let profiles = match authenticated {
        true => {
            "<wsmid:SecurityProfiles><wsmid:SecurityProfileName>http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/http/spnego-kerberos</wsmid:SecurityProfileName></wsmid:SecurityProfiles>"
        }
        false => "",
    };
    format!(
        "<s:Envelope xml:lang=\"de-DE\" xmlns:s=\"{}\"><s:Header/><s:Body>\
         <wsmid:IdentifyResponse xmlns:wsmid=\"{}\"><wsmid:ProtocolVersion>{}</wsmid:ProtocolVersion>\
         <wsmid:ProductVendor>Microsoft Corporation</wsmid:ProductVendor>\
         <wsmid:ProductVersion>{}</wsmid:ProductVersion>{profiles}</wsmid:IdentifyResponse></s:Body></s:Envelope>",
        ns::SOAP,
        ns::IDENTITY,
        ns::WSMAN,
        escape(version),
    )
}

/// An object's reference with its wrapper, as enumerations have it.
pub(super) fn endpoint(path: &ObjectPath) -> String {
    let mut out = format!(
        "<a:EndpointReference xmlns:a=\"{}\" xmlns:w=\"{}\">",
        ns::ADDRESSING,
        ns::WSMAN
    );
    reference::write(&mut out, path);
    out.push_str("</a:EndpointReference>");
    out
}
