//! Files of a host, found in folders here.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use disk::layer::{ParentPath, PathKind};
use disk::{BlockRead, MemFile, ReadAt, WriteAt};
use hyperkeep_hyperv::files::{
    FileProblem, FrozenFile, HostFiles, HostFinder, HostPath, MappedFiles, PathMap,
};
use testkit::image::{Image, Kind};

fn host(text: &str) -> HostPath {
    HostPath::parse(text).unwrap()
}

fn mapped(folder: &Path) -> MappedFiles {
    MappedFiles::new(PathMap::new().with(host(r"C:\ClusterStorage"), folder))
}

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn files_are_found_read_and_listed() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "Volume1/VMs/a.vhdx", b"0123456789");
    write(dir.path(), "Volume1/VMs/x/inner", b"");
    let files = mapped(dir.path());
    let path = host(r"c:\CLUSTERSTORAGE\Volume1\VMs\a.vhdx");
    assert_eq!(files.len(&path), Ok(10));
    let file = files.open(&path).unwrap();
    let mut bytes = [0; 4];
    file.read_exact_at(&mut bytes, 3).unwrap();
    assert_eq!(&bytes, b"3456");
    assert!(file.read_exact_at(&mut bytes, 7).is_err());
    assert!(file.read_exact_at(&mut bytes, u64::MAX).is_err());
    let listed = files.list(&host(r"C:\ClusterStorage\Volume1\VMs")).unwrap();
    let listed: Vec<_> = listed.into_iter().map(|e| (e.name, e.len)).collect();
    assert_eq!(
        listed,
        [("a.vhdx".to_owned(), Some(10)), ("x".to_owned(), None)]
    );
    let problem = |path| files.open(&host(path)).unwrap_err().problem;
    assert_eq!(
        problem(r"C:\ClusterStorage\Volume1\none"),
        FileProblem::NotFound
    );
    assert_eq!(
        problem(r"C:\ClusterStorage\Volume1"),
        FileProblem::Not("file")
    );
    assert_eq!(problem(r"D:\a"), FileProblem::Unmapped);
    let list = files.list(&path).unwrap_err();
    assert_eq!(list.problem, FileProblem::Not("folder"));
    assert!(
        list.to_string()
            .starts_with(r"C:\CLUSTERSTORAGE\Volume1\VMs\a.vhdx: "),
        "{list}"
    );
}

/// On a file system that tells cases apart, a name in other case is found if it is the only one.
#[test]
fn names_are_found_in_other_case_unless_two_fit() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "VOLUME1/Été.vhdx", b"one");
    let files = mapped(dir.path());
    assert_eq!(
        files.len(&host(r"C:\ClusterStorage\Volume1\éTÉ.VHDX")),
        Ok(3)
    );
    write(dir.path(), "VOLUME1/two", b"a");
    write(dir.path(), "VOLUME1/TWO", b"bc");
    let two = fs::read_dir(dir.path().join("VOLUME1")).unwrap().count() == 3;
    let found = |name| files.len(&host(r"C:\ClusterStorage\volume1").join(name).unwrap());
    if two {
        assert_eq!((found("two"), found("TWO")), (Ok(1), Ok(2)));
        let names = vec!["TWO".to_owned(), "two".to_owned()];
        assert_eq!(
            found("Two").unwrap_err().problem,
            FileProblem::Ambiguous(names)
        );
    } else {
        assert_eq!(
            found("Two"),
            Ok(2),
            "this system does not tell them apart either"
        );
    }
}

#[cfg(unix)]
#[test]
fn links_lead_nowhere_else() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "secret", b"secret");
    write(dir.path(), "csv/a", b"a");
    let csv = dir.path().join("csv");
    symlink(dir.path().join("secret"), csv.join("out")).unwrap();
    symlink("..", csv.join("up")).unwrap();
    symlink("a", csv.join("in")).unwrap();
    symlink("gone", csv.join("dangling")).unwrap();
    let files = mapped(&csv);
    let open = |name: &str| {
        let path = host(&format!(r"C:\ClusterStorage\{name}"));
        files.open(&path).map(|_| ()).map_err(|error| error.problem)
    };
    assert_eq!(open("in"), Ok(()));
    assert_eq!(open("out"), Err(FileProblem::Escapes));
    assert_eq!(open(r"up\secret"), Err(FileProblem::Escapes));
    assert_eq!(open("dangling"), Err(FileProblem::NotFound));
    let names: Vec<_> = files.list(&host(r"C:\ClusterStorage")).unwrap();
    assert!(!names.iter().any(|entry| entry.name == "dangling"));
}

#[test]
fn a_file_that_moves_is_told() {
    let inner = Arc::new(MemFile::new(vec![1; 100]));
    let file = FrozenFile::new(host(r"C:\a"), Arc::clone(&inner) as Arc<dyn ReadAt>).unwrap();
    file.verify().unwrap();
    inner.write_all_at(&[2; 50], 100).unwrap();
    assert_eq!(file.len().unwrap(), 100, "it is as long as it was");
    assert!(file.read_exact_at(&mut [0; 10], 95).is_err());
    let problem = file.verify().unwrap_err().problem;
    assert_eq!(problem, FileProblem::Changed { was: 100, is: 150 });
    inner.set_len(40).unwrap();
    let error = file.read_exact_at(&mut [0; 10], 35).unwrap_err();
    assert!(error.to_string().contains("not frozen"), "{error}");
}

/// A chain whose parent lies in another folder of the host, named as a host names it.
#[test]
fn chains_are_followed_by_the_hosts_paths() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("Volume1/VMs")).unwrap();
    fs::create_dir_all(dir.path().join("Volume2")).unwrap();
    let base = Image::new(Kind::Vhdx, 8 << 20, 1)
        .data(0, &[1; 4096])
        .data(1 << 20, &[2; 4096]);
    let base = base.write(&dir.path().join("Volume2/base.vhdx"));
    let mut child = Image::child(&base, "base.vhdx", 2).data(0, &[3; 4096]);
    let link = child.info.parent.as_mut().unwrap();
    link.paths = vec![ParentPath {
        kind: PathKind::Absolute,
        path: r"\\?\C:\CLUSTERSTORAGE\volume2\BASE.vhdx".to_owned(),
    }];
    child.write(&dir.path().join("Volume1/VMs/leaf.avhdx"));
    let files = mapped(dir.path());
    let finder = HostFinder::new(&files);
    let leaf = HostFinder::path(&host(r"C:\ClusterStorage\Volume1\VMs\leaf.avhdx"));
    let found = disk::resolve::open_chain(&finder, &leaf).unwrap();
    for (offset, byte) in [(0, 3), (4096, 0), (1 << 20, 2)] {
        let mut bytes = [9; 512];
        found.read_at(offset, &mut bytes).unwrap();
        assert_eq!(bytes, [byte; 512], "at {offset}");
    }
    let opened = finder.opened();
    let opened: Vec<_> = opened.iter().map(|file| file.path().clone()).collect();
    assert!(
        opened.contains(&host(r"C:\ClusterStorage\Volume2\base.vhdx")),
        "{opened:?}"
    );
    finder.verify().unwrap();
    fs::write(dir.path().join("Volume2/base.vhdx"), b"").unwrap();
    assert!(finder.verify().is_err());
}
