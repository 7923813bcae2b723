//! Reading the configurations of a folder.

use uuid::Uuid;

use super::classify::{ending, name, parent, stem};
use super::listing::{FileItem, Folder};
use crate::hvs::{HvsFile, Limits};
use crate::io::read_vec;
use crate::model::{Finding, Kind, VmConfig};
use crate::tree::{Tree, parse_guid};
use crate::{vmrs, xml};

/// A file that is, or claims to be, a configuration.
pub(super) enum Config {
    Read(Box<VmConfig>),
    Unreadable(String),
    /// Some other file, or one that is to be left alone.
    Not,
}

/// Reads a file if its name may be a configuration's.
pub(super) fn read(folder: &dyn Folder, file: &FileItem) -> Config {
    let path = &file.path;
    let is_xml = ending(path).eq_ignore_ascii_case("xml");
    let registry = name(path).eq_ignore_ascii_case("data.vmcx");
    // An import in progress is not a VM yet.
    let planned = parent(path)
        .split('/')
        .any(|part| part.eq_ignore_ascii_case("Planned Virtual Machines"));
    if !(is_xml || ending(path).eq_ignore_ascii_case("vmcx")) || registry || planned {
        return Config::Not;
    }
    let checkpoint = name(parent(path)).eq_ignore_ascii_case("Snapshots");
    let at_home = checkpoint || name(parent(path)).eq_ignore_ascii_case("Virtual Machines");
    let (tree, warnings) = match read_tree(folder, file, is_xml) {
        Ok(read) => read,
        // Of XML files only those that are named and placed like a configuration are missed.
        Err(_) if is_xml && !(at_home && file_id(path).is_some()) => return Config::Not,
        Err(error) => return Config::Unreadable(error),
    };
    if is_xml && !xml::is_configuration(&tree) {
        return Config::Not;
    }
    let mut config = match VmConfig::from_tree(&tree) {
        Ok(config) => config,
        Err(error) => return Config::Unreadable(error.to_string()),
    };
    let warnings = warnings.into_iter();
    config
        .findings
        .extend(warnings.map(|warning| Finding::ConfigurationDamaged { warning }));
    if checkpoint {
        config.kind = Kind::Checkpoint;
    }
    // A checkpoint's files are named by its own id for certain; what its `global_id` holds is
    // not documented.
    config.id = match config.kind {
        Kind::Checkpoint => file_id(path).or(config.id),
        Kind::Machine => config.id.or(file_id(path)),
    };
    Config::Read(Box::new(config))
}

/// The id that a file's name tells.
pub(super) fn file_id(path: &str) -> Option<Uuid> {
    parse_guid(stem(path))
}

fn read_tree(
    folder: &dyn Folder,
    file: &FileItem,
    is_xml: bool,
) -> Result<(Tree, Vec<String>), String> {
    let open = folder.open(&file.path).map_err(|error| error.to_string())?;
    if is_xml {
        let len = open.len().map_err(|error| error.to_string())?;
        if len > xml::MAX_LEN as u64 {
            return Err(
                xml::Error::TooLarge(usize::try_from(len).unwrap_or(usize::MAX)).to_string(),
            );
        }
        let bytes = read_vec(&*open, 0, len).map_err(|error| error.to_string())?;
        let (tree, warnings) = xml::read_tree(&bytes).map_err(|error| error.to_string())?;
        return Ok((tree, warnings.iter().map(ToString::to_string).collect()));
    }
    let file = HvsFile::open(&*open, Limits::CONFIGURATION).map_err(|error| error.to_string())?;
    let (tree, warnings) = file.into_parts();
    let told = warnings.iter().filter(|warning| !warning.is_harmless());
    Ok((tree, told.map(ToString::to_string).collect()))
}

/// Whether a `.vmrs` holds saved memory; `None` if it cannot be told.
pub(super) fn has_memory(folder: &dyn Folder, path: &str) -> Option<bool> {
    vmrs::has_memory(&*folder.open(path).ok()?).ok()
}
