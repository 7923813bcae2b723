//! Faults: how a host says no.
//!
//! The reason is for people and in the host's language. What a fault *is* follows from codes: the
//! subcode of SOAP, Microsoft's number in the detail, or the status of WMI.

use roxmltree::Node;

use super::ns;
use crate::hresult::Hresult;
use crate::value::shorten;
use crate::xml::{child, elements, raw_text, text};

/// Characters that are kept of what a provider says.
const MOST_CHARS: usize = 4096;

/// A host's refusal.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Fault {
    /// The local name of SOAP's code: `Sender` or `Receiver`.
    pub code: String,
    /// Namespace and local name of the subcode.
    pub subcode: Option<(String, String)>,
    /// The reason, in the host's language.
    pub reason: String,
    /// The URI of the detail.
    pub detail: Option<String>,
    /// Microsoft's number: a code of Windows or of WS-Management.
    pub wsman_code: Option<u32>,
    /// The host that it happened on.
    pub machine: Option<String>,
    /// What the provider behind it says.
    pub message: Option<String>,
    /// What WMI says.
    pub wmi: Option<WmiError>,
}

/// WMI's own detail of a fault.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct WmiError {
    /// CIM's status.
    pub status: Option<u32>,
    /// The code, to be read by its type.
    pub code: Option<u32>,
    /// `HRESULT` or `MI`.
    pub code_type: String,
    /// The message, in the host's language.
    pub message: String,
}

/// What a fault means to who gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// The account may not do this.
    AccessDenied,
    /// There is no such object, or no longer.
    NotFound,
    /// There is no such class on this host.
    NoClass,
    /// There is no such namespace: Hyper-V's is missing when the role is.
    NoNamespace,
    /// The query is not understood.
    BadQuery,
    /// A method or parameter is not as the host wants it.
    BadRequest,
    /// The time for the operation ran out; it may still go on.
    TimedOut,
    /// The enumeration is forgotten; begin it again.
    ContextLost,
    /// The reply does not fit the envelope.
    TooLarge,
    /// Too much at once; try later.
    Quota,
    /// The service behind it is not reachable; try later.
    Unavailable,
    /// Something else.
    Other,
}

impl Fault {
    pub(super) fn read(node: Node<'_, '_>) -> Self {
        let code = below(node, "Code");
        let subcode = code.and_then(|code| below(code, "Subcode"));
        let reason = below(node, "Reason").and_then(|reason| below(reason, "Text"));
        let mut fault = Self {
            code: code
                .and_then(value)
                .map(|(_, local)| local)
                .unwrap_or_default(),
            subcode: subcode.and_then(value),
            reason: reason.map(|n| bounded(&text(n))).unwrap_or_default(),
            ..Self::default()
        };
        for detail in below(node, "Detail").into_iter().flat_map(elements) {
            fault.add_detail(detail);
        }
        fault
    }

    fn add_detail(&mut self, node: Node<'_, '_>) {
        let namespace = node.tag_name().namespace().unwrap_or("");
        match node.tag_name().name() {
            "FaultDetail" => self.detail = Some(shorten(&text(node))),
            "WSManFault" if namespace == ns::FAULT => {
                self.wsman_code = node.attribute("Code").and_then(number);
                self.machine = node.attribute("Machine").map(shorten);
                let pieces = node.descendants().filter(|n| n.is_text());
                let words: Vec<_> = pieces.filter_map(|n| n.text()).map(str::trim).collect();
                let message = bounded(words.join(" ").trim());
                self.message = Some(message).filter(|message| !message.is_empty());
            }
            "MSFT_WmiError" => {
                let part = |local: &str| {
                    let found = elements(node).find(|n| n.has_tag_name(local));
                    found.map(raw_text).unwrap_or_default()
                };
                self.wmi = Some(WmiError {
                    status: number(&part("CIMStatusCode")),
                    code: number(&part("error_Code")),
                    code_type: shorten(part("error_Type").trim()),
                    message: bounded(part("Message").trim()),
                });
            }
            _ => {}
        }
    }

    /// What it means, judged by codes and never by text.
    pub fn kind(&self) -> FaultKind {
        let windows = self.wsman_code.and_then(by_code);
        let wmi = self.wmi.as_ref().and_then(|wmi| {
            let code = wmi
                .code
                .filter(|_| wmi.code_type.eq_ignore_ascii_case("HRESULT"));
            code.and_then(by_code)
                .or_else(|| wmi.status.and_then(by_status))
        });
        windows
            .or(wmi)
            .or_else(|| self.by_subcode())
            .unwrap_or(FaultKind::Other)
    }

    fn by_subcode(&self) -> Option<FaultKind> {
        Some(match self.subcode.as_ref()?.1.as_str() {
            "AccessDenied" => FaultKind::AccessDenied,
            "DestinationUnreachable" => FaultKind::NotFound,
            "EndpointUnavailable" => FaultKind::Unavailable,
            "CannotProcessFilter"
            | "FilteringNotSupported"
            | "FilterDialectRequestedUnavailable" => FaultKind::BadQuery,
            "InvalidEnumerationContext" => FaultKind::ContextLost,
            "TimedOut" => FaultKind::TimedOut,
            "EncodingLimit" => FaultKind::TooLarge,
            "QuotaLimit" | "Concurrency" => FaultKind::Quota,
            "InvalidSelectors"
            | "InvalidParameter"
            | "SchemaValidationError"
            | "InvalidRepresentation"
            | "ActionNotSupported"
            | "InvalidOptions" => FaultKind::BadRequest,
            _ => return None,
        })
    }

    /// The code of Windows that is behind it: WMI's, else Microsoft's number if it is a failure
    /// of that shape, else one in the provider's text.
    pub fn hresult(&self) -> Option<Hresult> {
        let wmi = self.wmi.as_ref().and_then(|wmi| wmi.code);
        let codes = [wmi, self.wsman_code].into_iter().flatten().map(Hresult);
        let mut codes = codes.filter(|code| code.is_failure());
        codes.next().or_else(|| {
            let texts = [self.message.as_deref(), Some(self.reason.as_str())];
            texts.into_iter().flatten().find_map(Hresult::find)
        })
    }
}

fn below<'a, 'i>(node: Node<'a, 'i>, local: &str) -> Option<Node<'a, 'i>> {
    child(node, ns::SOAP, local)
}

fn value(node: Node<'_, '_>) -> Option<(String, String)> {
    below(node, "Value").map(qualified)
}

/// Numbers that Windows documents.
fn by_code(code: u32) -> Option<FaultKind> {
    Some(match code {
        5 | 0x8004_1003 | 0x8007_0005 => FaultKind::AccessDenied,
        2 | 1168 | 0x8033_8000 | 0x8004_1002 => FaultKind::NotFound,
        0x8004_1010 => FaultKind::NoClass,
        0x8004_100e => FaultKind::NoNamespace,
        0x8033_801a | 0x8004_1017 => FaultKind::BadQuery,
        87
        | 0x8033_8001
        | 0x8033_8013
        | 0x8033_803b
        | 0x8033_803d
        | 0x8033_8041
        | 0x8033_8054
        | 0x8033_805a..=0x8033_805e => FaultKind::BadRequest,
        0x8033_8029 | 0x8033_801c => FaultKind::TimedOut,
        0x8033_801b => FaultKind::ContextLost,
        0x8033_8026 => FaultKind::TooLarge,
        0x8033_803f | 0x8033_81a5..=0x8033_81a8 | 0x8033_81ab | 0x8033_81e4..=0x8033_81ea => {
            FaultKind::Quota
        }
        1722 | 0x8007_06ba => FaultKind::Unavailable,
        _ => return None,
    })
}

/// CIM's status codes (DSP0223).
fn by_status(status: u32) -> Option<FaultKind> {
    Some(match status {
        2 => FaultKind::AccessDenied,
        3 => FaultKind::NoNamespace,
        4 | 16 | 17 => FaultKind::BadRequest,
        5 => FaultKind::NoClass,
        6 => FaultKind::NotFound,
        14 | 15 => FaultKind::BadQuery,
        27 => FaultKind::Quota,
        _ => return None,
    })
}

/// A name with a prefix, as text: `w:InvalidSelectors`.
fn qualified(node: Node<'_, '_>) -> (String, String) {
    let told = text(node);
    let (prefix, local) = told.split_once(':').unwrap_or(("", &told));
    let prefix = Some(prefix).filter(|prefix| !prefix.is_empty());
    let namespace = node.lookup_namespace_uri(prefix).unwrap_or("");
    (namespace.to_owned(), shorten(local))
}

/// Decimal, or hexadecimal with its mark.
fn number(text: &str) -> Option<u32> {
    let text = text.trim();
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    match hex {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        // An HRESULT may be told as a negative number.
        None => text
            .parse()
            .ok()
            .or_else(|| text.parse::<i32>().ok().map(i32::cast_unsigned)),
    }
}

fn bounded(text: &str) -> String {
    text.chars().take(MOST_CHARS).collect()
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let says = match self.kind() {
            FaultKind::AccessDenied => "the host denies access",
            FaultKind::NotFound => "the host has no such object",
            FaultKind::NoClass => "the host has no such class",
            FaultKind::NoNamespace => "the host has no such namespace: is the role installed?",
            FaultKind::BadQuery => "the host does not understand the query",
            FaultKind::BadRequest => "the host refuses the request",
            FaultKind::TimedOut => "the host ran out of the time given",
            FaultKind::ContextLost => "the host has forgotten the enumeration",
            FaultKind::TooLarge => "the host's answer is larger than a message may be",
            FaultKind::Quota => "the host has too much to do at once",
            FaultKind::Unavailable => "the service behind it is not reachable on the host",
            FaultKind::Other => "the host reports a fault",
        };
        f.write_str(says)?;
        if let Some(code) = self.hresult() {
            write!(f, ", code {code}")?;
        } else if let Some(code) = self.wsman_code {
            write!(f, ", code {code}")?;
        }
        let wmi = self.wmi.as_ref().map(|wmi| wmi.message.as_str());
        let text = [self.message.as_deref(), wmi, Some(self.reason.as_str())];
        match text.into_iter().flatten().find(|text| !text.is_empty()) {
            Some(text) => write!(f, "; it says: {}", shorten(text)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Fault {}
