//! What a scenario may say of what goes wrong.

use serde::Deserialize;

use super::vm::{CheckpointKindSpec, State, WriteSpec};

/// Something that goes wrong at a request: it is answered otherwise, something happens to the
/// host before or after it, or both. One of these is needed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct MishapSpec {
    /// The node of a cluster at which it happens; the first if it is not told.
    pub node: Option<String>,
    /// The request: a method's name, `Get`, `Enumerate`, `Pull` or `Release`; `any` is each.
    pub on: String,
    /// Such requests that pass before.
    pub skip: u32,
    /// How many it happens to; 1 if it is not told.
    pub times: Option<u32>,
    /// How it is answered.
    pub does: Option<DoesSpec>,
    /// What happens to the host before it is looked at.
    pub before: Vec<AccidentSpec>,
    /// What happens to the host once it is done, before the reply is sent.
    pub after: Vec<AccidentSpec>,
}

/// How a request is answered.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum DoesSpec {
    /// The method returns this code and does nothing.
    Returns(u32),
    /// It is refused, and nothing is done.
    Refused(RefusedSpec),
    /// It is done, and the connection ends within the reply.
    Cut(CutSpec),
    /// An enumeration, or what is left of one, ends after so many items.
    Fewer(usize),
    /// It is not done, and the connection ends without a reply.
    Lost,
    /// Its client waits for a reply until the client is gone.
    Held(HeldSpec),
    /// It is answered as ever, and told on standard output.
    Told,
}

/// Where a reply breaks off.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub enum CutSpec {
    /// After so many bytes.
    After(usize),
    /// At a place that has a name.
    At(CutPlaceSpec),
}

/// A place in a reply.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum CutPlaceSpec {
    /// Between its head and its body.
    BeforeBody,
    /// Before its last byte.
    BeforeLast,
}

/// What becomes of a request that is held.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum HeldSpec {
    /// It is not done.
    Never,
    /// It is done when its client is gone.
    Late,
    /// It is done at once.
    Done,
}

/// How a request is refused.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum RefusedSpec {
    /// The account may not do this.
    AccessDenied,
    /// The time ran out; it may have been done, and was not.
    TimedOut,
    /// Too much at once.
    Quota,
}

/// Something that happens to a host.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccidentSpec {
    /// The service behind everything restarts: jobs are gone, and what they had not done is not
    /// done.
    RestartService,
    /// The same, but what the jobs should do is done all the same.
    RestartServiceWhenDone,
    /// The host is shut down and starts anew.
    Restart,
    /// The host loses its power and starts anew.
    PowerCut,
    /// The next job fails so, and does nothing.
    JobFails(FailureSpec),
    /// The same when it has done what it should.
    JobFailsWhenDone(FailureSpec),
    /// The next merge fails so.
    MergeFails(FailureSpec),
    /// So much is free on a volume from now on.
    Space(SpaceSpec),
    /// A VM moves to another node.
    Migrates(MoveSpec),
    /// A delta arrives at the replica of this name.
    ReceivesDelta(String),
    /// A guest writes.
    Writes(WritesSpec),
    /// Somebody else takes a checkpoint.
    TakesCheckpoint(TakesSpec),
    /// Somebody else removes a checkpoint.
    DropsCheckpoint(DropsSpec),
    /// A guest settles when it is asked to, or does not.
    Settles(SwitchSpec),
    /// A VM is started, turned off, saved or paused.
    Turns(TurnsSpec),
    /// A VM is busy with something that does not end.
    Stuck(SwitchSpec),
    /// Change tracking of the disk in this file is lost, with all its ids.
    LosesTracking(String),
    /// So many seconds pass by the host's clock.
    TimePassesS(u32),
}

/// How a job fails.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct FailureSpec {
    /// `ErrorCode`; 32768 if it is not told.
    pub code: Option<u16>,
    /// Windows' code, such as `0x80070005`.
    pub hresult: Option<String>,
    /// What it says.
    pub text: Option<String>,
}

/// How much is free on a volume.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SpaceSpec {
    /// The volume's name.
    pub volume: String,
    /// Bytes.
    pub free: u64,
}

/// A VM that moves.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MoveSpec {
    /// Its name.
    pub vm: String,
    /// The node.
    pub to: String,
}

/// A guest that writes.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WritesSpec {
    /// Its VM's name.
    pub vm: String,
    /// What it writes.
    pub what: WriteSpec,
}

/// Somebody who takes a checkpoint.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TakesSpec {
    /// Of the VM of this name.
    pub vm: String,
    /// The checkpoint's name.
    pub name: String,
    /// Whose it is.
    #[serde(default)]
    pub kind: CheckpointKindSpec,
}

/// Somebody who removes a checkpoint.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DropsSpec {
    /// Of the VM of this name.
    pub vm: String,
    /// The checkpoint's name.
    pub name: String,
}

/// Something of a VM that is so from now on, or is not.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SwitchSpec {
    /// The VM's name.
    pub vm: String,
    /// Whether.
    pub is: bool,
}

/// A VM that changes its state.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TurnsSpec {
    /// Its name.
    pub vm: String,
    /// The new state.
    pub state: State,
}
