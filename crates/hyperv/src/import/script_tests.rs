//! Scripts: what stands in one, and that no text from outside becomes code.

use proptest::prelude::*;
use vmconfig::model::{
    BootSource, ConfigVersion, Controller, ControllerKind, DeviceKind, DriveKind, Generation,
    HostActions, IntegrationService, Qos,
};

use super::super::tests::{drive, point, target};
use super::super::{Point, Request, SwitchMap, Tree, WantedWay, plan};
use super::*;

const POINT: &str = "5f3a9c";

fn request() -> Request {
    let mut request = Request {
        way: WantedWay::Define,
        tree: Tree::Flat,
        start: true,
        ..Request::default()
    };
    request.network.switches = SwitchMap::Same;
    request
}

/// One file, as a restore without checkpoints has it.
fn flat() -> Point {
    let mut point = point();
    point.disks.truncate(1);
    point.disks[0].path = r"D:\VMs\web\a.vhdx".to_owned();
    point
}

fn made(point: &Point, request: &Request) -> Result<String, Unspeakable> {
    let plan = plan(point, request, &target());
    assert!(plan.is_possible(), "{:?}", plan.findings);
    script(point, &plan, POINT)
}

#[test]
fn everything_that_is_known_of_a_vm_is_in_its_script() {
    let mut point = flat();
    let config = &mut point.config;
    config.generation = Generation::Two;
    config.version = Some(ConfigVersion { major: 9, minor: 0 });
    config.notes = "it's\r\nthe \u{7}web server".to_owned();
    config.processors.count = Some(4);
    config.processors.limit = Some(75_000);
    config.processors.nested_virtualization = Some(true);
    config.memory.startup_mib = Some(2048);
    config.memory.dynamic = Some(true);
    config.memory.minimum_mib = Some(512);
    config.memory.maximum_mib = Some(8192);
    config.memory.buffer_percent = Some(20);
    config.memory.weight = Some(5000);
    config.firmware.secure_boot = Some(true);
    config.firmware.secure_boot_template = Some(uuid::Uuid::from_u128(0x272e));
    let nic = uuid::Uuid::from_u128(5);
    config.network_adapters[0].instance = Some(nic);
    let drive_at = |position| BootSource::Drive {
        location: Location {
            controller: ControllerKind::Scsi,
            number: 0,
            position,
        },
    };
    config.firmware.boot_sources = vec![
        BootSource::Other,
        drive_at(1),
        BootSource::Adapter { instance: nic },
        drive_at(0),
    ];
    config.automatic.host = Some(HostActions {
        startup: Some(4),
        startup_delay_s: Some(90),
        shutdown: Some(3),
        ..HostActions::default()
    });
    let vss = DeviceKind::Vss;
    config.integration_services = vec![IntegrationService {
        device_type: vss.guid().unwrap(),
        name: vss.name().to_owned(),
        enabled: Some(false),
    }];
    config.checkpoints.user_type = Some(3);
    config.controllers[0].drives[0].qos = Qos {
        iops_limit: Some(500),
        ..Qos::default()
    };
    config.controllers[0]
        .drives
        .push(drive(1, DriveKind::Iso, r"D:\iso\setup.iso"));
    config.controllers.push(Controller {
        kind: ControllerKind::Scsi,
        number: 1,
        instance: uuid::Uuid::from_u128(9),
        drives: Vec::new(),
    });
    let made = made(&point, &request()).unwrap();
    let body = made.strip_prefix(&HEAD.replace("@POINT@", POINT)).unwrap();
    assert_eq!(
        body,
        r"$Disks = @(
    'D:\VMs\web\Virtual Hard Disks\a.vhdx'
)
foreach ($Disk in $Disks) {
    if (-not (Test-Path -LiteralPath $Disk -PathType Leaf)) {
        throw ('There is no disk {0}: restore it first.' -f $Disk)
    }
}

$Vm = New-VM -Name 'web' -Path 'D:\VMs\web' -Generation 2 -NoVHD
try {
    Get-VMNetworkAdapter -VM $Vm | Remove-VMNetworkAdapter
    Get-VMDvdDrive -VM $Vm | Remove-VMDvdDrive
    Set-VMProcessor -VM $Vm -Count 4 -Maximum 75 -ExposeVirtualizationExtensions $true
    Set-VMMemory -VM $Vm -DynamicMemoryEnabled $true -StartupBytes 2048MB -MinimumBytes 512MB -MaximumBytes 8192MB -Buffer 20 -Priority 50
    Set-VM -VM $Vm -CheckpointType Production
    Set-VM -VM $Vm -AutomaticStartAction Start -AutomaticStartDelay 90 -AutomaticStopAction Save
    Get-VMIntegrationService -VM $Vm | Where-Object Id -like '*\5ced1297-4598-4915-a5fc-ad21bb4d02a4' | Disable-VMIntegrationService
    Set-VM -VM $Vm -Notes (@('it''s', 'the web server') -join [Environment]::NewLine)
    while (@(Get-VMScsiController -VM $Vm).Count -lt 2) { Add-VMScsiController -VM $Vm }
    Add-VMHardDiskDrive -VM $Vm -ControllerType SCSI -ControllerNumber 0 -ControllerLocation 0 -Path $Disks[0] -MaximumIOPS 500
    Add-VMDvdDrive -VM $Vm -ControllerNumber 0 -ControllerLocation 1
    $Adapters = @()
    $Adapter = Add-VMNetworkAdapter -VM $Vm -Name 'NIC' -Passthru -SwitchName 'LAN'
    $Adapters += $Adapter
    Set-VMNetworkAdapterVlan -VMNetworkAdapter $Adapter -Access -VlanId 17
    Set-VMFirmware -VM $Vm -EnableSecureBoot On -SecureBootTemplateId '00000000-0000-0000-0000-00000000272e'
    Set-VMFirmware -VM $Vm -BootOrder (Get-VMDvdDrive -VM $Vm -ControllerNumber 0 -ControllerLocation 1), $Adapters[0], (Get-VMHardDiskDrive -VM $Vm -ControllerType SCSI -ControllerNumber 0 -ControllerLocation 0)
} catch {
    # Its disks stay.
    Remove-VM -VM $Vm -Force
    throw
}
Start-VM -VM $Vm
"
    );
}

#[test]
fn what_would_not_be_seen_in_a_script_is_refused() {
    for bad in [
        "a\nRemove-Item C:\\",
        "a\rb",
        "a\u{1b}[2J",
        "a\u{85}b",
        "\0",
    ] {
        let named = Request {
            name: Some(bad.to_owned()),
            folder: Some(r"D:\VMs\new".to_owned()),
            ..request()
        };
        assert!(made(&flat(), &named).is_err(), "{bad:?}");
        let mut point = flat();
        point.config.network_adapters[0].name = bad.to_owned();
        assert!(made(&point, &request()).is_err(), "{bad:?}");
    }
    let plan = plan(&flat(), &request(), &target());
    assert!(script(&flat(), &plan, "5f\nRemove-Item C:\\").is_err());
}

/// A script as PowerShell takes it apart: what stands between quotes, and the rest with `''` there.
fn taken_apart(script: &str) -> (Vec<String>, String) {
    let is_quote = |c: char| "'‘’‚‛".contains(c);
    let (mut texts, mut code) = (Vec::new(), String::new());
    let mut chars = script.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '#' => while chars.next_if(|c| *c != '\n').is_some() {},
            c if is_quote(c) => {
                let mut text = String::new();
                loop {
                    let c = chars.next().expect("a text that does not end");
                    if is_quote(c) && chars.next_if(|c| is_quote(*c)).is_none() {
                        break;
                    }
                    text.push(c);
                }
                texts.push(text);
                code.push_str("''");
            }
            c => code.push(c),
        }
    }
    (texts, code)
}

proptest! {
    #![proptest_config(testkit::vary::config(64))]

    /// Whatever a VM is called: it is the same script with another text in it.
    #[test]
    fn no_name_becomes_code(
        name in r#"[a-z'‘’‚‛"`$(){}#;|&@<> -]{1,20}"#,
        adapter in r#"['‘’‚‛"`$(){}#;|&%é-]{0,20}"#,
    ) {
        let of = |name: &str, adapter: &str| {
            let mut point = flat();
            point.config.network_adapters[0].name = adapter.to_owned();
            point.config.notes = adapter.to_owned();
            let named = Request {
                name: Some(name.to_owned()),
                folder: Some(r"D:\VMs\new".to_owned()),
                ..request()
            };
            taken_apart(&made(&point, &named).unwrap())
        };
        let (texts, code) = of(&name, &adapter);
        let (_, plain) = of("web", if adapter.is_empty() { "" } else { "NIC" });
        prop_assert_eq!(code, plain);
        prop_assert!(texts.contains(&name));
        prop_assert!(texts.contains(&adapter));
    }
}
