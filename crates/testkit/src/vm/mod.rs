//! Whole VM folders: configurations, state files and checkpoints, in the layouts of Hyper-V.
//!
//! ```no_run
//! use hyperkeep_testkit::vm::{Layout, Vm};
//!
//! let vm = Vm::generation2("Web server", 1)
//!     .disk("web_1.avhdx")
//!     .checkpoint("before the update", &["web.vhdx"]);
//! vm.write_to("exports".as_ref(), Layout::Export)?;
//! // The disks are the caller's: they belong into
//! let folder = vm.disk_folder(Layout::Export);
//! # std::io::Result::Ok(())
//! ```
//!
//! Everything is determined by what is given: the same calls make the same bytes. Ids come from
//! the number that a VM is made with, so two VMs with one number have the same id, which tests of
//! copies want.

mod state;

use std::fs;
use std::io;
use std::path::Path;

use uuid::Uuid;
use vmconfig::model::{
    AutomaticActions, CheckpointSettings, ConfigVersion, Controller, ControllerKind, DataRoots,
    Device, DeviceKind, Drive, DriveKind, Firmware, Generation, IntegrationService, Kind, Memory,
    NetworkAdapter, Processors, Qos, SavedState, to_tree,
};
use vmconfig::{VmConfig, hvs, xml};

pub use state::{runtime_state, vmgs};

/// How a configuration is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `.vmcx`, Windows Server 2016 and later.
    Vmcx,
    /// `.xml`, Windows Server 2012 R2 and older.
    Xml,
}

/// Where the files of a VM lie below the folder that is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `<VM name>/Virtual Machines`, `Snapshots`, `Virtual Hard Disks`: an export, or a VM in a
    /// folder of its own.
    Export,
    /// The same folders without one for the VM: several VMs share them, as in a host's default
    /// folders.
    Shared,
}

/// A VM to be written.
#[derive(Clone, Debug)]
pub struct Vm {
    /// Its configuration; change what the builder has no word for.
    pub config: VmConfig,
    /// How the configuration is stored.
    pub format: Format,
    /// Checkpoints, in the order in which they were added.
    pub checkpoints: Vec<VmConfig>,
    /// Name of the folder in [`Layout::Export`], if the VM's name is no file name.
    pub folder: String,
    number: u64,
}

impl Vm {
    /// A generation 2 VM with a `.vmcx`, as on Windows Server 2019.
    pub fn generation2(name: &str, number: u64) -> Self {
        Self::new(name, number, Generation::Two, Format::Vmcx, 9)
    }

    /// A generation 1 VM with a `.vmcx`, as on Windows Server 2016.
    pub fn generation1(name: &str, number: u64) -> Self {
        Self::new(name, number, Generation::One, Format::Vmcx, 8)
    }

    /// A generation 1 VM with an `.xml`, as on Windows Server 2012 R2.
    pub fn generation1_xml(name: &str, number: u64) -> Self {
        Self::new(name, number, Generation::One, Format::Xml, 5)
    }

    fn new(name: &str, number: u64, generation: Generation, format: Format, major: u32) -> Self {
        let id = id(number, 0);
        let mut vm = Vm {
            config: VmConfig {
                name: name.to_owned(),
                id: Some(id),
                logical_id: Some(id),
                kind: Kind::Machine,
                generation,
                version: Some(ConfigVersion { major, minor: 0 }),
                created: "2024-05-01T08:00:00Z".parse().ok(),
                processors: Processors {
                    count: Some(2),
                    limit: Some(100_000),
                    reservation: Some(0),
                    weight: Some(100),
                    nested_virtualization: (format == Format::Vmcx).then_some(false),
                },
                memory: Memory {
                    startup_mib: Some(1024),
                    dynamic: Some(true),
                    minimum_mib: Some(512),
                    maximum_mib: Some(4096),
                    buffer_percent: Some(20),
                    weight: Some(50),
                },
                firmware: Firmware {
                    bios_guid: Some(self::id(number, 1)),
                    bios_serial: Some(format!("0000-0000-{number:04}")),
                    secure_boot: (generation == Generation::Two).then_some(true),
                    ..Firmware::default()
                },
                automatic: AutomaticActions {
                    start: Some(0),
                    stop: Some(1),
                    host: None,
                },
                checkpoints: CheckpointSettings {
                    count: Some(0),
                    user_type: None,
                },
                highly_available: Some(false),
                disk_merge_pending: Some(false),
                ..VmConfig::default()
            },
            format,
            checkpoints: Vec::new(),
            folder: name.to_owned(),
            number,
        };
        vm.place_at(&format!(r"D:\Hyper-V\{name}"));
        for kind in [
            DeviceKind::Firmware,
            DeviceKind::Clock,
            DeviceKind::VmBus,
            DeviceKind::Vss,
        ] {
            vm.device(kind, None);
        }
        vm.config.integration_services = vec![IntegrationService {
            device_type: DeviceKind::Vss.guid().unwrap_or_default(),
            name: DeviceKind::Vss.name().to_owned(),
            enabled: Some(true),
        }];
        let (kind, device, instance) = match generation {
            Generation::One => (ControllerKind::Ide, DeviceKind::IdeController, None),
            Generation::Two => (
                ControllerKind::Scsi,
                DeviceKind::ScsiController,
                Some(self::id(number, 2)),
            ),
        };
        let instance = vm.device(device, instance);
        vm.config.controllers.push(Controller {
            kind,
            number: 0,
            instance,
            drives: Vec::new(),
        });
        vm.network();
        vm
    }

    fn network(&mut self) {
        let instance = self.device(DeviceKind::NetworkAdapter, Some(id(self.number, 3)));
        self.config.network_adapters.push(NetworkAdapter {
            name: "Network Adapter".into(),
            instance: Some(instance),
            mac: Some(format!("00155D{:06X}", self.number & 0xff_ffff)),
            mac_static: Some(false),
            connected: Some(true),
            switch_id: Some(id(0, 4)),
            switch_name: Some("External".into()),
            ..NetworkAdapter::default()
        });
    }

    /// Adds a device to the manifest and gives its instance.
    pub fn device(&mut self, kind: DeviceKind, instance: Option<Uuid>) -> Uuid {
        let device_type = kind.guid().unwrap_or_default();
        let instance = instance.unwrap_or(device_type);
        let name = kind.name().to_owned();
        self.config.devices.push(Device {
            device_type,
            instance,
            name,
            kind,
        });
        instance
    }

    /// Says which Windows folder the VM believes to live in (default `D:\Hyper-V\<name>`). Call
    /// it before disks are added: their paths begin so.
    pub fn in_windows_folder(mut self, folder: &str) -> Self {
        self.place_at(folder);
        self
    }

    fn place_at(&mut self, folder: &str) {
        self.config.data_roots = DataRoots {
            configuration: Some(folder.to_owned()),
            checkpoints: Some(folder.to_owned()),
        };
    }

    /// Attaches a virtual disk by file name, at the next free position.
    pub fn disk(self, file: &str) -> Self {
        let path = self.windows_path(file);
        self.medium(DriveKind::VirtualDisk, Some(path))
    }

    /// Attaches a medium with a path of its own, or an empty drive.
    pub fn medium(mut self, kind: DriveKind, path: Option<String>) -> Self {
        // Controllers are filled in order; an emulated one has two positions.
        let instance = self.config.controllers[0].instance;
        let full = |c: &Controller| c.kind == ControllerKind::Ide && c.drives.len() == 2;
        if self.config.controllers.last().is_some_and(full) {
            let number = self.config.controllers.len() as u32;
            let kind = ControllerKind::Ide;
            self.config.controllers.push(Controller {
                kind,
                number,
                instance,
                drives: Vec::new(),
            });
        }
        if let Some(controller) = self.config.controllers.last_mut() {
            let position = controller.drives.len() as u32;
            let qos = Qos::default();
            controller.drives.push(Drive {
                position,
                kind,
                path,
                qos,
                shared: false,
            });
        }
        self
    }

    /// Adds a checkpoint that froze these files, one for each virtual disk in order.
    ///
    /// The checkpoint's configuration names the frozen files; the VM's own names the leaves that
    /// were given to [`disk`](Vm::disk).
    ///
    /// # Panics
    /// When there are not as many files as virtual disks: attach disks first.
    pub fn checkpoint(mut self, name: &str, frozen: &[&str]) -> Self {
        let number = self.checkpoints.len() as u64 + 1;
        let mut config = self.config.clone();
        config.name = name.to_owned();
        config.kind = Kind::Checkpoint;
        config.id = Some(id(self.number, 0x100 + number));
        let minutes = 10 * number;
        config.created = format!(
            "2024-05-02T{:02}:{:02}:00Z",
            minutes / 60 % 24,
            minutes % 60
        )
        .parse()
        .ok();
        let mut files = frozen.iter();
        let drives = config
            .controllers
            .iter_mut()
            .flat_map(|controller| &mut controller.drives);
        for drive in drives.filter(|drive| drive.kind == DriveKind::VirtualDisk) {
            let file = files.next().expect("a frozen file for every virtual disk");
            drive.path = Some(self.windows_path(file));
        }
        assert!(
            files.next().is_none(),
            "more frozen files than virtual disks"
        );
        self.checkpoints.push(config);
        self.config.checkpoints.count = Some(number);
        self
    }

    /// Gives the VM saved memory.
    pub fn saved(mut self) -> Self {
        self.config.saved_state = Some(SavedState::default());
        if self.format == Format::Xml {
            let folder = self
                .config
                .data_roots
                .configuration
                .clone()
                .unwrap_or_default();
            let stem = self.stem(&self.config);
            let file = |ending| format!(r"{folder}\Virtual Machines\{stem}\{stem}.{ending}");
            self.config.saved_state = Some(SavedState {
                state_file: Some(file("vsv")),
                memory_file: Some(file("bin")),
            });
        }
        self
    }

    /// Gives the VM a virtual TPM.
    pub fn virtual_tpm(mut self) -> Self {
        self.device(DeviceKind::VirtualTpm, None);
        self
    }

    /// The path by which the configuration names a disk in the VM's own folder.
    pub fn windows_path(&self, file: &str) -> String {
        let folder = self
            .config
            .data_roots
            .configuration
            .as_deref()
            .unwrap_or_default();
        format!(r"{folder}\Virtual Hard Disks\{file}")
    }

    /// Where the caller puts the disks, relative to what is written to.
    pub fn disk_folder(&self, layout: Layout) -> String {
        format!("{}Virtual Hard Disks", self.prefix(layout))
    }

    /// All files of the VM but its disks: relative path (with `/`) and bytes.
    pub fn files(&self, layout: Layout) -> Vec<(String, Vec<u8>)> {
        let prefix = self.prefix(layout);
        let mut files = Vec::new();
        let machine = std::iter::once(("Virtual Machines", &self.config));
        let checkpoints = self.checkpoints.iter().map(|config| ("Snapshots", config));
        for (folder, config) in machine.chain(checkpoints) {
            let stem = self.stem(config);
            let path = format!("{prefix}{folder}/{stem}");
            let mut add = |end: &str, bytes| files.push((format!("{path}{end}"), bytes));
            let saved = config.saved_state.is_some();
            match self.format {
                Format::Vmcx => {
                    add(
                        ".vmcx",
                        hvs::write_tree(&to_tree(config), 0).expect("a writable tree"),
                    );
                    add(".vmrs", runtime_state(config, saved));
                    if config.generation == Generation::Two {
                        let tpm = config
                            .devices
                            .iter()
                            .any(|d| d.kind == DeviceKind::VirtualTpm);
                        add(".vmgs", vmgs(tpm));
                    }
                }
                Format::Xml => {
                    add(
                        ".xml",
                        xml::write_tree(&to_tree(config)).expect("a writable tree"),
                    );
                    if saved {
                        add(&format!("/{stem}.bin"), vec![0x5a; 8192]);
                        add(&format!("/{stem}.vsv"), vec![0xa5; 4096]);
                    }
                }
            }
        }
        files
    }

    /// Writes [`files`](Vm::files) below `folder` and makes the folder for the disks.
    pub fn write_to(&self, folder: &Path, layout: Layout) -> io::Result<()> {
        for (path, bytes) in self.files(layout) {
            let path = folder.join(path);
            path.parent().map(fs::create_dir_all).transpose()?;
            fs::write(path, bytes)?;
        }
        fs::create_dir_all(folder.join(self.disk_folder(layout)))
    }

    fn prefix(&self, layout: Layout) -> String {
        match layout {
            Layout::Export => format!("{}/", self.folder),
            Layout::Shared => String::new(),
        }
    }

    fn stem(&self, config: &VmConfig) -> String {
        config.id.unwrap_or_default().to_string().to_uppercase()
    }
}

/// An id made of a VM's number and a part's.
fn id(number: u64, part: u64) -> Uuid {
    Uuid::from_u64_pair(
        0x4879_7065_726b_4000 ^ number << 32,
        0x8000_0000_0000_0000 | number << 16 | part,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_calls_make_the_same_files() {
        let make = || {
            Vm::generation2("a", 1)
                .disk("a_2.avhdx")
                .medium(DriveKind::Empty, None)
                .checkpoint("one", &["a.vhdx"])
                .checkpoint("two", &["a_1.avhdx"])
                .saved()
                .files(Layout::Export)
        };
        assert_eq!(make(), make());
        assert_eq!(make().len(), 9);
        assert!(
            make()
                .iter()
                .all(|(path, bytes)| path.starts_with("a/") && !bytes.is_empty())
        );
        assert_ne!(make(), Vm::generation2("a", 2).files(Layout::Export));
    }

    #[test]
    fn what_was_described_is_what_is_read() {
        for vm in [
            Vm::generation1("one", 1)
                .disk("a.vhdx")
                .disk("b.vhdx")
                .disk("c.vhdx")
                .saved(),
            Vm::generation1_xml("two & \"a\"", 2).disk("a.vhd").saved(),
            Vm::generation2("drei 中💻", 3).disk("a.vhdx").virtual_tpm(),
        ] {
            let (path, bytes) = &vm.files(Layout::Shared)[0];
            let tree = match vm.format {
                Format::Vmcx => hvs::read_tree(bytes).unwrap().0,
                Format::Xml => xml::read_tree(bytes).unwrap().0,
            };
            let read = VmConfig::from_tree(&tree).unwrap();
            assert_eq!(read.name, vm.config.name);
            assert_eq!(read.controllers, vm.config.controllers);
            assert_eq!(read.devices, vm.config.devices);
            assert!(path.starts_with("Virtual Machines/"), "{path}");
        }
    }
}
