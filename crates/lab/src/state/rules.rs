//! What a scenario may set: how long things take, what goes wrong, and which way the host goes
//! where no public source tells.

use std::time::Duration;

use super::loses::ImportLoses;

/// UNVERIFIED: what becomes of change tracking when a VM goes back to a checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AfterApply {
    /// Ids stay, and nobody notes that the disk is another now: the worst for who leans on them.
    #[default]
    Blind,
    /// Ids stay, and the whole disk has changed.
    Whole,
    /// All ids are forgotten.
    Lost,
}

/// UNVERIFIED: how a checkpoint for a backup is refused while a replica applies a delta. The text
/// is known, its number is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaConflict {
    /// The method returns 32775.
    Refused,
    /// A job begins and fails with this `ErrorCode`.
    Job(u16),
}

/// UNVERIFIED: what the private properties are called by which a cluster tells the id and the folder
/// of a VM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClusterNames {
    /// `VmID` and `VmStoreRootPath`.
    #[default]
    AsKnown,
    /// The same in another case.
    OtherCase,
    /// Something else.
    Other,
    /// There are none.
    Untold,
}

/// How the host behaves.
#[derive(Clone, Debug)]
pub struct Rules {
    /// How long it takes to make a checkpoint.
    pub checkpoint_takes: Duration,
    /// How long it takes to destroy or convert one, without the merge.
    pub destroy_takes: Duration,
    /// How long a merge takes.
    pub merge_takes: Duration,
    /// How long an export takes.
    pub export_takes: Duration,
    /// How long an import takes, and each step to a VM from there.
    pub import_takes: Duration,
    /// UNVERIFIED: whether the configuration of a checkpoint that is imported with its own id has the
    /// checkpoint's rather than the VM's.
    pub checkpoints_keep_ids: bool,
    /// UNVERIFIED: whether checkpoints keep their ids that are imported with a VM that gets another
    /// one.
    pub copies_share_checkpoint_ids: bool,
    /// UNVERIFIED: whether the folder of an imported VM is the one that its configuration names,
    /// rather than the one that it was imported from.
    pub import_keeps_root: bool,
    /// What an import gets wrong of checkpoints.
    pub import_loses: Option<ImportLoses>,
    /// Saved states that are imported do not fit this host's processors.
    pub foreign_state_refused: bool,
    /// UNVERIFIED: whether a job adds and changes hardware, and not the call itself.
    pub settings_as_job: bool,
    /// How long a change of state takes.
    pub state_takes: Duration,
    /// How long a job is there after its end.
    pub removed_after: Duration,
    /// Bytes to which changed ranges are rounded outwards.
    pub tracking_unit: u64,
    /// Ranges that one answer about changes has at most.
    pub most_changes: usize,
    /// UNVERIFIED: whether asking for the changes of a whole disk at once is refused, as the
    /// documentation says; programs do it and it works.
    pub whole_disk_refused: bool,
    /// UNVERIFIED: whether offsets of changes count from where the question begins, rather than
    /// from the beginning of the disk.
    pub changes_count_from_question: bool,
    /// UNVERIFIED: whether a question about changes is answered with a job, which does not tell
    /// them.
    pub changes_as_job: bool,
    /// UNVERIFIED: whether the tracking of a disk that was never tracked begins only when a
    /// checkpoint becomes its first reference point, and not with that checkpoint: what was written
    /// in between is in no answer.
    pub tracking_begins_late: bool,
    /// A question about changes is answered with no progress.
    pub changes_stand_still: bool,
    /// UNVERIFIED: whether reference points name disks by their drives (`…\\D`) rather than by what
    /// is in these (`…\\L`). Sources show either.
    pub points_name_drives: bool,
    /// Reference points say that their disks are crash-consistent, however the checkpoint was taken.
    pub points_say_crash: bool,
    /// UNVERIFIED: how many recovery checkpoints a VM may have at once.
    pub most_recovery: usize,
    /// UNVERIFIED: whether an id of change tracking is forgotten when no reference point and no
    /// checkpoint holds it any more.
    pub forgets_free_ids: bool,
    /// UNVERIFIED: whether a checkpoint has the name at once that its settings are given.
    pub names_at_once: bool,
    /// Seconds by which the host's clock is ahead, or behind.
    pub clock_ahead: i64,
    /// UNVERIFIED on hosts since 2016: whether a running VM without a SCSI controller cannot have
    /// an application-consistent checkpoint.
    pub application_needs_scsi: bool,
    /// UNVERIFIED: whether disabling checkpoints for users also refuses recovery checkpoints.
    pub disabled_refuses_recovery: bool,
    /// UNVERIFIED: what becomes of change tracking when a checkpoint is applied.
    pub after_apply: AfterApply,
    /// UNVERIFIED: how a checkpoint is refused while a replica applies a delta.
    pub replica_conflict: ReplicaConflict,
    /// UNVERIFIED: whether a checkpoint for a backup keeps deltas from a replica.
    pub held_checkpoint_blocks_deltas: bool,
    /// UNVERIFIED: whether a VM can move while it has a checkpoint for a backup.
    pub migrates_with_checkpoint: bool,
    /// How long it takes to move.
    pub migration_takes: Duration,
    /// UNVERIFIED: whether nothing is merged while the VM has more than one reference point.
    pub points_block_merges: bool,
    /// What a cluster's private properties are called.
    pub cluster_names: ClusterNames,
    /// Merges fail, and the chains stay.
    pub merges_fail: bool,
    /// Whether WMI tells what is in the event log of Hyper-V. It tells of the classical logs, and
    /// of this one where somebody has put its name into the registry.
    pub events_by_wmi: bool,
    /// UNVERIFIED: whether change tracking forgets, at a power cut, what it had in memory alone.
    pub power_cut_omits: bool,
    /// Of a thousand writes of guests, how many change tracking misses.
    pub missed_writes: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            checkpoint_takes: Duration::from_secs(3),
            destroy_takes: Duration::from_secs(1),
            merge_takes: Duration::from_secs(4),
            export_takes: Duration::from_secs(5),
            import_takes: Duration::from_secs(2),
            checkpoints_keep_ids: false,
            copies_share_checkpoint_ids: false,
            import_keeps_root: false,
            import_loses: None,
            foreign_state_refused: false,
            settings_as_job: false,
            state_takes: Duration::from_secs(2),
            removed_after: super::job::REMOVED_AFTER,
            tracking_unit: 32 << 10,
            most_changes: 4096,
            whole_disk_refused: false,
            changes_count_from_question: false,
            changes_as_job: false,
            tracking_begins_late: false,
            changes_stand_still: false,
            points_name_drives: false,
            points_say_crash: false,
            most_recovery: usize::MAX,
            forgets_free_ids: true,
            names_at_once: false,
            clock_ahead: 0,
            application_needs_scsi: false,
            disabled_refuses_recovery: false,
            after_apply: AfterApply::default(),
            replica_conflict: ReplicaConflict::Job(32768),
            held_checkpoint_blocks_deltas: false,
            migrates_with_checkpoint: true,
            migration_takes: Duration::from_secs(3),
            points_block_merges: false,
            cluster_names: ClusterNames::default(),
            merges_fail: false,
            events_by_wmi: false,
            power_cut_omits: false,
            missed_writes: 0,
        }
    }
}
