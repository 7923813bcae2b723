//! What holds for any text that is read as a path of a host.

use hyperkeep_hyperv::files::HostPath;

/// Reads `data`.
///
/// # Panics
/// When a path that was accepted is another one after it was spelled and read again, or has a
/// name that could lead elsewhere.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(path) = HostPath::parse(text) else {
        return;
    };
    assert_eq!(HostPath::parse(&path.to_string()).as_ref(), Ok(&path));
    let long = format!("\\\\?\\{}", path.to_string().trim_start_matches("\\\\?\\"));
    if !path.to_string().starts_with("\\\\") {
        assert_eq!(HostPath::parse(&long).as_ref(), Ok(&path));
    }
    for name in path.names() {
        let harmless = !matches!(name.as_str(), "" | "." | "..");
        assert!(
            harmless && !name.contains(['\\', '/', ':', '\0']),
            "{name:?}"
        );
    }
    let mut root = path.clone();
    while let Some(parent) = root.parent() {
        assert!(path.below(&parent).is_some());
        root = parent;
    }
    assert_eq!(path.below(&root), Some(path.names()));
}
