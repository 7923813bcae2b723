//! What holds for any bytes that are read as an XML configuration.

use hyperkeep_vmconfig::{VmConfig, xml};

/// Reads `data`.
///
/// # Panics
/// When what was read, and can be written, is not the same when read again.
pub(crate) fn check(data: &[u8]) {
    let Ok((tree, _)) = xml::read_tree(data) else {
        return;
    };
    let _ = (VmConfig::from_tree(&tree), xml::is_configuration(&tree));
    let Ok(written) = xml::write_tree(&tree) else {
        return;
    };
    let (again, warnings) = xml::read_tree(&written).expect("our own file");
    assert_eq!((again, warnings), (tree, vec![]));
}
