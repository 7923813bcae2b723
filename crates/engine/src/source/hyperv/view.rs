//! What there is to read of a VM that holds still.

use std::collections::HashMap;
use std::sync::Arc;

use disk::layer::{Format, VhdKind};
use disk::{BlockRead, LayerInfo};
use hyperv::frozen::{
    self, Asked, ConfigFile, Frozen, FrozenDisk, LayerReading, LostDisk, LostFile, Reading, Tree,
};
use hyperv::host_settings::HostSettings;
use hyperv::inventory::{Host, Machine, Medium, Parent, Settings};
use hyperv::memory::MemoryExport;
use hyperv::plan::Plan;
use hyperv::preflight::{Level, Mode};
use serde_json::Value;
use vmconfig::model::Kind;

use super::paths::Paths;
use crate::changes::Changed;
use crate::finding::{Code, Finding, Severity};
use crate::source::RelPath;
use crate::source::{
    Checkpoint, CheckpointParent, Consistency, DiskUse, FileRole, FrozenFile, FrozenLayer,
    FrozenView, MissingLayer, Owner, VmRef,
};

/// The view of a frozen VM. `findings` are what was noticed before.
pub(super) fn view(
    vm: &VmRef,
    machine: &Machine,
    plan: &Plan,
    (host, settings): (&Host, Option<&HostSettings>),
    frozen: &Frozen,
    findings: Vec<Finding>,
) -> FrozenView {
    let mut view = Making::new(vm, plan, findings);
    view.view.mode = mode(plan).to_owned();
    view.view.mode_reason = Some(plan.reason.clone());
    view.view.consistency = consistency(frozen.level);
    view.view.config = config(machine, &frozen.settings);
    match &frozen.downgrade {
        Some(why) => view.less(&vm.name, why),
        None if frozen.level < Level::FileSystem => {
            super::findings::unasked(&mut view.view.findings, &plan.unasked, vm);
        }
        None => {}
    }
    let told = super::findings::saved(&frozen.findings, &vm.name);
    view.view.findings.extend(told);
    view.view
        .findings
        .extend(super::volumes::told(&frozen.disks));
    match &frozen.tree {
        Some(tree) => view.tree(tree),
        None => {
            for disk in &frozen.disks {
                view.disk(disk, &disk.medium.path);
            }
        }
    }
    for lost in &frozen.lost {
        view.lose(Owner::Vm, lost);
    }
    for medium in &frozen.left_out {
        let slot = medium.location.to_string();
        view.view.leave_out(Owner::Vm, &slot, &medium.path);
    }
    view.files(Owner::Vm, &frozen.files, &frozen.lost_files);
    view.key_protector(&Owner::Vm, frozen.key_protector.as_ref(), &frozen.files);
    view.host(host, settings);
    view.view
}

/// The view of a VM that was exported with its memory. Of disks that are not `wanted` there is
/// nothing in it.
pub(super) fn exported(
    vm: &VmRef,
    machine: &Machine,
    plan: &Plan,
    (host, settings): (&Host, Option<&HostSettings>),
    export: &MemoryExport,
    wanted: &dyn Fn(&Asked<'_>) -> Option<bool>,
    findings: Vec<Finding>,
) -> FrozenView {
    let mut view = Making::new(vm, plan, findings);
    view.view.mode = "export".to_owned();
    view.view.mode_reason = Some("it runs, and its memory was asked for".to_owned());
    view.view.config = config(machine, &export.settings);
    let told = super::findings::saved(&export.findings, &vm.name);
    view.view.findings.extend(told);
    // Disks are named as the VM names them, wherever they were read.
    let own = |exported: &Medium| {
        let all = export.settings.media.iter();
        let mut same = all.filter(|own| own.instance_id == exported.instance_id);
        same.next().unwrap_or(exported).clone()
    };
    for disk in &export.disks {
        let medium = own(&disk.medium);
        let asked = Asked {
            medium: &medium,
            files: Some(&disk.files),
        };
        match wanted(&asked) {
            Some(false) => {
                let slot = medium.location.to_string();
                view.view.leave_out(Owner::Vm, &slot, &medium.path);
            }
            _ => view.disk(disk, &medium.path),
        }
    }
    for lost in &export.lost {
        view.lose(Owner::Vm, lost);
    }
    view.files(Owner::Vm, &export.files, &export.lost_files);
    view.key_protector(&Owner::Vm, export.key_protector.as_ref(), &export.files);
    view.host(host, settings);
    view.view
}

fn mode(plan: &Plan) -> &'static str {
    match (plan.tree, plan.mode) {
        (true, _) => "all-checkpoints",
        (false, Mode::Cbt) => "cbt",
        (false, Mode::Standard) => "standard",
    }
}

fn consistency(level: Level) -> Consistency {
    match level {
        Level::Crash => Consistency::Crash,
        Level::FileSystem => Consistency::FileSystem,
        Level::Application => Consistency::Application,
        Level::Offline => Consistency::Offline,
    }
}

/// The VM as its checkpoint has it, under the VM's own name and id.
fn config(machine: &Machine, settings: &Settings) -> Option<Value> {
    let mut config = settings.config.clone();
    let own = machine.config();
    config.name.clone_from(&own.name);
    config.id = Some(machine.id);
    config.kind = Kind::Machine;
    config.created = own.created;
    config.notes.clone_from(&own.notes);
    // What hosts are not known to tell of a checkpoint.
    if config.firmware.boot_sources.is_empty() {
        let sources = &own.firmware.boot_sources;
        config.firmware.boot_sources.clone_from(sources);
    }
    let template = config.firmware.secure_boot_template;
    config.firmware.secure_boot_template = template.or(own.firmware.secure_boot_template);
    // VLANs belong to connections, and the questions about one checkpoint do not tell them.
    for adapter in &mut config.network_adapters {
        let mut all = own.network_adapters.iter();
        let same = all.find(|known| known.instance.is_some() && known.instance == adapter.instance);
        adapter.vlan = adapter.vlan.or(same.and_then(|known| known.vlan));
    }
    serde_json::to_value(config).ok()
}

struct Making {
    view: FrozenView,
    paths: Paths,
}

impl Making {
    fn new(vm: &VmRef, plan: &Plan, findings: Vec<Finding>) -> Self {
        let view = FrozenView {
            id: vm.id,
            name: vm.name.clone(),
            mode: String::new(),
            mode_reason: None,
            consistency: Consistency::Crash,
            config: None,
            files: Vec::new(),
            layers: Vec::new(),
            uses: Vec::new(),
            checkpoints: Vec::new(),
            current: None,
            missing: Vec::new(),
            findings,
            not_covered: plan.not_covered().map(ToString::to_string).collect(),
        };
        let paths = Paths::default();
        Self { view, paths }
    }

    fn less(&mut self, name: &str, why: &str) {
        self.view.findings.push(
            Finding::new(
                Code::LessConsistent,
                Severity::Warning,
                name,
                format!("the guest did not settle, and the disks are as after a power cut: {why}"),
            )
            .hint("see the guest's event log: one of its writers does not settle"),
        );
    }

    /// A disk with all of its files as one.
    fn disk(&mut self, disk: &FrozenDisk, origin: &str) {
        // A chain is never empty.
        let (Some(top), Some(base)) = (disk.layers.first(), disk.files.last()) else {
            return;
        };
        let Some(path) = self.paths.disk(base) else {
            return;
        };
        let layer = self.view.layers.len();
        self.view.layers.push(FrozenLayer {
            path,
            origin: origin.to_owned(),
            read_from: disk.files.first().filter(|file| *file != origin).cloned(),
            place: hyperv::place(&disk.medium.instance_id).map(|place| format!("disk {place}")),
            info: alone(top.layer.info()),
            parent: None,
            interior: false,
            changed: match &disk.reading {
                Reading::Changed(ranges) => Changed::Ranges(ranges.clone()),
                Reading::Full(why) => Changed::Unknown { why: why.clone() },
            },
            data: Arc::new(disk.chain.clone()),
        });
        self.view.uses.push(DiskUse {
            owner: Owner::Vm,
            slot: disk.medium.location.to_string(),
            layer,
            consistency: Some(self.view.consistency),
        });
    }

    fn tree(&mut self, tree: &Tree) {
        let mut places = HashMap::new();
        for (at, layer) in tree.layers.iter().enumerate() {
            let Some(path) = self.paths.disk(&layer.path) else {
                continue;
            };
            places.insert(at, self.view.layers.len());
            let is_parent = |other: &frozen::TreeLayer| other.parent == Some(at);
            let data: Arc<dyn BlockRead> = Arc::clone(&layer.layer) as Arc<dyn BlockRead>;
            self.view.layers.push(FrozenLayer {
                path,
                origin: layer.path.clone(),
                read_from: None,
                place: None,
                info: layer.layer.info().clone(),
                parent: layer.parent.and_then(|parent| places.get(&parent).copied()),
                interior: tree.layers.iter().any(is_parent),
                changed: match &layer.reading {
                    LayerReading::Unchanged => Changed::Unchanged,
                    LayerReading::Changed(ranges) => Changed::Ranges(ranges.clone()),
                    LayerReading::Full(why) => Changed::Unknown { why: why.clone() },
                },
                data,
            });
        }
        for used in &tree.uses {
            let Some(layer) = places.get(&used.layer) else {
                continue;
            };
            self.view.uses.push(DiskUse {
                owner: owner(used.owner),
                slot: used.location.to_string(),
                layer: *layer,
                // No host tells what a checkpoint of people was taken of; its files may.
                consistency: (used.owner == frozen::Owner::Vm).then_some(self.view.consistency),
            });
        }
        for checkpoint in &tree.checkpoints {
            let config = &checkpoint.settings.config;
            self.view.checkpoints.push(Checkpoint {
                id: checkpoint.id,
                name: config.name.clone(),
                time: config
                    .created
                    .and_then(|time| u64::try_from(time.as_second()).ok()),
                parent: match checkpoint.parent {
                    Parent::None => CheckpointParent::Root,
                    Parent::Of(id) => CheckpointParent::After(id),
                    Parent::Unknown => CheckpointParent::Unknown,
                },
                config: serde_json::to_value(config).ok(),
            });
            let owner = Owner::Checkpoint(checkpoint.id);
            self.files(owner.clone(), &checkpoint.files, &[]);
            self.key_protector(&owner, checkpoint.key_protector.as_ref(), &checkpoint.files);
        }
        self.view.current = match tree.current {
            Parent::Of(id) => Some(id),
            Parent::None | Parent::Unknown => None,
        };
        for (of, medium) in &tree.left_out {
            let slot = medium.location.to_string();
            self.view.leave_out(owner(*of), &slot, &medium.path);
        }
        for (of, lost) in &tree.lost {
            self.lose(owner(*of), lost);
        }
        for (of, lost) in &tree.lost_files {
            self.lose_file(&owner(*of), lost);
        }
        let told = super::findings::saved(&tree.findings, &self.view.name);
        self.view.findings.extend(told);
    }

    fn lose(&mut self, owner: Owner, lost: &LostDisk) {
        let known = self.view.missing.iter_mut();
        let mut known = known.filter(|missing| missing.name == lost.medium.path);
        if let Some(missing) = known.next() {
            if !missing.needed_by.contains(&owner) {
                missing.needed_by.push(owner);
            }
            return;
        }
        self.view.missing.push(MissingLayer {
            name: lost.medium.path.clone(),
            why: lost.why.clone(),
            needed_by: vec![owner],
            by_choice: false,
        });
        self.view.findings.push(
            Finding::new(
                Code::DiskUnreadable,
                Severity::Partial,
                lost.medium.path.clone(),
                format!("is not in the restore point: {}", lost.why),
            )
            .hint("see that its folder is reached, by --map or as a share, and may be read"),
        );
    }

    fn files(&mut self, owner: Owner, files: &[ConfigFile], lost: &[LostFile]) {
        let configuration = files
            .iter()
            .find(|file| file.role == frozen::FileRole::Configuration);
        for file in files {
            let name = match (&owner, configuration) {
                (Owner::Vm, Some(configuration)) => beside(&configuration.path, file),
                _ => None,
            };
            let path = self.place(&owner, name.as_deref().unwrap_or(&file.path));
            self.view.files.extend(path.map(|path| FrozenFile {
                path,
                role: role(file.role),
                owner: owner.clone(),
                data: Arc::clone(&file.data) as Arc<dyn disk::ReadAt>,
            }));
        }
        for lost in lost {
            self.lose_file(&owner, lost);
        }
    }

    fn place(&mut self, owner: &Owner, host_path: &str) -> Option<RelPath> {
        match owner {
            Owner::Vm => self.paths.machine(host_path),
            Owner::Checkpoint(_) => self.paths.checkpoint(host_path),
        }
    }

    fn lose_file(&mut self, owner: &Owner, lost: &LostFile) {
        let whose = match owner {
            Owner::Vm => String::new(),
            Owner::Checkpoint(id) => format!(" of the checkpoint {id}"),
        };
        self.view.findings.push(
            Finding::new(
                Code::FileUnreadable,
                Severity::Partial,
                lost.path.clone(),
                format!(
                    "is not in the restore point: the file{whose} cannot be had: {}",
                    lost.why
                ),
            )
            .hint("see that its folder is reached, by --map or as a share, and may be read"),
        );
    }

    /// What the state of a virtual TPM is encrypted for, beside that state.
    fn key_protector(&mut self, owner: &Owner, protector: Option<&Vec<u8>>, files: &[ConfigFile]) {
        let Some(protector) = protector else {
            return;
        };
        let is_state = |file: &&ConfigFile| file.role == frozen::FileRole::GuestState;
        let state = files.iter().find(is_state);
        let beside = state.map_or("guest.vmgs", |state| state.path.as_str());
        let path = self.place(owner, &format!("{beside}.keyprotector"));
        self.view.files.extend(path.map(|path| FrozenFile {
            path,
            role: FileRole::GuestState,
            owner: owner.clone(),
            data: Arc::new(protector.clone()),
        }));
    }

    /// The host's own settings, for people who build it anew.
    fn host(&mut self, host: &Host, settings: Option<&HostSettings>) {
        // How full its volumes are is no setting.
        let itself = Host {
            volumes: None,
            ..host.clone()
        };
        self.json(super::HOST, &itself);
        if let Some(settings) = settings {
            self.json(super::HOST_SETTINGS, settings);
        }
    }

    fn json(&mut self, path: &str, what: &impl serde::Serialize) {
        let Ok(text) = serde_json::to_vec_pretty(what) else {
            return;
        };
        let path = RelPath::new(path).ok();
        self.view.files.extend(path.map(|path| FrozenFile {
            path,
            role: FileRole::Other,
            owner: Owner::Vm,
            data: Arc::new(text),
        }));
    }
}

/// The name of a saved state that lies elsewhere than the configuration that it is saved with: the
/// VM's own belongs to a checkpoint's, and is found by its name.
fn beside(configuration: &str, file: &ConfigFile) -> Option<String> {
    use frozen::FileRole::{RuntimeState, SavedMemory};
    if !matches!(file.role, RuntimeState | SavedMemory) {
        return None;
    }
    let (stem, _) = configuration.rsplit_once('.')?;
    let (_, ending) = file.path.rsplit_once('.')?;
    Some(format!("{stem}.{ending}"))
}

/// What the topmost file says of a disk that stands alone.
fn alone(info: &LayerInfo) -> LayerInfo {
    let mut info = info.clone();
    info.parent = None;
    if let Format::Vhd(vhd) = &mut info.format
        && vhd.kind == VhdKind::Differencing
    {
        vhd.kind = VhdKind::Dynamic;
    }
    info
}

fn owner(owner: frozen::Owner) -> Owner {
    match owner {
        frozen::Owner::Vm => Owner::Vm,
        frozen::Owner::Checkpoint(id) => Owner::Checkpoint(id),
    }
}

fn role(role: frozen::FileRole) -> FileRole {
    match role {
        frozen::FileRole::Configuration => FileRole::Configuration,
        frozen::FileRole::RuntimeState => FileRole::RuntimeState,
        frozen::FileRole::SavedMemory => FileRole::SavedMemory,
        frozen::FileRole::GuestState => FileRole::GuestState,
    }
}
