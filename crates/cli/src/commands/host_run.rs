//! A host that is this run's, to bring a VM back to it.

use std::sync::Arc;

use engine::Cancel;
use engine::source::hyperv::{HostSource, Hurry, Pacing, Setup};
use hyperv::files::MappedFiles;
use hyperv::plan::Policy;
use vault::Vault;

use crate::args::HostArgs;
use crate::commands::restore_vm::Session;
use crate::commands::source;
use crate::failure::Result;
use crate::host::{self, Claim, HostAddress, HostPace, State};

/// See the [module](self). Its journal ends before another run may have its folder.
pub(super) struct HostRun {
    pub(super) address: HostAddress,
    pub(super) files: MappedFiles,
    pub(super) session: Session,
    pub(super) source: HostSource,
    pub(super) claim: Claim,
}

impl HostRun {
    /// Takes the host, whose files are found so. Nothing is done to it.
    pub(super) fn begin(
        vault: &Vault,
        cancel: &Cancel,
        (address, reach): (&HostAddress, &HostArgs),
        files: MappedFiles,
    ) -> Result<Self> {
        let session = host::session(address, reach)?;
        let claim = State::open(reach)?.claim(address, &vault.id().to_string())?;
        let source = HostSource::open(Setup {
            name: address.to_string(),
            session: Arc::clone(&session),
            files: Arc::new(files.clone()),
            hurry: Hurry::default(),
            pace: Arc::new(HostPace::new(cancel.clone())),
            clock: Arc::new(jiff::Timestamp::now),
            policy: Policy::default(),
            pacing: Pacing::default(),
            mark: claim.mark,
            journals: claim.journals.clone(),
            neighbours: claim.neighbours.clone(),
            node: None,
            on_return: host::on_return(),
        });
        Ok(Self {
            address: address.clone(),
            files,
            session,
            source: source.map_err(source::failure)?,
            claim,
        })
    }
}
