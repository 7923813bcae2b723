//! What a backup by what changed costs: in proportion to the change, whatever the disk's size.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cim::{Transport, TransportError, WsmanSession, random_ids};
use disk::{BlockRead, ReadAt};
use hyperkeep_hyperv::files::{FileError, FrozenFile, HostEntry, HostFiles, HostPath, MappedFiles};
use hyperkeep_hyperv::frozen::{Frozen, Reading};
use hyperkeep_hyperv::journal::Journal;
use hyperkeep_hyperv::plan::Policy;

use crate::support::{Lab, MARK, folder};

/// Ranges that one answer about changes has.
const RANGES: u64 = 16;
/// Bytes of a change.
const CHANGE: u64 = 4096;

/// What went over the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Wire {
    calls: u64,
    bytes: u64,
}

struct Counted<T> {
    inner: T,
    wire: Arc<Mutex<Wire>>,
}

impl<T: Transport> Transport for Counted<T> {
    fn endpoint(&self) -> &str {
        self.inner.endpoint()
    }

    fn exchange(&mut self, message: &[u8], wait: Duration) -> Result<Vec<u8>, TransportError> {
        let reply = self.inner.exchange(message, wait)?;
        let mut wire = self.wire.lock().unwrap();
        wire.calls += 1;
        wire.bytes += (message.len() + reply.len()) as u64;
        Ok(reply)
    }
}

/// Files whose bytes are counted.
struct CountedFiles {
    inner: MappedFiles,
    bytes: Arc<AtomicU64>,
}

struct CountedFile {
    inner: Arc<FrozenFile>,
    bytes: Arc<AtomicU64>,
}

impl ReadAt for CountedFile {
    fn len(&self) -> io::Result<u64> {
        ReadAt::len(&*self.inner)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.bytes.fetch_add(buf.len() as u64, Ordering::Relaxed);
        self.inner.read_exact_at(buf, offset)
    }
}

impl HostFiles for CountedFiles {
    fn open(&self, path: &HostPath) -> Result<Arc<FrozenFile>, FileError> {
        let counted = CountedFile {
            inner: self.inner.open(path)?,
            bytes: Arc::clone(&self.bytes),
        };
        let file = FrozenFile::new(path.clone(), Arc::new(counted))?;
        Ok(Arc::new(file))
    }

    fn len(&self, path: &HostPath) -> Result<u64, FileError> {
        self.inner.len(path)
    }

    fn list(&self, folder: &HostPath) -> Result<Vec<HostEntry>, FileError> {
        self.inner.list(folder)
    }
}

/// What the second run costs on the wire, and in bytes of files, after so many changes.
fn cost(size: u64, changes: u64) -> (Wire, u64) {
    let lab = Lab::start(&format!(
        r#"{{"vms": [{{"name": "a", "guest": {{"name": "Windows", "version": "10.0", "platform": 2}},
                "disks": [{{"path": "D:\\VMs\\a\\a.vhdx", "size": {size}}}]}}],
            "rules": {{"tracking-unit": 4096, "most-changes": {RANGES}}}}}"#
    ));
    let plan = lab.plan(&Policy::default());
    let token = lab.with(|control| {
        let request = plan.request(MARK, None, false);
        let frozen = Frozen::take(control, &lab.files(), &request).unwrap();
        frozen.keep().token.unwrap()
    });
    lab.rest();
    for change in 0..changes {
        let offset = size / changes * change;
        let host = &mut lab.server.service().repository.host;
        host.guest_writes(lab.vm(), 0, offset / CHANGE * CHANGE, &[7; CHANGE as usize])
            .unwrap();
    }
    let wire = Arc::new(Mutex::new(Wire::default()));
    let transport = Counted {
        inner: lab.transport(),
        wire: Arc::clone(&wire),
    };
    let session = WsmanSession::new(Box::new(transport), Box::new(random_ids().unwrap()));
    let files = CountedFiles {
        inner: lab.files(),
        bytes: Arc::default(),
    };
    let journals = folder();
    let journal = Arc::new(Journal::create(journals.path(), MARK.run).unwrap());
    let control = lab.control_by(Arc::new(session), &journal);
    let request = plan.request(MARK, Some(&token), false);
    let frozen = Frozen::take(&control, &files, &request).unwrap();
    let disk = &frozen.disks[0];
    let Reading::Changed(ranges) = &disk.reading else {
        panic!("{:?}", disk.reading)
    };
    assert_eq!(
        ranges.iter().map(|range| range.len()).sum::<u64>(),
        changes * CHANGE
    );
    for range in ranges.iter() {
        let mut bytes = vec![0; range.len() as usize];
        disk.chain.read_at(range.start, &mut bytes).unwrap();
        assert!(bytes.iter().all(|byte| *byte == 7));
    }
    let kept = frozen.keep();
    assert_eq!(kept.problems, [""; 0]);
    let wire = *wire.lock().unwrap();
    (wire, files.bytes.load(Ordering::Relaxed))
}

/// Bytes of the block table of a layer of a disk of this size: all that grows with it.
fn table(size: u64) -> u64 {
    size / (1 << 20) * 8
}

#[test]
fn a_backup_costs_what_changed() {
    let (small, large) = (64 << 20, 64 << 30);
    let nothing = cost(small, 0);
    for changes in [16, 64, 256] {
        let (wire, bytes) = cost(small, changes);
        // An answer tells so many ranges; the first one is there without any, and the last one may
        // tell that there are no more.
        let answers = changes / RANGES;
        let more = wire.calls - nothing.0.calls;
        assert!((answers - 1..=answers).contains(&more), "{changes}: {more}");
        let told = wire.bytes - nothing.0.bytes;
        assert!(told < changes * 400, "{changes}: {told} bytes on the wire");
        let read = bytes - nothing.1;
        assert!(
            (changes * CHANGE..changes * CHANGE + (128 << 10)).contains(&read),
            "{changes}: {read} bytes of files"
        );
        // A thousand times the disk: as many calls, and longer numbers.
        let (of_large, bytes_of_large) = cost(large, changes);
        assert_eq!(of_large.calls, wire.calls, "{changes}");
        assert!(
            of_large.bytes < wire.bytes + wire.bytes / 100,
            "{of_large:?}"
        );
        // Both layers of it.
        let most = bytes + 2 * table(large);
        assert!(bytes_of_large <= most, "{bytes_of_large} of {most}");
    }
    assert!(nothing.0.calls < 60 && nothing.1 < 256 << 10, "{nothing:?}");
}
