//! Which parent is found, where, and what is said when none is.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyperkeep_disk::layer::{ParentPath, PathKind};
use hyperkeep_disk::resolve::{Folders, open_chain, resolve};
use hyperkeep_disk::vhdx::VhdxImage;
use hyperkeep_disk::{
    BlockRead, ByteRange, Chain, Error, Extent, Format, Geometry, Layer, LayerInfo, OpenAs,
    ParentLink, Result, open,
};
use testkit::vhdx::{Block, Image};
use uuid::Uuid;

const MIB: u64 = 1 << 20;

/// An image with an identity whose only block is filled with the identity's last byte.
fn image(id: u128, parent: &[(&str, &str)]) -> Vec<u8> {
    let mut image = Image::new(MIB, 1 << 20);
    image.data_write = Uuid::from_u128(id);
    if parent.is_empty() {
        image.blocks.insert(0, Block::Full(vec![id as u8; 4096]));
    } else {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        image.parent = Some(parent.iter().map(owned).collect());
    }
    image.build()
}

fn linkage(id: u128) -> String {
    Uuid::from_u128(id).braced().to_string()
}

/// Writes files below a new folder.
fn tree(files: &[(&str, Vec<u8>)]) -> (tempfile::TempDir, impl Fn(&str) -> PathBuf + use<>) {
    let root = tempfile::tempdir().expect("a folder");
    let base = root.path().to_owned();
    for (name, bytes) in files {
        let path = base.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("making folders");
        fs::write(path, bytes).expect("writing");
    }
    (root, move |name: &str| base.join(name))
}

/// The parent that is found for the only child.
fn parent_of(finder: &Folders, child: &Path) -> Result<PathBuf> {
    let found = resolve(finder, child)?;
    assert_eq!(found.len(), 2);
    let chain = open_chain(finder, child)?;
    let mut byte = [0];
    chain.read_at(5, &mut byte)?;
    assert_eq!(byte, [1], "the base is filled with its number");
    Ok(found[1].path.clone())
}

#[test]
fn a_relative_path_is_followed_in_any_case() {
    let one = linkage(1);
    let child = image(
        2,
        &[
            ("parent_linkage", &one),
            ("relative_path", r"..\base DISKS\.\BASE.vhdx"),
        ],
    );
    let (_root, at) = tree(&[
        ("a/child.avhdx", child),
        ("Base Disks/Base.VHDX", image(1, &[])),
    ]);
    let found = parent_of(&Folders::new(), &at("a/child.avhdx")).expect("the parent");
    assert_eq!(found, at("Base Disks/Base.VHDX"));
}

#[test]
fn a_relative_path_leads_up_from_a_folder_that_is_spelled_with_dots() {
    let one = linkage(1);
    let child = image(
        2,
        &[("parent_linkage", &one), ("relative_path", r"..\base.vhdx")],
    );
    let (_root, at) = tree(&[
        ("a/child.avhdx", child),
        ("a/b/other", Vec::new()),
        ("base.vhdx", image(1, &[])),
    ]);
    let found = parent_of(&Folders::new(), &at("a/b/../child.avhdx")).expect("the parent");
    assert_eq!(found, at("a/b/../../base.vhdx"));
}

#[test]
fn an_absolute_path_of_either_kind_is_found_where_it_is_mounted() {
    let volume = r"\\?\Volume{26a21bda-a627-11d7-9931-806e6f6e6963}\";
    for (key, windows) in [("absolute_win32_path", r"\\?\D:\"), ("volume_path", volume)] {
        let (one, path) = (linkage(1), format!(r"{windows}vms\base.vhdx"));
        let child = image(
            2,
            &[
                ("parent_linkage", &one),
                ("relative_path", r".\not there.vhdx"),
                (key, &path),
            ],
        );
        let (_root, at) = tree(&[("child.avhdx", child), ("d/VMs/base.vhdx", image(1, &[]))]);
        let finder = Folders::new().mount(windows, at("d"));
        let found = parent_of(&finder, &at("child.avhdx")).expect("the parent");
        assert_eq!(found, at("d/VMs/base.vhdx"), "{key}");
    }
}

#[test]
fn a_parent_that_was_moved_beside_its_child_is_found_by_name() {
    let one = linkage(1);
    let child = image(
        2,
        &[
            ("parent_linkage", &one),
            ("absolute_win32_path", r"\\?\Q:\elsewhere\base.vhdx"),
        ],
    );
    let (_root, at) = tree(&[("child.avhdx", child), ("base.vhdx", image(1, &[]))]);
    let found = parent_of(&Folders::new(), &at("child.avhdx")).expect("the parent");
    assert_eq!(found, at("base.vhdx"));
}

#[test]
fn a_renamed_parent_is_found_by_identity_even_past_an_impostor() {
    let one = linkage(1);
    let child = image(
        2,
        &[("parent_linkage", &one), ("relative_path", r".\base.vhdx")],
    );
    let (_root, at) = tree(&[
        ("child.avhdx", child),
        ("base.vhdx", image(7, &[])),
        ("more/junk.vhdx", b"junk".to_vec()),
        ("more/other name.vhdx", image(1, &[])),
    ]);
    let error = parent_of(&Folders::new(), &at("child.avhdx")).unwrap_err();
    let Error::ParentMissing {
        child,
        identity,
        tried,
    } = &error
    else {
        panic!("{error}");
    };
    assert!(child.ends_with("child.avhdx"), "{child}");
    assert_eq!(*identity, Uuid::from_u128(1).to_string());
    let text = error.to_string();
    assert!(tried.iter().any(|t| t.path.contains("base.vhdx")), "{text}");
    assert!(
        text.contains(&Uuid::from_u128(7).to_string()),
        "names the impostor: {text}"
    );

    let finder = Folders::new().search(at("more"));
    let found = parent_of(&finder, &at("child.avhdx")).expect("the parent");
    assert_eq!(found, at("more/other name.vhdx"));
}

#[test]
fn the_second_linkage_is_as_good_as_the_first() {
    let (one, nine) = (linkage(1), linkage(9));
    for (first, second) in [(&one, &nine), (&nine, &one)] {
        let child = image(
            2,
            &[
                ("parent_linkage", first),
                ("parent_linkage2", second),
                ("relative_path", "base.vhdx"),
            ],
        );
        let (_root, at) = tree(&[("child.avhdx", child), ("base.vhdx", image(1, &[]))]);
        parent_of(&Folders::new(), &at("child.avhdx")).expect("the parent");
    }
}

#[test]
fn a_cycle_is_an_error_not_a_loop() {
    let (one, two) = (linkage(1), linkage(2));
    let a = image(1, &[("parent_linkage", &two), ("relative_path", "b.avhdx")]);
    let b = image(2, &[("parent_linkage", &one), ("relative_path", "a.avhdx")]);
    let own = image(
        3,
        &[
            ("parent_linkage", &linkage(3)),
            ("relative_path", "own.avhdx"),
        ],
    );
    let (_root, at) = tree(&[("a.avhdx", a), ("b.avhdx", b), ("own.avhdx", own)]);
    for leaf in ["a.avhdx", "b.avhdx", "own.avhdx"] {
        let error = resolve(&Folders::new(), &at(leaf)).map(|_| ()).unwrap_err();
        assert!(matches!(error, Error::BrokenChain(_)), "{leaf}: {error}");
    }
}

#[test]
fn a_missing_leaf_a_folder_and_junk_are_errors() {
    let (_root, at) = tree(&[("folder.vhdx/x", vec![]), ("junk.vhdx", vec![7; 2000])]);
    for name in ["nothing.vhdx", "folder.vhdx", "junk.vhdx"] {
        assert!(resolve(&Folders::new(), &at(name)).is_err(), "{name}");
    }
    let error = open(vec![7u8; 2000], OpenAs::ByContent)
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(error, Error::NotThisFormat { .. }), "{error}");
    let raw = open(vec![7u8; 2000], OpenAs::Raw).expect("raw takes anything");
    assert_eq!((raw.len(), raw.info().identity()), (2000, None));
}

/// A layer that stores nothing.
struct Empty(LayerInfo);

impl BlockRead for Empty {
    fn geometry(&self) -> Geometry {
        self.0.geometry
    }
    fn read_at(&self, _: u64, buf: &mut [u8]) -> Result<()> {
        buf.fill(0);
        Ok(())
    }
    fn extents(&self, range: ByteRange) -> Result<Vec<Extent>> {
        let content = hyperkeep_disk::Content::Hole;
        Ok(vec![Extent { range, content }])
    }
}

impl Layer for Empty {
    fn info(&self) -> &LayerInfo {
        &self.0
    }
}

/// What a real image says of itself, with another identity and parent.
fn info(id: u128, parent: Option<u128>) -> LayerInfo {
    let real = VhdxImage::open(image(id, &[])).expect("an image");
    LayerInfo {
        parent: parent.map(|parent| ParentLink {
            identities: vec![Uuid::from_u128(parent)],
            paths: vec![ParentPath {
                kind: PathKind::Relative,
                path: "x".into(),
            }],
            other: vec![],
            timestamp: None,
        }),
        ..real.info().clone()
    }
}

fn chain(infos: impl IntoIterator<Item = LayerInfo>) -> Result<Chain> {
    let layer = |info| Arc::new(Empty(info)) as Arc<dyn Layer>;
    Chain::new(infos.into_iter().map(layer).collect())
}

#[test]
fn a_chain_of_layers_that_do_not_belong_together_is_refused() {
    chain([info(2, Some(1)), info(1, None)]).expect("the right ones");
    let raw = LayerInfo {
        format: Format::Raw,
        ..info(1, None)
    };
    let mut large = info(1, None);
    large.geometry.logical_sector = 4096;
    for wrong in [
        vec![],
        vec![info(2, Some(1))],
        vec![info(2, None), info(1, None)],
        vec![info(2, Some(3)), info(1, None)],
        vec![info(2, Some(1)), raw],
        vec![info(2, Some(1)), large],
        vec![info(1, Some(2)), info(2, Some(1)), info(1, None)],
    ] {
        let what = format!("{wrong:?}");
        assert!(matches!(chain(wrong), Err(Error::BrokenChain(_))), "{what}");
    }
}

#[test]
fn a_chain_has_at_most_256_layers() {
    let base = info(1, None);
    let of = |count: u128| {
        let named = |id: u128| {
            let mut info = base.clone();
            let Format::Vhdx(vhdx) = &mut info.format else {
                panic!("not VHDX");
            };
            vhdx.data_write_guid = Uuid::from_u128(id);
            info.parent = (id > 1).then(|| ParentLink {
                identities: vec![Uuid::from_u128(id - 1)],
                paths: vec![],
                other: vec![],
                timestamp: None,
            });
            info
        };
        chain((1..=count).rev().map(named))
    };
    let deep = of(256).expect("256 layers");
    deep.read_at(0, &mut [0; 512]).expect("reading");
    assert!(of(257).is_err());
}

#[test]
fn what_a_layer_says_survives_as_json() {
    let mut image = Image::new(3 * MIB, 2 << 20);
    image
        .items
        .push((Uuid::from_u128(77), 1, b"user's".to_vec()));
    image.parent = Some(vec![
        ("parent_linkage".into(), linkage(1)),
        ("relative_path".into(), r".\親.vhdx".into()),
        ("x".into(), "y".into()),
    ]);
    let image = VhdxImage::open(image.build()).expect("an image");
    let json = serde_json::to_string(image.info()).expect("to JSON");
    let back: LayerInfo = serde_json::from_str(&json).expect("from JSON");
    assert_eq!(back, *image.info());
    let Format::Vhdx(info) = back.format else {
        panic!("not VHDX");
    };
    assert_eq!(info.metadata[0].data, b"user's");
    assert_eq!(
        (info.block_size, info.creator.as_str()),
        (2 << 20, "testkit")
    );
}
