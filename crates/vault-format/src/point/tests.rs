use serde_json::{Map, Value, json};

use super::*;
use crate::keys::{VaultKeys, WriterKey};
use crate::testing::{counter, flips, keys};
use crate::{NodeId, ObjectName, PointId};

fn outline(keys: &VaultKeys) -> Outline {
    let layer = |id: u32| LayerRef {
        id,
        identity: json!({"data_write_guid": "…"}),
        root: NodeId([id as u8; 32]),
        len: 1 << 40,
        other: Map::new(),
    };
    Outline {
        required: vec![],
        point: PointId([7; 16]),
        vm: keys.vm_key("vm-1"),
        taken: 1,
        written: 2,
        level: Level::Incremental,
        mode: "folder".into(),
        consistency: Consistency::Other("future".into()),
        parent: Some(PointId([6; 16])),
        partial: true,
        layers: vec![layer(0), layer(1)],
        files: vec![FileRef {
            id: 0,
            root: NodeId([9; 32]),
            len: 77,
            other: Map::new(),
        }],
        statistics: [("bytes_read".to_owned(), 5)].into(),
        other: Map::from_iter([("later".to_owned(), json!({"a": [1.5, null]}))]),
    }
}

fn disk(name: &str, head: u32) -> DiskDetails {
    DiskDetails {
        name: name.into(),
        head,
        attachment: json!({"lun": 3}),
        other: Map::new(),
    }
}

fn details() -> Details {
    let layer = |id: u32, parent| LayerDetails {
        id,
        parent,
        path: format!("C:\\{id}.avhdx"),
        info: json!({"block_size": 1}),
        other: Map::new(),
    };
    Details {
        required: vec![],
        vm: VmIdentity {
            id: "vm-1".into(),
            name: "Büro „1“".into(),
            host: None,
            other: Map::new(),
        },
        configuration: json!({"cpus": 4}),
        disks: vec![disk("system", 1)],
        layers: vec![layer(0, None), layer(1, Some(0))],
        files: vec![FileDetails {
            id: 0,
            path: "Virtual Machines/x.vmcx".into(),
            role: "configuration".into(),
            other: Map::new(),
        }],
        checkpoints: vec![Checkpoint {
            id: "cp".into(),
            name: "before update".into(),
            parent: None,
            created: Some(3),
            disks: vec![disk("system", 0)],
            files: vec![0],
            configuration: Value::Null,
            other: Map::new(),
        }],
        current: Some("cp".into()),
        consistency_reason: "off".into(),
        findings: vec![Finding {
            severity: Severity::Warning,
            code: "c".into(),
            message: "m".into(),
            other: Map::new(),
        }],
        not_covered: vec![NotCovered {
            what: "w".into(),
            why: "y".into(),
            other: Map::new(),
        }],
        other: Map::from_iter([("later".to_owned(), json!(1))]),
    }
}

fn seal(keys: &VaultKeys) -> SealedPoint {
    seal_point(keys, &outline(keys), &details(), &mut counter(1)).unwrap()
}

fn opener<'a>(keys: &'a VaultKeys, bytes: &[u8]) -> crate::Result<PointOpener<'a>> {
    PointOpener::new(keys, keys.vm_key("vm-1"), PointId([7; 16]), bytes)
}

fn read(keys: &VaultKeys, bytes: &[u8]) -> crate::Result<(Outline, Details)> {
    let opener = opener(keys, bytes)?;
    opener.verify(bytes, &keys.writer().unwrap().public())?;
    let outline = opener.outline(bytes)?;
    let details = opener.details(bytes, &outline)?;
    Ok((outline, details))
}

#[test]
fn points_come_back_with_all_that_is_unknown_in_them() {
    let keys = keys();
    let point = seal(&keys);
    assert_eq!(
        read(&keys, &point.bytes).unwrap(),
        (outline(&keys), details())
    );
    let ObjectName::Point { hash, vm, .. } = point.name else {
        panic!("a point's name")
    };
    assert_eq!(
        (hash, vm),
        (crate::ObjectHash::of(&point.bytes), keys.vm_key("vm-1"))
    );
    assert_eq!(outline(&keys).roots().count(), 3);
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    let keys = keys();
    let point = seal(&keys);
    for bad in flips(&point.bytes) {
        assert!(read(&keys, &bad).is_err());
        // Even without the signature, the sections authenticate themselves and the header.
        let outline = opener(&keys, &bad).and_then(|opener| opener.outline(&bad));
        assert!(outline.is_err() || bad.get(..200) == point.bytes.get(..200));
    }
}

#[test]
fn a_write_only_host_reads_the_outline_from_the_front_and_nothing_else() {
    let keys = keys();
    let host = keys.without_private(keys.writer().cloned());
    let bytes = seal(&host).bytes;
    let opener = opener(&host, &bytes[..PointOpener::HEADER_LEN]).unwrap();
    let outline = opener.outline(&bytes[..opener.outline_end()]).unwrap();
    assert_eq!(outline, super::tests::outline(&host));
    assert!(matches!(
        opener.details(&bytes, &outline),
        Err(crate::Error::NoKey { .. })
    ));
    assert_eq!(read(&keys, &bytes).unwrap().1, details());
}

#[test]
fn a_point_under_another_name_or_writer_is_refused() {
    let keys = keys();
    let bytes = seal(&keys).bytes;
    for (vm, point) in [
        (keys.vm_key("vm-2"), PointId([7; 16])),
        (keys.vm_key("vm-1"), PointId([8; 16])),
    ] {
        let opener = PointOpener::new(&keys, vm, point, &bytes).unwrap();
        assert!(
            opener
                .outline(&bytes)
                .unwrap_err()
                .to_string()
                .contains("another's name")
        );
    }
    let stranger = WriterKey::generate(&mut counter(3));
    let refusal = opener(&keys, &bytes)
        .unwrap()
        .verify(&bytes, &stranger.public());
    assert!(matches!(refusal, Err(crate::Error::BadSignature { .. })));
    assert!(
        seal_point(
            &keys.with_writer(None),
            &outline(&keys),
            &details(),
            &mut counter(1)
        )
        .is_err()
    );
}

#[test]
fn unknown_required_features_are_named_even_when_all_else_changed() {
    let keys = keys();
    let required = vec!["dedup-2".to_owned()];
    let refused = Outline {
        required: required.clone(),
        ..outline(&keys)
    };
    assert!(
        seal_point(&keys, &refused, &details(), &mut counter(1))
            .unwrap_err()
            .to_string()
            .contains("dedup-2")
    );
    let refused = Details {
        required,
        ..details()
    };
    assert!(
        refused
            .check(&outline(&keys))
            .unwrap_err()
            .to_string()
            .contains("dedup-2")
    );
}

#[test]
fn references_that_lead_nowhere_or_in_circles_are_refused() {
    let keys = keys();
    let good = outline(&keys);
    details().check(&good).unwrap();
    // What the host has lost must not keep the rest from being saved.
    let mut lost = details();
    lost.checkpoints[0].parent = Some("gone".into());
    lost.current = Some("gone too".into());
    lost.check(&good).unwrap();
    type Change = fn(&mut Outline, &mut Details);
    let changes: [Change; 10] = [
        |_, d| d.layers[0].parent = Some(1),
        |_, d| d.layers[0].parent = Some(0),
        |_, d| d.layers[0].parent = Some(5),
        |_, d| d.layers[1].id = 0,
        |_, d| d.disks[0].head = 2,
        |_, d| d.disks.push(disk("system", 0)),
        |_, d| d.checkpoints[0].parent = Some("cp".into()),
        |_, d| d.checkpoints[0].files = vec![4],
        |o, _| o.layers[1].id = 0,
        |o, _| o.files.clear(),
    ];
    for (i, change) in changes.iter().enumerate() {
        let (mut outline, mut details) = (good.clone(), details());
        change(&mut outline, &mut details);
        assert!(
            outline
                .check()
                .and_then(|()| details.check(&outline))
                .is_err(),
            "change {i}"
        );
        assert!(
            seal_point(&keys, &outline, &details, &mut counter(1)).is_err(),
            "change {i}"
        );
    }
}

#[test]
fn a_long_chain_of_layers_is_checked_in_linear_time() {
    let keys = keys();
    let n = 20_000;
    let mut good = outline(&keys);
    let layer = good.layers[0].clone();
    good.layers = (0..n)
        .map(|id| LayerRef {
            id,
            ..layer.clone()
        })
        .collect();
    let mut long = details();
    let layer = long.layers[0].clone();
    long.layers = (0..n)
        .map(|id| LayerDetails {
            id,
            parent: (id + 1 < n).then_some(id + 1),
            ..layer.clone()
        })
        .collect();
    long.check(&good).unwrap();
    long.layers[n as usize - 1].parent = Some(0);
    assert!(
        long.check(&good)
            .unwrap_err()
            .to_string()
            .contains("own ancestor")
    );
}
