use disk::layer::VhdxInfo;
use disk::{Geometry, LayerInfo, ParentLink};
use uuid::Uuid;

use super::*;
use crate::outcome::Outcome;
use crate::point::{Level, PointLayer, Reading, Stats};
use crate::source::{Consistency, DiskUse, MissingLayer, RelPath};

fn layer(path: &str, format: Format, parent: Option<usize>, has_parent: bool) -> PointLayer {
    PointLayer {
        path: RelPath::new(path).unwrap(),
        origin: path.to_owned(),
        info: LayerInfo {
            geometry: Geometry {
                len: 1 << 20,
                logical_sector: 512,
                physical_sector: 4096,
            },
            format,
            parent: has_parent.then(|| ParentLink {
                identities: vec![Uuid::from_u128(1)],
                paths: vec![],
                other: vec![],
                timestamp: None,
            }),
        },
        parent,
        interior: false,
        moved: false,
        reading: Reading::Full { why: String::new() },
        stats: Stats::default(),
    }
}

fn vhdx() -> Format {
    Format::Vhdx(VhdxInfo {
        block_size: 1 << 20,
        fixed: false,
        disk_id: Uuid::nil(),
        data_write_guid: Uuid::nil(),
        file_write_guid: Uuid::nil(),
        creator: String::new(),
        metadata: vec![],
        dirty_log: false,
    })
}

const CHECKPOINT: Owner = Owner::Checkpoint(Uuid::from_u128(5));

/// `base ← now` is the VM's, `base ← old` a checkpoint's; then a raw disk of the VM.
fn details() -> Details {
    let used = |owner: &Owner, layer| DiskUse {
        owner: owner.clone(),
        slot: String::new(),
        layer,
        consistency: None,
    };
    Details {
        vm_id: Uuid::nil(),
        vm_name: String::new(),
        source: String::new(),
        mode: String::new(),
        mode_reason: None,
        level: Level::Auto,
        consistency: Consistency::Offline,
        outcome: Outcome::Ok,
        config: None,
        layers: vec![
            layer("a/disk.vhdx", vhdx(), None, false),
            layer("a/disk_1.avhdx", vhdx(), Some(0), true),
            layer("a/disk_2.avhdx", vhdx(), Some(0), true),
            layer("b/Disk.VHDX", Format::Raw, None, false),
        ],
        files: vec![],
        uses: vec![
            used(&Owner::Vm, 1),
            used(&CHECKPOINT, 2),
            used(&Owner::Vm, 3),
        ],
        checkpoints: vec![],
        current: None,
        saved_memory: vec![],
        missing: vec![],
        findings: vec![],
        not_covered: vec![],
    }
}

fn names(plan: &DisksPlan) -> Vec<&str> {
    plan.files.iter().map(|file| file.name.as_str()).collect()
}

#[test]
fn kept_chains_keep_every_layer_and_no_two_names_collide() {
    let plan = plan_disks(&details(), &DisksWanted::default());
    assert_eq!(
        names(&plan),
        ["disk.vhdx", "disk_1.avhdx", "disk_2.avhdx", "Disk (2).VHDX"]
    );
    assert_eq!(
        plan.files[2].holds,
        Holds::Layer {
            layer: 2,
            parent: Some(0)
        }
    );
    assert!(plan.findings.is_empty());
}

#[test]
fn a_checkpoint_takes_its_own_chain_only() {
    let wanted = DisksWanted {
        checkpoint: Some(CHECKPOINT),
        ..DisksWanted::default()
    };
    assert_eq!(
        names(&plan_disks(&details(), &wanted)),
        ["disk.vhdx", "disk_2.avhdx"]
    );
}

#[test]
fn a_disk_is_chosen_by_any_name_in_its_chain_and_comes_whole() {
    let choose = |names: &[&str], flatten| {
        let wanted = DisksWanted {
            disks: names.iter().map(|name| (*name).to_owned()).collect(),
            flatten,
            ..DisksWanted::default()
        };
        plan_disks(&details(), &wanted)
    };
    let chain = ["disk.vhdx", "disk_1.avhdx", "disk_2.avhdx"];
    let one = choose(&["DISK_1.avhdx"], false);
    assert_eq!(names(&one), chain);
    assert!(one.findings.is_empty());
    assert_eq!(names(&choose(&["disk_1.avhdx"], true)), ["disk.vhdx"]);
    let unknown = choose(&["other.vhdx"], false);
    assert!(unknown.files.is_empty());
    assert_eq!(unknown.findings[0].object, "other.vhdx");
}

#[test]
fn flat_disks_are_named_after_their_base() {
    let wanted = DisksWanted {
        flatten: true,
        ..DisksWanted::default()
    };
    let plan = plan_disks(&details(), &wanted);
    assert_eq!(names(&plan), ["disk.vhdx", "Disk.raw"]);
    assert_eq!(plan.files[0].holds, Holds::Chain { top: 1 });
}

#[test]
fn another_format_flattens_by_itself_and_the_own_one_does_not() {
    let as_format = |format| {
        let mut details = details();
        details.layers.pop();
        details.uses.pop();
        let wanted = DisksWanted {
            format: Some(format),
            ..DisksWanted::default()
        };
        plan_disks(&details, &wanted)
    };
    assert_eq!(names(&as_format(DiskFormat::Vhd)), ["disk.vhd"]);
    assert_eq!(as_format(DiskFormat::Vhdx).files.len(), 3);
}

#[test]
fn what_is_missing_is_said_and_never_made_up() {
    let mut torn = details();
    torn.layers[1].parent = None;
    torn.missing.push(MissingLayer {
        name: "gone.vhdx".to_owned(),
        why: "no such file".to_owned(),
        needed_by: vec![Owner::Vm],
        by_choice: false,
    });
    let kept = plan_disks(&torn, &DisksWanted::default());
    assert_eq!(kept.files.len(), 4);
    assert_eq!(kept.findings.len(), 2);
    let flat = plan_disks(
        &torn,
        &DisksWanted {
            flatten: true,
            ..DisksWanted::default()
        },
    );
    assert_eq!(names(&flat), ["Disk.raw"]);
    assert_eq!(flat.findings.len(), 2);
}

#[test]
fn without_any_attachment_the_leaves_are_the_disks() {
    let mut loose = details();
    loose.uses.clear();
    let wanted = DisksWanted {
        flatten: true,
        ..DisksWanted::default()
    };
    assert_eq!(
        names(&plan_disks(&loose, &wanted)),
        ["disk.vhdx", "disk (2).vhdx", "Disk.raw"]
    );
}

#[test]
fn disks_get_names_that_the_system_can_hold() {
    let mut details = details();
    let paths = [
        "NUL.vhdx",
        "a*b?.avhdx",
        "A_B_.avhdx",
        "x/ends. ",
        "x/ENDS",
        &format!("{}.raw", "数".repeat(84)),
        &format!("{}数.raw", "数".repeat(84)),
    ];
    details.uses.clear();
    details.layers = paths
        .iter()
        .map(|path| layer(path, Format::Raw, None, false))
        .collect();
    let long = "数".repeat(83);
    let all = [
        ("_NUL.vhdx", "NUL.vhdx"),
        ("a_b_.avhdx", "a*b?.avhdx"),
        ("A_B_ (2).avhdx", "A_B_.avhdx"),
        ("ends", "ends. "),
        ("ENDS (2)", "ENDS"),
        (&format!("{long}.raw"), &format!("{long}.raw")),
        (
            &format!("{} (2).raw", &long[3..]),
            &format!("{} (2).raw", &long[3..]),
        ),
    ];
    assert_eq!(
        names(&plan_disks(&details, &DisksWanted::default())),
        all.map(|(windows, others)| if cfg!(windows) { windows } else { others })
    );
}

#[test]
fn an_older_state_never_passes_for_a_disk_whose_attached_layer_was_lost() {
    let mut details = details();
    details.uses.clear();
    details.missing = vec![MissingLayer {
        name: "disk_1.avhdx".to_owned(),
        why: "torn".to_owned(),
        needed_by: vec![Owner::Vm],
        by_choice: false,
    }];
    let flat = DisksWanted {
        flatten: true,
        ..DisksWanted::default()
    };
    let plan = plan_disks(&details, &flat);
    assert!(plan.files.is_empty(), "{plan:?}");
    assert!(plan.findings.iter().any(|f| f.code == Code::DiskMissing));
    // As layers they say what they are.
    assert_eq!(plan_disks(&details, &DisksWanted::default()).files.len(), 4);
}

#[test]
fn layers_that_nothing_names_are_told_when_they_get_no_file() {
    let mut details = details();
    details.uses.retain(|u| u.layer != 3);
    let wanted = |flatten| DisksWanted {
        flatten,
        ..DisksWanted::default()
    };
    let plan = plan_disks(&details, &wanted(true));
    assert_eq!(names(&plan), ["disk.vhdx"]);
    assert_eq!(plan.findings[0].code, Code::UnreferencedDisk);
    assert!(plan.findings[0].message.contains("b/Disk.VHDX"));
    assert!(plan_disks(&details, &wanted(false)).findings.is_empty());
}

#[test]
fn a_disk_of_large_sectors_does_not_become_a_vhd() {
    let mut details = details();
    details.layers[1].info.geometry.logical_sector = 4096;
    let wanted = |format| DisksWanted {
        format: Some(format),
        ..DisksWanted::default()
    };
    let plan = plan_disks(&details, &wanted(DiskFormat::Vhd));
    assert_eq!(names(&plan), ["Disk.vhd"]);
    assert_eq!(plan.findings[0].object, "a/disk_1.avhdx");
    assert!(
        plan_disks(&details, &wanted(DiskFormat::Raw))
            .findings
            .is_empty()
    );
}

/// The advice names a format that holds it: following it works.
#[test]
fn what_a_format_cannot_hold_is_said_with_one_that_can() {
    use DiskFormat::{Raw, Vhd, Vhdx};
    let plan = |len, format| {
        let mut details = details();
        details.layers[3].info.geometry.len = len;
        let wanted = DisksWanted {
            format: Some(format),
            disks: vec!["b/Disk.VHDX".to_owned()],
            ..DisksWanted::default()
        };
        plan_disks(&details, &wanted)
    };
    let gib = 1 << 30;
    for (len, format, instead) in [
        (70_000, Vhd, Raw),
        (70_000, Vhdx, Raw),
        (0, Vhdx, Raw),
        (2040 * gib + 512, Vhd, Vhdx),
    ] {
        let refused = plan(len, format);
        assert_eq!(refused.files, [], "{len}");
        let [finding] = refused.findings.as_slice() else {
            panic!("{refused:?}");
        };
        assert!(finding.message.contains(&len.to_string()), "{finding}");
        let advice = format!(
            "restore it as {}",
            match instead {
                Raw => "raw",
                _ => "VHDX",
            }
        );
        assert_eq!(finding.hint.as_ref(), Some(&advice));
        let followed = plan(len, instead);
        assert_eq!((followed.files.len(), followed.findings.len()), (1, 0));
    }
    assert_eq!(plan(2040 * gib, Vhd).files.len(), 1);
}
