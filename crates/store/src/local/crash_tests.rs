//! Loss of power at every step, on a file system that keeps no more than it must.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::fs::Item;
use super::*;

type Inode = usize;

/// What happened, in the terms that decide what survives.
#[derive(Debug, Clone)]
enum Step {
    Link(PathBuf, Inode),
    Unlink(PathBuf),
    MakeDir(PathBuf),
    Write(Inode, Vec<u8>),
    SyncFile(Inode),
    SyncDir(PathBuf),
}

#[derive(Debug, Clone, Default)]
struct Disk {
    dirs: BTreeSet<PathBuf>,
    names: BTreeMap<PathBuf, Inode>,
    files: Vec<Vec<u8>>,
    steps: Vec<Step>,
    times: BTreeMap<Inode, Duration>,
    now: Duration,
    /// Files whose writers live; `None` where there are no locks.
    held: Option<BTreeSet<Inode>>,
}

/// A file system in memory that records its steps.
#[derive(Debug, Clone, Default)]
struct ModelFs(Arc<Mutex<Disk>>);

fn root() -> PathBuf {
    PathBuf::from("/vault")
}

impl ModelFs {
    fn with_root() -> Self {
        let fs = Self::default();
        fs.disk().dirs.extend([PathBuf::from("/"), root()]);
        fs
    }

    fn disk(&self) -> std::sync::MutexGuard<'_, Disk> {
        self.0.lock().unwrap()
    }

    fn steps(&self) -> usize {
        self.disk().steps.len()
    }

    /// One disk that a loss of power after `n` steps may leave; `coin` decides for each thing
    /// that was not synced whether it happened.
    fn after_crash(&self, n: usize, coin: &mut dyn FnMut(u64) -> u64) -> Self {
        let disk = self.disk();
        let steps = &disk.steps[..n];
        let synced = |i: usize, path: &Path| {
            let parent = path.parent().unwrap();
            steps[i..]
                .iter()
                .any(|s| matches!(s, Step::SyncDir(d) if d == parent))
        };
        let left = Self::with_root();
        let mut new = left.disk();
        for (i, step) in steps.iter().enumerate() {
            match step {
                Step::MakeDir(path) => {
                    if synced(i, path) || coin(2) == 1 {
                        new.dirs.insert(path.clone());
                    }
                }
                Step::Link(path, inode) => {
                    if synced(i, path) || coin(2) == 1 {
                        new.names.insert(path.clone(), *inode);
                    }
                }
                Step::Unlink(path) => {
                    if synced(i, path) || coin(2) == 1 {
                        new.names.remove(path);
                    }
                }
                Step::Write(..) | Step::SyncFile(_) | Step::SyncDir(_) => {}
            }
        }
        for inode in 0..disk.files.len() {
            let mut bytes = Vec::new();
            let mut safe = true;
            for step in steps {
                match step {
                    Step::Write(i, b) if *i == inode => {
                        bytes.extend_from_slice(b);
                        safe = false;
                    }
                    Step::SyncFile(i) if *i == inode => safe = true,
                    _ => {}
                }
            }
            if !safe {
                match coin(4) {
                    0 => bytes.clear(),
                    1 => bytes.truncate(bytes.len() / 2),
                    2 => bytes.fill(0),
                    _ => {}
                }
            }
            new.files.push(bytes);
        }
        let dirs = new.dirs.clone();
        let reachable = |p: &PathBuf| p.ancestors().skip(1).all(|d| dirs.contains(d));
        new.dirs.retain(reachable);
        new.names.retain(|p, _| reachable(p));
        drop(new);
        left
    }
}

impl Fs for ModelFs {
    type File = Inode;

    fn create_new(&self, path: &Path) -> io::Result<Inode> {
        let mut disk = self.disk();
        if disk.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if !disk.dirs.contains(path.parent().unwrap()) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inode = disk.files.len();
        let now = disk.now;
        disk.files.push(Vec::new());
        disk.times.insert(inode, now);
        disk.names.insert(path.into(), inode);
        disk.steps.push(Step::Link(path.into(), inode));
        Ok(inode)
    }

    fn is_held(&self, path: &Path) -> io::Result<bool> {
        let disk = self.disk();
        let inode = disk.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        let held = disk.held.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        Ok(held.contains(inode))
    }

    fn write_all(&self, file: &Inode, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.disk();
        disk.files[*file].extend_from_slice(bytes);
        disk.steps.push(Step::Write(*file, bytes.into()));
        Ok(())
    }

    fn sync(&self, file: &Inode) -> io::Result<()> {
        self.disk().steps.push(Step::SyncFile(*file));
        Ok(())
    }

    fn rename_new(&self, _held: Inode, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        if disk.names.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = disk.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        disk.names.insert(to.into(), inode);
        // Two folders, two entries: nothing promises that they become durable together.
        disk.steps.push(Step::Link(to.into(), inode));
        disk.steps.push(Step::Unlink(from.into()));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        disk.steps.push(Step::Unlink(path.into()));
        Ok(())
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        if !disk.dirs.contains(path.parent().unwrap()) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if !disk.dirs.insert(path.into()) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        disk.steps.push(Step::MakeDir(path.into()));
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk().steps.push(Step::SyncDir(path.into()));
        Ok(())
    }

    fn stat(&self, path: &Path) -> io::Result<(Kind, Stat)> {
        let disk = self.disk();
        let (kind, len, time) = match disk.names.get(path) {
            Some(i) => (
                Kind::File,
                disk.files[*i].len() as u64,
                disk.times.get(i).copied().unwrap_or_default(),
            ),
            None if disk.dirs.contains(path) => (Kind::Folder, 0, Duration::ZERO),
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        let modified = SystemTime::UNIX_EPOCH + time;
        Ok((kind, Stat { len, modified }))
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<Item>> {
        let inside: Vec<PathBuf> = {
            let disk = self.disk();
            if !disk.dirs.contains(path) {
                return Err(io::ErrorKind::NotFound.into());
            }
            let all = disk.dirs.iter().chain(disk.names.keys());
            all.filter(|p| p.parent() == Some(path)).cloned().collect()
        };
        inside
            .into_iter()
            .map(|p| {
                let (kind, stat) = self.stat(&p)?;
                let name = p.file_name().unwrap().to_str().unwrap().to_owned();
                Ok(Item { name, kind, stat })
            })
            .collect()
    }

    fn read_exact_at(&self, path: &Path, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let disk = self.disk();
        let inode = disk.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        let from = disk.files[*inode]
            .get(offset as usize..)
            .and_then(|b| b.get(..buf.len()))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(from);
        Ok(())
    }
}

fn bytes_of(name: &str) -> Vec<u8> {
    name.bytes().cycle().take(300).collect()
}

/// Every object that is there is whole, and every acknowledged one is there.
fn check(disk: &ModelFs, acknowledged: &[&str], gone: &[&str], all: &[&str]) {
    let store = Folder::open(disk.clone(), root()).unwrap();
    let listed = store.list_all("").unwrap();
    for entry in &listed {
        assert!(
            all.contains(&entry.name.as_str()),
            "{} appeared",
            entry.name
        );
        assert_eq!(store.get(&entry.name, 1000).unwrap(), bytes_of(&entry.name));
        assert!(
            !gone.contains(&entry.name.as_str()),
            "{} is back",
            entry.name
        );
    }
    for name in acknowledged {
        assert!(listed.iter().any(|e| e.name == *name), "{name} was lost");
    }
    // The next writer can always go on.
    for name in all {
        store.put(name, &bytes_of(name)).unwrap();
        assert_eq!(store.get(name, 1000).unwrap(), bytes_of(name));
    }
}

fn every_crash(fs: &ModelFs, mut at: impl FnMut(usize, &ModelFs)) {
    for n in 0..=fs.steps() {
        at(n, &fs.after_crash(n, &mut |_| 0));
        at(n, &fs.after_crash(n, &mut |sides| sides - 1));
        let mut state = n as u64 * 0x9e37_79b9 + 1;
        for _ in 0..60 {
            let mut coin = |sides: u64| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 33) % sides
            };
            at(n, &fs.after_crash(n, &mut coin));
        }
    }
}

#[test]
fn an_object_is_whole_or_absent_and_stays_once_acknowledged() {
    let all = ["vault.json", "packs/ab/one", "packs/ab/two", "points/v/p"];
    let fs = ModelFs::with_root();
    let store = Folder::open(fs.clone(), root()).unwrap();
    let mut done = Vec::new();
    for name in all {
        store.put(name, &bytes_of(name)).unwrap();
        done.push((fs.steps(), name));
    }
    store.delete("packs/ab/one").unwrap();
    let deleted = fs.steps();
    let deleting = done.last().unwrap().0;
    every_crash(&fs, |n, disk| {
        let acknowledged: Vec<_> = done
            .iter()
            .filter(|(at, name)| *at <= n && (n <= deleting || *name != "packs/ab/one"))
            .map(|(_, name)| *name)
            .collect();
        let gone: &[_] = if n >= deleted { &["packs/ab/one"] } else { &[] };
        check(disk, &acknowledged, gone, &all);
    });
}

/// The first writer died between its rename and its sync; the second one finds the object there
/// and must not call it durable before it is.
#[test]
fn what_another_writer_left_unsynced_is_synced_before_it_is_acknowledged() {
    let name = "packs/ab/one";
    let fs = ModelFs::with_root();
    let first = Folder::open(fs.clone(), root()).unwrap();
    first.put(name, &bytes_of(name)).unwrap();
    let full = fs.disk().steps.clone();
    for cut in 0..full.len() {
        // Replaying to a live disk without its later syncs: visible, not durable.
        let live = ModelFs::with_root();
        {
            let mut disk = live.disk();
            for step in &full[..=cut] {
                match step {
                    Step::MakeDir(p) => drop(disk.dirs.insert(p.clone())),
                    Step::Link(p, i) => {
                        if disk.files.len() <= *i {
                            disk.files.push(Vec::new());
                        }
                        disk.names.insert(p.clone(), *i);
                    }
                    Step::Unlink(p) => drop(disk.names.remove(p)),
                    Step::Write(i, b) => disk.files[*i].extend_from_slice(b),
                    Step::SyncFile(_) | Step::SyncDir(_) => {}
                }
                disk.steps.push(step.clone());
            }
        }
        let second = Folder::open(live.clone(), root()).unwrap();
        second.put(name, &bytes_of(name)).unwrap();
        let end = live.steps();
        check(&live.after_crash(end, &mut |_| 0), &[name], &[], &[name]);
        check(
            &live.after_crash(end, &mut |s| s - 1),
            &[name],
            &[],
            &[name],
        );
    }
}

#[test]
fn what_dead_writers_left_is_removed_and_what_a_live_one_writes_is_not() {
    // (locks, what is left of files that are 30 hours, 2 hours and half an hour old)
    let cases: [(bool, &[&str]); 2] = [(false, &["2 h", "live", "now"]), (true, &["live", "now"])];
    for (locks, expected) in cases {
        let fs = ModelFs::with_root();
        let tmp = root().join(TMP);
        fs.create_dir(&tmp).unwrap();
        fs.create_new(&tmp.join("30 h")).unwrap();
        fs.disk().now = Duration::from_secs(28 * 3600);
        fs.create_new(&tmp.join("2 h")).unwrap();
        let live = fs.create_new(&tmp.join("live")).unwrap();
        fs.disk().now = Duration::from_secs(30 * 3600 - 1800);
        fs.create_new(&tmp.join("now")).unwrap();
        fs.disk().now = Duration::from_secs(30 * 3600);
        fs.disk().held = locks.then(|| BTreeSet::from([live]));
        let store = Folder::open(fs.clone(), root()).unwrap();
        assert!(store.list_all("").unwrap().is_empty());
        store.put("a", b"a").unwrap();
        let left = fs.read_dir(&tmp).unwrap().into_iter();
        let left: Vec<_> = left.map(|item| item.name).collect();
        assert_eq!(left, expected);
    }
}
