//! Encrypted messages within HTTP (MS-WSMV 2.2.9): two parts that look like MIME and are not.
//!
//! There is no empty line behind the second part's header and no line end before the closing
//! boundary, so the end is found by its length from behind, never by a search: the boundary may
//! occur within encrypted bytes.

/// Bytes that a signature may have: NTLM's has 16, Kerberos' header some more.
const MOST_SIGNATURE: usize = 1024;
const TYPE: &str = "application/soap+xml;charset=UTF-8";

/// An encrypted message.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Sealed {
    /// The signature or header.
    pub signature: Vec<u8>,
    /// The encrypted bytes.
    pub data: Vec<u8>,
}

/// Why bytes are no encrypted message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the encrypted message {0}")]
pub struct MalformedSealed(pub &'static str);

/// The header `Content-Type` of a message encrypted by a protocol.
pub(super) fn content_type(protocol: &str) -> String {
    format!("multipart/encrypted;protocol=\"{protocol}\";boundary=\"Encrypted Boundary\"")
}

impl Sealed {
    /// The body of HTTP. `plain` is the length of the message before it was encrypted.
    pub fn to_body(&self, protocol: &str, plain: usize) -> Vec<u8> {
        let mut body = format!(
            "--Encrypted Boundary\r\n\tContent-Type: {protocol}\r\n\
             \tOriginalContent: type={TYPE};Length={plain}\r\n--Encrypted Boundary\r\n\
             \tContent-Type: application/octet-stream\r\n"
        )
        .into_bytes();
        let len = u32::try_from(self.signature.len()).unwrap_or(u32::MAX);
        body.extend_from_slice(&len.to_le_bytes());
        body.extend_from_slice(&self.signature);
        body.extend_from_slice(&self.data);
        body.extend_from_slice(b"--Encrypted Boundary--\r\n");
        body
    }

    /// Reads the body of HTTP. Boundaries with a blank after the dashes are taken: some hosts
    /// write them so, and so does the specification's own sample.
    pub fn from_body(body: &[u8]) -> Result<Self, MalformedSealed> {
        let (first, rest) = part(body)?;
        let length = first
            .iter()
            .filter_map(|line| line.trim().strip_prefix("OriginalContent:"))
            .flat_map(|line| line.split(';'))
            .find_map(|field| field.trim().strip_prefix("Length="))
            .and_then(|digits| digits.trim().parse::<usize>().ok())
            .ok_or(MalformedSealed("tells no length"))?;
        let rest = boundary(rest).ok_or(MalformedSealed("has no second part"))?;
        let (kind, rest) = line(rest).ok_or(MalformedSealed("ends within a header"))?;
        if !kind
            .trim()
            .eq_ignore_ascii_case("Content-Type: application/octet-stream")
        {
            return Err(MalformedSealed("has a second part of another type"));
        }
        let ends: [&[u8]; 4] = [
            b"--Encrypted Boundary--\r\n",
            b"-- Encrypted Boundary--\r\n",
            b"--Encrypted Boundary--",
            b"-- Encrypted Boundary--",
        ];
        let inner = ends.iter().find_map(|end| rest.strip_suffix(*end));
        let inner = inner.ok_or(MalformedSealed("does not end with its boundary"))?;
        let (len, inner) = inner
            .split_first_chunk()
            .ok_or(MalformedSealed("is too short"))?;
        let len = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX);
        if len > MOST_SIGNATURE {
            return Err(MalformedSealed("has too large a signature"));
        }
        let (signature, data) = inner
            .split_at_checked(len)
            .ok_or(MalformedSealed("is shorter than its signature"))?;
        if data.len() != length {
            return Err(MalformedSealed("has not the length that it tells"));
        }
        Ok(Self {
            signature: signature.to_vec(),
            data: data.to_vec(),
        })
    }
}

/// The header lines of the first part, and what follows them: the next boundary.
fn part(body: &[u8]) -> Result<(Vec<&str>, &[u8]), MalformedSealed> {
    let mut rest = boundary(body).ok_or(MalformedSealed("does not begin with its boundary"))?;
    let mut lines = Vec::new();
    while boundary(rest).is_none() {
        let (next, after) = line(rest).ok_or(MalformedSealed("ends within a header"))?;
        lines.push(next);
        rest = after;
        if lines.len() > 16 {
            return Err(MalformedSealed("has too many header lines"));
        }
    }
    Ok((lines, rest))
}

fn boundary(bytes: &[u8]) -> Option<&[u8]> {
    let (first, rest) = line(bytes)?;
    matches!(first, "--Encrypted Boundary" | "-- Encrypted Boundary").then_some(rest)
}

/// A short line of text and what follows it.
fn line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let near = bytes.get(..512).unwrap_or(bytes);
    let end = near.windows(2).position(|w| w == b"\r\n")?;
    let text = std::str::from_utf8(bytes.get(..end)?).ok()?;
    Some((text, bytes.get(end + 2..)?))
}
