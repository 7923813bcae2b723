//! The runtime state file (`.vmrs`): whether it holds saved memory.
//!
//! Every VM that is not running has such a file beside its configuration, nearly empty; that of a
//! VM, or checkpoint, that was saved has the memory as well, in values of 1 MiB each. So a VM with a
//! terabyte has a million keys, of which none is held here.

use crate::hvs::{Error, Node, Search};
use crate::io::ReadAt;

/// Whether a runtime state file holds saved memory.
///
/// # Errors
/// When it cannot be told: the file cannot be read, is damaged, or has been cut off before the
/// memory that it should have.
pub fn has_memory(file: &dyn ReadAt) -> Result<bool, Error> {
    let keys = Search::open(file)?;
    let Some(state) = keys.node(Node::ROOT, "savedstate")? else {
        return Ok(false);
    };
    let is_memory = |name: &str| {
        let start = name.get(..8);
        start.is_some_and(|start| start.eq_ignore_ascii_case("ramblock"))
    };
    if keys.any(state, &is_memory)? {
        return Ok(true);
    }
    match keys.node(state, "savedVM")? {
        Some(saved) => keys.any(saved, &|name| name.eq_ignore_ascii_case("partition_state")),
        None => Ok(false),
    }
}
