//! What is there, what is not, and who may see it.

use std::os::unix::fs::symlink;

use disk::ReadAt;
use hyperkeep_sharefiles::{Encryption, ShareMap};
use hyperv::files::{FileError, FileProblem, HostFiles};

use super::server::{Reached, Samba, host, noise};

const ENCRYPTED: &str = "server smb encrypt = required\nserver min protocol = SMB3_11";

fn whole(file: &dyn ReadAt) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn problem<T>(result: Result<T, FileError>) -> FileProblem {
    match result {
        Ok(_) => panic!("it was found"),
        Err(error) => error.problem,
    }
}

#[test]
fn a_file_is_read_as_it_is_whatever_protects_the_way() {
    let bytes = noise((9 << 20) + 4321);
    for (global, encryption) in [
        (ENCRYPTED, Encryption::Required),
        (ENCRYPTED, Encryption::Preferred),
        (
            "server smb encrypt = required\nserver smb3 encryption algorithms = AES-256-GCM",
            Encryption::Required,
        ),
        // The server need not ask for it.
        ("server smb encrypt = default", Encryption::Required),
        ("server smb encrypt = off", Encryption::Preferred),
        (
            "server smb encrypt = off\nserver smb3 signing algorithms = AES-128-CMAC",
            Encryption::Preferred,
        ),
        (
            "server smb encrypt = off\nserver signing = mandatory",
            Encryption::Preferred,
        ),
    ] {
        let Some(samba) = Samba::start("samba", global) else {
            return;
        };
        samba.write("VMs/a.vhdx", &bytes);
        let mut settings = samba.settings();
        settings.encryption = encryption;
        let files = samba.files_with(settings);
        files.log_on().unwrap();
        let file = files.open(&host(r"C:\VMs\a.vhdx")).unwrap();
        assert!(whole(&file) == bytes, "{global}");
        for (at, len) in [
            (0, 1),
            (1, 3),
            (1 << 20, 70_000),
            (bytes.len() - 5, 5),
            (7, 0),
        ] {
            let mut part = vec![0; len];
            file.read_exact_at(&mut part, at as u64).unwrap();
            assert_eq!(part, bytes[at..at + len], "{at} {len}");
        }
        let beyond = file.read_exact_at(&mut [0; 2], bytes.len() as u64 - 1);
        assert_eq!(
            beyond.unwrap_err().kind(),
            std::io::ErrorKind::UnexpectedEof
        );
        file.verify().unwrap();
    }
}

#[test]
fn threads_read_at_once_within_the_budget() {
    let Some(samba) = Samba::start("samba", ENCRYPTED) else {
        return;
    };
    let bytes = noise(24 << 20);
    samba.write("a", &bytes);
    for budget in [1, 100_000, 1 << 20, 64 << 20] {
        let mut settings = samba.settings();
        settings.budget = budget;
        let files = samba.files_with(settings);
        std::thread::scope(|scope| {
            for start in 0..8 {
                let (files, bytes) = (&files, &bytes);
                scope.spawn(move || {
                    let file = files.open(&host(r"C:\a")).unwrap();
                    let len = 3 << 20;
                    let at = start * len;
                    let mut part = vec![0; len];
                    file.read_exact_at(&mut part, at as u64).unwrap();
                    assert!(part == bytes[at..at + len], "{start}");
                });
            }
        });
    }
}

#[test]
fn a_server_without_encryption_is_refused_when_it_is_required() {
    let Some(samba) = Samba::start("samba", "server smb encrypt = off") else {
        return;
    };
    samba.write("a", b"x");
    let error = problem(samba.files().open(&host(r"C:\a")));
    assert!(
        matches!(&error, FileProblem::Refused(why) if why.contains("does not encrypt")),
        "{error}"
    );
}

#[test]
fn a_server_of_an_older_dialect_is_refused() {
    let old = "server max protocol = SMB3_02";
    let Some(samba) = Samba::start("samba", old) else {
        return;
    };
    let error = problem(samba.files().open(&host(r"C:\a")));
    assert!(
        matches!(&error, FileProblem::Refused(why) if why.contains("SMB 3.1.1")),
        "{error}"
    );
}

#[test]
fn a_wrong_password_is_tried_once() {
    let failures = "log level = 0 auth_audit:3";
    let Some(samba) = Samba::start("samba", &format!("{ENCRYPTED}\n{failures}")) else {
        return;
    };
    samba.write("a", b"x");
    let mut settings = samba.settings();
    settings.credentials.password = cim::http::Secret::new("wrong".to_owned());
    let files = samba.files_with(settings);
    assert_eq!(files.log_on().unwrap_err().path, r"\\127.0.0.1");
    for _ in 0..3 {
        let found = files.open(&host(r"C:\a"));
        let error = found.unwrap_err();
        assert!(!error.is_transient());
        assert!(
            matches!(&error.problem, FileProblem::Refused(why) if why.contains("logon of")),
            "{error}"
        );
        assert!(!format!("{error:?}").contains("wrong\""));
    }
    let log = std::fs::read_to_string(samba.dir.path().join("state/log")).unwrap();
    assert_eq!(log.matches("NT_STATUS_WRONG_PASSWORD").count(), 1, "{log}");
}

#[test]
fn an_account_that_becomes_a_guest_is_refused() {
    let guests = "map to guest = bad user\nserver smb encrypt = default";
    let Some(samba) = Samba::start("samba", guests) else {
        return;
    };
    samba.write("a", b"x");
    let mut settings = samba.settings();
    settings.credentials.user = "nosuchaccount".to_owned();
    let error = problem(samba.files_with(settings).open(&host(r"C:\a")));
    assert!(matches!(&error, FileProblem::Refused(_)), "{error}");
}

#[test]
fn what_is_missing_is_told_as_such() {
    let Some(samba) = Samba::start("samba", ENCRYPTED) else {
        return;
    };
    samba.write("VMs/a.vhdx", b"x");
    let files = samba.files();
    for missing in [r"C:\VMs\b.vhdx", r"C:\VM\a.vhdx", r"C:\x\y\z"] {
        let missing = host(missing);
        assert_eq!(problem(files.open(&missing)), FileProblem::NotFound);
        assert_eq!(problem(files.len(&missing)), FileProblem::NotFound);
        assert_eq!(problem(files.list(&missing)), FileProblem::NotFound);
    }
    for no_share in [r"D:\a", r"\\127.0.0.1\nothing\a"] {
        let error = problem(files.open(&host(no_share)));
        assert!(error.to_string().contains("has no share"), "{error}");
    }
    assert_eq!(
        problem(files.open(&host(r"\\other\share\a"))),
        FileProblem::Unmapped
    );
    assert_eq!(
        problem(files.open(&host(r"C:\VMs"))),
        FileProblem::Not("file")
    );
    assert_eq!(
        problem(files.len(&host(r"C:\VMs"))),
        FileProblem::Not("file")
    );
    let file = host(r"C:\VMs\a.vhdx");
    assert_eq!(problem(files.list(&file)), FileProblem::Not("folder"));
    // Nothing came into being by being asked for.
    assert_eq!(std::fs::read_dir(samba.c()).unwrap().count(), 1);
}

#[test]
fn no_server_is_told_at_once() {
    let Some(samba) = Samba::start("samba", ENCRYPTED) else {
        return;
    };
    samba.kill();
    let pace = super::server::Scripted::new(Vec::new());
    let mut settings = samba.settings();
    settings.pace = pace.clone();
    let error = problem(samba.files_with(settings).open(&host(r"C:\a")));
    assert!(matches!(&error, FileProblem::Io(_)), "{error}");
    assert!(pace.slept.lock().unwrap().is_empty());
}

#[test]
fn names_are_the_hosts_names() {
    let Some(samba) = Samba::start("samba", ENCRYPTED) else {
        return;
    };
    let long = "é".repeat(120);
    let deep = ["a folder with quite a long name"; 12].join("/");
    for (at, path) in [
        (
            "VMs/Größe 大 🦀.vhdx".to_owned(),
            r"c:\vms\GRÖSSE 大 🦀.vhdx".replace("SS", "ß"),
        ),
        (format!("{long}.vhdx"), format!(r"C:\{long}.VHDX")),
        (
            format!("{deep}/x"),
            format!(r"C:\{}\X", deep.replace('/', "\\")),
        ),
        (
            "a b & c = $d%e.txt".to_owned(),
            r"C:\A B & c = $d%e.txt".to_owned(),
        ),
    ] {
        samba.write(&at, at.as_bytes());
        let file = samba.files().open(&host(&path)).unwrap();
        assert_eq!(whole(&file), at.as_bytes(), "{path}");
        let len = samba.files().len(&host(&path)).unwrap();
        assert_eq!(len, at.len() as u64);
    }
}

#[test]
fn one_of_two_names_that_differ_in_case_alone_is_not_guessed() {
    let Some(samba) = Samba::start("samba", ENCRYPTED) else {
        return;
    };
    samba.write("VMs/a.vhdx", b"small");
    samba.write("VMs/A.vhdx", b"large");
    let files = samba.files();
    let open = |path: &str| files.open(&host(path)).map(|file| whole(&file));
    assert_eq!(open(r"C:\VMs\a.vhdx").unwrap(), b"small");
    assert_eq!(open(r"C:\VMs\A.vhdx").unwrap(), b"large");
    let both = vec!["A.vhdx".to_owned(), "a.vhdx".to_owned()];
    assert_eq!(
        problem(open(r"C:\VMs\a.VHDX")),
        FileProblem::Ambiguous(both)
    );
}

#[test]
fn a_folder_with_many_files_is_listed_whole() {
    let Some(samba) = Samba::start("samba", ENCRYPTED) else {
        return;
    };
    let mut expected = Vec::new();
    for number in 0..3000 {
        let name = format!("a file with a name of some length, number {number:05} ü.vhdx");
        samba.write(&format!("many/{name}"), &vec![0; number % 7]);
        expected.push((name, Some(number as u64 % 7)));
    }
    std::fs::create_dir(samba.c().join("many/folder")).unwrap();
    expected.push(("folder".to_owned(), None));
    expected.sort();
    let found = samba.files().list(&host(r"C:\many")).unwrap();
    let found: Vec<_> = found.into_iter().map(|e| (e.name, e.len)).collect();
    assert_eq!(found, expected);
    samba.write("empty/x", b"");
    std::fs::remove_file(samba.c().join("empty/x")).unwrap();
    assert!(samba.files().list(&host(r"C:\empty")).unwrap().is_empty());
    let root = samba.files().list(&host(r"C:\")).unwrap();
    let root: Vec<_> = root.into_iter().map(|e| e.name).collect();
    assert_eq!(root, ["empty", "many"]);
}

#[test]
fn folders_are_found_where_rules_say() {
    let Some(samba) = Samba::start("samba", ENCRYPTED) else {
        return;
    };
    samba.write("csv/Volume2/vm/a.vhdx", b"there");
    let map = ShareMap::new("127.0.0.1").unwrap();
    let map = map
        .with(
            host(r"C:\ClusterStorage\Volume2"),
            host(r"\\localhost\C$\csv\Volume2"),
        )
        .unwrap();
    let files = hyperkeep_sharefiles::ShareFiles::new(map, samba.settings());
    let file = files.open(&host(r"c:\clusterstorage\volume2\vm\a.vhdx"));
    assert_eq!(whole(&file.unwrap()), b"there");
    let file = files.open(&host(r"\\127.0.0.1\C$\csv\Volume2\vm\a.vhdx"));
    assert_eq!(whole(&file.unwrap()), b"there");
}

#[test]
fn a_file_that_grew_or_shrank_is_told() {
    let Some(samba) = Samba::start("samba", ENCRYPTED) else {
        return;
    };
    let at = samba.write("a", &noise(100_000));
    let files = samba.files();
    let file = files.open(&host(r"C:\a")).unwrap();
    samba.write("a", &noise(100_001));
    let error = file.verify().unwrap_err();
    let changed = FileProblem::Changed {
        was: 100_000,
        is: 100_001,
    };
    assert_eq!(error.problem, changed);
    std::fs::File::options()
        .write(true)
        .open(&at)
        .unwrap()
        .set_len(50_000)
        .unwrap();
    let error = file.read_exact_at(&mut [0; 80_000], 0).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
}

#[test]
fn a_link_that_leads_out_leads_nowhere() {
    let Some(samba) = Samba::start("samba", ENCRYPTED) else {
        return;
    };
    let outside = samba.dir.path().join("outside");
    std::fs::write(&outside, b"not for you").unwrap();
    symlink(&outside, samba.c().join("link")).unwrap();
    assert!(samba.files().open(&host(r"C:\link")).is_err());
}
