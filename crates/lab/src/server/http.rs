//! The little of HTTP/1.1 that WS-Management needs: POST with a length.

use std::io::{self, Read, Write};

use crate::wsman::Cut;

/// Bytes of a request's head.
const MOST_HEAD: usize = 64 << 10;
const MOST_HEADERS: usize = 64;

/// A request's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    headers: Vec<(String, String)>,
    /// Bytes of the body.
    pub(super) length: usize,
}

/// A head that is not answered by the service: HTTP's status instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rejected(pub(super) u16);

impl Head {
    /// Reads a whole head, with the empty line at its end.
    fn parse(bytes: &[u8]) -> Result<Self, Rejected> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(bytes) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) | Err(_) => return Err(Rejected(400)),
        }
        let mut head = Self {
            headers: Vec::new(),
            length: 0,
        };
        for header in request.headers.iter() {
            let value = std::str::from_utf8(header.value).map_err(|_| Rejected(400))?;
            head.headers
                .push((header.name.to_owned(), value.trim().to_owned()));
        }
        let path = request.path.unwrap_or("");
        let path = path
            .split(['?', '#'])
            .next()
            .unwrap_or("")
            .trim_end_matches('/');
        if !path.eq_ignore_ascii_case("/wsman") {
            return Err(Rejected(404));
        }
        if request.method != Some("POST") {
            return Err(Rejected(405));
        }
        // Chunks are refused by hosts, and two lengths by everybody.
        if head.header("transfer-encoding").is_some() {
            return Err(Rejected(400));
        }
        head.length = head.told_length()?;
        Ok(head)
    }

    fn told_length(&self) -> Result<usize, Rejected> {
        let is_length = |(name, _): &&(String, String)| name.eq_ignore_ascii_case("content-length");
        let mut lengths = self.headers.iter().filter(is_length);
        match (lengths.next(), lengths.next()) {
            (Some((_, text)), None) if text.bytes().all(|b| b.is_ascii_digit()) => {
                text.parse().map_err(|_| Rejected(413))
            }
            (None, _) => Err(Rejected(411)),
            _ => Err(Rejected(400)),
        }
    }

    /// The first header of a name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Whether the client will close the connection.
    pub(super) fn closes(&self) -> bool {
        self.header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// Reads the next head from a connection; `None` when it ends before one begins. `left` is what
/// was read too far before, and afterwards.
pub(super) fn read_head(
    from: &mut impl Read,
    left: &mut Vec<u8>,
) -> io::Result<Option<Result<Head, Rejected>>> {
    loop {
        if let Some(at) = left.windows(4).position(|w| w == b"\r\n\r\n") {
            let rest = left.split_off(at + 4);
            let head = Head::parse(left);
            *left = rest;
            return Ok(Some(head));
        }
        if left.len() > MOST_HEAD {
            return Ok(Some(Err(Rejected(431))));
        }
        let mut part = [0; 8192];
        match from.read(&mut part)? {
            0 if left.is_empty() => return Ok(None),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            len => left.extend_from_slice(&part[..len]),
        }
    }
}

/// Reads a body whose length was judged.
pub(super) fn read_body(
    from: &mut impl Read,
    left: &mut Vec<u8>,
    length: usize,
) -> io::Result<Vec<u8>> {
    while left.len() < length {
        let mut part = [0; 8192];
        match from.read(&mut part)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            len => left.extend_from_slice(&part[..len]),
        }
    }
    let rest = left.split_off(length);
    Ok(std::mem::replace(left, rest))
}

/// A reply of HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
    /// Whether the connection ends with it.
    pub(super) closes: bool,
    /// Where the connection breaks.
    pub(super) cut: Option<Cut>,
}

impl Reply {
    pub(super) fn bare(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let reason = match self.status {
            200 => "OK",
            400 => "Bad Request",
            401 => "Unauthorized",
            404 => "Not Found",
            405 => "Method Not Allowed",
            411 => "Length Required",
            413 => "Request Entity Too Large",
            431 => "Request Header Fields Too Large",
            _ => "Internal Server Error",
        };
        let mut bytes = format!(
            "HTTP/1.1 {} {reason}\r\nServer: Microsoft-HTTPAPI/2.0\r\n",
            self.status
        );
        for (name, value) in &self.headers {
            bytes.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.closes {
            bytes.push_str("Connection: close\r\n");
        }
        bytes.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        let mut bytes = bytes.into_bytes();
        let head = bytes.len();
        bytes.extend_from_slice(&self.body);
        match self.cut {
            Some(Cut::After(so_many)) => bytes.truncate(so_many),
            Some(Cut::BeforeBody) => bytes.truncate(head),
            Some(Cut::BeforeLast) => bytes.truncate(bytes.len().saturating_sub(1)),
            None => {}
        }
        to.write_all(&bytes)?;
        to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Head, Rejected> {
        let mut left = Vec::new();
        read_head(&mut text.as_bytes(), &mut left).unwrap().unwrap()
    }

    #[test]
    fn heads_are_judged() {
        let good = head("POST /wsman?x HTTP/1.1\r\nContent-Length: 12\r\nA: b\r\n\r\n").unwrap();
        assert_eq!((good.length, good.header("a")), (12, Some("b")));
        for (text, status) in [
            ("GET /wsman HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 405),
            ("POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 404),
            ("POST /wsman HTTP/1.1\r\n\r\n", 411),
            (
                "POST /wsman HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
                400,
            ),
            (
                "POST /wsman HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                400,
            ),
            ("POST /wsman HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
            (
                "POST /wsman HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
                413,
            ),
            ("nonsense\r\n\r\n", 400),
        ] {
            assert_eq!(head(text), Err(Rejected(status)), "{text}");
        }
        let long = format!(
            "POST /wsman HTTP/1.1\r\nA: {}\r\n\r\n",
            "x".repeat(MOST_HEAD + 9000)
        );
        assert_eq!(head(&long), Err(Rejected(431)));
    }

    #[test]
    fn two_requests_may_come_at_once() {
        let text = "POST /wsman HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcPOST /wsman HTTP/1.1\r\nContent-Length: 1\r\n\r\nd";
        let (mut from, mut left) = (text.as_bytes(), Vec::new());
        for body in ["abc", "d"] {
            let head = read_head(&mut from, &mut left).unwrap().unwrap().unwrap();
            let read = read_body(&mut from, &mut left, head.length).unwrap();
            assert_eq!(read, body.as_bytes());
        }
        assert_eq!(read_head(&mut from, &mut left).unwrap(), None);
    }
}
