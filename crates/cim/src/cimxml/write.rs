//! Instances to CIM-XML.

use crate::xml::{Unwritable, Writer};
use crate::{CimType, Instance, KeyValue, Kind, ObjectPath, Property, Scalar, Value};

use super::MOST_DEPTH;

/// Writes an instance as one `INSTANCE` element, properties in their order.
///
/// Each property needs a known type: conform an instance that came over WS-Management to its
/// class first.
pub fn write_instance(instance: &Instance) -> Result<String, Unwritable> {
    let mut out = Writer::default();
    element(&mut out, instance, 1);
    out.finish()
}

fn element(out: &mut Writer, instance: &Instance, depth: usize) {
    if depth > MOST_DEPTH {
        return out.refuse(Unwritable::TooDeep(instance.class.clone()));
    }
    out.open_with("INSTANCE", &[("CLASSNAME", &instance.class)]);
    for property in instance.properties() {
        match property.told_kind() {
            Some(kind) => write_property(out, property, kind, depth),
            None => out.refuse(Unwritable::Untyped(property.name.clone())),
        }
    }
    out.close();
}

fn write_property(out: &mut Writer, property: &Property, kind: Kind, depth: usize) {
    let name = ("NAME", property.name.as_str());
    let typed = [name, ("TYPE", kind.base.name())];
    match (kind.base, kind.array) {
        (CimType::Reference, false) => {
            let path = match &property.value {
                Value::Scalar(Scalar::Reference(path)) => Some(path),
                Value::Null => None,
                _ => return mismatch(out, property, kind),
            };
            let class = path.map(|path| ("REFERENCECLASS", path.class.as_str()));
            let attributes: Vec<_> = [Some(name), class].into_iter().flatten().collect();
            out.open_with("PROPERTY.REFERENCE", &attributes);
            if let Some(path) = path {
                reference(out, path, 1);
            }
        }
        // DSP0201 has no array of references.
        (CimType::Reference, true) => return mismatch(out, property, kind),
        (CimType::Object, false) => {
            out.open_with("PROPERTY.OBJECT", &[name]);
            objects(out, property, kind, depth);
        }
        (CimType::Object, true) => {
            out.open_with("PROPERTY.OBJECTARRAY", &[name]);
            if !property.value.is_null() {
                out.open("VALUE.OBJECTARRAY");
                objects(out, property, kind, depth);
                out.close();
            }
        }
        (_, false) => {
            out.open_with("PROPERTY", &typed);
            match &property.value {
                Value::Null => {}
                Value::Scalar(one) => value(out, one, property, kind),
                Value::Array(_) => return mismatch(out, property, kind),
            }
        }
        (_, true) => {
            out.open_with("PROPERTY.ARRAY", &typed);
            if !property.value.is_null() {
                out.open("VALUE.ARRAY");
                for one in property.value.elements() {
                    value(out, one, property, kind);
                }
                out.close();
            }
        }
    }
    out.close();
}

fn mismatch(out: &mut Writer, property: &Property, kind: Kind) {
    out.refuse(Unwritable::Mismatch(
        property.name.clone(),
        kind.to_string(),
    ));
}

fn value(out: &mut Writer, one: &Scalar, property: &Property, kind: Kind) {
    let text = match one.cim_type() {
        Some(cim_type) if cim_type == kind.base => one.to_text(),
        _ => None,
    };
    match text {
        Some(text) => _ = out.leaf("VALUE", &[], &text),
        None => mismatch(out, property, kind),
    }
}

fn objects(out: &mut Writer, property: &Property, kind: Kind, depth: usize) {
    for one in property.value.elements() {
        match one {
            Scalar::Object(object) => {
                out.open("VALUE.OBJECT");
                element(out, object, depth + 1);
                out.close();
            }
            _ => mismatch(out, property, kind),
        }
    }
}

/// `VALUE.REFERENCE` with the fullest form that the path allows, as WMI writes it.
fn reference(out: &mut Writer, path: &ObjectPath, depth: usize) {
    if depth > MOST_DEPTH {
        return out.refuse(Unwritable::TooDeep(path.class.clone()));
    }
    out.open("VALUE.REFERENCE");
    match (&path.host, &path.namespace) {
        (Some(host), Some(namespace)) => {
            out.open("INSTANCEPATH").open("NAMESPACEPATH");
            out.leaf("HOST", &[], host);
            local_namespace(out, namespace);
            out.close();
            instance_name(out, path, depth);
            out.close();
        }
        (None, Some(namespace)) => {
            out.open("LOCALINSTANCEPATH");
            local_namespace(out, namespace);
            instance_name(out, path, depth);
            out.close();
        }
        (_, None) => instance_name(out, path, depth),
    }
    out.close();
}

fn local_namespace(out: &mut Writer, namespace: &str) {
    out.open("LOCALNAMESPACEPATH");
    for part in namespace.split('/') {
        out.empty("NAMESPACE", &[("NAME", part)]);
    }
    out.close();
}

fn instance_name(out: &mut Writer, path: &ObjectPath, depth: usize) {
    out.open_with("INSTANCENAME", &[("CLASSNAME", &path.class)]);
    for key in &path.keys {
        out.open_with("KEYBINDING", &[("NAME", &key.name)]);
        let kind = match &key.value {
            KeyValue::Text(_) => "string",
            KeyValue::Integer(_) => "numeric",
            KeyValue::Boolean(_) => "boolean",
            KeyValue::Reference(target) => {
                reference(out, target, depth + 1);
                out.close();
                continue;
            }
        };
        let text = key.value.to_text();
        out.leaf("KEYVALUE", &[("VALUETYPE", kind)], &text);
        out.close();
    }
    out.close();
}
