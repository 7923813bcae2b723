//! Where disks are restored to.

use std::path::Path;

use vmconfig::WindowsFolder;

use crate::guest::Keys;
use crate::restore::existing::Existing;

/// Where disks are restored to, and how.
#[derive(Debug, Clone, Copy)]
pub struct DisksTo<'a> {
    /// The folder, which is made if needed.
    pub folder: &'a Path,
    /// What happens to files that are there.
    pub existing: Existing<'a>,
    /// Bytes of data after which what is written is made durable, so that a restore that is stopped
    /// need not write them again.
    pub every: u64,
    /// Nothing is written: what would be is found out, and read from the vault.
    pub simulate: bool,
    /// Where the folder is found by Hyper-V, if that is known: children say so of their parents.
    pub windows: Option<&'a WindowsFolder>,
    /// What is lost in the vault becomes zeros, and is told, instead of keeping a disk from being restored.
    /// A restore that is stopped then begins anew. By the keys files of encrypted volumes are named.
    pub damaged: Option<&'a Keys>,
}

/// As often as it costs little: a disk takes half a second for as much.
const EVERY: u64 = 64 << 20;

impl<'a> DisksTo<'a> {
    /// Into this folder, where nothing is overwritten.
    pub fn folder(folder: &'a Path) -> Self {
        Self {
            folder,
            existing: Existing::Keep,
            every: EVERY,
            simulate: false,
            windows: None,
            damaged: None,
        }
    }
}
