use disk::{Format, Geometry, LayerInfo};

use super::*;

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
        version: VERSION,
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
        files: vec![],
        uses: vec![DiskUse {
            owner: Owner::Checkpoint(Uuid::from_u128(9)),
            slot: "SCSI 0:0".to_owned(),
            layer: 2,
        }],
        checkpoints: vec![],
        missing: vec![],
        findings: vec![],
        not_covered: vec![],
    }
}

#[test]
fn a_document_comes_back_as_it_was() {
    let bytes = details().to_bytes().unwrap();
    assert_eq!(Details::from_bytes(&bytes).unwrap(), details());
    assert_eq!(details().chain(2), [2, 1, 0]);
}

#[test]
fn a_document_that_would_lead_astray_is_refused() {
    for edit in [
        |d: &mut Details| d.layers[1].parent = Some(1),
        |d: &mut Details| d.layers[0].parent = Some(2),
        |d: &mut Details| d.uses[0].layer = 3,
        |d: &mut Details| d.version = VERSION + 1,
    ] {
        let mut bad = details();
        edit(&mut bad);
        assert!(Details::from_bytes(&bad.to_bytes().unwrap()).is_err());
    }
    let text = String::from_utf8(details().to_bytes().unwrap()).unwrap();
    let outside = text.replace("Virtual Hard Disks/数 💾.vhdx", "../../etc/passwd");
    assert_ne!(outside, text);
    assert!(Details::from_bytes(outside.as_bytes()).is_err());
}

#[test]
fn the_version_is_understood_before_the_rest() {
    let later = br#"{"version": 99, "all": "else is different"}"#;
    assert!(matches!(
        Details::from_bytes(later),
        Err(DetailsError::Newer(99))
    ));
}
