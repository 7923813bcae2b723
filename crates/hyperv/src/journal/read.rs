//! From the bytes of a journal to what is open in it.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::entry::{Call, Entry, Export, Intent, Outcome};
use crate::import::Aside;

/// Bytes that a line may have.
pub(super) const MOST_LINE: usize = 1 << 20;
/// Characters of a checksum, and the space behind it.
const SUM: usize = 8;

/// What a journal tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// What the host calls itself that it is about; earlier versions did not write that down.
    pub host: Option<String>,
    /// Calls whose end is not known, in their order.
    pub open: Vec<Open>,
    /// Checkpoints that were made, or were to be removed, and not seen to end, with their VMs.
    pub checkpoints: BTreeSet<(Uuid, String)>,
    /// Reference points of the same kind, with their VMs.
    pub reference_points: BTreeSet<(Uuid, String)>,
    /// Replications that were suspended and not seen to go on, with their VMs.
    pub suspended: BTreeSet<(Uuid, String)>,
    /// Folders of exports that were made or begun and not seen to go, with their VMs.
    pub exports: BTreeSet<(Uuid, Export)>,
    /// Planned VMs that were made and not seen to become VMs, or to go, with the VMs that they are
    /// made of.
    pub planned: BTreeSet<(Uuid, String)>,
    /// Configurations that were put aside or begun to be, of VMs that were not replaced then, with
    /// their VMs.
    pub asides: BTreeSet<(Uuid, Aside)>,
    /// The highest number of any call.
    pub last: u64,
    /// Lines that are torn or damaged. A process that was killed leaves one at most.
    pub damaged: usize,
}

/// A call whose end is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The number of its beginning.
    pub number: u64,
    /// What was to be done.
    pub intent: Intent,
    /// The path of the job that did it, if it came that far.
    pub job: Option<String>,
}

impl Reading {
    /// Whether nothing needs to be looked for on a host.
    pub fn is_settled(&self) -> bool {
        self.open.is_empty()
            && self.checkpoints.is_empty()
            && self.reference_points.is_empty()
            && self.suspended.is_empty()
            && self.exports.is_empty()
            && self.planned.is_empty()
            && self.asides.is_empty()
    }
}

/// One line of a journal.
pub(super) fn line(entry: &Entry) -> Result<Vec<u8>, serde_json::Error> {
    let json = serde_json::to_vec(entry)?;
    let mut line = format!("{:08x} ", crc32c::crc32c(&json)).into_bytes();
    line.extend_from_slice(&json);
    line.push(b'\n');
    Ok(line)
}

fn parse(line: &[u8]) -> Option<Entry> {
    let (sum, rest) = line.split_at_checked(SUM)?;
    let json = rest.strip_prefix(b" ")?;
    let sum = std::str::from_utf8(sum).ok()?;
    let digits = sum
        .bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let told = u32::from_str_radix(sum, 16).ok().filter(|_| digits)?;
    if json.len() > MOST_LINE || crc32c::crc32c(json) != told {
        return None;
    }
    serde_json::from_slice(json).ok()
}

/// Reads a journal. Any bytes have a reading: what is no line is counted.
pub fn read(bytes: &[u8]) -> Reading {
    let mut reading = Reading::default();
    let mut begun: BTreeMap<u64, Open> = BTreeMap::new();
    let mut lines = bytes.split(|b| *b == b'\n').peekable();
    while let Some(line) = lines.next() {
        let last = lines.peek().is_none();
        // A run that goes on after a torn line ends it with an empty one.
        if line.is_empty() {
            continue;
        }
        // Without its end a line may be the beginning of a longer one.
        match (parse(line).filter(|_| !last), last) {
            (Some(entry), _) => apply(entry, &mut begun, &mut reading),
            (None, _) => reading.damaged += 1,
        }
    }
    reading.open = begun.into_values().collect();
    reading
}

fn apply(entry: Entry, begun: &mut BTreeMap<u64, Open>, reading: &mut Reading) {
    match entry {
        Entry::Host { name } => reading.host = Some(name),
        Entry::Release {
            vm,
            reference_point,
        } => _ = reading.reference_points.remove(&(vm, reference_point)),
        Entry::Begin { number, intent } => {
            reading.last = reading.last.max(number);
            if let Call::Replace { aside, .. } = &intent.call {
                // It is all that there will be of the VM.
                reading.asides.remove(&(intent.vm, aside.clone()));
            }
            let job = None;
            let open = Open {
                number,
                intent,
                job,
            };
            begun.insert(number, open);
        }
        Entry::Job { number, path } => {
            if let Some(open) = begun.get_mut(&number) {
                open.job = Some(path);
            }
        }
        Entry::End { number, outcome } => {
            let Some(open) = begun.remove(&number) else {
                // Its beginning is on a line that is damaged: there is nothing to settle it by.
                reading.damaged += 1;
                return;
            };
            match outcome {
                Outcome::Done { made } => done(open.intent, made, reading),
                Outcome::NotDone { .. } => not_done(open.intent, reading),
                Outcome::Unknown { .. } => _ = begun.insert(number, open),
            }
        }
    }
}

/// What was to be removed is there still, and ours: nothing else is ever removed.
fn not_done(intent: Intent, reading: &mut Reading) {
    let vm = intent.vm;
    match intent.call {
        Call::DestroyCheckpoint { checkpoint } => {
            reading.checkpoints.insert((vm, checkpoint));
        }
        Call::DestroyReferencePoint { reference_point } => {
            reading.reference_points.insert((vm, reference_point));
        }
        // It is suspended still, and nothing else is ever resumed.
        Call::ResumeReplication { relationship } => {
            reading.suspended.insert((vm, relationship));
        }
        // Of an export that failed, part may be there.
        Call::ExportMemory { folder, node } | Call::RemoveExport { folder, node } => {
            reading.exports.insert((vm, Export { folder, node }));
        }
        Call::DestroyPlanned { planned } => {
            reading.planned.insert((vm, planned));
        }
        // Of an export that failed, part may be there; a VM that was not replaced needs none.
        Call::PutAside { aside } | Call::Replace { aside, .. } => {
            reading.asides.insert((vm, aside));
        }
        Call::MakePlanned { .. }
        | Call::ChangePlanned { .. }
        | Call::RealizePlanned { .. }
        | Call::RollBack { .. }
        | Call::KeepOff { .. }
        | Call::DestroyMachine { .. }
        | Call::ChangePower { .. }
        | Call::SuspendReplication { .. }
        | Call::RemoveReplication { .. }
        | Call::CreateCheckpoint { .. }
        | Call::RenameCheckpoint { .. }
        | Call::ConvertCheckpoint { .. } => {}
    }
}

fn done(intent: Intent, made: Option<String>, reading: &mut Reading) {
    let vm = intent.vm;
    match (intent.call, made) {
        (Call::CreateCheckpoint { .. }, Some(made)) => {
            reading.checkpoints.insert((vm, made));
        }
        (Call::ConvertCheckpoint { checkpoint, .. }, made) => {
            reading.checkpoints.remove(&(vm, checkpoint));
            if let Some(made) = made {
                reading.reference_points.insert((vm, made));
            }
        }
        (Call::DestroyCheckpoint { checkpoint }, _) => {
            reading.checkpoints.remove(&(vm, checkpoint));
        }
        (Call::DestroyReferencePoint { reference_point }, _) => {
            reading.reference_points.remove(&(vm, reference_point));
        }
        (Call::MakePlanned { .. }, Some(made)) => {
            reading.planned.insert((vm, made));
        }
        (Call::RealizePlanned { planned } | Call::DestroyPlanned { planned }, _) => {
            reading.planned.remove(&(vm, planned));
        }
        (Call::MakePlanned { .. }, None)
        | (
            Call::ChangePlanned { .. } | Call::DestroyMachine { .. } | Call::ChangePower { .. },
            _,
        ) => {}
        (Call::SuspendReplication { relationship }, _) => {
            reading.suspended.insert((vm, relationship));
        }
        (
            Call::ResumeReplication { relationship } | Call::RemoveReplication { relationship },
            _,
        ) => {
            reading.suspended.remove(&(vm, relationship));
        }
        (Call::ExportMemory { folder, node }, _) => {
            reading.exports.insert((vm, Export { folder, node }));
        }
        (Call::PutAside { aside }, _) => {
            reading.asides.insert((vm, aside));
        }
        // It is kept, for who may want the old one back.
        (Call::Replace { .. } | Call::RollBack { .. } | Call::KeepOff { .. }, _) => {}
        (Call::RemoveExport { folder, node }, _) => {
            reading.asides.retain(|(_, aside)| aside.folder != folder);
            reading.exports.remove(&(vm, Export { folder, node }));
        }
        (Call::CreateCheckpoint { .. } | Call::RenameCheckpoint { .. }, _) => {}
    }
}
