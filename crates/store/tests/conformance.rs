//! What every store promises, asked of every store.

use hyperkeep_store::{
    Error, Fault, FaultyStore, LocalStore, MemoryStore, RecordingStore, Request, Store,
};
use proptest::prelude::*;

fn with_each_store(test: impl Fn(&dyn Store)) {
    let dir = tempfile::tempdir().unwrap();
    test(&LocalStore::create(dir.path().join("deep/vault")).unwrap());
    test(&MemoryStore::new());
    test(&RecordingStore::new(MemoryStore::new()));
    test(&FaultyStore::new(MemoryStore::new(), |_| None));
}

fn names(store: &dyn Store, prefix: &str) -> Vec<String> {
    let all = store.list_all(prefix).unwrap();
    all.into_iter().map(|e| e.name).collect()
}

#[test]
fn what_was_put_is_got() {
    with_each_store(|store| {
        store.put("packs/ab/x", b"hello").unwrap();
        assert_eq!(store.get("packs/ab/x", 5).unwrap(), b"hello");
        let mut buf = [0; 3];
        store.get_range("packs/ab/x", 1, &mut buf).unwrap();
        assert_eq!(&buf, b"ell");
        assert_eq!(store.stat("packs/ab/x").unwrap().len, 5);
        assert!(store.exists("packs/ab/x").unwrap());
        assert!(!store.exists("packs/ab").unwrap());
        store.put("empty", b"").unwrap();
        assert_eq!(store.get("empty", 0).unwrap(), b"");
    });
}

#[test]
fn objects_never_change() {
    with_each_store(|store| {
        store.put("a", b"one").unwrap();
        store.put("a", b"one").unwrap();
        for other in [&b"two"[..], b"on", b"one1"] {
            let refused = store.put("a", other).unwrap_err();
            assert!(matches!(refused, Error::AlreadyExists { .. }), "{refused}");
        }
        let refused = store.put_new("a", b"one").unwrap_err();
        assert!(matches!(refused, Error::AlreadyExists { .. }), "{refused}");
        assert_eq!(store.get("a", 9).unwrap(), b"one");
        store.put_new("b", b"two").unwrap();
    });
}

#[test]
fn errors_say_what_is_wrong_and_with_what() {
    with_each_store(|store| {
        store.put("a", b"12345").unwrap();
        let absent = store.get("nowhere", 9).unwrap_err();
        assert!(absent.is_not_found());
        assert!(absent.to_string().contains("nowhere"));
        assert!(store.stat("nowhere").unwrap_err().is_not_found());
        let mut buf = [0; 4];
        let gone = store.get_range("nowhere", 0, &mut buf).unwrap_err();
        assert!(gone.is_not_found());
        let large = store.get("a", 4).unwrap_err();
        assert!(matches!(
            large,
            Error::TooLarge {
                len: 5,
                limit: 4,
                ..
            }
        ));
        for offset in [2, 5, 6, u64::MAX] {
            let short = store.get_range("a", offset, &mut buf).unwrap_err();
            assert!(matches!(short, Error::TooShort { .. }), "{short}");
        }
        for name in ["../a", "", "a/", "A", ".tmp/x"] {
            let refused = [
                store.put(name, b"").unwrap_err(),
                store.get(name, 9).unwrap_err(),
                store.stat(name).unwrap_err(),
                store.delete(name).unwrap_err(),
            ];
            for e in refused {
                assert!(matches!(e, Error::BadName { .. }), "{name:?}: {e}");
            }
        }
        assert!(store.list_all("../").is_err());
    });
}

#[test]
fn listings_ascend_and_keep_to_the_prefix() {
    with_each_store(|store| {
        for name in ["p/a/2", "p/a-b", "p/a.b", "p/ab/1", "p/a/1", "q", "p0"] {
            store.put(name, name.as_bytes()).unwrap();
        }
        assert_eq!(
            names(store, ""),
            ["p/a-b", "p/a.b", "p/a/1", "p/a/2", "p/ab/1", "p0", "q"]
        );
        assert_eq!(names(store, "p/a/"), ["p/a/1", "p/a/2"]);
        assert_eq!(names(store, "p/ab"), ["p/ab/1"]);
        assert_eq!(names(store, "p"), &names(store, "")[..6]);
        assert!(names(store, "nowhere/").is_empty());
        let entry = &store.list_all("q").unwrap()[0];
        assert_eq!(entry.stat, store.stat("q").unwrap());
    });
}

#[test]
fn deleting_is_final_and_repeatable() {
    with_each_store(|store| {
        store.put("p/a", b"1").unwrap();
        store.delete("p/a").unwrap();
        store.delete("p/a").unwrap();
        assert!(names(store, "").is_empty());
        store.put("p/a", b"2").unwrap();
        assert_eq!(store.get("p/a", 1).unwrap(), b"2");
    });
}

#[test]
fn writers_race_without_harm() {
    with_each_store(|store| {
        std::thread::scope(|scope| {
            for writer in 0..4 {
                scope.spawn(move || {
                    for n in 0..20 {
                        store.put(&format!("packs/{}/x", n % 5), b"same").unwrap();
                        store.put(&format!("own/{writer}-{n}"), &[writer]).unwrap();
                    }
                });
            }
        });
        assert_eq!(names(store, "own/").len(), 80);
        assert_eq!(names(store, "packs/").len(), 5);
    });
}

#[test]
fn a_folder_that_vanished_is_an_error_and_not_an_empty_store() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("vault");
    assert!(LocalStore::open(&root).is_err_and(|e| e.is_not_found()));
    let store = LocalStore::create(&root).unwrap();
    store.put("a", b"a").unwrap();
    std::fs::rename(&root, dir.path().join("away")).unwrap();
    assert!(store.list_all("").is_err());
    assert!(store.list_all("packs/").is_err());
    let e = store.stat("a").unwrap_err().to_string();
    assert!(e.contains("vault"), "{e}");
    assert!(store.put("b", b"b").is_err());
    assert!(!root.exists());
}

#[test]
fn foreign_files_in_the_folder_are_not_objects() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::create(dir.path()).unwrap();
    store.put("p/a", b"a").unwrap();
    std::fs::write(dir.path().join("p/Thumbs.db"), b"").unwrap();
    std::fs::write(dir.path().join(".hidden"), b"").unwrap();
    std::fs::create_dir(dir.path().join("p/empty")).unwrap();
    assert_eq!(names(&store, ""), ["p/a"]);
}

#[test]
fn faults_do_what_they_say() {
    let run = |fault: Fault| {
        let store = FaultyStore::new(MemoryStore::new(), move |request| {
            matches!(request, Request::Put(_)).then_some(fault)
        });
        let error = store.put("a", b"1234").unwrap_err();
        (error, store.inner().get("a", 9).ok())
    };
    let (error, left) = run(Fault::Before);
    assert!(matches!(error, Error::Io { .. }) && left.is_none());
    let (error, left) = run(Fault::After);
    assert!(matches!(error, Error::Ambiguous { .. }));
    assert_eq!(left.unwrap(), b"1234");
    let (error, left) = run(Fault::Torn);
    assert!(matches!(error, Error::Ambiguous { .. }));
    assert_eq!(left.unwrap(), b"12");
    let (error, left) = run(Fault::Full);
    assert!(matches!(error, Error::Full { .. }) && left.is_none());

    let store = FaultyStore::new(MemoryStore::new(), |_| None).with_stale_lists(1);
    store.put("a", b"").unwrap();
    store.put("b", b"").unwrap();
    assert_eq!(names(&store, ""), ["a"]);
    assert!(store.exists("b").unwrap());
}

#[test]
fn a_record_replays_to_the_same_store() {
    let store = RecordingStore::new(MemoryStore::new());
    store.put("a", b"1").unwrap();
    store.put("b", b"2").unwrap();
    store.delete("a").unwrap();
    let copy = MemoryStore::new();
    hyperkeep_store::recording::replay(&store.take(), &copy).unwrap();
    assert_eq!(copy.names(), ["b"]);
}

proptest! {
    #![proptest_config(testkit::vary::config(40))]
    /// Any sequence of acts leaves a folder and the memory in the same state.
    #[test]
    fn a_folder_behaves_like_memory(acts in prop::collection::vec((0u8..3, "[ab]{1,2}(/[ab]{1,2}){0,1}", 0u8..3), 1..30)) {
        let dir = tempfile::tempdir().unwrap();
        let folder = LocalStore::create(dir.path()).unwrap();
        let memory = MemoryStore::new();
        for (act, name, byte) in acts {
            // A folder cannot hold a file and a folder of one name; the vault's names never do.
            let name = if name.contains('/') { name } else { format!("{name}.x") };
            let (a, b) = match act {
                0 => (folder.put(&name, &[byte]).is_ok(), memory.put(&name, &[byte]).is_ok()),
                1 => (folder.put_new(&name, &[byte]).is_ok(), memory.put_new(&name, &[byte]).is_ok()),
                _ => (folder.delete(&name).is_ok(), memory.delete(&name).is_ok()),
            };
            prop_assert_eq!(a, b);
        }
        prop_assert_eq!(names(&folder, ""), memory.names());
        for name in memory.names() {
            prop_assert_eq!(folder.get(&name, 9).unwrap(), memory.get(&name, 9).unwrap());
        }
    }
}
