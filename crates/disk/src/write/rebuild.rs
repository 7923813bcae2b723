//! Making a file again from what a backup recorded about it.

use crate::error::{Error, Result};
use crate::io::WriteAt;
use crate::layer::{Format, LayerInfo, ParentLink, ParentPath, VhdKind};
use crate::raw::RawWriter;
use crate::vhd::{VhdLayout, VhdParams, VhdWriter};
use crate::vhdx::{VhdxLayout, VhdxParams, VhdxWriter};
use crate::write::DiskWrite;

/// Starts an image equivalent to the recorded one on an empty file: the same format, sizes,
/// identities and metadata. Written with the recorded contents, it takes the old file's place in
/// its chain: children that named the old one accept it.
///
/// `parent_paths`, where given, replace the recorded paths to the parent; the parent's identity
/// stays. To make a copy that is a disk of its own, change the identities in `info` first.
///
/// # Errors
/// [`Error::Invalid`] for what the format cannot express, or a file that already holds bytes.
pub fn rebuild<F: WriteAt + 'static>(
    file: F,
    info: &LayerInfo,
    parent_paths: Option<&[ParentPath]>,
) -> Result<Box<dyn DiskWrite>> {
    let parent = info.parent.as_ref().map(|link| ParentLink {
        paths: parent_paths.unwrap_or(&link.paths).to_vec(),
        ..link.clone()
    });
    let len = info.geometry.len;
    match (&info.format, parent) {
        (Format::Raw, None) => Ok(Box::new(RawWriter::create(file, len)?)),
        (Format::Raw, Some(_)) => Err(Error::Invalid("a raw image with a parent".into())),
        (Format::Vhd(vhd), parent) => {
            let block_size = || {
                vhd.block_size.ok_or_else(|| {
                    Error::Invalid("a dynamic VHD without a recorded block size".into())
                })
            };
            let layout = match (vhd.kind, parent) {
                (VhdKind::Fixed, None) => VhdLayout::Fixed,
                (VhdKind::Dynamic, None) => VhdLayout::Dynamic {
                    block_size: block_size()?,
                },
                (VhdKind::Differencing, Some(parent)) => VhdLayout::Differencing {
                    block_size: block_size()?,
                    parent,
                },
                (kind, parent) => {
                    let with = if parent.is_some() { "a" } else { "no" };
                    let why = format!("a VHD recorded as {kind:?} with {with} parent");
                    return Err(Error::Invalid(why));
                }
            };
            let params = VhdParams {
                len,
                unique_id: vhd.unique_id,
                timestamp: vhd.timestamp,
                layout,
            };
            let mut writer = VhdWriter::create(file, &params)?;
            writer.describe_as(vhd);
            Ok(Box::new(writer))
        }
        (Format::Vhdx(vhdx), parent) => {
            let layout = match parent {
                Some(parent) => VhdxLayout::Differencing(parent),
                None if vhdx.fixed => VhdxLayout::Fixed,
                None => VhdxLayout::Dynamic,
            };
            let params = VhdxParams {
                geometry: info.geometry,
                block_size: vhdx.block_size,
                layout,
                disk_id: vhdx.disk_id,
                data_write_guid: vhdx.data_write_guid,
                file_write_guid: vhdx.file_write_guid,
                creator: vhdx.creator.clone(),
                metadata: vhdx.metadata.clone(),
            };
            Ok(Box::new(VhdxWriter::create(file, &params)?))
        }
    }
}
