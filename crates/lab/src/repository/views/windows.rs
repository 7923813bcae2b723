//! Windows itself.

use cim::{Instance, Timestamp};

use crate::state::Host;

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
