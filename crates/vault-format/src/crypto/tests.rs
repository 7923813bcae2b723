use data_encoding::HEXLOWER;

use super::*;
use crate::keys::WriterKey;

fn hex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.as_bytes()).unwrap()
}

fn counting() -> Secret {
    Secret::new(std::array::from_fn(|i| i as u8))
}

/// RFC 5869, test case 1.
#[test]
fn hkdf_gives_the_published_answer() {
    let mut okm = [0; 42];
    hkdf(
        &[0x0b; 22],
        &hex("000102030405060708090a0b0c"),
        &[&hex("f0f1f2f3f4"), &hex("f5f6f7f8f9")],
        &mut okm,
    );
    assert_eq!(
        okm[..],
        hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")
    );
}

/// The Galois/Counter Mode of Operation (McGrew, Viega), test case 13.
#[test]
fn sealing_gives_the_published_answer() {
    let mut piece = Vec::new();
    Sealer::new(&Secret::new([0; 32]), b"").seal(0, &mut piece);
    assert_eq!(piece, hex("530f8afbc74536b9a963b4f1c4cb738b"));
}

/// Computed with another implementation (pyca/cryptography on OpenSSL).
#[test]
fn public_keys_and_signatures_agree_with_another_implementation() {
    assert_eq!(
        x25519_public(&counting())[..],
        hex("8f40c5adb68f25624ae5b214ea767a6ec94d829d3d7b5e1ad1ba6f3e2138285f")
    );
    let writer = WriterKey::from_seed(counting());
    assert_eq!(
        writer.public().0[..],
        hex("03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8")
    );
    assert_eq!(
        writer.sign("d", &[b"a", b"b"])[..],
        hex(
            "3c083d272dca33490929419770138333905f92c130ab852d72ddf1f7e5ce790cb24a1a40f2582348c5b9e3af9008de8d8efcb66e6516d533e451dbe6e86cfb0b"
        )
    );
}

/// The test vectors that RFC 9180 refers to (section "Test Vectors"), for the suite of this format:
/// base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, first message. The sender's
/// key pair is derived from `ikmE`, which is what the library takes from its random generator.
#[test]
fn wrapping_gives_the_published_answer_and_opens_it() {
    let info = hex("4f6465206f6e2061204772656369616e2055726e");
    let aad = hex("436f756e742d30");
    let plain = hex("4265617574792069732074727574682c20747275746820626561757479");
    let ikm_e = hex("2cd7c601cefb3d42a62b04b7a9041494c06c7843818e0ce28a8f704ae7ab20f9");
    let private = hex("497b4502664cfea5d5af0b39934dac72242a74f8480451e1aee7d6a53320333d");
    let public = hex("430f4b9859665145a6b1ba274024487bd66f03a2dd577d7753c68d7d7d00c00c");
    let sealed = hex(concat!(
        "6c93e09869df3402d7bf231bf540fadd35cd56be14f97178f0954db94b7fc256",
        "e5d84cd531cfb583096e7cfa9641bd3079cf3a91cda813c52deb5f512be9931980a41de125a925cdad859d5b7a"
    ));
    let private = Secret::new(private.try_into().unwrap());
    assert_eq!(x25519_public(&private)[..], public);
    let rng = &mut |out: &mut [u8]| out.copy_from_slice(&ikm_e);
    let public = public.try_into().unwrap();
    assert_eq!(wrap(&public, &info, &aad, &plain, rng).unwrap(), sealed);
    let opened = unwrap(&private, "message", &info, &aad, &sealed).unwrap();
    assert_eq!(opened[..], plain);
}

#[test]
fn a_sealed_piece_opens_only_where_and_as_it_was_sealed() {
    let sealer = Sealer::new(&counting(), b"header");
    let mut piece = b"plain".to_vec();
    sealer.seal(7, &mut piece);
    assert_eq!(sealer.open("piece", 7, &piece).unwrap(), b"plain");
    assert!(sealer.open("piece", 8, &piece).is_err());
    assert!(
        Sealer::new(&counting(), b"heador")
            .open("piece", 7, &piece)
            .is_err()
    );
    for len in 0..piece.len() {
        assert!(sealer.open("piece", 7, &piece[..len]).is_err());
    }
    for i in 0..piece.len() {
        let mut bad = piece.clone();
        bad[i] ^= 1;
        assert!(sealer.open("piece", 7, &bad).is_err());
    }
}

#[test]
fn a_wrapped_key_opens_only_with_its_private_key_info_and_aad() {
    let private = counting();
    let public = x25519_public(&private);
    let rng = &mut |out: &mut [u8]| out.fill(5);
    let wrapped = wrap(&public, b"info", b"aad", &[1; 32], rng).unwrap();
    assert_eq!(wrapped.len(), WRAPPED_LEN);
    let open = |key: &Secret, info: &[u8], aad: &[u8], w: &[u8]| unwrap(key, "key", info, aad, w);
    assert_eq!(
        open(&private, b"info", b"aad", &wrapped).unwrap()[..],
        [1; 32]
    );
    assert!(open(&Secret::new([3; 32]), b"info", b"aad", &wrapped).is_err());
    assert!(open(&private, b"inf0", b"aad", &wrapped).is_err());
    assert!(open(&private, b"info", b"aae", &wrapped).is_err());
    for i in 0..wrapped.len() {
        // The top bit of an X25519 point does not count (RFC 7748, section 5), but HPKE hashes
        // the encapsulated key, so even that bit is noticed.
        let mut bad = wrapped.clone();
        bad[i] ^= 0x80;
        assert!(open(&private, b"info", b"aad", &bad).is_err(), "byte {i}");
        assert!(
            open(&private, b"info", b"aad", &wrapped[..i]).is_err(),
            "cut at {i}"
        );
    }
    // A point of small order gives no shared secret.
    assert!(wrap(&[0; 32], b"info", b"aad", &[1; 32], rng).is_err());
}
