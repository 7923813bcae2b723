//! What holds for any text that is read as CIM-XML.

use hyperkeep_cim::cimxml::{read_class, read_instance, write_instance};

/// Reads `data` as an instance and as a class.
///
/// # Panics
/// When an instance that was read and can be written is written in another way after it was
/// written and read again.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(class) = read_class(text) {
        let instance = read_instance("<INSTANCE CLASSNAME=\"A\"/>").expect("an instance");
        let _ = (class.conform(instance.clone()), class.path_of(&instance));
    }
    let Ok(instance) = read_instance(text) else {
        return;
    };
    let Ok(written) = write_instance(&instance) else {
        return;
    };
    let again = read_instance(&written).expect("our own text");
    assert_eq!(write_instance(&again).as_ref(), Ok(&written));
}
