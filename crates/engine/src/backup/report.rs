//! What a backup did, as plain data.

use serde::Serialize;
use uuid::Uuid;

use crate::finding::{Finding, outcome_of};
use crate::outcome::Outcome;
use crate::point::{Reading, Stats};
use crate::source::{Consistency, HostLatency, VmRef};

/// A whole job.
#[derive(Debug, Clone, Serialize)]
pub struct JobReport {
    /// The source.
    pub source: String,
    /// The worst of its VMs and of the job's own findings.
    pub outcome: Outcome,
    /// Seconds since 1970.
    pub started: u64,
    /// Seconds since 1970.
    pub finished: u64,
    /// Each selected VM.
    pub vms: Vec<VmReport>,
    /// How long each host took to answer, as far as that was measured.
    pub latency: Vec<HostLatency>,
    /// What concerns no one VM.
    pub findings: Vec<Finding>,
}

/// One VM.
#[derive(Debug, Clone, Serialize)]
pub struct VmReport {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// How it went.
    pub outcome: Outcome,
    /// The restore point, if there is one.
    pub point: Option<String>,
    /// `full`, `incremental` or `differential`.
    pub level: Option<&'static str>,
    /// What was achieved.
    pub consistency: Option<Consistency>,
    /// Its layers.
    pub layers: Vec<LayerReport>,
    /// All layers and files together.
    pub stats: Stats,
    /// Bytes that the vault grew by meanwhile, everything included.
    pub stored: u64,
    /// Milliseconds that it took.
    pub milliseconds: u64,
    /// What was noticed.
    pub findings: Vec<Finding>,
}

/// One layer.
#[derive(Debug, Clone, Serialize)]
pub struct LayerReport {
    /// Its file.
    pub path: String,
    /// How it was read.
    pub reading: Reading,
    /// What that took.
    pub stats: Stats,
}

impl VmReport {
    /// A VM of which nothing was stored.
    pub(crate) fn ended(vm: &VmRef, finding: Finding) -> Self {
        let findings = vec![finding];
        Self {
            id: vm.id,
            name: vm.name.clone(),
            outcome: outcome_of(&findings),
            point: None,
            level: None,
            consistency: None,
            layers: Vec::new(),
            stats: Stats::default(),
            stored: 0,
            milliseconds: 0,
            findings,
        }
    }
}
