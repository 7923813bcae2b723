//! What a virtual TPM's state is encrypted for.
//!
//! The guest state file and the key protector belong together: the host makes a new one at every
//! start of the VM, and only the matching one opens the file.

use cim::path::HYPER_V;
use cim::wsman::Associations;
use cim::{CimError, CimSession, Instance, Invoked, PropertyError, cimxml};

use super::{ConfigFile, FileRole, LostFile};
use crate::ids;
use crate::inventory::{Finding, Settings};

const CLASS: &str = "Msvm_SecuritySettingData";

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTold {
    #[error(transparent)]
    Host(#[from] CimError),
    #[error(transparent)]
    Property(#[from] PropertyError),
    #[error("the settings cannot be written: {0}")]
    Unwritable(#[from] cimxml::Unwritable),
    #[error("the host refuses with code {0}")]
    Refused(u32),
    #[error("the host tells none")]
    None,
}

/// What belongs to the virtual TPM of a configuration, beside the state itself.
#[derive(Default)]
pub(super) struct Pair {
    pub(super) protector: Option<Vec<u8>>,
    /// The state, if it is not there.
    pub(super) lost: Option<LostFile>,
    pub(super) finding: Option<Finding>,
}

impl Pair {
    /// Asks for what belongs to the state among `files`; of a configuration without a virtual TPM
    /// there is nothing.
    pub(super) fn of(
        session: &dyn CimSession,
        instance_id: &str,
        settings: &Settings,
        files: &[ConfigFile],
    ) -> Result<Self, CimError> {
        if settings.config.security.virtual_tpm != Some(true) {
            return Ok(Self::default());
        }
        let state = |file: &ConfigFile| file.role == FileRole::GuestState;
        let lost = (!files.iter().any(state)).then(|| LostFile {
            path: "the guest state of the virtual TPM".to_owned(),
            why: "it is not beside the configuration".to_owned(),
        });
        let (protector, finding) = match key_protector(session, instance_id) {
            Ok(protector) => (Some(protector), None),
            Err(NotTold::Host(error)) if error.fault_kind().is_none() => return Err(error),
            Err(why) => {
                let what = "the key protector of the virtual TPM".to_owned();
                let why = why.to_string();
                (None, Some(Finding::NotTold { what, why }))
            }
        };
        Ok(Self {
            protector,
            lost,
            finding,
        })
    }
}

/// The key protector of a configuration.
pub(crate) fn key_protector(
    session: &dyn CimSession,
    instance_id: &str,
) -> Result<Vec<u8>, NotTold> {
    let which = Associations::of(&ids::settings_path(instance_id))
        .by("Msvm_VirtualSystemSettingDataComponent")
        .to(CLASS);
    let settings = session.associators(&which)?;
    let settings = settings.into_iter().next().ok_or(NotTold::None)?;
    let settings = session.class(HYPER_V, CLASS)?.conform(settings)?;
    let mut inputs = Instance::default();
    inputs.set_embedded("SecuritySettingData", &settings)?;
    let services = session.query_paths(HYPER_V, "SELECT * FROM Msvm_SecurityService")?;
    let service = services.first().ok_or(NotTold::None)?;
    // It changes nothing.
    let result = session.invoke(service, "GetKeyProtector", &inputs)?;
    match result.outcome()? {
        Invoked::Done => {}
        Invoked::Job(_) => return Err(NotTold::None),
        Invoked::Refused(code) => return Err(NotTold::Refused(code)),
    }
    let protector: Vec<u8> = result.outputs.get_list("KeyProtector")?;
    if protector.is_empty() {
        return Err(NotTold::None);
    }
    Ok(protector)
}
