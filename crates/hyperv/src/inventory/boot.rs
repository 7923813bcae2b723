//! What a VM of generation 2 boots from.
//!
//! Its settings name boot sources (`Msvm_BootSourceSettingData`) by their paths. That of a drive or
//! an adapter has the name of that piece with `\\B` behind it, as others have seen on a real host
//! (and not every kind of piece was there): so nothing more is asked of a host. What has another name
//! is a boot loader that the guest has put into its firmware's variables.

use std::collections::HashMap;

use vmconfig::model::{BootSource, Location, NetworkAdapter};

use super::finding::Notes;
use super::row::Row;
use crate::ids::{self, fold};

/// Behind the name of a piece in that of its boot source, in lower case.
const ENDING: &str = "\\b";

/// The sources of a configuration in their order; `drives` are places by the names of drives.
pub(super) fn sources(
    row: Row<'_>,
    drives: &HashMap<String, Location>,
    adapters: &[NetworkAdapter],
    notes: &mut Notes,
) -> Vec<BootSource> {
    let paths: Vec<String> = row.list("BootSourceOrder", notes);
    let source = |path: String| {
        let name = fold(&ids::path_key(&path).unwrap_or_default());
        let Some(piece) = name.strip_suffix(ENDING) else {
            return BootSource::Other;
        };
        if let Some(location) = drives.get(piece) {
            let location = *location;
            return BootSource::Drive { location };
        }
        let device = ids::device(piece);
        let mut own = adapters.iter().filter_map(|adapter| adapter.instance);
        match own.find(|own| Some(*own) == device) {
            Some(instance) => BootSource::Adapter { instance },
            None => BootSource::Other,
        }
    };
    paths.into_iter().map(source).collect()
}
