//! Windows itself: the system and its volumes.

use cim::{Instance, Timestamp};

use crate::state::{Host, Log, LogEntry, Volume};

pub(super) fn operating_system(host: &Host) -> Vec<Instance> {
    let build = host.os.rsplit('.').next().unwrap_or_default();
    let system = Instance::new("Win32_OperatingSystem")
        .with("BuildNumber", build)
        .with("Caption", "Microsoft Windows Server 2022 Standard")
        .with("CSName", host.name.as_str())
        .with("LastBootUpTime", Timestamp::utc(host.booted))
        .with("LocalDateTime", Timestamp::utc(host.now()))
        .with(
            "Name",
            "Microsoft Windows Server 2022 Standard|C:\\Windows|\\Device\\Harddisk0\\Partition4",
        )
        .with("ProductType", 3_u32)
        .with("Version", host.os.as_str());
    vec![system]
}

/// Hosts tell files in lower case.
pub(super) fn files(host: &Host) -> Vec<Instance> {
    let of = |(path, size): (String, u64)| {
        let path = path.to_lowercase();
        let name = path.rsplit('\\').next().unwrap_or_default();
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        Instance::new("CIM_DataFile")
            .with("Caption", path.as_str())
            .with("Drive", path.get(..2).unwrap_or_default())
            .with("FileName", stem)
            .with("FileSize", size)
            .with("Name", path.as_str())
    };
    host.files().all().into_iter().map(of).collect()
}

/// And folders.
pub(super) fn folders(host: &Host) -> Vec<Instance> {
    let of = |path: String| {
        let path = path.to_lowercase();
        let name = path.rsplit('\\').next().unwrap_or_default();
        Instance::new("Win32_Directory")
            .with("Caption", path.as_str())
            .with("Drive", path.get(..2).unwrap_or_default())
            .with("FileName", name)
            .with("Name", path.as_str())
    };
    host.files().folders().into_iter().map(of).collect()
}

pub(super) fn events(host: &Host) -> Vec<Instance> {
    let of = |entry: &LogEntry| {
        Instance::new("Win32_NTLogEvent")
            .with("ComputerName", host.name.as_str())
            .with("EventCode", entry.event)
            .with("InsertionStrings", entry.strings.clone())
            .with(
                "Logfile",
                match entry.log {
                    Log::HyperV => "Microsoft-Windows-Hyper-V-VMMS-Admin",
                    Log::System => "System",
                },
            )
            .with("Message", entry.text.as_str())
            .with("RecordNumber", entry.record)
            .with("SourceName", entry.source)
            .with("TimeGenerated", Timestamp::utc(entry.at))
            .with("TimeWritten", Timestamp::utc(entry.at))
    };
    let is_told = |entry: &&LogEntry| entry.log == Log::System || host.rules.events_by_wmi;
    let told = host.log().iter().filter(is_told);
    told.map(of).collect()
}

/// `DriveType` of a disk of the machine.
const LOCAL_DISK: u32 = 3;

pub(super) fn volumes(host: &Host) -> Vec<Instance> {
    let of = |volume: &Volume| {
        let id = volume.id.hyphenated();
        let mut instance = Instance::new("Win32_Volume")
            .with("Capacity", volume.capacity)
            .with("Caption", volume.name.as_str())
            .with("DeviceID", format!("\\\\?\\Volume{{{id}}}\\"))
            .with("DriveType", LOCAL_DISK)
            .with("FileSystem", "NTFS")
            .with("Name", volume.name.as_str());
        if volume.name.len() == 3 {
            instance.set("DriveLetter", volume.name.trim_end_matches('\\'));
        }
        // What cannot be counted is not told.
        if let Ok(free) = host.free(volume) {
            instance.set("FreeSpace", free);
        }
        instance
    };
    host.volumes.iter().map(of).collect()
}
