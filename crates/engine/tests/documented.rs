//! `docs/format` and the program tell the same: each member that a restore point has is there, and
//! what the tables there list is written.

use std::collections::BTreeSet;
use std::sync::Arc;

use disk::layer::{
    Format, MetadataItem, ParentLink, ParentPath, PathKind, VhdInfo, VhdKind, VhdxInfo,
};
use disk::{Geometry, LayerInfo};
use hyperkeep_engine as engine;

use engine::backup::{Job, Options, backup};
use engine::finding::{Finding, Severity};
use engine::pipeline::Limits;
use engine::point::format::{Identity, to_format};
use engine::point::{Details, Reading};
use engine::progress::Quiet;
use engine::restore::Opened;
use engine::source::folder::FolderSource;
use engine::source::{CheckpointParent, FileRole, MissingLayer, Owner};
use engine::{Cancel, Code, SystemClock};
use serde_json::{Value, json};
use store::MemoryStore;
use testkit::image::{Image, Kind, noise};
use testkit::vm::{Layout, Vm};
use uuid::Uuid;
use vault::{Env, InitOptions, PointRef, Vault};
use vmconfig::VmConfig;
use vmconfig::model::{
    BootSource, Controller, ControllerKind, Device, DeviceKind, Drive, DriveKind,
    Finding as ConfigFinding, IntegrationService, Location, NetworkAdapter, Qos, SavedState,
    SerialPort,
};

type Words = BTreeSet<String>;

const POINT: &str = include_str!("../../../docs/format/point.md");
const LAYER_INFO: &str = include_str!("../../../docs/format/layer-info.md");
const VM: &str = include_str!("../../../docs/format/vm.md");
const RECORD: &str = include_str!("../../../docs/format/record.md");

fn in_backticks(text: &str) -> Words {
    let code = text.split('`').skip(1).step_by(2);
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-');
    code.flat_map(|code| code.split(word))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// What the first columns of a document's tables list, and its headings.
fn listed(text: &str) -> Words {
    let line = |line: &str| match line.strip_prefix("| ") {
        Some(row) => in_backticks(row.split(" | ").next().unwrap_or_default()),
        None if line.starts_with('#') => in_backticks(line),
        None => Words::new(),
    };
    text.lines().flat_map(line).collect()
}

/// Names of members and texts that occur in `value`; what is below a member of `elsewhere` is
/// described elsewhere.
fn told(value: &Value, elsewhere: &[&str], names: &mut Words, texts: &mut Words) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                names.insert(name.clone());
                if !elsewhere.contains(&name.as_str()) {
                    told(value, elsewhere, names, texts);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                told(item, elsewhere, names, texts);
            }
        }
        Value::String(text) => {
            texts.insert(text.clone());
        }
        _ => {}
    }
}

/// Fails when `values` have members that `document` does not name, or when it lists what none of
/// them has, but for `never`.
fn compare(document: &str, values: &[Value], elsewhere: &[&str], never: &[&str]) {
    let (mut names, mut texts) = (Words::new(), Words::new());
    for value in values {
        told(value, elsewhere, &mut names, &mut texts);
    }
    let documented = in_backticks(document);
    let undocumented: Vec<_> = names.difference(&documented).collect();
    assert!(
        undocumented.is_empty(),
        "written and not documented: {undocumented:?}"
    );
    let is_there = |word: &String| names.contains(word) || texts.contains(word);
    let missing: Vec<_> = listed(document)
        .into_iter()
        .filter(|word| !is_there(word) && !never.contains(&word.as_str()))
        .collect();
    assert!(
        missing.is_empty(),
        "documented and not written: {missing:?}"
    );
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// A VM with a checkpoint, a chain and a missing disk, backed up twice: the second point leans on
/// the first.
fn two_points() -> (Vault, Vec<PointRef>) {
    let options = InitOptions {
        writer: "test",
        ..InitOptions::default()
    };
    let store = Arc::new(MemoryStore::default());
    let (vault, _) = Vault::init(store, &options, Env::system()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let machine = Vm::generation2("web", 1)
        .disk("web_1.avhdx")
        .disk("gone.vhdx")
        .checkpoint("before", &["web.vhdx", "gone.vhdx"]);
    machine.write_to(folder.path(), Layout::Export).unwrap();
    let disks = folder.path().join(machine.disk_folder(Layout::Export));
    let base = Image::new(Kind::Vhdx, 8 << 20, 1)
        .data(0, &noise(1, 100_000))
        .write(&disks.join("web.vhdx"));
    Image::child(&base, "web.vhdx", 2)
        .data(512 << 10, &noise(2, 10_240))
        .write(&disks.join("web_1.avhdx"));
    let clock = SystemClock::new();
    let job = Job {
        vault: &vault,
        clock: &clock,
        sink: &Quiet,
        cancel: &Cancel::new(),
        limits: Limits {
            workers: 2,
            in_flight: 16 << 20,
            results: 16 << 20,
        },
    };
    for seed in 1..=2 {
        let mut source = FolderSource::open(folder.path()).unwrap();
        let mut rng = |out: &mut [u8]| out.copy_from_slice(&noise(seed, out.len()));
        backup(&job, &mut source, &Options::default(), &mut rng).unwrap();
    }
    let points = vault.points(None).unwrap();
    assert_eq!(points.len(), 2);
    (vault, points)
}

/// The details with as much in them as can be.
fn full(mut details: Details) -> Details {
    let checkpoint = details.checkpoints[0].clone();
    let mut add = |number, parent| {
        let mut other = checkpoint.clone();
        (other.id, other.parent, other.time) = (id(number), parent, Some(1));
        details.checkpoints.push(other);
    };
    add(10, CheckpointParent::Unknown);
    add(11, CheckpointParent::After(checkpoint.id));
    details.current = Some(checkpoint.id);
    details.mode_reason = Some("why".to_owned());
    details.missing.push(MissingLayer {
        name: "name".to_owned(),
        why: "why".to_owned(),
        needed_by: vec![Owner::Vm, Owner::Checkpoint(checkpoint.id)],
        by_choice: true,
    });
    details.not_covered.push("what".to_owned());
    details.layers[0].reading = Reading::Ranges {
        since: "point".to_owned(),
        compared: 1,
    };
    details.layers[1].reading = Reading::Reused {
        since: "point".to_owned(),
        why: "why".to_owned(),
        compared: 1,
    };
    details
        .findings
        .push(Finding::new(Code::Other, Severity::Partial, "object", "message").hint("hint"));
    details.files[0].role = FileRole::Other;
    details
}

#[test]
fn restore_points_are_as_documented() {
    let (vault, references) = two_points();
    let mut values = Vec::new();
    for reference in &references {
        let point = vault.point(reference).unwrap();
        let details = Opened::open(&point).unwrap().details;
        values.push(json!(point.outline));
        values.push(json!(point.details().unwrap()));
        values.push(json!(to_format(&full(details))));
    }
    let elsewhere = ["info", "configuration"];
    compare(POINT, &values, &elsewhere, &[]);
}

#[test]
fn tokens_are_as_documented() {
    let (vault, references) = two_points();
    let token: Vec<u8> = vault.token(&references[0]).unwrap().unwrap();
    let token: Value = serde_json::from_slice(&token).unwrap();
    // The first table has the names of objects.
    let names = [
        "tokens", "sessions", "session", "retire", "vm", "point", "n", "id",
    ];
    compare(RECORD, &[token], &[], &names);
}

fn vhdx() -> LayerInfo {
    LayerInfo {
        geometry: Geometry {
            len: 1 << 20,
            logical_sector: 512,
            physical_sector: 4096,
        },
        format: Format::Vhdx(VhdxInfo {
            block_size: 1 << 20,
            fixed: false,
            disk_id: id(1),
            data_write_guid: id(2),
            file_write_guid: id(3),
            creator: "x".to_owned(),
            metadata: vec![MetadataItem {
                id: id(4),
                user: true,
                virtual_disk: false,
                required: false,
                data: vec![1],
            }],
            dirty_log: false,
        }),
        parent: Some(link(&[PathKind::Relative, PathKind::Volume])),
    }
}

fn vhd() -> LayerInfo {
    LayerInfo {
        format: Format::Vhd(VhdInfo {
            kind: VhdKind::Differencing,
            unique_id: id(5),
            timestamp: 6,
            creator_app: *b"win ",
            creator_version: 7,
            creator_os: *b"Wi2k",
            original_len: 8,
            chs: (9, 10, 11),
            features: 2,
            saved_state: false,
            block_size: Some(2 << 20),
        }),
        parent: Some(link(&[PathKind::Absolute, PathKind::Url, PathKind::Name])),
        ..vhdx()
    }
}

fn link(kinds: &[PathKind]) -> ParentLink {
    let path = |kind: &PathKind| ParentPath {
        kind: *kind,
        path: "x".to_owned(),
    };
    ParentLink {
        identities: vec![id(12)],
        paths: kinds.iter().map(path).collect(),
        other: vec![("key".to_owned(), "value".to_owned())],
        timestamp: None,
    }
}

#[test]
fn what_images_say_is_as_documented() {
    compare(LAYER_INFO, &[json!(vhdx()), json!(vhd())], &[], &[]);
    let raw = LayerInfo {
        format: Format::Raw,
        parent: None,
        ..vhdx()
    };
    assert_eq!(json!(raw)["format"], "raw");
    assert_eq!(json!(raw)["parent"], Value::Null);
}

/// JSON without the white space that is for people.
fn dense(text: &str) -> String {
    let (mut in_text, mut escaped) = (false, false);
    let keep = |c: &char| {
        let keep = in_text || !c.is_whitespace();
        in_text ^= *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        keep
    };
    text.chars().filter(keep).collect()
}

#[test]
fn the_example_is_an_image_and_its_text_is_hashed() {
    let (_, example) = LAYER_INFO.split_once("```json\n").unwrap();
    let text = dense(example.split_once("```").unwrap().0);
    let info: LayerInfo = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&info).unwrap(), text);

    let h = |what: &str, text: &str| {
        let mut hasher = blake3::Hasher::new_derive_key("hyperkeep engine, identity of a layer");
        hasher.update(&[what.as_bytes(), &[0], text.as_bytes()].concat());
        hasher.finalize().to_hex()[..32].to_owned()
    };
    let identity = Identity::of(&info, "/srv/web.avhdx", true, false);
    assert_eq!(identity.image, h("image", &text));
    assert_eq!(identity.place, h("place", "/srv/web.avhdx"));
}

/// A configuration with one of everything.
fn configuration() -> VmConfig {
    let path = Some("C:\\x".to_owned());
    let name = "x".to_owned();
    let location = Location {
        controller: ControllerKind::Scsi,
        number: 0,
        position: 1,
    };
    let mut config = VmConfig {
        controllers: vec![Controller {
            kind: ControllerKind::Scsi,
            number: 0,
            instance: id(1),
            drives: vec![Drive {
                position: 1,
                kind: DriveKind::VirtualDisk,
                path: path.clone(),
                qos: Qos::default(),
                shared: false,
            }],
        }],
        network_adapters: vec![NetworkAdapter::default()],
        integration_services: vec![IntegrationService {
            device_type: id(2),
            name: name.clone(),
            enabled: None,
        }],
        serial_ports: vec![SerialPort {
            name: name.clone(),
            connection: None,
        }],
        saved_state: Some(SavedState::default()),
        parent_hints: vec![id(3)],
        devices: vec![Device {
            device_type: id(2),
            instance: id(2),
            name: name.clone(),
            kind: DeviceKind::Unknown,
        }],
        ..VmConfig::default()
    };
    config.firmware.secure_boot_template = Some(id(5));
    config.firmware.boot_sources = vec![
        BootSource::Drive { location },
        BootSource::Adapter { instance: id(6) },
    ];
    config.findings = vec![
        ConfigFinding::PassThroughDisk {
            location,
            path: path.clone(),
        },
        ConfigFinding::SharedDisk { location, path },
        ConfigFinding::UnknownDrive {
            location,
            kind: name.clone(),
        },
        ConfigFinding::FibreChannel { name: name.clone() },
        ConfigFinding::HostDevice { name: name.clone() },
        ConfigFinding::UnknownDevice {
            device_type: id(4),
            name: name.clone(),
        },
        ConfigFinding::MergePending,
        ConfigFinding::VirtualTpm,
        ConfigFinding::ConfigurationDamaged {
            warning: name.clone(),
        },
        ConfigFinding::Incomplete { what: name },
    ];
    config
}

#[test]
fn configurations_are_as_documented() {
    compare(VM, &[json!(configuration())], &[], &[]);
}
