//! The envelope: the header that all requests share, and the body.

use std::time::Duration;

use uuid::Uuid;

use super::body::{Body, Request};
use super::{epr, ns};
use crate::cimxml::Unwritable;
use crate::xml::Writer;

/// What all requests of a session share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where requests go: `http://hv01:5985/wsman`.
    pub to: String,
    /// Bytes that a reply may have. Hosts cut what is above their own limit to it, and refuse
    /// less than 8192.
    pub max_envelope: u32,
    /// How long the host may take for one request; above a minute is cut by hosts.
    pub timeout: Duration,
    /// The language to ask for. Hosts answer in it only if they have it.
    pub locale: String,
    /// The same for all requests of a session.
    pub session: Uuid,
}

impl Settings {
    /// What every host accepts: 150 KiB, one minute, English.
    pub fn new(to: &str, session: Uuid) -> Self {
        Self {
            to: to.to_owned(),
            max_envelope: 153_600,
            timeout: Duration::from_secs(60),
            locale: "en-US".to_owned(),
            session,
        }
    }
}

impl Request {
    /// Writes the whole message. `message` must be new for each.
    pub fn write(&self, settings: &Settings, message: Uuid) -> Result<String, Unwritable> {
        let must = [("s:mustUnderstand", "true")];
        let mut out = Writer::default();
        let namespaces = [
            ("xmlns:s", ns::SOAP),
            ("xmlns:a", ns::ADDRESSING),
            ("xmlns:w", ns::WSMAN),
            ("xmlns:p", ns::MS_WSMAN),
        ];
        out.open_with("s:Envelope", &namespaces).open("s:Header");
        out.leaf("a:To", &[], &settings.to);
        out.leaf("w:ResourceURI", &must, &self.resource);
        out.open("a:ReplyTo");
        out.leaf("a:Address", &must, ns::ANONYMOUS).close();
        out.leaf("a:Action", &must, &self.action);
        let most = settings.max_envelope.to_string();
        out.leaf("w:MaxEnvelopeSize", &must, &most);
        out.leaf("a:MessageID", &[], &urn(message));
        // A host that must understand a language faults.
        let locale = [
            ("xml:lang", settings.locale.as_str()),
            ("s:mustUnderstand", "false"),
        ];
        out.empty("w:Locale", &locale);
        out.empty("p:DataLocale", &locale);
        let need_not = [("s:mustUnderstand", "false")];
        out.leaf("p:SessionId", &need_not, &urn(settings.session));
        out.leaf("w:OperationTimeout", &[], &seconds(settings.timeout));
        epr::write_selectors(&mut out, &self.selectors);
        if !self.options.is_empty() {
            out.open("w:OptionSet");
            for (name, value) in &self.options {
                out.leaf("w:Option", &[("Name", name)], value);
            }
            out.close();
        }
        out.close();
        if self.body == Body::Empty {
            out.empty("s:Body", &[]);
        } else {
            out.open("s:Body");
            self.body.write(&mut out, &self.resource);
            out.close();
        }
        out.finish()
    }
}

/// The message that asks a host what it is; it has no header.
pub fn identify() -> String {
    format!(
        "<s:Envelope xmlns:s=\"{}\" xmlns:wsmid=\"{}\"><s:Header/><s:Body><wsmid:Identify/>\
         </s:Body></s:Envelope>",
        ns::SOAP,
        ns::IDENTITY
    )
}

/// As Windows writes ids: upper case.
pub(super) fn urn(id: Uuid) -> String {
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    format!("uuid:{}", id.hyphenated().encode_upper(&mut text))
}

fn seconds(span: Duration) -> String {
    match span.subsec_millis() {
        0 => format!("PT{}S", span.as_secs()),
        millis => format!("PT{}.{millis:03}S", span.as_secs()),
    }
}
