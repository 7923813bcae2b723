//! Encrypted messages within HTTP (MS-WSMV 2.2.9.1): two parts that only look like MIME.
//!
//! The second part's data begins right behind its header line and is as long as the first part
//! says, with a signature and its length in front.

const BOUNDARY: &str = "Encrypted Boundary";
const SPNEGO: &str = "application/HTTP-SPNEGO-session-encrypted";
const SOAP: &str = "application/soap+xml;charset=UTF-8";
/// What a header line may have.
const MOST_LINE: usize = 256;

/// What is wrong with an encrypted message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the encrypted message is malformed: {0}")]
pub struct BadSealed(pub &'static str);

/// The header `Content-Type` of an encrypted message.
pub(super) fn content_type() -> String {
    format!("multipart/encrypted;protocol=\"{SPNEGO}\";boundary=\"{BOUNDARY}\"")
}

/// Whether a header `Content-Type` announces an encrypted message of the protocol.
pub(super) fn is_sealed(content_type: &str) -> bool {
    let mut fields = content_type.split(';').map(str::trim);
    let kind = fields
        .next()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("multipart/encrypted"));
    let mut protocol = fields.filter_map(|field| field.strip_prefix("protocol="));
    kind && protocol.any(|protocol| protocol.trim_matches('"').eq_ignore_ascii_case(SPNEGO))
}

/// Signature and encrypted bytes as a body.
pub(super) fn pack(signature: &[u8; 16], data: &[u8]) -> Vec<u8> {
    let mut body = format!(
        "--{BOUNDARY}\r\n\tContent-Type: {SPNEGO}\r\n\tOriginalContent: type={SOAP};Length={}\r\n--{BOUNDARY}\r\n\tContent-Type: application/octet-stream\r\n",
        data.len()
    )
    .into_bytes();
    body.extend_from_slice(&16_u32.to_le_bytes());
    body.extend_from_slice(signature);
    body.extend_from_slice(data);
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

/// Signature and encrypted bytes of a body.
pub fn unpack(body: &[u8]) -> Result<([u8; 16], Vec<u8>), BadSealed> {
    let mut rest = body;
    expect(&mut rest, &format!("--{BOUNDARY}"))?;
    let protocol = line(&mut rest)?;
    if protocol.trim() != format!("Content-Type: {SPNEGO}") {
        return Err(BadSealed("it is of another protocol"));
    }
    let original = line(&mut rest)?.trim().to_owned();
    let length = original
        .strip_prefix("OriginalContent: type=")
        .and_then(|told| told.rsplit_once(";Length="));
    let length: Option<usize> = length.and_then(|(_, digits)| digits.parse().ok());
    let length = length.ok_or(BadSealed("it tells no length"))?;
    expect(&mut rest, &format!("--{BOUNDARY}"))?;
    expect(&mut rest, "\tContent-Type: application/octet-stream")?;
    let (size, rest) = rest
        .split_first_chunk::<4>()
        .ok_or(BadSealed("it ends too early"))?;
    if u32::from_le_bytes(*size) != 16 {
        return Err(BadSealed("its signature has not 16 bytes"));
    }
    let (signature, rest) = rest
        .split_first_chunk::<16>()
        .ok_or(BadSealed("it ends too early"))?;
    let (data, end) = rest
        .split_at_checked(length)
        .ok_or(BadSealed("it is shorter than it says"))?;
    match end {
        b"--Encrypted Boundary--\r\n" | b"--Encrypted Boundary--" => {
            Ok((*signature, data.to_vec()))
        }
        _ => Err(BadSealed("its end is not where it says")),
    }
}

fn line<'a>(rest: &mut &'a [u8]) -> Result<&'a str, BadSealed> {
    let near = rest.get(..MOST_LINE).unwrap_or(rest);
    let end = near.windows(2).position(|w| w == b"\r\n");
    let (line, after) = rest.split_at(end.ok_or(BadSealed("a line does not end"))?);
    *rest = after.get(2..).unwrap_or_default();
    std::str::from_utf8(line).map_err(|_| BadSealed("a line is no text"))
}

fn expect(rest: &mut &[u8], wanted: &str) -> Result<(), BadSealed> {
    match line(rest)? == wanted {
        true => Ok(()),
        false => Err(BadSealed("a line is not as it must be")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_is_found_whatever_it_holds() {
        for data in [&b""[..], b"--Encrypted Boundary--\r\n", &[0; 1000]] {
            let body = pack(&[7; 16], data);
            assert_eq!(unpack(&body), Ok(([7; 16], data.to_vec())));
            for cut in 0..body.len() - 2 {
                assert!(unpack(&body[..cut]).is_err(), "{cut}");
            }
            let longer = [&body[..], b"x"].concat();
            assert!(unpack(&longer).is_err());
        }
        assert!(is_sealed(&content_type()));
        assert!(!is_sealed("application/soap+xml"));
        assert!(!is_sealed(
            "multipart/encrypted;protocol=\"application/HTTP-Kerberos-session-encrypted\""
        ));
    }
}
