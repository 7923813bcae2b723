//! The definition of a class as CIM-XML (DSP0201), with the qualifiers that callers need.

use cim::CimType;
use cim::class::{Class, Parameter};

use super::xml::escape;

pub(super) fn write(class: &Class) -> String {
    let above = class.superclass.as_deref();
    let above = above.map(|name| format!(" SUPERCLASS=\"{}\"", escape(name)));
    let mut out = format!(
        "<CLASS NAME=\"{}\"{}>",
        escape(&class.name),
        above.unwrap_or_default()
    );
    for property in &class.properties {
        let mut inner = String::new();
        if property.key {
            flag(&mut inner, "key");
        }
        embeds(&mut inner, property.embeds.as_deref());
        let (base, array) = (property.kind.base, property.kind.array);
        let element = match (base, array) {
            // DSP0201 has no array of references; WMI has.
            (CimType::Reference, false) => "PROPERTY.REFERENCE",
            (CimType::Object, false) => "PROPERTY.OBJECT",
            (CimType::Object, true) => "PROPERTY.OBJECTARRAY",
            (_, false) => "PROPERTY",
            (_, true) => "PROPERTY.ARRAY",
        };
        let typed = match base {
            CimType::Reference if !array => String::new(),
            CimType::Object => String::new(),
            // An array of references is told as its paths.
            CimType::Reference => " TYPE=\"string\"".to_owned(),
            base => format!(" TYPE=\"{}\"", base.name()),
        };
        out.push_str(&format!(
            "<{element} NAME=\"{}\"{typed}>{inner}</{element}>",
            escape(&property.name)
        ));
    }
    for method in &class.methods {
        out.push_str(&format!(
            "<METHOD NAME=\"{}\" TYPE=\"uint32\">",
            escape(&method.name)
        ));
        method
            .parameters
            .iter()
            .for_each(|one| parameter(&mut out, one));
        out.push_str("</METHOD>");
    }
    out.push_str("</CLASS>");
    out
}

fn parameter(out: &mut String, parameter: &Parameter) {
    let mut inner = String::new();
    if parameter.input {
        flag(&mut inner, "in");
    }
    if parameter.output {
        flag(&mut inner, "out");
    }
    embeds(&mut inner, parameter.embeds.as_deref());
    let (base, array) = (parameter.kind.base, parameter.kind.array);
    let element = match (base, array) {
        (CimType::Reference, false) => "PARAMETER.REFERENCE",
        (CimType::Reference, true) => "PARAMETER.REFARRAY",
        (CimType::Object, false) => "PARAMETER.OBJECT",
        (CimType::Object, true) => "PARAMETER.OBJECTARRAY",
        (_, false) => "PARAMETER",
        (_, true) => "PARAMETER.ARRAY",
    };
    let typed = match base {
        CimType::Reference | CimType::Object => String::new(),
        base => format!(" TYPE=\"{}\"", base.name()),
    };
    let name = escape(&parameter.name);
    out.push_str(&format!(
        "<{element} NAME=\"{name}\"{typed}>{inner}</{element}>"
    ));
}

fn flag(out: &mut String, name: &str) {
    out.push_str(&format!(
        "<QUALIFIER NAME=\"{name}\" TYPE=\"boolean\"><VALUE>true</VALUE></QUALIFIER>"
    ));
}

fn embeds(out: &mut String, class: Option<&str>) {
    if let Some(class) = class {
        out.push_str(&format!(
            "<QUALIFIER NAME=\"EmbeddedInstance\" TYPE=\"string\"><VALUE>{}</VALUE></QUALIFIER>",
            escape(class)
        ));
    }
}
