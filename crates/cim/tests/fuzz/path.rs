//! What holds for any text that is read as an object path.

use hyperkeep_cim::{ObjectPath, wsman};

/// Reads `data`.
///
/// # Panics
/// When a path that was read is another one after it was written and read again, as WMI's text
/// or as an endpoint reference.
pub(crate) fn check(data: &[u8]) {
    if let Ok(path) = wsman::read_epr(data) {
        let _ = path.to_string().parse::<ObjectPath>();
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(path) = text.parse::<ObjectPath>() else {
        return;
    };
    assert_eq!(path.to_string().parse::<ObjectPath>().as_ref(), Ok(&path));
    let wql: ObjectPath = path.to_wql().parse().expect("our own text");
    assert_eq!(wql.keys, path.keys);
    assert!(path.same_object(&wql));
    let Ok(children) = wsman::write_epr(&path) else {
        return;
    };
    let epr = format!(
        "<a:EndpointReference xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" \
         xmlns:w=\"http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd\">{children}</a:EndpointReference>"
    );
    let namespaced = path
        .keys
        .iter()
        .any(|k| k.name.eq_ignore_ascii_case("__cimnamespace"));
    if !namespaced {
        let again = wsman::read_epr(epr.as_bytes()).expect("our own reference");
        assert!(again.same_object(&path), "{again:?} {path:?}");
    }
}
