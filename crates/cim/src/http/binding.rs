//! Binding a logon to the TLS connection that it goes through (RFC 5929, tls-server-end-point).
//!
//! A host that checks it knows that nobody sits in between. The binding is a hash of the host's
//! certificate, by the hash of the certificate's own signature unless that is too weak.

use ring::digest::{self, Algorithm};

/// The prefix that tells the kind of binding.
const PREFIX: &[u8] = b"tls-server-end-point:";

/// Signature algorithms that do not use SHA-256, as the bytes of their object identifiers.
const OTHERS: &[(&[u8], &Algorithm)] = &[
    // sha384WithRSAEncryption, sha512WithRSAEncryption
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 12],
        &digest::SHA384,
    ),
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 13],
        &digest::SHA512,
    ),
    // ecdsa-with-SHA384, ecdsa-with-SHA512
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3], &digest::SHA384),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4], &digest::SHA512),
];

/// The binding for a certificate; `None` for bytes that are none.
pub(super) fn token(certificate: &[u8]) -> Option<Vec<u8>> {
    let signature = signature_algorithm(certificate)?;
    let other = OTHERS.iter().find(|(id, _)| *id == signature);
    // MD5 and SHA-1 count as SHA-256, and so does RSASSA-PSS, whose hash is a parameter.
    let algorithm = other.map_or(&digest::SHA256, |(_, algorithm)| *algorithm);
    let mut token = PREFIX.to_vec();
    token.extend_from_slice(digest::digest(algorithm, certificate).as_ref());
    Some(token)
}

/// `Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE { id, … }, … }`
fn signature_algorithm(certificate: &[u8]) -> Option<&[u8]> {
    const SEQUENCE: u8 = 0x30;
    const OBJECT_IDENTIFIER: u8 = 0x06;
    let (whole, _) = element(certificate, SEQUENCE)?;
    let (_, rest) = element(whole, SEQUENCE)?;
    let (algorithm, _) = element(rest, SEQUENCE)?;
    Some(element(algorithm, OBJECT_IDENTIFIER)?.0)
}

/// The content of a DER element of this tag, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], mut rest) = bytes.split_first_chunk::<2>()?;
    if found != tag {
        return None;
    }
    let mut len = usize::from(first);
    if first >= 0x80 {
        let count = usize::from(first & 0x7f);
        if !(1..=4).contains(&count) {
            return None;
        }
        let (digits, after) = rest.split_at_checked(count)?;
        len = digits
            .iter()
            .fold(0, |len, digit| len << 8 | usize::from(*digit));
        rest = after;
    }
    rest.split_at_checked(len)
}
