//! The newest point of a VM, and what of it still holds.

use disk::layer::Format;
use serde_json::{Map, Value};
use uuid::Uuid;
use vault::point::{LayerRef, Level};
use vault::{MapKind, NodeId, Point, PointId, PointRef, Vault};

use crate::finding::{Code, Finding, Severity};
use crate::point::format::Identity;
use crate::source::{FrozenLayer, FrozenView, Memory, VmRef};

/// The newest point of a VM in this vault.
pub(crate) struct Prior {
    pub(crate) reference: PointRef,
    /// Its place among the VM's points: larger for a later one.
    pub(crate) written: u64,
    /// What the source left with it.
    pub(crate) token: Option<Vec<u8>>,
    layers: Vec<Kept>,
}

/// A layer as the newest point has it.
pub(crate) struct Kept {
    pub(crate) root: NodeId,
    /// Bytes of data that its map leads to, if the point tells.
    pub(crate) data: Option<u64>,
    /// Where the next audit's sweep begins.
    pub(crate) audited_to: u64,
    /// Where the next look at the map begins.
    pub(crate) surveyed_to: u64,
    len: u64,
    identity: Identity,
}

/// Names in a manifest of what is kept with a layer beside its identity.
const DATA: &str = "data";
const AUDITED_TO: &str = "audited_to";
const SURVEYED_TO: &str = "surveyed_to";

impl Kept {
    /// What a manifest keeps with a layer for the next backup.
    pub(crate) fn to_members(data: u64, audited_to: u64, surveyed_to: u64) -> Map<String, Value> {
        let members = [
            (DATA, data),
            (AUDITED_TO, audited_to),
            (SURVEYED_TO, surveyed_to),
        ];
        members
            .map(|(name, n)| (name.to_owned(), n.into()))
            .into_iter()
            .collect()
    }

    fn read(layer: &LayerRef) -> Option<Self> {
        let member = |name: &str| layer.other.get(name).and_then(Value::as_u64);
        Some(Self {
            root: layer.root,
            data: member(DATA),
            audited_to: member(AUDITED_TO).unwrap_or(0),
            surveyed_to: member(SURVEYED_TO).unwrap_or(0),
            len: layer.len,
            identity: Identity::from_value(&layer.identity)?,
        })
    }
}

/// All points of a VM, newest first, in the order in which they were written, which holds even
/// when a clock was set back. Those that cannot be read are passed over and told.
pub(crate) fn points(
    vault: &Vault,
    vm: Uuid,
    name: &str,
    findings: &mut Vec<Finding>,
) -> Result<Vec<(PointRef, Point)>, vault::Error> {
    let key = vault.vm_key(&vm.to_string());
    let mut points = Vec::new();
    for reference in vault.points(Some(key))? {
        match vault.point(&reference) {
            Ok(point) => points.push((reference, point)),
            Err(error) => findings.push(
                Finding::new(
                    Code::VaultNote,
                    Severity::Warning,
                    name,
                    format!("an earlier restore point cannot be read: {error}"),
                )
                .hint("`hyperkeep check` shows what is wrong with the vault"),
            ),
        }
    }
    // Ties (of writers that knew nothing of each other) are settled by id, so that everybody
    // settles them alike.
    points.sort_by_key(|(reference, point)| {
        std::cmp::Reverse((point.outline.written, point.outline.taken, reference.point))
    });
    Ok(points)
}

/// The newest point of a VM.
///
/// # Errors
/// When the vault cannot be asked. A point or a token that cannot be read is a finding: then more
/// is read.
pub(crate) fn newest(
    vault: &Vault,
    vm: &VmRef,
    findings: &mut Vec<Finding>,
) -> Result<Option<Prior>, vault::Error> {
    let told = findings.len();
    let Some((reference, point)) = points(vault, vm.id, &vm.name, findings)?.into_iter().next()
    else {
        return Ok(None);
    };
    // One that cannot be read may be newer, and changes that somebody hands in are since that one.
    let newest_for_sure = findings.len() == told;
    let token = vault.token::<Vec<u8>>(&reference).unwrap_or_else(|error| {
        findings.push(Finding::note(
            Code::TokenLost,
            vm.name.clone(),
            format!("change tracking starts anew: {error}"),
        ));
        None
    });
    let layers = point.outline.layers.iter().filter_map(Kept::read).collect();
    Ok(Some(Prior {
        written: point.outline.written,
        reference,
        token: token.filter(|_| newest_for_sure),
        layers,
    }))
}

/// Points of a VM whose tokens are told.
const TOLD: usize = 4;

/// What a vault remembers.
pub(crate) struct VaultMemory<'a>(pub(crate) &'a Vault);

impl Memory for VaultMemory<'_> {
    fn tokens(&self, vm: Uuid) -> Result<Vec<Option<Vec<u8>>>, String> {
        let mut unread = Vec::new();
        let found = points(self.0, vm, "", &mut unread).map_err(|error| error.to_string())?;
        // It may be the newest.
        if let Some(finding) = unread.first() {
            return Err(finding.message.clone());
        }
        let newest = found.iter().take(TOLD);
        newest
            .map(|(point, _)| self.0.token(point).map_err(|error| error.to_string()))
            .collect()
    }
}

/// The newest point of a VM that was read in full.
pub(crate) fn newest_full(vault: &Vault, vm: &VmRef) -> Option<PointId> {
    let points = points(vault, vm.id, &vm.name, &mut Vec::new()).ok()?;
    points
        .into_iter()
        .find(|(_, point)| point.outline.level == Level::Full)
        .map(|(reference, _)| reference.point)
}

impl Prior {
    /// Whether a layer is provably what it was; see the [module](crate::backup) for the proof.
    pub(crate) fn unchanged(
        &self,
        view: &FrozenView,
        index: usize,
        identity: &Identity,
    ) -> Option<(&Kept, &'static str)> {
        let layer = &view.layers[index];
        let Format::Vhdx(vhdx) = &layer.info.format else {
            return None;
        };
        let own = layer.info.identity()?;
        let mut children = view
            .layers
            .iter()
            .filter(|child| child.parent == Some(index))
            .peekable();
        children.peek()?;
        let named_by_all = children.all(|child| {
            let link = child.info.parent.as_ref();
            link.is_some_and(|link| link.identities.iter().all(|id| *id == own || id.is_nil()))
        });
        if vhdx.dirty_log || !identity.interior || !named_by_all {
            return None;
        }
        let same = self.layers.iter().find(|before| {
            before.identity.image == identity.image
                && before.identity.interior
                && !before.identity.moved
                && before.len == layer.info.geometry.len
        })?;
        let why = "another disk stands on it, as then, and its identity is the same";
        Some((same, why))
    }

    /// The map of the layer that was in this place, which a source's changes are relative to.
    /// None if it has another length, or did not hold still.
    pub(crate) fn same_place(&self, identity: &Identity, layer: &FrozenLayer) -> Option<&Kept> {
        let mut hits = self.layers.iter().filter(|before| {
            before.identity.place == identity.place
                && before.len == layer.info.geometry.len
                && !before.identity.moved
        });
        match (hits.next(), hits.next()) {
            (Some(one), None) => Some(one),
            _ => None,
        }
    }
}

/// The kind of map that a layer has.
pub(crate) fn kind(layer: &FrozenLayer) -> MapKind {
    match layer.info.parent {
        Some(_) => MapKind::Difference,
        None => MapKind::Disk,
    }
}
