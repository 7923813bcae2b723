//! What a VM of generation 2 boots from.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Location;

/// One thing that the firmware of generation 2 tries to boot from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "kebab-case")]
pub enum BootSource {
    /// What is in a drive.
    Drive {
        /// Its place.
        location: Location,
    },
    /// The network, by an adapter.
    Adapter {
        /// The device's instance id.
        instance: Uuid,
    },
    /// A boot loader that the firmware's own variables name, or something that is not known.
    #[serde(other)]
    Other,
}
