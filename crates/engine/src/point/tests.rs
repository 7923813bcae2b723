use disk::{Format, Geometry, LayerInfo};

use super::format::{Identity, from_format, to_format};
use super::*;
use crate::finding::{Code, Severity};
use crate::source::CheckpointParent;

fn layer(parent: Option<usize>) -> PointLayer {
    PointLayer {
        path: RelPath::new("Virtual Hard Disks/数 💾.vhdx").unwrap(),
        origin: "/srv/x".to_owned(),
        info: LayerInfo {
            geometry: Geometry {
                len: 1 << 20,
                logical_sector: 512,
                physical_sector: 4096,
            },
            format: Format::Raw,
            parent: None,
        },
        parent,
        interior: parent.is_none(),
        moved: false,
        reading: Reading::Full {
            why: "nothing says what changed".to_owned(),
        },
        stats: Stats::default(),
    }
}

fn details() -> Details {
    Details {
        vm_id: Uuid::from_u128(7),
        vm_name: "web".to_owned(),
        source: "folder:/srv".to_owned(),
        mode: "folder".to_owned(),
        mode_reason: None,
        level: Level::Auto,
        consistency: Consistency::Crash,
        outcome: Outcome::Warning,
        config: None,
        layers: vec![layer(None), layer(Some(0)), layer(Some(1))],
        files: vec![PointFile {
            path: RelPath::new("Snapshots/x.vmcx").unwrap(),
            role: FileRole::Configuration,
            owner: Owner::Checkpoint(Uuid::from_u128(9)),
            len: 7,
        }],
        uses: vec![DiskUse {
            owner: Owner::Checkpoint(Uuid::from_u128(9)),
            slot: "SCSI 0:0".to_owned(),
            layer: 2,
            consistency: Some(Consistency::FileSystem),
        }],
        checkpoints: vec![
            Checkpoint {
                id: Uuid::from_u128(9),
                name: "before “it” & 数".to_owned(),
                time: Some(1_700_000_000),
                parent: CheckpointParent::Root,
                config: Some(serde_json::json!({"name": "x"})),
            },
            Checkpoint {
                id: Uuid::from_u128(10),
                name: String::new(),
                time: None,
                parent: CheckpointParent::After(Uuid::from_u128(9)),
                config: None,
            },
            Checkpoint {
                id: Uuid::from_u128(11),
                name: String::new(),
                time: None,
                parent: CheckpointParent::Unknown,
                config: None,
            },
        ],
        current: Some(Uuid::from_u128(10)),
        saved_memory: [
            (Owner::Vm, false),
            (Owner::Checkpoint(Uuid::from_u128(9)), true),
        ]
        .map(|(owner, saved)| SavedMemory { owner, saved })
        .to_vec(),
        missing: vec![MissingLayer {
            name: "gone.vhdx".to_owned(),
            why: "no such file".to_owned(),
            needed_by: vec![Owner::Vm],
            by_choice: false,
        }],
        findings: vec![Finding::new(Code::DirtyLog, Severity::Partial, "disk", "why").hint("do")],
        not_covered: vec!["a pass-through disk".to_owned()],
    }
}

#[test]
fn a_manifest_says_all_that_was_put_into_it() {
    let details = details();
    let sealed = serde_json::to_value(to_format(&details)).unwrap();
    let opened: vault_format::point::Details = serde_json::from_value(sealed).unwrap();
    assert_eq!(from_format(&opened).unwrap(), details);
    assert_eq!(details.chain(2), [2, 1, 0]);
    let memory = |number| details.has_memory(&Owner::Checkpoint(Uuid::from_u128(number)));
    assert_eq!((memory(9), memory(10)), (Some(true), None));
    assert!(details.complete(2));
}

#[test]
fn checkpoints_may_have_any_ids() {
    let mut format = to_format(&details());
    let mut rename = |id: &mut String| *id = format!("c {id}");
    for checkpoint in &mut format.checkpoints {
        rename(&mut checkpoint.id);
        checkpoint.parent.as_mut().map(&mut rename);
    }
    format.current.as_mut().map(&mut rename);
    let read = from_format(&format).unwrap();
    let ids: Vec<Uuid> = read.checkpoints.iter().map(|c| c.id).collect();
    assert_eq!(from_format(&format).unwrap(), read);
    assert_eq!(read.checkpoints[1].parent, CheckpointParent::After(ids[0]));
    assert_eq!(read.current, Some(ids[1]));
    assert_eq!(read.files[0].owner, Owner::Checkpoint(ids[0]));
    assert_eq!(read.uses[0].owner, Owner::Checkpoint(ids[0]));
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
}

#[test]
fn a_manifest_that_would_lead_astray_is_refused() {
    for edit in [
        |d: &mut vault_format::point::Details| d.layers[1].parent = Some(1),
        |d: &mut vault_format::point::Details| d.layers[0].parent = Some(2),
        |d: &mut vault_format::point::Details| d.checkpoints[0].disks[0].head = 3,
        |d: &mut vault_format::point::Details| d.layers[2].path = "../../etc/passwd".into(),
        |d: &mut vault_format::point::Details| d.files[0].path = "C:\\x".into(),
        |d: &mut vault_format::point::Details| d.layers[0].info = serde_json::json!({}),
        |d: &mut vault_format::point::Details| d.vm.id = "web".into(),
        |d: &mut vault_format::point::Details| {
            d.checkpoints[1].id = d.checkpoints[0].id.to_uppercase()
        },
    ] {
        let mut bad = to_format(&details());
        edit(&mut bad);
        assert!(from_format(&bad).is_err());
    }
}

#[test]
fn identities_differ_in_everything_that_an_image_says() {
    let info = layer(None).info;
    let one = Identity::of(&info, "/srv/x", true, false);
    let mut other = info.clone();
    other.geometry.len += 512;
    assert_eq!(one, Identity::of(&info, "/srv/x", true, false));
    assert_ne!(one.image, Identity::of(&other, "/srv/x", true, false).image);
    assert_ne!(one.place, Identity::of(&info, "/srv/y", true, false).place);
    let value = serde_json::to_value(&one).unwrap();
    assert_eq!(Identity::from_value(&value), Some(one));
    assert_eq!(Identity::from_value(&serde_json::json!("else")), None);
}
