//! What a disk says about itself that no file of its point is: one made of a chain, or of another
//! format.

use disk::layer::{Format, VhdInfo, VhdKind, VhdxInfo};
use disk::vhd::Chs;
use disk::{BlockRead, LayerInfo};
use uuid::Uuid;

use crate::restore::plan::DiskFormat;

/// Block size of new dynamic VHDX files, as Windows chooses it.
const VHDX_BLOCK: u32 = 32 << 20;
/// Block size of new dynamic VHD files, as Windows chooses it.
const VHD_BLOCK: u32 = 2 << 20;

/// What a disk that stands alone says about itself: like its topmost layer, but without a parent,
/// and with identities of its own. The id that the guest sees stays.
pub(crate) fn alone(
    top: &LayerInfo,
    chain: &dyn BlockRead,
    wanted: DiskFormat,
    point: &str,
    index: usize,
) -> LayerInfo {
    let own = |what: &str| derived(&format!("{point}/{index}/{what}"));
    let geometry = chain.geometry();
    let chs = Chs::of(geometry.len);
    let chs = (chs.cylinders, chs.heads, chs.sectors);
    let format = match (wanted, &top.format) {
        // A QCOW2 says no more of a disk than a raw image does.
        (DiskFormat::Raw | DiskFormat::Qcow2, _) => Format::Raw,
        (DiskFormat::Vhdx | DiskFormat::VhdxFixed, Format::Vhdx(vhdx)) => Format::Vhdx(VhdxInfo {
            fixed: vhdx.fixed || wanted == DiskFormat::VhdxFixed,
            data_write_guid: own("data"),
            file_write_guid: own("file"),
            dirty_log: false,
            ..vhdx.clone()
        }),
        (DiskFormat::Vhdx | DiskFormat::VhdxFixed, _) => Format::Vhdx(VhdxInfo {
            block_size: VHDX_BLOCK,
            fixed: wanted == DiskFormat::VhdxFixed,
            disk_id: own("disk"),
            data_write_guid: own("data"),
            file_write_guid: own("file"),
            creator: "Hyperkeep".to_owned(),
            metadata: Vec::new(),
            dirty_log: false,
        }),
        (DiskFormat::Vhd | DiskFormat::VhdFixed, Format::Vhd(vhd)) => {
            let fixed = vhd.kind == VhdKind::Fixed || wanted == DiskFormat::VhdFixed;
            Format::Vhd(VhdInfo {
                unique_id: own("disk"),
                kind: vhd_kind(fixed),
                saved_state: false,
                ..vhd.clone()
            })
        }
        (DiskFormat::Vhd | DiskFormat::VhdFixed, _) => Format::Vhd(VhdInfo {
            kind: vhd_kind(wanted == DiskFormat::VhdFixed),
            unique_id: own("disk"),
            timestamp: 0,
            // Some readers trust the size only of creators that they know to be exact, and round it
            // to cylinders otherwise: the end of the disk would be missing.
            creator_app: *b"win ",
            creator_version: 0x000A_0000,
            creator_os: *b"Wi2k",
            original_len: geometry.len,
            chs,
            features: 2,
            saved_state: false,
            block_size: Some(VHD_BLOCK),
        }),
    };
    LayerInfo {
        geometry,
        format,
        parent: None,
    }
}

fn vhd_kind(fixed: bool) -> VhdKind {
    match fixed {
        true => VhdKind::Fixed,
        false => VhdKind::Dynamic,
    }
}

/// An identity for a file that is made of a point: the same file has the same one.
fn derived(text: &str) -> Uuid {
    let mut id = [0; 16];
    let mut hasher = blake3::Hasher::new_derive_key("hyperkeep engine, identity of a flat disk");
    hasher.update(text.as_bytes());
    hasher.finalize_xof().fill(&mut id);
    uuid::Builder::from_custom_bytes(id).into_uuid()
}
