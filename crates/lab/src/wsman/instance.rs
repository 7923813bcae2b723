//! Objects as elements (WS-CIM, DSP0230 7.2).
//!
//! Properties in alphabetical order, as the repository has them. Null is `xsi:nil`, an empty array
//! is nothing at all, an array is its elements in a row. Date and time are ISO 8601 within
//! elements of CIM's own; references are the children of an endpoint reference.

use cim::{DateTime, Instance, Scalar, Value};

use super::reference;
use super::{ns, xml::escape};

/// The whole element of an object, with all namespaces that it needs.
pub(super) fn object(of: &Instance) -> String {
    let namespace = of.namespace.as_deref().unwrap_or(crate::schema::HYPER_V);
    let class = &of.class;
    let mut out = format!(
        "<p:{class} xmlns:p=\"{}\" xmlns:cim=\"{}\" xmlns:xsi=\"{}\" xmlns:a=\"{}\" xmlns:w=\"{}\" xsi:type=\"p:{class}_Type\">",
        escape(&reference::uri(namespace, class)),
        ns::CIM,
        ns::XSI,
        ns::ADDRESSING,
        ns::WSMAN,
    );
    properties(&mut out, of, "p:", "cim:");
    out.push_str(&format!("</p:{class}>"));
    out
}

/// Some properties of an object: a fragment, in which nothing has a namespace.
pub(super) fn fragment(of: &Instance) -> String {
    let mut out = format!(
        "<w:XmlFragment xmlns:w=\"{}\" xmlns:xsi=\"{}\" xmlns:a=\"{}\">",
        ns::WSMAN,
        ns::XSI,
        ns::ADDRESSING
    );
    properties(&mut out, of, "", "");
    out.push_str("</w:XmlFragment>");
    out
}

/// What a method returned; `class` is the URI of the class.
pub(super) fn outputs(of: &Instance, class: &str) -> String {
    let name = &of.class;
    let mut out = format!(
        "<p:{name} xmlns:p=\"{}\" xmlns:cim=\"{}\" xmlns:xsi=\"{}\" xmlns:a=\"{}\" xmlns:w=\"{}\">",
        escape(class),
        ns::CIM,
        ns::XSI,
        ns::ADDRESSING,
        ns::WSMAN,
    );
    properties(&mut out, of, "p:", "cim:");
    out.push_str(&format!("</p:{name}>"));
    out
}

/// `prefix` is that of the properties, `time` that of date and time.
fn properties(out: &mut String, of: &Instance, prefix: &str, time: &str) {
    for property in of.properties() {
        let name = format!("{prefix}{}", property.name);
        if property.value.is_null() {
            out.push_str(&format!("<{name} xsi:nil=\"true\"/>"));
        }
        let values = match &property.value {
            Value::Null => &[][..],
            other => other.elements(),
        };
        for value in values {
            match value {
                Scalar::Object(inner) => {
                    let class = &inner.class;
                    let namespace = inner.namespace.as_deref().unwrap_or(crate::schema::HYPER_V);
                    out.push_str(&format!(
                        "<{name} xmlns:q=\"{}\" xsi:type=\"q:{class}_Type\">",
                        escape(&reference::uri(namespace, class)),
                    ));
                    // Objects in objects in objects do not occur, and would need another prefix.
                    properties(out, inner, "q:", time);
                }
                other => {
                    out.push_str(&format!("<{name}>"));
                    scalar(out, other, time);
                }
            }
            out.push_str(&format!("</{name}>"));
        }
    }
}

fn scalar(out: &mut String, value: &Scalar, time: &str) {
    let (element, text) = match value {
        Scalar::DateTime(DateTime::Timestamp(at)) => ("Datetime", at.to_iso()),
        Scalar::DateTime(DateTime::Interval(span)) => ("Interval", span.to_iso()),
        Scalar::DateTime(DateTime::Wildcard(text)) => ("CIM_DateTime", text.clone()),
        Scalar::Reference(path) => return reference::write(out, path),
        other => {
            let text = other.to_text().unwrap_or_default();
            return out.push_str(&escape(&text));
        }
    };
    out.push_str(&format!(
        "<{time}{element}>{}</{time}{element}>",
        escape(&text)
    ));
}
