use super::*;
use crate::testing::{counter, flips, keys};

fn code() -> RecoveryCode {
    RecoveryCode::random(&mut counter(4))
}

fn secret() -> RecipientSecret {
    RecipientSecret::generate(&mut counter(5))
}

fn seal(keys: &VaultKeys, lock: Lock<'_>) -> Vec<u8> {
    let (id, bytes) = seal_slot(keys, lock, Some("label"), 7, &mut counter(6)).unwrap();
    let slot = Slot::decode(&bytes).unwrap();
    assert_eq!((slot.id, slot.vault, slot.created), (id, keys.vault(), 7));
    assert_eq!(
        (slot.access, slot.label.as_deref()),
        (keys.access(), Some("label"))
    );
    bytes
}

fn passphrase(keys: &VaultKeys) -> Vec<u8> {
    seal(keys, Lock::Passphrase(b"correct horse", Argon2Cost::LEAST))
}

fn same(a: &VaultKeys, b: &VaultKeys) -> bool {
    pack_keys(a) == pack_keys(b)
}

#[test]
fn each_holder_opens_its_slot_with_the_access_that_was_put_in() {
    let full = keys();
    let (code, secret) = (code(), secret());
    let host = full.without_private(Some(WriterKey::generate(&mut counter(8))));
    for keys in [
        full.clone(),
        full.with_writer(None),
        host.clone(),
        host.with_writer(None),
    ] {
        let public = secret.public();
        let slots = [
            (passphrase(&keys), Unlock::Passphrase(b"correct horse")),
            (seal(&keys, Lock::Recovery(&code)), Unlock::Recovery(&code)),
            (
                seal(&keys, Lock::Recipient(&public)),
                Unlock::Recipient(&secret),
            ),
        ];
        for (bytes, unlock) in &slots {
            let slot = Slot::decode(bytes).unwrap();
            assert_eq!(slot.holder, unlock.holder());
            assert!(same(&slot.open(*unlock).unwrap(), &keys));
            for (_, other) in &slots {
                let opened = slot.open(*other);
                assert_eq!(opened.is_ok(), other.holder() == unlock.holder());
            }
        }
    }
}

#[test]
fn other_secrets_are_told_to_be_wrong() {
    let keys = keys();
    let slot = Slot::decode(&passphrase(&keys)).unwrap();
    let error = slot.open(Unlock::Passphrase(b"correct hors")).unwrap_err();
    assert_eq!(
        error,
        Error::WrongSecret {
            holder: "passphrase"
        }
    );
    assert!(slot.open(Unlock::Passphrase(b"")).is_err());
    let other = RecoveryCode::random(&mut counter(99));
    let slot = Slot::decode(&seal(&keys, Lock::Recovery(&code()))).unwrap();
    assert_eq!(
        slot.open(Unlock::Recovery(&other)).unwrap_err(),
        Error::WrongSecret {
            holder: "recovery code"
        }
    );
    let other = RecipientSecret::generate(&mut counter(98));
    let slot = Slot::decode(&seal(&keys, Lock::Recipient(&secret().public()))).unwrap();
    assert_eq!(slot.recipient, Some(secret().public()));
    assert!(slot.open(Unlock::Recipient(&other)).is_err());
}

#[test]
fn any_change_of_a_slot_is_noticed() {
    let keys = keys();
    let code = code();
    let (bytes, secret) = (seal(&keys, Lock::Recovery(&code)), secret());
    let recipients = seal(&keys, Lock::Recipient(&secret.public()));
    let value = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).ok();
    let cases = [
        (bytes, Unlock::Recovery(&code)),
        (recipients, Unlock::Recipient(&secret)),
    ];
    for (bytes, unlock) in cases {
        for bad in flips(&bytes) {
            let opened = Slot::decode(&bad).and_then(|slot| slot.open(unlock));
            assert!(
                opened.is_err() || value(&bad) == value(&bytes),
                "{}",
                bad.escape_ascii()
            );
        }
    }
}

#[test]
fn a_slot_with_keys_of_another_vault_is_refused() {
    // A store that knows a recipient's public key can make slots for it, with keys of its own;
    // what it cannot do is make them fit the vault's id.
    let secret = secret();
    let hostile = VaultKeys::generate(&mut counter(66));
    let bytes = seal(&hostile, Lock::Recipient(&secret.public()));
    let opened = Slot::decode(&bytes)
        .unwrap()
        .open(Unlock::Recipient(&secret))
        .unwrap();
    assert_ne!(opened.vault(), keys().vault());

    // And a slot that only claims the vault's id does not open.
    let mut document = Document::new(WHAT, "key-slot");
    document.set("vault", keys().vault().to_string());
    document.set("slot", SlotId([1; 8]).to_string());
    document.set("access", "full");
    document.set("created", 0);
    document.set("holder", "recipient");
    document.set("recipient", secret.public().to_string());
    let aad = document.proven_text("sealed").unwrap();
    let plain = pack_keys(&hostile);
    let sealed = wrap(
        &secret.public().0,
        RECIPIENT_INFO,
        &aad,
        &plain,
        &mut counter(1),
    )
    .unwrap();
    document.set_bytes("sealed", &sealed);
    let slot = Slot::decode(&document.to_bytes()).unwrap();
    assert!(
        slot.open(Unlock::Recipient(&secret))
            .unwrap_err()
            .to_string()
            .contains("not those of the vault")
    );
}

#[test]
fn a_slot_that_demands_much_is_refused_before_it_is_obeyed() {
    let text = String::from_utf8(passphrase(&keys())).unwrap();
    let with = |from: &str, to: &str| {
        assert!(text.contains(from), "{text}");
        Slot::decode(text.replace(from, to).as_bytes()).unwrap_err()
    };
    assert!(matches!(
        with("\"memory_kib\":8", "\"memory_kib\":104857600"),
        Error::TooLarge { .. }
    ));
    assert!(matches!(
        with("\"passes\":1", "\"passes\":65"),
        Error::TooLarge { .. }
    ));
    assert!(matches!(
        with("\"lanes\":1", "\"lanes\":17"),
        Error::TooLarge { .. }
    ));
    assert!(matches!(
        with("\"memory_kib\":8", "\"memory_kib\":7"),
        Error::Damaged { .. }
    ));
    assert!(matches!(
        with("\"passes\":1", "\"passes\":0"),
        Error::Damaged { .. }
    ));
    assert!(matches!(
        with("\"lanes\":1", "\"lanes\":-1"),
        Error::Damaged { .. }
    ));
    let both = text
        .replace("\"memory_kib\":8", "\"memory_kib\":1048576")
        .replace("\"passes\":1", "\"passes\":5");
    assert!(matches!(
        Slot::decode(both.as_bytes()),
        Err(Error::TooLarge { .. })
    ));
    let holder = with("\"holder\": \"passphrase\"", "\"holder\": \"tpm\"");
    assert!(holder.to_string().contains("holder \"tpm\""), "{holder}");
}

/// RFC 9106's parameters run, and the answer is that of another implementation (argon2-cffi).
#[test]
fn argon2id_agrees_with_another_implementation() {
    let cost = Argon2Cost {
        memory_kib: 256,
        passes: 3,
        lanes: 4,
    };
    let out = cost.stretch(b"password", &[9; 32]).unwrap();
    assert_eq!(
        data_encoding::HEXLOWER.encode(out.expose()),
        "633cc68eb5b849b3fe2a3d0fd1e6c3763bce8ff6575fca4ce2c5d41b9692c7d9"
    );
}
