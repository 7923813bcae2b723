use super::*;
use proptest::prelude::*;
use uuid::Uuid;

fn select(rules: &[(Rule, &str)]) -> Selection {
    Selection::new(rules.iter().map(|(r, p)| (*r, (*p).to_owned()))).unwrap()
}

fn vm(name: &str) -> VmRef {
    VmRef {
        key: name.to_owned(),
        id: Uuid::from_u128(0x2ba7_c1f0_0000_0000_0000_0000_0000_0000),
        name: name.to_owned(),
        kind: VmKind::Vm,
    }
}

use Rule::{Exclude, Include};

#[test]
fn the_last_rule_that_matches_decides() {
    let nothing_said = Selection::all();
    assert!(nothing_said.matches(&vm("any")));

    let only_exclude = select(&[(Exclude, "test-*")]);
    assert!(only_exclude.matches(&vm("web")));
    assert!(!only_exclude.matches(&vm("TEST-1")));

    let in_out_in = select(&[
        (Include, "web*"),
        (Exclude, "*old*"),
        (Include, "web-old-1"),
    ]);
    assert!(in_out_in.matches(&vm("web-2")));
    assert!(!in_out_in.matches(&vm("web-old-2")));
    assert!(in_out_in.matches(&vm("web-old-1")));
    assert!(!in_out_in.matches(&vm("db")));
}

#[test]
fn ids_match_too_and_exact_names_need_no_escaping() {
    let rules = select(&[(Include, "2BA7*")]);
    assert!(rules.matches(&vm("x")));
    let rules = select(&[
        (Include, "数据 {a,b}"),
        (Include, "a/b/c"),
        (Include, "x[/]y*"),
    ]);
    assert!(rules.matches(&vm("数据 {a,b}")));
    assert!(rules.matches(&vm("数据 a")));
    assert!(rules.matches(&vm("A/b/c")) && rules.matches(&vm("x/y1")));
    // Of the VM “a”, the disk “b/c”.
    assert!(rules.matches(&vm("a")) && !rules.matches(&vm("a/b")));
    assert_eq!(
        rules.disks(&vm("A/b/c")).takes(["SCSI 0:0"], false),
        Some(true)
    );
    assert_eq!(
        rules.disks(&vm("a")).takes(["SCSI 0:0"], false),
        Some(false)
    );
    assert_eq!(rules.disks(&vm("a")).takes(["b/c"], false), Some(true));
}

#[test]
fn a_pattern_has_a_kind_a_vm_and_a_disk() {
    for (given, expected) in [
        ("web", (None, "web", None)),
        ("web/SCSI 0:1", (None, "web", Some("SCSI 0:1"))),
        ("Replica/web", (Some("Replica"), "web", None)),
        ("vm/web/a.vhdx", (Some("vm"), "web", Some("a.vhdx"))),
        ("*/web", (None, "*", Some("web"))),
        ("*/web/a", (Some("*"), "web", Some("a"))),
        ("web/sub/a.vhdx", (None, "web", Some("sub/a.vhdx"))),
        ("disk/x/y/z", (Some("disk"), "x", Some("y/z"))),
        ("a[/]b/c", (None, "a[/]b", Some("c"))),
        ("a[]/]b/c", (None, "a[]/]b", Some("c"))),
        ("{a/b,c}", (None, "{a/b,c}", None)),
    ] {
        assert_eq!(parts(given), expected, "{given}");
    }
    let copies = select(&[(Exclude, "replica/*")]);
    let copy = VmRef {
        kind: VmKind::Replica,
        ..vm("web")
    };
    assert!(copies.matches(&vm("web")) && !copies.matches(&copy));
}

#[test]
fn disks_are_left_out_by_place_name_and_path() {
    let rules = select(&[
        (Exclude, "*/scsi 0:1"),
        (Exclude, r"web/D:\swap\*"),
        (Include, "db/keep.vhdx"),
        (Include, "*"),
        (Exclude, "*/page*.vhdx"),
    ]);
    let web = rules.disks(&vm("web"));
    assert!(web.choose());
    // All that came before “*” is decided anew by it.
    assert_eq!(web.takes(["SCSI 0:1", r"D:\a.vhdx"], false), Some(true));
    assert_eq!(
        web.takes(["SCSI 0:1", r"D:\swap\a.vhdx"], false),
        Some(true)
    );
    assert_eq!(
        web.takes(["SCSI 0:2", r"D:\Page-1.VHDX"], false),
        Some(false)
    );
    // The name of its oldest file may be “page.vhdx”.
    assert_eq!(web.takes(["SCSI 0:2", r"D:\a.avhdx"], true), None);
    assert!(!select(&[(Include, "web")]).disks(&vm("web")).choose());

    let rules = select(&[(Exclude, "*/scsi 0:1"), (Exclude, r"web/D:\swap\*")]);
    let web = rules.disks(&vm("web"));
    assert_eq!(
        web.takes(["SCSI 0:1"], true),
        Some(false),
        "nothing brings it in"
    );
    assert_eq!(web.takes([r"d:\SWAP\x.vhdx"], false), Some(false));
    assert_eq!(web.takes([r"D:\x.vhdx"], false), Some(true));
}

#[test]
fn a_vm_of_which_a_disk_is_named_is_in_without_the_others() {
    let rules = select(&[(Include, "web"), (Include, "db/SCSI 0:0")]);
    assert!(rules.matches(&vm("db")) && !rules.matches(&vm("mail")));
    let db = rules.disks(&vm("db"));
    assert_eq!(db.takes(["SCSI 0:0"], false), Some(true));
    assert_eq!(db.takes(["SCSI 0:1"], false), Some(false));
    let out = select(&[(Include, "db/SCSI 0:0"), (Exclude, "db")]);
    assert!(!out.matches(&vm("db")));
    let no_disk = select(&[(Exclude, "db/*")]);
    assert!(no_disk.matches(&vm("db")));
    assert_eq!(
        no_disk.disks(&vm("db")).takes(["SCSI 0:0"], true),
        Some(false)
    );
}

#[test]
fn a_pattern_that_matches_nothing_is_known() {
    let rules = select(&[
        (Include, "Web*"),
        (Include, "Db"),
        (Include, "old-*"),
        (Include, "2ba7*"),
        (Exclude, "web-1"),
        (Exclude, "nothing"),
        (Exclude, "web-1/SCSI 0:0"),
        (Exclude, "web-1/SCSI 0:9"),
    ]);
    let vms = [vm("web-1")];
    rules.disks(&vms[0]).takes(["SCSI 0:0"], false);
    let names = |seen: bool| -> Vec<(String, bool, bool)> {
        let found = rules.unmatched(&vms, |_| seen);
        let told = |one: Unmatched<'_>| (one.pattern.to_owned(), one.literal, one.disk);
        found.into_iter().map(told).collect()
    };
    let said = |text: &str, literal, disk| (text.to_owned(), literal, disk);
    let vms_only = [
        said("Db", true, false),
        said("old-*", false, false),
        said("nothing", true, false),
    ];
    assert_eq!(names(false), vms_only);
    assert_eq!(names(true)[..3], vms_only);
    assert_eq!(names(true)[3..], [said("web-1/SCSI 0:9", true, true)]);
}

#[test]
fn a_broken_glob_names_itself() {
    for bad in ["a[", "web/a[", "replica/x/{"] {
        let error = Selection::new([(Include, bad.to_owned())]).unwrap_err();
        assert_eq!(error.pattern, bad);
    }
}

proptest! {
    /// What is decided before all is known is what is decided when it is.
    #[test]
    fn an_early_word_is_kept(
        rules in proptest::collection::vec((any::<bool>(), "[ab*]|[ab]/[xy*]"), 0..6),
        words in proptest::collection::vec("[xyz]", 1..4),
    ) {
        let rules = rules.into_iter().map(|(take, text)| (if take { Include } else { Exclude }, text));
        let selection = Selection::new(rules).unwrap();
        for name in ["a", "b"] {
            let disks = selection.disks(&vm(name));
            let late = disks.takes(words.iter().map(String::as_str), false);
            prop_assert!(late.is_some());
            let early = disks.takes([words[0].as_str()], true);
            prop_assert!(early.is_none() || early == late);
            prop_assert!(disks.choose() || late == Some(true) || !selection.matches(&vm(name)));
            // A VM that is out has no disk that is in.
            prop_assert!(selection.matches(&vm(name)) || late == Some(false));
        }
    }

    /// Any text is a pattern or an error.
    #[test]
    fn nothing_panics(text in "\\PC{0,12}|[\\[\\]{}/!^*a]{0,10}") {
        if let Ok(selection) = Selection::new([(Exclude, text)]) {
            selection.matches(&vm("a/b"));
            selection.disks(&vm("a")).takes(["b"], false);
        }
    }
}
