//! What holds for any bytes that are read as an XML configuration.

use hyperkeep_vmconfig::{VmConfig, xml};

/// Reads `data`.
///
/// # Panics
/// When there are warnings without end, or what was read, and can be written, is not the same when
/// read again.
pub(crate) fn check(data: &[u8]) {
    let Ok((tree, warnings)) = xml::read_tree(data) else {
        return;
    };
    assert!(warnings.len() <= 65, "{} warnings", warnings.len());
    let _ = (VmConfig::from_tree(&tree), xml::is_configuration(&tree));
    let Ok(written) = xml::write_tree(&tree) else {
        return;
    };
    let (again, warnings) = xml::read_tree(&written).expect("our own file");
    assert_eq!((again, warnings), (tree, vec![]));
}
