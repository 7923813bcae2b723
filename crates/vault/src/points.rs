//! Restore points: the only roots of a vault.

use std::collections::HashMap;
use std::time::SystemTime;

use serde::Serialize;
use serde::de::DeserializeOwned;
use vault_format::point::{Details, MAX_SECTION_LEN, Outline, PointOpener};
use vault_format::record::{MAX_BODY_LEN, open_record, seal_record};
use vault_format::{
    MAX_DOCUMENT_LEN, ObjectHash, ObjectName, PointId, VmKey, Writer, WriterId, WriterPublic,
};

use crate::error::{Error, Result};
use crate::vault::Vault;

const MAX_POINT_LEN: u64 = 2 * MAX_SECTION_LEN as u64 + 4096;
pub(crate) const MAX_RECORD_LEN: u64 = MAX_BODY_LEN as u64 + 4096;

/// A restore point as a listing tells it: nothing of it has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PointRef {
    /// The VM's name in the vault.
    pub vm: VmKey,
    /// The point.
    pub point: PointId,
    /// The hash of its bytes.
    pub hash: ObjectHash,
    /// When the store got it, by the store's clock.
    pub stored: SystemTime,
}

impl PointRef {
    /// The object's name.
    pub fn name(&self) -> ObjectName {
        ObjectName::Point {
            vm: self.vm,
            point: self.point,
            hash: self.hash,
        }
    }

    fn token(&self) -> ObjectName {
        ObjectName::Token {
            vm: self.vm,
            point: self.point,
        }
    }
}

/// Who signed something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignedBy {
    /// A writer that the vault knows, by its label.
    Known(WriterId, String),
    /// The vault holds no certificate of the writer, so the signature says nothing. The contents
    /// are authentic all the same, as far as all holders of the vault's keys are trusted.
    Unknown(WriterId),
}

/// A restore point that was read, and whose hash and signature fit.
#[derive(Debug, Clone)]
pub struct Point {
    /// What listing, incrementals and collection need.
    pub outline: Outline,
    /// Who signed it.
    pub signed_by: SignedBy,
    name: ObjectName,
    bytes: Vec<u8>,
    vault: Vault,
}

impl Point {
    /// What restoring needs.
    ///
    /// # Errors
    /// When the vault was opened by a slot that can only write.
    pub fn details(&self) -> Result<Details> {
        let (vm, point) = (self.outline.vm, self.outline.point);
        PointOpener::new(self.vault.keys(), vm, point, &self.bytes)
            .and_then(|opener| opener.details(&self.bytes, &self.outline))
            .map_err(Error::object(self.name))
    }
}

impl Vault {
    /// The name under which the vault knows the VM with this id.
    pub fn vm_key(&self, identity: &str) -> VmKey {
        self.keys().vm_key(identity)
    }

    /// All restore points, of one VM or of all, in no particular order. Costs one listing.
    pub fn points(&self, vm: Option<VmKey>) -> Result<Vec<PointRef>> {
        let folder = vm.map_or("points/".to_owned(), |vm| format!("points/{vm}/"));
        let listed = self.objects().list(&folder)?;
        let points = listed.into_iter().filter_map(|(name, stat)| match name {
            ObjectName::Point { vm, point, hash } => Some(PointRef {
                vm,
                point,
                hash,
                stored: stat.modified,
            }),
            _ => None,
        });
        Ok(points.collect())
    }

    /// Reads a point and checks its hash and signature.
    pub fn point(&self, point: &PointRef) -> Result<Point> {
        self.point_by(point, |id| self.writer(id))
    }

    pub(crate) fn point_by(
        &self,
        point: &PointRef,
        writer: impl FnOnce(WriterId) -> Result<Option<Writer>>,
    ) -> Result<Point> {
        let name = point.name();
        let bytes = match self.objects().get_verified(&name, MAX_POINT_LEN) {
            Err(Error::Store(e)) if e.is_not_found() => {
                return Err(Error::NoSuchPoint {
                    id: point.point.to_string(),
                });
            }
            bytes => bytes?,
        };
        let keys = self.keys();
        let opener = PointOpener::new(keys, point.vm, point.point, &bytes);
        let opener = opener.map_err(Error::object(name))?;
        let signed_by = match writer(opener.writer())? {
            Some(writer) => {
                let verified = opener.verify(&bytes, &writer.public);
                verified.map_err(Error::object(name))?;
                SignedBy::Known(writer.id(), writer.label)
            }
            None => SignedBy::Unknown(opener.writer()),
        };
        let outline = opener.outline(&bytes).map_err(Error::object(name))?;
        Ok(Point {
            outline,
            signed_by,
            name,
            bytes,
            vault: self.clone(),
        })
    }

    /// The certificate of a writer, if the vault has a valid one.
    fn writer(&self, id: WriterId) -> Result<Option<Writer>> {
        let name = ObjectName::Writer(id);
        match self.objects().get(&name, MAX_DOCUMENT_LEN as u64) {
            Ok(bytes) => {
                let writer = Writer::decode(self.keys(), &bytes).map_err(Error::object(name))?;
                Ok(Some(writer).filter(|writer| writer.id() == id))
            }
            Err(Error::Store(e)) if e.is_not_found() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// All writers that the vault knows; certificates that cannot be read come as errors.
    pub(crate) fn writers(&self) -> Result<HashMap<WriterId, Result<Writer>>> {
        let mut writers = HashMap::new();
        for (name, _) in self.objects().list("keys/")? {
            if let ObjectName::Writer(id) = name
                && let Some(writer) = self.writer(id).transpose()
            {
                writers.insert(id, writer);
            }
        }
        Ok(writers)
    }

    /// Removes a restore point. The chunks that only it used stay until the vault is collected.
    pub fn forget(&self, point: &PointRef) -> Result<()> {
        self.objects().delete(&point.token())?;
        self.objects().delete(&point.name())
    }

    /// The change-tracking state that was kept for a point, or `None`, and then the next backup
    /// must read in full.
    ///
    /// # Errors
    /// When there is one that cannot be read or that its writer did not sign; reading in full is
    /// right then, too.
    pub fn token<T: DeserializeOwned>(&self, point: &PointRef) -> Result<Option<T>> {
        let name = point.token();
        let bytes = match self.objects().get(&name, MAX_RECORD_LEN) {
            Err(Error::Store(e)) if e.is_not_found() => return Ok(None),
            bytes => bytes?,
        };
        let open = |writer: Option<&WriterPublic>| {
            open_record(self.keys(), &name, &bytes, writer).map_err(Error::object(name))
        };
        let (author, token) = open(None)?;
        match self.writer(author)? {
            Some(writer) => open(Some(&writer.public)).map(|(_, token)| Some(token)),
            None => Ok(Some(token)),
        }
    }

    /// Keeps the change-tracking state for a point that is durable.
    pub fn put_token(&self, point: &PointRef, token: &impl Serialize) -> Result<()> {
        let name = point.token();
        let bytes = seal_record(self.keys(), &name, token, &mut self.env().entropy())
            .map_err(Error::object(name))?;
        self.objects().put(&name, &bytes)
    }
}
