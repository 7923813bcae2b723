//! What a host says of itself and of its limits.

use roxmltree::Node;

use super::ns;
use crate::xml::{child, text};

/// The answer to Identify.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct HostIdentity {
    /// The protocol's URI.
    pub protocol: String,
    /// `Microsoft Corporation` on Windows.
    pub vendor: String,
    /// `OS: 10.0.20348 SP: 0.0 Stack: 3.0`; zeros for who has not authenticated.
    pub version: String,
}

/// The limits of a host's service, as far as it tells them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct HostLimits {
    /// KiB that a message may have.
    pub max_envelope_kib: Option<u32>,
    /// Milliseconds that a request may take.
    pub max_timeout_ms: Option<u32>,
    /// Items that a reply may have.
    pub max_batch_items: Option<u32>,
}

impl HostIdentity {
    pub(super) fn read(node: Node<'_, '_>) -> Self {
        let part = |local| {
            child(node, ns::IDENTITY, local)
                .map(text)
                .unwrap_or_default()
        };
        Self {
            protocol: part("ProtocolVersion"),
            vendor: part("ProductVendor"),
            version: part("ProductVersion"),
        }
    }

    /// Major, minor and build of the operating system; `None` when the host keeps it to itself.
    pub fn os(&self) -> Option<(u32, u32, u32)> {
        let after = self.version.split_once("OS:")?.1.trim_start();
        let mut parts = after.split_ascii_whitespace().next()?.split('.');
        let mut next = || parts.next()?.parse().ok();
        let os = (next()?, next()?, next()?);
        (os != (0, 0, 0)).then_some(os)
    }
}

impl HostLimits {
    pub(super) fn read(node: Node<'_, '_>) -> Self {
        let number = |local| child(node, ns::HOST_CONFIG, local).map(text)?.parse().ok();
        Self {
            max_envelope_kib: number("MaxEnvelopeSizekb"),
            max_timeout_ms: number("MaxTimeoutms"),
            max_batch_items: number("MaxBatchItems"),
        }
    }
}
