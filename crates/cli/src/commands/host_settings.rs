//! What a restore point's host was set to, and what another host is set to otherwise.

use std::collections::BTreeMap;

use engine::restore::Opened;
use engine::source::hyperv::HOST_SETTINGS;
use hyperv::host_settings::{self, Difference, HostSettings, Told};
use hyperv::inventory;
use serde::Serialize;
use vault::Vault;

use crate::args::HostArgs;
use crate::failure::{Failure, Result};
use crate::host;
use crate::text;

/// No host is set to more.
const MOST_BYTES: u64 = 32 << 20;

/// What the point has of its host's settings; none when it is of no host, or of an older version.
pub(crate) fn kept(vault: &Vault, opened: &Opened) -> Result<Option<HostSettings>> {
    let bytes = opened
        .file(vault, HOST_SETTINGS, MOST_BYTES)
        .map_err(|error| {
            Failure::from(anyhow::Error::new(error).context(HOST_SETTINGS))
                .hint("`hyperkeep check` shows what is wrong with the vault")
        })?;
    // Of a folder it may be anybody's file.
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// A comparison with a host.
#[derive(Serialize)]
pub(crate) struct Compared {
    /// The host as it was named.
    host: String,
    /// Whether everything could be compared and nothing differs.
    same: bool,
    #[serde(flatten)]
    difference: Difference,
}

/// Asks a host and compares.
///
/// # Errors
/// When the point has nothing to compare with, or the host cannot be asked.
pub(crate) fn compared(
    kept: Option<&HostSettings>,
    host: &str,
    reach: &HostArgs,
) -> Result<Compared> {
    let (address, reach) = host::find(host, reach)?;
    let Some(kept) = kept else {
        return Err(
            Failure::new("the restore point has no settings of a host to compare with")
                .hint("points of `backup HOST` have them; leave --compare out for others"),
        );
    };
    let session = host::session(&address, &reach)?;
    let ask = || {
        let host = inventory::take(session.as_ref())?.host;
        host_settings::take(session.as_ref(), host.name.as_deref())
    };
    let now = ask().map_err(|error| host::failure(&address, &error))?;
    let difference = host_settings::compare(kept, &now);
    Ok(Compared {
        host: address.to_string(),
        same: difference.is_none(),
        difference,
    })
}

/// What there is of each kind, in a line each.
pub(crate) fn text(settings: &HostSettings) -> String {
    let host = settings.host.as_deref().unwrap_or("a host without a name");
    let mut out = format!("  settings of {}\n", text::line(host));
    for (kind, told) in &settings.kinds {
        let names = |all: &BTreeMap<String, host_settings::Object>| {
            let named = all.keys().filter(|name| !name.is_empty());
            let named: Vec<&str> = named.map(String::as_str).collect();
            match (all.len(), named.as_slice()) {
                (0, _) => "none".to_owned(),
                (_, []) => "kept".to_owned(),
                (_, named) => named.join(", "),
            }
        };
        let what = match told {
            Told::Objects(all) => names(all),
            Told::NoSuchKind => "its version has none".to_owned(),
            Told::Refused(why) => format!("not told: {why}"),
        };
        out.push_str(&format!("  {kind}: {}\n", text::line(&what)));
    }
    out
}

impl Compared {
    /// What differs, for people.
    pub(crate) fn text(&self) -> String {
        let mut out = format!("\nCompared with {}\n", text::line(&self.host));
        if self.same {
            out.push_str("  it is set to the same\n");
        }
        for changed in &self.difference.changed {
            out.push_str(&format!("  {}\n", text::line(&changed.to_string())));
        }
        for kind in &self.difference.unknown {
            out.push_str(&format!("  {kind}: one of both does not tell\n"));
        }
        out
    }
}
