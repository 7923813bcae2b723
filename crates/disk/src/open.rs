//! Opening an image whose format is not known beforehand.

use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use crate::error::{Error, Result};
use crate::io::ReadAt;
use crate::layer::Layer;
use crate::raw::RawDisk;
use crate::vhd::VhdImage;
use crate::vhdx::{self, VhdxImage};

/// How to tell an image's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OpenAs {
    /// By the bytes of the file. A raw image has none to tell it by and is refused.
    ByContent,
    /// The file's bytes are the disk's, whatever they look like.
    Raw,
}

impl OpenAs {
    /// What a file's name suggests: a name that ends in `.raw`, `.img` or `.dd` is taken for a
    /// raw image, any other is not.
    pub fn by_name(name: &Path) -> Self {
        let extension = name.extension().unwrap_or_default().to_string_lossy();
        match extension.to_ascii_lowercase().as_str() {
            "raw" | "img" | "dd" => Self::Raw,
            _ => Self::ByContent,
        }
    }
}

/// Opens one image file, alone: parents are for a [`Chain`](crate::chain::Chain).
///
/// # Errors
/// [`Error::NotThisFormat`] for bytes that are neither a VHDX nor a VHD, and what the format's own
/// reader finds.
pub fn open(file: impl ReadAt + 'static, how: OpenAs) -> Result<Arc<dyn Layer>> {
    if how == OpenAs::Raw {
        return Ok(Arc::new(RawDisk::open(file)?));
    }
    if is_vhdx(&file)? {
        return Ok(Arc::new(VhdxImage::open(file)?));
    }
    match VhdImage::open(file) {
        Ok(image) => Ok(Arc::new(image)),
        Err(e) => Err(neither(e)),
    }
}

/// What names the content of an image: see [`LayerInfo::identity`](crate::LayerInfo::identity).
/// Of a VHDX this reads no more than the head.
///
/// # Errors
/// As for [`open`].
pub fn identity(file: &impl ReadAt) -> Result<Uuid> {
    if is_vhdx(file)? {
        return vhdx::identity(file);
    }
    match VhdImage::open(file) {
        Ok(image) => Ok(image.footer().unique_id),
        Err(e) => Err(neither(e)),
    }
}

fn is_vhdx(file: &impl ReadAt) -> Result<bool> {
    let len = file
        .len()
        .map_err(Error::io("asking for the image's length"))?;
    let mut start = [0; 8];
    if len >= start.len() as u64 {
        file.read_exact_at(&mut start, 0)
            .map_err(Error::io("reading the image's beginning"))?;
    }
    Ok(&start == vhdx::identifier::SIGNATURE)
}

fn neither(error: Error) -> Error {
    match error {
        Error::NotThisFormat { why, .. } => Error::NotThisFormat {
            format: "VHDX or VHD",
            why: format!("no VHDX signature, and {why}"),
        },
        other => other,
    }
}
