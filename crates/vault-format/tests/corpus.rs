//! Replays the committed fuzz corpora of this crate.

use hyperkeep_vault_format::fuzz;
use testkit::corpus;

#[test]
fn vault_index() {
    corpus::replay("vault_index", fuzz::index);
}

#[test]
fn vault_manifest() {
    corpus::replay("vault_manifest", fuzz::manifest);
}

#[test]
fn vault_node() {
    corpus::replay("vault_node", fuzz::node);
}

#[test]
fn vault_pack() {
    corpus::replay("vault_pack", fuzz::pack);
}

#[test]
fn vault_slot() {
    corpus::replay("vault_slot", fuzz::slot);
}
