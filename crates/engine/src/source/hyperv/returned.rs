//! Who is told that a VM is back on its host, in another folder than before.
//!
//! What an earlier restore had kept of that VM names the folder that it had.

use std::path::Path;
use std::sync::Arc;

use hyperv::journal::Journal;
use hyperv::recovery::{Report, Returned};

use crate::finding::{Code, Finding, Severity};

type Tell = dyn Fn(&Path, &Returned) -> Result<(), String> + Send + Sync;

/// See the [module](self). It is told the folder of the journal that knew of it.
#[derive(Clone, Default)]
pub struct OnReturn(Option<Arc<Tell>>);

impl OnReturn {
    /// Tells that. An error becomes a finding.
    pub fn new(
        tell: impl Fn(&Path, &Returned) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(tell)))
    }

    /// Tells of all that a report has.
    pub(super) fn tell(&self, journal: &Journal, report: &Report) -> Vec<Finding> {
        let folder = journal.path().parent();
        let (Some(tell), Some(folder)) = (&self.0, folder) else {
            return Vec::new();
        };
        let told = report.returned.iter().map(|one| {
            tell(folder, one).err().map(|why| {
                Finding::new(
                    Code::CleanupFailed,
                    Severity::Warning,
                    format!("VM {}", one.vm),
                    format!(
                        "what an earlier restore of it has kept was not told that it is in {} now: {why}",
                        one.folder
                    ),
                )
                .hint("`restore undo --vm` may not know it; `restore kept` lists what is kept")
            })
        });
        told.flatten().collect()
    }
}
