//! Names that Hyper-V gives to its objects, taken apart.
//!
//! A configuration is `Microsoft:<GUID>`; what belongs to it begins with the same and goes on
//! behind a backslash: `Microsoft:<configuration>\<device>\…`. Of a disk the rest names the place
//! and not the file, so it is the same in a VM and in its checkpoints. Letters differ in case
//! between objects and between versions: names are compared without regard to it.

use cim::{ObjectPath, path::HYPER_V};
use uuid::Uuid;

/// A GUID as hosts write it: 36 characters, in braces or not.
pub(crate) fn guid(text: &str) -> Option<Uuid> {
    let text = text.trim();
    let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}'));
    let inner = inner.unwrap_or(text);
    let parsed = (inner.len() == 36).then(|| Uuid::try_parse(inner).ok());
    parsed.flatten()
}

/// A GUID as hosts write it in names: upper case, no braces.
pub(crate) fn upper(id: Uuid) -> String {
    id.hyphenated().to_string().to_ascii_uppercase()
}

/// The configuration that a setting belongs to, or is.
pub(crate) fn configuration(instance_id: &str) -> Option<Uuid> {
    guid(split(instance_id)?.0)
}

/// The device that a setting belongs to: the second GUID of its name.
pub(crate) fn device(instance_id: &str) -> Option<Uuid> {
    let rest = split(instance_id)?.1;
    guid(rest.split('\\').next()?)
}

/// What follows the configuration in a setting's name, in lower case: for a disk its place.
///
/// The last part tells a drive (`D`) from what is in it (`L`). Sources differ on which of the two
/// names a disk of a reference point, and the place is the same.
pub fn place(instance_id: &str) -> Option<String> {
    let rest = fold(split(instance_id)?.1);
    let place = rest
        .strip_suffix("\\d")
        .or_else(|| rest.strip_suffix("\\l"));
    let place = place.unwrap_or(&rest);
    (!place.is_empty()).then(|| place.to_owned())
}

fn split(instance_id: &str) -> Option<(&str, &str)> {
    let (vendor, rest) = instance_id.split_once(':')?;
    vendor.eq_ignore_ascii_case("Microsoft").then_some(())?;
    Some(rest.split_once('\\').unwrap_or((rest, "")))
}

/// Equal for names that are the same to a host.
pub(crate) fn fold(name: &str) -> String {
    name.to_lowercase()
}

/// Whether two names are those of one host: one may have its domain and the other not.
pub fn same_host(one: &str, other: &str) -> bool {
    let first = |name: &str| name.split('.').next().map(fold);
    let whole = one.contains('.') && other.contains('.');
    match whole {
        true => fold(one) == fold(other),
        false => first(one) == first(other),
    }
}

/// The `InstanceID` that a path, as settings hold it in strings, names.
pub(crate) fn path_key(path: &str) -> Option<String> {
    path.parse::<ObjectPath>().ok()?.key("InstanceID")
}

/// The path of a VM.
pub fn machine_path(id: Uuid) -> ObjectPath {
    ObjectPath::new(HYPER_V, "Msvm_ComputerSystem")
        .with_key("CreationClassName", "Msvm_ComputerSystem")
        .with_key("Name", upper(id))
}

/// The path of a VM's or a checkpoint's settings by their `InstanceID`.
pub fn settings_path(instance_id: &str) -> ObjectPath {
    ObjectPath::new(HYPER_V, "Msvm_VirtualSystemSettingData").with_key("InstanceID", instance_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::uuid;

    const A: Uuid = uuid!("5d2a7c1e-0000-4000-8000-00000000000a");
    const B: Uuid = uuid!("83f8638b-8dca-4152-9eda-2ca8b33039b4");

    #[test]
    fn names_are_taken_apart() {
        let disk = format!("Microsoft:{}\\{}\\0\\1\\D", upper(A), upper(B));
        assert_eq!(configuration(&disk), Some(A));
        assert_eq!(device(&disk), Some(B));
        assert_eq!(place(&disk), Some(format!("{B}\\0\\1")));
        assert_eq!(place(&disk), place(&disk.replace("\\D", "\\L")));
        let vm = format!("microsoft:{A}");
        assert_eq!(configuration(&vm), Some(A));
        assert_eq!((device(&vm), place(&vm)), (None, None));
        for other in ["", "Microsoft", "Microsoft:Definition\\X\\Default", "Else:"] {
            assert_eq!(configuration(other), None, "{other}");
        }
        assert_eq!(guid(&format!("{{{A}}}")), Some(A));
        assert_eq!(guid(&A.simple().to_string()), None);
        assert_eq!(guid("5d2a7c1e-0000-4000-8000-0000000000é"), None);
    }

    #[test]
    fn paths_lead_to_the_names_in_them() {
        let path = settings_path("Microsoft:A\\b");
        assert_eq!(
            path_key(&path.to_string()).as_deref(),
            Some("Microsoft:A\\b")
        );
        let full = r#"\\HV01\root\virtualization\v2:Msvm_X.InstanceID="Microsoft:A\\b""#;
        assert_eq!(path_key(full).as_deref(), Some("Microsoft:A\\b"));
        assert_eq!(path_key("C:\\disk.vhdx"), None);
    }
}
