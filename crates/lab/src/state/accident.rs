//! What may happen to a host at any moment, without anybody asking for it.

use uuid::Uuid;

use super::files::FileError;
use super::host::Host;
use super::refusal::Failure;

/// Something that happens to a host.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Accident {
    /// The service behind everything restarts: all jobs are gone.
    RestartService {
        /// Whether what the jobs should do is done all the same. No source tells; a caller cannot
        /// know either way.
        finishes: bool,
    },
    /// The next job that is begun by a caller ends so, and does nothing.
    JobFails(Failure),
    /// A delta arrives at a replica, whatever its interval.
    ReceivesDelta(Uuid),
    /// The next merge fails so, and leaves the chain as it is.
    MergeFails(Failure),
    /// So many bytes are free on a volume from now on.
    Space(String, u64),
    /// A VM moves to the node of this name, as soon as it has time.
    Migrates(Uuid, String),
    /// The tracking of the disk in a file is lost, with all its ids.
    LosesTracking(String),
}

impl Host {
    /// Lets it happen, now.
    pub fn suffer(&mut self, accident: &Accident) -> Result<(), FileError> {
        self.advance();
        match accident {
            Accident::RestartService { finishes } => {
                if *finishes {
                    self.finish_jobs();
                }
                self.restart_service();
            }
            Accident::JobFails(failure) => self.failing = Some(failure.clone()),
            Accident::ReceivesDelta(vm) => {
                let now = self.now();
                self.receive_delta(*vm, now);
            }
            Accident::MergeFails(failure) => self.failing_merge = Some(failure.clone()),
            Accident::Space(volume, free) => self.set_free(volume, *free)?,
            Accident::Migrates(vm, to) => {
                let moves = self.migrate(*vm, to);
                moves.map_err(|_| FileError::Missing(format!("a node {to} for this VM")))?;
                let now = self.now();
                self.depart(now);
            }
            Accident::LosesTracking(path) => self.lose_tracking(path)?,
        }
        Ok(())
    }
}
