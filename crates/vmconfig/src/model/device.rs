//! Types of devices, known by their GUIDs.

use serde::{Deserialize, Serialize};
use uuid::{Uuid, uuid};

/// A device of the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Type.
    pub device_type: Uuid,
    /// Instance; equal to the type where there can be only one.
    pub instance: Uuid,
    /// Name that the manifest gives.
    pub name: String,
    /// What the type stands for, if it is known.
    pub kind: DeviceKind,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident, $name:literal, $guid:literal;)*) => {
        /// What a device's type stands for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        #[non_exhaustive]
        pub enum DeviceKind {
            $($(#[$doc])* $kind,)*
            /// A virtual Fibre Channel port, recognised by its name: its type is not public.
            FibreChannel,
            /// A type that is not known.
            Unknown,
        }

        impl DeviceKind {
            /// The kind of a device type.
            pub fn of(device_type: Uuid) -> Option<Self> {
                $(if device_type == uuid!($guid) { return Some(DeviceKind::$kind); })*
                None
            }

            /// The type's GUID; none where it is not known.
            pub fn guid(self) -> Option<Uuid> {
                match self {
                    $(DeviceKind::$kind => Some(uuid!($guid)),)*
                    DeviceKind::FibreChannel | DeviceKind::Unknown => None,
                }
            }

            /// An English name.
            pub fn name(self) -> &'static str {
                match self {
                    $(DeviceKind::$kind => $name,)*
                    DeviceKind::FibreChannel => "Fibre Channel port",
                    DeviceKind::Unknown => "unknown device",
                }
            }
        }
    };
}

kinds! {
    /// Emulated IDE controller: both channels in one device.
    IdeController, "IDE controller", "83f8638b-8dca-4152-9eda-2ca8b33039b4";
    /// Synthetic SCSI controller.
    ScsiController, "SCSI controller", "d422512d-2bf2-4752-809d-7b82b5fcb1b4";
    /// Floppy controller.
    FloppyController, "floppy controller", "8f0d2762-0b00-4e04-af4f-19010527cb93";
    /// Synthetic network adapter.
    NetworkAdapter, "network adapter", "2fc216b0-d2e2-4967-9b6d-b8a5c9ca2778";
    /// BIOS or UEFI.
    Firmware, "firmware", "ac6b8dc1-3257-4a70-b1b2-a9c9215659ad";
    /// Real-time clock.
    Clock, "clock", "e51b7ef6-4a7f-4780-aaae-d4b291aacd2e";
    /// Virtual TPM.
    VirtualTpm, "virtual TPM", "736e6aa9-a3f8-49c0-9550-a963214d259a";
    /// Guest state file (`.vmgs`).
    GuestState, "guest state", "917bd8cb-3bb6-4124-9383-b7d21ac07f79";
    /// Part of a graphics processor.
    GpuPartition, "GPU partition", "99dcd00c-fbd6-42d3-9dfd-1b5ad7058f61";
    /// Device of the host given to the guest.
    AssignedDevice, "assigned host device", "2fcc454e-a36a-4c77-bb5e-a2d75a51f02c";
    /// Dynamic memory.
    DynamicMemory, "dynamic memory", "e3c82929-edb4-475e-85a4-29aaa2a30c2d";
    /// Serial ports.
    SerialPorts, "serial ports", "8e3a359f-559a-4b6a-98a9-1690a6100ed7";
    /// Emulated video.
    EmulatedVideo, "emulated video", "7d80d3db-61ee-4879-8879-5609f1100ad0";
    /// Synthetic video.
    SyntheticVideo, "synthetic video", "f3cf6965-e8d3-44a9-9b7d-a04245ea7525";
    /// Mouse.
    Mouse, "mouse", "58f75a6d-d949-4320-99e1-a2a2576d581c";
    /// Keyboard.
    Keyboard, "keyboard", "197f74e3-b84b-46de-8ae6-82f1cd181cdc";
    /// Heartbeat service.
    Heartbeat, "Heartbeat", "84eaae65-2f2e-45f5-9bb5-0e857dc8eb47";
    /// Key-value pair exchange service.
    KeyValueExchange, "Key-Value Pair Exchange", "2a34b1c2-fd73-4043-8a5b-dd2159bc743f";
    /// Shutdown service.
    Shutdown, "Shutdown", "9f8233ac-be49-4c79-8ee3-e7e1985b2077";
    /// Time synchronisation service.
    TimeSynchronization, "Time Synchronization", "2497f4de-e9fa-4204-80e4-4b75c46419c0";
    /// Backup service.
    Vss, "VSS", "5ced1297-4598-4915-a5fc-ad21bb4d02a4";
    /// Guest service interface.
    GuestService, "Guest Service Interface", "6c09bb55-d683-4da0-8931-c9bf705f6480";
    /// Remote desktop virtualisation.
    RemoteDesktop, "remote desktop", "6c5addb9-a11a-4e8e-84cb-e6208201db63";
    /// Automatic activation.
    Activation, "activation", "bc12c717-8898-4688-8ee4-2cd14894f8ea";
    /// The virtual machine bus.
    VmBus, "VMBus", "d41a1872-3740-41ce-a1ee-4522ab82f991";
}

impl DeviceKind {
    /// Whether this is one of the services that management tools list as integration services.
    pub fn is_integration_service(self) -> bool {
        use DeviceKind::*;
        matches!(
            self,
            Heartbeat | KeyValueExchange | Shutdown | TimeSynchronization | Vss | GuestService
        )
    }
}
