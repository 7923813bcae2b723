//! Small images for these tests.

use std::sync::Arc;

use hyperkeep_disk::layer::{ParentLink, ParentPath, PathKind};
use hyperkeep_disk::vhdx::{VhdxLayout, VhdxParams, VhdxWriter};
use hyperkeep_disk::{DiskWrite, Geometry, MemFile};
use testkit::ops::{Op, apply_units};
use uuid::Uuid;

pub(crate) const BASE: Uuid = Uuid::from_u128(0xBA5E);
pub(crate) const CHILD: Uuid = Uuid::from_u128(0xC41D);

pub(crate) fn params(len: u64, block_size: u32, sector: u32, layout: VhdxLayout) -> VhdxParams {
    let child = matches!(layout, VhdxLayout::Differencing(_));
    VhdxParams {
        geometry: Geometry {
            len,
            logical_sector: sector,
            physical_sector: 4096,
        },
        block_size,
        layout,
        disk_id: Uuid::from_u128(0xD15C),
        data_write_guid: if child { CHILD } else { BASE },
        file_write_guid: Uuid::from_u128(0xF11E),
        creator: "Hyperkeep".into(),
        metadata: vec![],
    }
}

pub(crate) fn over(parent: &str) -> VhdxLayout {
    VhdxLayout::Differencing(ParentLink {
        identities: vec![BASE],
        paths: vec![ParentPath {
            kind: PathKind::Relative,
            path: format!(r".\{parent}"),
        }],
        other: vec![],
        timestamp: None,
    })
}

/// Writes an image into memory; the model is what the disk held before, and then what it holds.
pub(crate) fn image(params: &VhdxParams, ops: &[Op], model: &mut [u8]) -> (Vec<u8>, Vec<bool>) {
    let file = Arc::new(MemFile::default());
    let mut writer = Box::new(VhdxWriter::create(file.clone(), params).unwrap());
    let unit = params.geometry.logical_sector.into();
    let mentioned = apply_units(unit, ops, writer.as_mut(), model);
    writer.finish().unwrap();
    (file.bytes(), mentioned)
}
