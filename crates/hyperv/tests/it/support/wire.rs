//! What WS-Management leaves of an instance: text without types, arrays that may be gone.

use cim::{Instance, Scalar, Value};

/// The same instance as it comes over WS-Management (DSP0230): numbers, booleans and strings are
/// text; an array of one is a single value; an empty array is not there.
pub(crate) fn untyped(instance: &Instance) -> Instance {
    let mut out = Instance::new(instance.class.clone());
    out.path.clone_from(&instance.path);
    for property in instance.properties() {
        let value = match &property.value {
            Value::Null => Value::Null,
            Value::Scalar(one) => Value::Scalar(bare(one)),
            Value::Array(all) => match all.as_slice() {
                [] => continue,
                [one] => Value::Scalar(bare(one)),
                all => Value::Array(all.iter().map(bare).collect()),
            },
        };
        out.put(&property.name, None, value);
    }
    out
}

fn bare(scalar: &Scalar) -> Scalar {
    match scalar {
        Scalar::DateTime(_) | Scalar::Reference(_) => scalar.clone(),
        Scalar::Object(object) => Scalar::Object(Box::new(untyped(object))),
        other => Scalar::Untyped(other.to_text().expect("a text")),
    }
}
