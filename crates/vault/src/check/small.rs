//! Key slots, certificates, tokens and signs of life: small objects that no restore point needs.

use std::collections::HashMap;

use serde::de::IgnoredAny;
use vault_format::record::open_record;
use vault_format::{ObjectName, Writer, WriterId};

use crate::error::{Error, Result, Warning};
use crate::points::MAX_RECORD_LEN;
use crate::vault::Vault;

use super::{Finding, Report};

impl Vault {
    /// What is wrong with a key keeps its holder out: a finding. What is wrong with a record costs
    /// a full read at most: a warning.
    pub(super) fn check_small(
        &self,
        report: &mut Report,
        writers: &HashMap<WriterId, Result<Writer>>,
    ) -> Result<()> {
        for (id, slot) in self.slots()? {
            let object = ObjectName::Slot(id).to_string();
            match slot {
                Ok(slot) if slot.vault == self.id() => {}
                Ok(slot) => report.warnings.push(Warning::Unusable {
                    why: format!("it belongs to vault {}", slot.vault),
                    object,
                }),
                Err(e) => bad_key(report, object, &self.objects().of_one(e)?),
            }
        }
        for (id, writer) in writers {
            if let Err(e) = writer {
                bad_key(report, ObjectName::Writer(*id).to_string(), e);
            }
        }
        for folder in ["tokens/", "sessions/", "retire/"] {
            for (name, _) in self.objects().list(folder)? {
                let why = match self.objects().get(&name, MAX_RECORD_LEN) {
                    Ok(bytes) => self.check_record(&name, &bytes, writers).err(),
                    Err(Error::Store(e)) if e.is_not_found() => None,
                    Err(e) => Some(self.objects().of_one(e)?.to_string()),
                };
                report.warnings.extend(why.map(|why| Warning::Unusable {
                    object: name.to_string(),
                    why,
                }));
            }
        }
        Ok(())
    }

    fn check_record(
        &self,
        name: &ObjectName,
        bytes: &[u8],
        writers: &HashMap<WriterId, Result<Writer>>,
    ) -> Result<(), String> {
        let open = |writer| open_record::<IgnoredAny>(self.keys(), name, bytes, writer);
        let (author, _) = open(None).map_err(|e| e.to_string())?;
        match writers.get(&author) {
            Some(Ok(writer)) => open(Some(&writer.public))
                .map(drop)
                .map_err(|e| e.to_string()),
            _ => Err(format!(
                "it is signed by writer {author}, which the vault does not know"
            )),
        }
    }
}

/// Keys of another vault, which an `init` that did not finish leaves, and keys of a later version
/// are nobody's damage. One that was removed since the listing is none at all.
fn bad_key(report: &mut Report, object: String, e: &Error) {
    use vault_format::Error::{OtherVault, UnknownFeature, UnknownVersion};
    match e {
        Error::Store(store::Error::NotFound { .. }) => {}
        Error::Object {
            source: source @ (OtherVault { .. } | UnknownFeature { .. } | UnknownVersion { .. }),
            ..
        } => report.warnings.push(Warning::Unusable {
            why: source.to_string(),
            object,
        }),
        e => report.findings.push(Finding::ObjectDamaged {
            why: e.to_string(),
            object,
        }),
    }
}
