//! What a whole run costs, from its inventory to its last merge: so much for each VM, and in
//! proportion to what changed, however large the disks are.

use std::sync::atomic::AtomicU64;

use cim::{Transport, TransportError, WsmanSession, random_ids};

use super::*;

/// Bytes of a change, and changes of a VM that has any.
const CHANGE: u64 = 4096;
const CHANGES: u64 = 8;

/// Counts the calls that have a word in them.
pub(super) struct Counted<T> {
    inner: T,
    word: &'static [u8],
    calls: Arc<AtomicU64>,
}

impl<T: Transport + 'static> Counted<T> {
    /// A session with the number of its calls.
    pub(super) fn session(inner: T, word: &'static str) -> (Arc<WsmanSession>, Arc<AtomicU64>) {
        let calls = Arc::default();
        let counted = Self {
            inner,
            word: word.as_bytes(),
            calls: Arc::clone(&calls),
        };
        let ids = Box::new(random_ids().unwrap());
        (Arc::new(WsmanSession::new(Box::new(counted), ids)), calls)
    }
}

impl<T: Transport> Transport for Counted<T> {
    fn endpoint(&self) -> &str {
        self.inner.endpoint()
    }
    fn exchange(&mut self, message: &[u8], wait: Duration) -> Result<Vec<u8>, TransportError> {
        let mut parts = message.windows(self.word.len());
        let counts = parts.any(|part| part == self.word);
        self.calls.fetch_add(u64::from(counts), Ordering::Relaxed);
        self.inner.exchange(message, wait)
    }
}

struct CountedFiles {
    inner: MappedFiles,
    bytes: Arc<AtomicU64>,
}

struct CountedFile(Arc<FrozenFile>, Arc<AtomicU64>);

impl ReadAt for CountedFile {
    fn len(&self) -> std::io::Result<u64> {
        ReadAt::len(&*self.0)
    }
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.1.fetch_add(buf.len() as u64, Ordering::Relaxed);
        self.0.read_exact_at(buf, offset)
    }
}

impl HostFiles for CountedFiles {
    fn open(&self, path: &HostPath) -> Result<Arc<FrozenFile>, FileError> {
        let file = CountedFile(self.inner.open(path)?, Arc::clone(&self.bytes));
        Ok(Arc::new(FrozenFile::new(path.clone(), Arc::new(file))?))
    }
    fn len(&self, path: &HostPath) -> Result<u64, FileError> {
        self.inner.len(path)
    }
    fn list(&self, folder: &HostPath) -> Result<Vec<HostEntry>, FileError> {
        self.inner.list(folder)
    }
}

/// Calls and bytes of files of a run over so many VMs, of which the first so many have changed.
fn cost(vms: u64, changed: u64, size: u64) -> (u64, u64) {
    let vm = |number: u64| {
        format!(
            r#"{{"name": "{number:02}",
                 "disks": [{{"path": "D:\\VMs\\{number}.vhdx", "size": {size}}}]}}"#
        )
    };
    let all: Vec<String> = (0..vms).map(vm).collect();
    let place = Place::new(&format!(
        r#"{{"volumes": [{{"name": "D:\\", "capacity": 1099511627776}}],
            "vms": [{}], "rules": {{"tracking-unit": 4096}}}}"#,
        all.join(",")
    ));
    let first = place.run();
    assert_eq!(first.outcome, Outcome::Ok, "{first:#?}");
    place.rest();
    for number in 0..changed {
        let id = place.id(&format!("{number:02}"));
        let mut service = place.lab.server.service();
        for change in 0..CHANGES {
            let offset = size / CHANGES * change;
            let host = &mut service.repository.host;
            host.guest_writes(id, 0, offset, &[7; CHANGE as usize])
                .unwrap();
        }
    }
    let bytes = Arc::default();
    let (session, calls) = Counted::session(place.lab.transport(), "Envelope");
    let mut setup = place.setup(Arc::new(place.lab.time.clone()), Floor::NONE);
    setup.session = session;
    setup.files = Arc::new(CountedFiles {
        inner: place.lab.files(),
        bytes: Arc::clone(&bytes),
    });
    let report = place.back_up(&mut HostSource::open(setup).unwrap(), None);
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    for (number, vm) in (0..).zip(&report.vms) {
        assert_eq!(vm.level, Some("incremental"), "{vm:#?}");
        let read = u64::from(number < changed) * CHANGES * CHANGE;
        assert_eq!(vm.layers[0].stats.read, read, "{vm:#?}");
    }
    let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
    (count(&calls), count(&bytes))
}

#[test]
fn a_run_costs_so_much_for_each_vm_and_what_changed() {
    let small = 16 << 20;
    let (two, four, eight) = (cost(2, 0, small), cost(4, 0, small), cost(8, 0, small));
    // So many for a VM, and so many beside.
    let each = (eight.0 - four.0).div_ceil(4);
    assert!(each < 80, "{each} calls for a VM");
    let beside = four.0.saturating_sub(4 * each);
    assert!(beside < 80, "{beside} calls for a host");
    assert!(two.0 <= beside + 2 * each + 4, "{two:?} {four:?} {eight:?}");
    // Bytes of VMs in which nothing changed: their configurations, and headers of their disks.
    assert!(eight.1 < 8 * (1 << 20), "{eight:?}");
    for changed in [1, 4, 8] {
        let (calls, bytes) = cost(8, changed, small);
        assert!(
            calls <= eight.0 + 2 * changed,
            "{changed}: {calls}, {eight:?}"
        );
        let more = bytes - eight.1;
        let least = changed * CHANGES * CHANGE;
        let most = least + changed * (128 << 10);
        assert!((least..most).contains(&more), "{changed}: {more} bytes");
    }
    // Sixteen times the disk: as many calls, and the tables of its blocks.
    let (calls, bytes) = cost(8, 4, small);
    let (of_large, bytes_of_large) = cost(8, 4, 16 * small);
    assert_eq!(of_large, calls);
    let tables = 8 * 2 * (16 * small / (1 << 20) * 8);
    assert!(
        bytes_of_large <= bytes + tables,
        "{bytes_of_large}, {bytes}"
    );
}
