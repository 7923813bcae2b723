//! Layers that are what they were, and layers that are not.

use super::*;

#[test]
fn an_interior_layer_at_rest_is_read_once_and_a_leaf_every_time() {
    let vault = vault();
    let base = written(None, 1, 1000);
    let leaf = written(Some(&base), 2, 2000);
    let mut source = source(vec![base, leaf]);
    run_backup(&vault, &mut source, Level::Auto);
    assert_eq!(reads(&source.chain), [LEN, LEN]);

    reset(&source.chain);
    let second = run_backup(&vault, &mut source, Level::Auto);
    assert_eq!(
        reads(&source.chain),
        [0, LEN],
        "equal GUIDs of a leaf prove nothing"
    );
    assert!(matches!(second.layers[0].reading, Reading::Reused { .. }));
    assert_eq!(second.level, Some("incremental"));
    assert_eq!(second.stats.new, 0);
    check(&vault, &second, &source.chain);

    reset(&source.chain);
    let full = run_backup(&vault, &mut source, Level::Full);
    assert_eq!(reads(&source.chain), [LEN, LEN]);
    assert_eq!(full.level, Some("full"));
}

#[test]
fn a_layer_is_read_again_when_anything_speaks_against_its_rest() {
    type Edit = fn(&mut Vec<Model>);
    let edits: [(&str, Edit); 3] = [
        ("its GUID is another one", |chain| {
            let Format::Vhdx(vhdx) = &mut chain[0].info.format else {
                unreachable!()
            };
            vhdx.data_write_guid = Uuid::from_u128(77);
            chain[1].info.parent.as_mut().unwrap().identities = vec![Uuid::from_u128(77)];
        }),
        ("a merge is under way", |chain| {
            let link = chain[1].info.parent.as_mut().unwrap();
            link.identities.push(Uuid::from_u128(78));
        }),
        ("its log is not empty", |chain| {
            let Format::Vhdx(vhdx) = &mut chain[0].info.format else {
                unreachable!()
            };
            vhdx.dirty_log = true;
        }),
    ];
    for (why, edit) in edits {
        let vault = vault();
        let base = written(None, 1, 1000);
        let leaf = written(Some(&base), 2, 2000);
        let mut source = source(vec![base, leaf]);
        run_backup(&vault, &mut source, Level::Auto);
        edit(&mut source.chain);
        source.chain[0].sectors[3] = Sector::Data(5);
        reset(&source.chain);
        let second = run_backup(&vault, &mut source, Level::Auto);
        assert_eq!(reads(&source.chain)[0], LEN, "{why}");
        check(&vault, &second, &source.chain);
    }
}

#[test]
fn a_layer_that_was_a_leaf_is_read_when_it_becomes_interior() {
    let vault = vault();
    let mut source = source(vec![written(None, 1, 1000)]);
    run_backup(&vault, &mut source, Level::Auto);
    // Written to while the VM keeps it open: the GUID stays. Then a checkpoint.
    source.chain[0].sectors[9] = Sector::Data(9);
    let child = Model::new(source.chain.last(), 2);
    source.chain.push(child);
    let second = run_backup(&vault, &mut source, Level::Auto);
    check(&vault, &second, &source.chain);
}

#[test]
fn with_changed_ranges_little_more_than_these_is_read() {
    let vault = vault();
    let mut source = source(vec![written(None, 1, 1000)]);
    run_backup(&vault, &mut source, Level::Auto);
    source.chain[0].sectors[40] = Sector::Data(1);
    source.changed = Some(
        [ByteRange::new(40 * SECTOR, 41 * SECTOR)]
            .into_iter()
            .collect(),
    );
    reset(&source.chain);
    let second = run_backup(&vault, &mut source, Level::Auto);
    assert!(matches!(second.layers[0].reading, Reading::Ranges { .. }));
    let read = reads(&source.chain)[0];
    assert!(read > 0 && read <= 64 << 10, "{read} bytes");
    assert_eq!(second.stats.read, read);
    check(&vault, &second, &source.chain);
}
