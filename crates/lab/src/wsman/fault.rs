//! Faults: each with SOAP's code, its detail, Windows' number (of wsmerror.h) and HTTP's status.

use super::ns;
use super::xml::escape;
use crate::repository::RepositoryError;

/// How the host tells what WMI refused; both forms were recorded from real hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum FaultStyle {
    /// `WSManFault` with a code.
    #[default]
    Wsman,
    /// `MSFT_WmiError`.
    Wmi,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Fault {
    /// The bytes are no envelope that can be read.
    Schema(String),
    HeaderMissing(&'static str),
    HeaderInvalid(&'static str),
    /// A header that must be understood and is not.
    NotUnderstood(String),
    Unsupported(&'static str),
    EnvelopeTooSmall,
    ReplyTooLarge,
    ActionUnknown(String),
    ResourceUnknown(String),
    SelectorsInvalid(&'static str),
    NamespaceSelector,
    FilterDialect(String),
    Filter(String),
    PolymorphismMode,
    ContextInvalid,
    ParameterType(String),
    AccessDenied,
    TimedOut,
    /// Too many enumerations at once.
    Quota,
    /// The scenario wants what cannot be.
    Scenario(String),
    /// What the repository says.
    Wmi(Box<RepositoryError>),
}

struct Parts {
    sender: bool,
    subcode: (&'static str, &'static str),
    detail: Option<&'static str>,
    number: u32,
    status: u16,
    text: String,
}

/// WMI's numbers.
const NOT_FOUND: u32 = 0x8004_1002;
const INVALID_CLASS: u32 = 0x8004_1010;
const INVALID_QUERY: u32 = 0x8004_1017;
const INVALID_NAMESPACE: u32 = 0x8004_100e;
const INVALID_METHOD: u32 = 0x8004_102e;

impl Fault {
    /// The namespace of the subcode decides the action of the reply.
    pub(super) fn action(&self) -> &'static str {
        match self.parts().subcode.0 {
            "a" => "http://schemas.xmlsoap.org/ws/2004/08/addressing/fault",
            "n" => "http://schemas.xmlsoap.org/ws/2004/09/enumeration/fault",
            _ => "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault",
        }
    }

    /// The status of HTTP.
    pub fn status(&self) -> u16 {
        self.parts().status
    }

    /// Windows' number.
    pub fn number(&self) -> u32 {
        self.parts().number
    }

    fn parts(&self) -> Parts {
        let parts = |subcode, detail, number, text: &str| Parts {
            sender: true,
            subcode,
            detail,
            number,
            status: 500,
            text: text.to_owned(),
        };
        match self {
            Self::Schema(why) => parts(
                ("w", "SchemaValidationError"),
                None,
                0x8033_8041,
                &format!("Die Anforderung entspricht nicht dem Schema: {why}"),
            ),
            Self::HeaderMissing(name) => parts(
                ("a", "MessageInformationHeaderRequired"),
                None,
                0x8033_8011,
                &format!("Der Header {name} fehlt."),
            ),
            Self::HeaderInvalid(name) => parts(
                ("a", "InvalidMessageInformationHeader"),
                None,
                0x8033_800f,
                &format!("Der Header {name} ist ungültig."),
            ),
            Self::NotUnderstood(name) => Parts {
                status: 400,
                ..parts(
                    ("s", "MustUnderstand"),
                    None,
                    0x8033_8010,
                    &format!("Der Header {name} wird nicht verstanden."),
                )
            },
            Self::Unsupported(detail) => parts(
                ("w", "UnsupportedFeature"),
                Some(detail),
                match *detail {
                    "ExpirationTime" => 0x8033_8017,
                    "EnumerationMode" => 0x8033_8086,
                    "Locale" => 0x8033_8087,
                    _ => 0x8033_8042,
                },
                "Die Funktion wird nicht unterstützt.",
            ),
            Self::EnvelopeTooSmall => parts(
                ("w", "EncodingLimit"),
                Some("MinimumEnvelopeLimit"),
                0x8033_807e,
                "Die maximale Umschlaggröße ist zu klein.",
            ),
            Self::ReplyTooLarge => parts(
                ("w", "EncodingLimit"),
                Some("MaxEnvelopeSize"),
                0x8033_8026,
                "Die Antwort überschreitet die maximale Umschlaggröße.",
            ),
            Self::ActionUnknown(action) => parts(
                ("a", "ActionNotSupported"),
                None,
                0x8033_8013,
                &format!("Die Aktion {action} wird nicht unterstützt."),
            ),
            Self::ResourceUnknown(uri) => parts(
                ("a", "DestinationUnreachable"),
                Some("InvalidResourceURI"),
                0x8033_803b,
                &format!("Die Ressource {uri} ist unbekannt."),
            ),
            Self::SelectorsInvalid(detail) => parts(
                ("w", "InvalidSelectors"),
                Some(detail),
                match *detail {
                    "InsufficientSelectors" => 0x8033_805a,
                    "UnexpectedSelectors" => 0x8033_805b,
                    "AmbiguousSelectors" => 0x8033_805e,
                    _ => 0x8033_803d,
                },
                "Die Selektoren sind ungültig.",
            ),
            Self::NamespaceSelector => Parts {
                sender: false,
                ..parts(
                    ("w", "InternalError"),
                    None,
                    1359,
                    "__cimnamespace widerspricht der Ressource.",
                )
            },
            Self::FilterDialect(dialect) => parts(
                ("n", "FilterDialectRequestedUnavailable"),
                None,
                0x8033_8019,
                &format!("Der Filterdialekt {dialect} ist nicht verfügbar."),
            ),
            Self::Filter(why) => parts(
                ("n", "CannotProcessFilter"),
                None,
                0x8033_801a,
                &format!("Der Filter kann nicht verarbeitet werden: {why}"),
            ),
            Self::PolymorphismMode => parts(
                ("b", "PolymorphismModeNotSupported"),
                None,
                0x8033_8137,
                "Der Polymorphiemodus wird nicht unterstützt.",
            ),
            Self::ContextInvalid => Parts {
                sender: false,
                ..parts(
                    ("n", "InvalidEnumerationContext"),
                    None,
                    0x8033_801b,
                    "Der Enumerationskontext ist ungültig.",
                )
            },
            Self::ParameterType(name) => parts(
                ("w", "InvalidParameter"),
                None,
                0x8033_8054,
                &format!("Der Parameter {name} hat einen falschen Typ."),
            ),
            Self::AccessDenied => parts(("w", "AccessDenied"), None, 5, "Zugriff verweigert"),
            Self::TimedOut => Parts {
                sender: false,
                ..parts(
                    ("w", "TimedOut"),
                    None,
                    0x8033_8029,
                    "Das Zeitlimit der Operation wurde überschritten.",
                )
            },
            Self::Quota => parts(
                ("w", "QuotaLimit"),
                None,
                0x8033_81a6,
                "Es sind zu viele Vorgänge offen.",
            ),
            Self::Scenario(why) => Parts {
                sender: false,
                ..parts(
                    ("w", "InternalError"),
                    None,
                    1359,
                    &format!("Das Szenario ist nicht möglich: {why}"),
                )
            },
            Self::Wmi(error) => wmi(error),
        }
    }

    /// The children of `s:Detail`, and around it the whole `s:Fault`. The prefixes `s`, `a`, `w`,
    /// `n` and `b` are the envelope's.
    pub(super) fn write(&self, machine: &str, style: FaultStyle) -> String {
        let parts = self.parts();
        let mut detail = String::new();
        if let Some(name) = parts.detail {
            detail.push_str(&format!(
                "<w:FaultDetail>{}{name}</w:FaultDetail>",
                ns::FAULT_DETAIL
            ));
        }
        let (text, number) = (escape(&parts.text), parts.number);
        match (self, style) {
            (Self::Wmi(error), FaultStyle::Wmi) => detail.push_str(&format!(
                "<p:MSFT_WmiError b:IsCIM_Error=\"true\" xmlns:p=\"{}\" xmlns:b=\"{}\" xmlns:cim=\"{}\" xmlns:xsi=\"{}\" xsi:type=\"p:MSFT_WmiError_Type\">\
                 <p:CIMStatusCode xsi:type=\"cim:cimUnsignedInt\">{}</p:CIMStatusCode>\
                 <p:Message xsi:type=\"cim:cimString\">{text}</p:Message>\
                 <p:MessageID xsi:type=\"cim:cimString\">HRESULT 0x{number:08x}</p:MessageID>\
                 <p:error_Code xsi:type=\"cim:cimUnsignedInt\">{number}</p:error_Code>\
                 <p:error_Type xsi:type=\"cim:cimString\">HRESULT</p:error_Type>\
                 </p:MSFT_WmiError>",
                ns::WMI_ERROR,
                ns::BINDING,
                ns::CIM,
                ns::XSI,
                cim_status(error),
            )),
            _ => detail.push_str(&format!(
                "<f:WSManFault xmlns:f=\"{}\" Code=\"{number}\" Machine=\"{}\"><f:Message>{text}</f:Message></f:WSManFault>",
                ns::WSMAN_FAULT,
                escape(machine),
            )),
        }
        let (prefix, name) = parts.subcode;
        // A header that is not understood is SOAP's own code and has no code below it.
        let code = match prefix {
            "s" => format!("<s:Value>s:{name}</s:Value>"),
            _ => format!(
                "<s:Value>s:{}</s:Value><s:Subcode><s:Value>{prefix}:{name}</s:Value></s:Subcode>",
                if parts.sender { "Sender" } else { "Receiver" }
            ),
        };
        format!(
            "<s:Fault><s:Code>{code}</s:Code><s:Reason><s:Text xml:lang=\"de-DE\">{text}</s:Text></s:Reason><s:Detail>{detail}</s:Detail></s:Fault>"
        )
    }
}

fn wmi(error: &RepositoryError) -> Parts {
    use RepositoryError as E;
    let (subcode, detail, number) = match error {
        E::NoNamespace(_) => (
            ("a", "DestinationUnreachable"),
            Some("InvalidResourceURI"),
            INVALID_NAMESPACE,
        ),
        E::NoClass { .. } => (
            ("a", "DestinationUnreachable"),
            Some("InvalidResourceURI"),
            INVALID_CLASS,
        ),
        E::NotFound(_) => (("a", "DestinationUnreachable"), None, NOT_FOUND),
        E::MissingKeys(_) => (
            ("w", "InvalidSelectors"),
            Some("InsufficientSelectors"),
            0x8033_805a,
        ),
        E::UnknownKey(_) => (
            ("w", "InvalidSelectors"),
            Some("UnexpectedSelectors"),
            0x8033_805b,
        ),
        E::BadQuery(_) | E::NoAssociation(_) => (("n", "CannotProcessFilter"), None, INVALID_QUERY),
        E::NoMethod { .. } => (("a", "ActionNotSupported"), None, INVALID_METHOD),
    };
    Parts {
        sender: true,
        subcode,
        detail,
        number,
        status: 500,
        text: format!("Der WMI-Dienst hat einen Fehler gemeldet: {error}"),
    }
}

/// CIM's status (DSP0223).
fn cim_status(error: &RepositoryError) -> u32 {
    use RepositoryError as E;
    match error {
        E::NoNamespace(_) => 3,
        E::NoClass { .. } => 5,
        E::NotFound(_) => 6,
        E::MissingKeys(_) | E::UnknownKey(_) => 4,
        E::BadQuery(_) | E::NoAssociation(_) => 15,
        E::NoMethod { .. } => 17,
    }
}

impl From<RepositoryError> for Fault {
    fn from(error: RepositoryError) -> Self {
        Self::Wmi(Box::new(error))
    }
}
