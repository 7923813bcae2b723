//! Replays the committed fuzz corpus of this crate.

use hyperkeep_vault::fuzz;
use testkit::corpus;

#[test]
fn vault_cache_table() {
    corpus::replay("vault_cache_table", fuzz::cache_table);
}
