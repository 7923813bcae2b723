//! Resource URIs: how WS-Management names classes.

use super::ns;

/// The URI of a class in a namespace.
pub fn class_uri(namespace: &str, class: &str) -> String {
    format!("{}{}/{class}", ns::WMI, crate::path::slashes(namespace))
}

/// The URI that stands for all of a namespace: queries want it.
pub fn everything_uri(namespace: &str) -> String {
    class_uri(namespace, "*")
}

/// Namespace and class of a URI. DMTF's form has no namespace in it; `None` for URIs of neither
/// form.
pub fn split_class_uri(uri: &str) -> Option<(Option<String>, String)> {
    // URIs are compared without regard to case.
    let after = |prefix: &str| {
        let head = uri.get(..prefix.len())?;
        head.eq_ignore_ascii_case(prefix)
            .then(|| &uri[prefix.len()..])
    };
    if let Some(class) = after(ns::DMTF_CLASS) {
        return (!class.is_empty()).then(|| (None, class.to_owned()));
    }
    let (namespace, class) = after(ns::WMI)?.rsplit_once('/')?;
    let proper = !class.is_empty() && !namespace.split('/').any(str::is_empty);
    proper.then(|| (Some(namespace.to_owned()), class.to_owned()))
}
