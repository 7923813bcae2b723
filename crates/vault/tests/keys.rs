//! Making and opening vaults, and who can do what.

#![allow(clippy::single_range_in_vec_init)] // Lists of ranges, some of which have one.

mod common;

use std::sync::Arc;

use common::*;
use hyperkeep_vault::*;
use store::{MemoryStore, Store};

#[test]
fn passphrase_and_recovery_code_open_a_vault_and_others_do_not() {
    let store = Arc::new(MemoryStore::new());
    let (vault, code) = Vault::init(store.clone(), &options(), env(1)).unwrap();
    let open = |secret| Vault::open(store.clone(), secret, env(2)).map(|v| v.id());
    assert_eq!(
        open(Unlock::Passphrase(b"open sesame")).unwrap(),
        vault.id()
    );
    assert_eq!(open(Unlock::Recovery(&code)).unwrap(), vault.id());
    let wrong = open(Unlock::Passphrase(b"open barley")).unwrap_err();
    assert!(matches!(wrong, Error::WrongSecret { .. }), "{wrong}");
    let nowhere = Vault::open(
        Arc::new(MemoryStore::new()),
        Unlock::Recovery(&code),
        env(2),
    );
    assert!(matches!(nowhere, Err(Error::NoVault)));
}

#[test]
fn a_vault_is_made_only_where_there_is_none() {
    let store = Arc::new(MemoryStore::new());
    init(store.clone());
    assert!(Vault::init(store.clone(), &options(), env(2)).is_err());
    let rest = Arc::new(MemoryStore::new());
    rest.put(&format!("packs/00/{:064}", 0), b"x").unwrap();
    let e = Vault::init(rest, &options(), env(2)).unwrap_err();
    assert!(e.to_string().contains("packs/"), "{e}");
}

#[test]
fn slots_come_and_go_but_the_last_full_one_stays() {
    let store = Arc::new(MemoryStore::new());
    let vault = init(store.clone());
    let secret = RecipientSecret::generate(&mut |out: &mut [u8]| out.fill(7));
    let host = vault
        .add_slot(
            Lock::Recipient(&secret.public()),
            Access::Write,
            Some("host"),
        )
        .unwrap();
    let writer = Vault::open(store.clone(), Unlock::Recipient(&secret), env(3)).unwrap();
    assert_eq!(writer.access(), Access::Write);
    let two = Lock::Passphrase(b"two", Argon2Cost::LEAST);
    assert!(writer.add_slot(two, Access::Full, None).is_err());

    let slots = vault.slots().unwrap();
    assert_eq!(slots.len(), 3);
    let passphrase = slots
        .iter()
        .find(|(id, slot)| {
            *id != host
                && slot
                    .as_ref()
                    .unwrap()
                    .open(Unlock::Passphrase(b"open sesame"))
                    .is_ok()
        })
        .unwrap()
        .0;
    let old = Unlock::Passphrase(b"open sesame");
    let new = vault.replace_slot(passphrase, old, two).unwrap();
    assert!(Vault::open(store.clone(), old, env(4)).is_err());
    assert!(Vault::open(store.clone(), Unlock::Passphrase(b"two"), env(4)).is_ok());

    let recovery = vault.slots().unwrap().into_iter().map(|(id, _)| id);
    let recovery: Vec<_> = recovery.filter(|id| *id != host && *id != new).collect();
    assert_eq!(recovery.len(), 1);
    vault.remove_slot(recovery[0]).unwrap();
    assert!(vault.remove_slot(recovery[0]).is_err());
    let last = vault.remove_slot(new).unwrap_err();
    assert!(last.to_string().contains("last one"), "{last}");
    vault.remove_slot(host).unwrap();
    assert!(Vault::open(store, Unlock::Recipient(&secret), env(5)).is_err());
}

#[test]
fn a_host_that_can_only_write_backs_up_by_changes_and_cannot_read_data() {
    let store = Arc::new(MemoryStore::new());
    let vault = init(store.clone());
    let secret = RecipientSecret::generate(&mut |out: &mut [u8]| out.fill(7));
    vault
        .add_slot(
            Lock::Recipient(&secret.public()),
            Access::Write,
            Some("host"),
        )
        .unwrap();
    let host = Vault::open(store.clone(), Unlock::Recipient(&secret), env(3)).unwrap();
    let mut data = noise(1, 2 << 20);
    let session = host.session(Compression::Default).unwrap();
    let full = write_full(&session, &data, 2).unwrap();
    session.checkpoint().unwrap();
    data[300_000..304_096].fill(9);
    let change = 300_000..304_096;
    let (root, read) = write_changed(&session, &data, full, &[change]).unwrap();
    session.checkpoint().unwrap();
    assert!(read < 200_000, "{read}");
    let e = read_full(&host, &root).unwrap_err();
    assert!(e.to_string().contains("private data key"), "{e}");
    assert!(read_full(&open(store, 4), &root).unwrap() == data);
}

#[test]
fn foreign_and_unreadable_slots_do_not_keep_others_from_opening() {
    let store = Arc::new(MemoryStore::new());
    let vault = init(store.clone());
    let other = Arc::new(MemoryStore::new());
    Vault::init(other.clone(), &options(), env(9)).unwrap();
    for name in other.names().iter().filter(|n| n.starts_with("keys/")) {
        store.put(name, &other.get(name, 1 << 20).unwrap()).unwrap();
    }
    store.put("keys/0000000000000000", b"{}").unwrap();
    store
        .put("keys/0000000000000001", &[b' '; 1 << 17])
        .unwrap();
    assert_eq!(open(store, 2).id(), vault.id());
}
