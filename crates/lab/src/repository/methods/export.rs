//! Exports, and the merging that they may turn off.

use cim::{Instance, ObjectPath};

use super::inputs::{embedded, needed, optional};
use super::{Called, Outcome, done, views};
use crate::schema::HYPER_V;
use crate::state::{ExportWish, Host, LiveState, Refusal};

/// `CopySnapshotConfiguration`: all checkpoints, or none. One of them, merged into a new disk or as
/// the difference since another moment, is not built.
const ALL: u8 = 0;
const NONE: u8 = 1;

pub(super) fn export(host: &mut Host, inputs: &Instance) -> Called {
    let system: ObjectPath = needed(inputs, "ComputerSystem")?;
    let vm = views::vm_id(host, &system).ok_or(Refusal::INVALID_PARAMETER)?;
    let class = "Msvm_VirtualSystemExportSettingData";
    let settings = embedded(inputs, "ExportSettingData", class)?.unwrap_or_default();
    let flag = |name: &str, own: bool| -> Result<bool, Refusal> {
        Ok(optional(&settings, name)?.unwrap_or(own))
    };
    let number = |name: &str, own: u8| -> Result<u8, Refusal> {
        Ok(optional(&settings, name)?.unwrap_or(own))
    };
    let base: Option<String> = optional(&settings, "DifferentialBackupBase")?;
    let excluded: Vec<String> = settings
        .get_list("ExcludedVirtualHardDisks")
        .map_err(|_| Refusal::INCORRECT_TYPE)?;
    if base.is_some_and(|base| !base.is_empty()) || !excluded.is_empty() {
        return Err(Refusal::NOT_SUPPORTED);
    }
    let wish = ExportWish {
        folder: needed(inputs, "ExportDirectory")?,
        subfolder: flag("CreateVmExportSubdirectory", true)?,
        checkpoints: match number("CopySnapshotConfiguration", ALL)? {
            ALL => true,
            NONE => false,
            2 | 3 => return Err(Refusal::NOT_SUPPORTED),
            _ => return Err(Refusal::INVALID_PARAMETER),
        },
        storage: flag("CopyVmStorage", true)?,
        live: match (
            number("CaptureLiveState", 1)?,
            flag("CopyVmRuntimeInformation", true)?,
        ) {
            (0, _) | (1, false) => LiveState::Crash,
            (1, true) => LiveState::Saved,
            (2, _) => LiveState::Application,
            _ => return Err(Refusal::INVALID_PARAMETER),
        },
    };
    host.export(vm, wish).map(Outcome::Job)
}

pub(super) fn merge_settings(host: &mut Host, inputs: &Instance) -> Called {
    let given = embedded(inputs, "SettingData", "Msvm_DiskMergeSettingData")?;
    let given = given.ok_or(Refusal::INVALID_PARAMETER)?;
    let id: String = needed(&given, "InstanceID")?;
    let vm = id.split('\\').next().unwrap_or_default();
    let path = ObjectPath::new(HYPER_V, "Msvm_VirtualSystemSettingData");
    let path = path.with_key("InstanceID", vm);
    let (vm, _) = views::settings_id(host, &path).ok_or(Refusal::INVALID_PARAMETER)?;
    let allowed = match needed(&given, "EnabledState")? {
        0_u32 => false,
        1 => true,
        _ => return Err(Refusal::INVALID_PARAMETER),
    };
    host.allow_merges(vm, allowed)?;
    done()
}
