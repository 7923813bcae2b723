//! What VMs boot from.
//!
//! The boot source of a drive or an adapter has the name of that piece and `\\B` behind it, as was seen
//! on a real host. What the name of a boot loader's looks like is the lab's own.

use cim::Instance;

use super::device::each;
use super::names::{by_id, within};
use crate::state::{BOOT_FILE, Host, Settings};

const CLASS: &str = "Msvm_BootSourceSettingData";

fn name(settings: &Settings, place: &str) -> String {
    format!("{}\\B", within(settings, place))
}

/// `BootSourceOrder`.
pub(super) fn order(host: &Host, settings: &Settings) -> Vec<String> {
    let all = settings.boot_places().into_iter();
    let path = |place: String| by_id(host, CLASS, &name(settings, &place)).to_string();
    all.map(path).collect()
}

pub(super) fn sources(host: &Host) -> Vec<Instance> {
    each(host, |settings| {
        let all = settings.boot_places().into_iter().map(|place| {
            let (kind, text) = match place.as_str() {
                BOOT_FILE => (3_u32, "Windows Boot Manager"),
                place if place.ends_with("\\D") => (1, "EFI SCSI Device"),
                _ => (2, "EFI Network"),
            };
            let source = Instance::new(CLASS)
                .with("BootSourceDescription", text)
                .with("BootSourceType", kind)
                .with("InstanceID", name(settings, &place));
            match place == BOOT_FILE {
                true => source.with("OtherLocation", "\\EFI\\Microsoft\\Boot\\bootmgfw.efi"),
                false => source,
            }
        });
        all.collect()
    })
}

/// Each source and the piece that it is.
pub(super) fn identities(host: &Host) -> Vec<Instance> {
    each(host, |settings| {
        let all = settings.boot_places().into_iter();
        let pieces = all.filter(|place| place != BOOT_FILE).map(|place| {
            let class = match place.ends_with("\\D") {
                true => "Msvm_ResourceAllocationSettingData",
                false => "Msvm_SyntheticEthernetPortSettingData",
            };
            Instance::new("Msvm_LogicalIdentity")
                .with("SameElement", by_id(host, CLASS, &name(settings, &place)))
                .with(
                    "SystemElement",
                    by_id(host, class, &within(settings, &place)),
                )
        });
        pieces.collect()
    })
}
