//! How a scenario's host behaves.

use std::time::Duration;

use super::super::file::{
    AfterApplySpec, ClusterNamesSpec, ImportLosesSpec, ReplicaConflictSpec, Scenario,
};
use crate::state::{AfterApply, ClusterNames, ImportLoses, ReplicaConflict, Rules};

impl Scenario {
    pub(super) fn rules(&self) -> Rules {
        let (own, spec) = (Rules::default(), &self.rules);
        let time = |told: Option<u64>, own: Duration| told.map_or(own, Duration::from_millis);
        Rules {
            checkpoint_takes: time(spec.checkpoint_ms, own.checkpoint_takes),
            destroy_takes: time(spec.destroy_ms, own.destroy_takes),
            merge_takes: time(spec.merge_ms, own.merge_takes),
            export_takes: time(spec.export_ms, own.export_takes),
            import_takes: time(spec.import_ms, own.import_takes),
            checkpoints_keep_ids: spec
                .checkpoints_keep_ids
                .unwrap_or(own.checkpoints_keep_ids),
            copies_share_checkpoint_ids: spec
                .copies_share_checkpoint_ids
                .unwrap_or(own.copies_share_checkpoint_ids),
            import_keeps_root: spec.import_keeps_root.unwrap_or(own.import_keeps_root),
            import_loses: spec.import_loses.map(|loses| match loses {
                ImportLosesSpec::Current => ImportLoses::Current,
                ImportLosesSpec::Parents => ImportLoses::Parents,
                ImportLosesSpec::Names => ImportLoses::Names,
                ImportLosesSpec::Memory => ImportLoses::Memory,
            }),
            foreign_state_refused: spec
                .foreign_state_refused
                .unwrap_or(own.foreign_state_refused),
            settings_as_job: spec.settings_as_job.unwrap_or(own.settings_as_job),
            state_takes: time(spec.state_ms, own.state_takes),
            removed_after: time(spec.job_removed_ms, own.removed_after),
            tracking_unit: spec
                .tracking_unit
                .filter(|unit| *unit > 0)
                .unwrap_or(own.tracking_unit),
            most_changes: spec.most_changes.unwrap_or(own.most_changes),
            whole_disk_refused: spec.whole_disk_refused.unwrap_or(own.whole_disk_refused),
            changes_count_from_question: spec
                .changes_count_from_question
                .unwrap_or(own.changes_count_from_question),
            changes_as_job: spec.changes_as_job.unwrap_or(own.changes_as_job),
            tracking_begins_late: spec
                .tracking_begins_late
                .unwrap_or(own.tracking_begins_late),
            changes_stand_still: spec.changes_stand_still.unwrap_or(own.changes_stand_still),
            points_say_crash: spec.points_say_crash.unwrap_or(own.points_say_crash),
            points_name_drives: spec.points_name_drives.unwrap_or(own.points_name_drives),
            most_recovery: spec.most_recovery.unwrap_or(own.most_recovery),
            forgets_free_ids: spec.forgets_free_ids.unwrap_or(own.forgets_free_ids),
            names_at_once: spec.names_at_once.unwrap_or(own.names_at_once),
            clock_ahead: spec.clock_ahead_s.unwrap_or(own.clock_ahead),
            application_needs_scsi: spec
                .application_needs_scsi
                .unwrap_or(own.application_needs_scsi),
            disabled_refuses_recovery: spec
                .disabled_refuses_recovery
                .unwrap_or(own.disabled_refuses_recovery),
            after_apply: match spec.after_apply {
                None => own.after_apply,
                Some(AfterApplySpec::Blind) => AfterApply::Blind,
                Some(AfterApplySpec::Whole) => AfterApply::Whole,
                Some(AfterApplySpec::Lost) => AfterApply::Lost,
            },
            replica_conflict: match spec.replica_conflict {
                None => own.replica_conflict,
                Some(ReplicaConflictSpec::Refused) => ReplicaConflict::Refused,
                Some(ReplicaConflictSpec::Job(code)) => ReplicaConflict::Job(code),
            },
            held_checkpoint_blocks_deltas: spec
                .held_checkpoint_blocks_deltas
                .unwrap_or(own.held_checkpoint_blocks_deltas),
            migrates_with_checkpoint: spec
                .migrates_with_checkpoint
                .unwrap_or(own.migrates_with_checkpoint),
            migration_takes: time(spec.migration_ms, own.migration_takes),
            points_block_merges: spec.points_block_merges.unwrap_or(own.points_block_merges),
            cluster_names: match spec.cluster_names {
                None => own.cluster_names,
                Some(ClusterNamesSpec::AsKnown) => ClusterNames::AsKnown,
                Some(ClusterNamesSpec::OtherCase) => ClusterNames::OtherCase,
                Some(ClusterNamesSpec::Other) => ClusterNames::Other,
                Some(ClusterNamesSpec::Untold) => ClusterNames::Untold,
            },
            merges_fail: spec.merges_fail.unwrap_or(own.merges_fail),
            power_cut_omits: spec.power_cut_omits.unwrap_or(own.power_cut_omits),
            events_by_wmi: spec.events_by_wmi.unwrap_or(own.events_by_wmi),
            missed_writes: spec.missed_writes.unwrap_or(own.missed_writes),
        }
    }
}
