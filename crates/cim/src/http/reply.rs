//! Replies of HTTP/1.1, read from anything that can be read.

use std::io::{self, Read};

/// Bytes that the head of a reply may have.
const MOST_HEAD: usize = 64 << 10;
/// Headers that a reply may have.
const MOST_HEADERS: usize = 64;
/// Replies of status 1xx before the real one.
const MOST_INTERIM: usize = 4;

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct HttpReply {
    /// The status.
    pub status: u16,
    /// The headers in their order, as they came.
    pub headers: Vec<(String, String)>,
    /// The body, no longer in chunks.
    pub body: Vec<u8>,
    /// Whether the connection can be used again.
    pub keep: bool,
}

/// Why bytes are no reply.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MalformedReply {
    /// They cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// They are not what HTTP allows.
    #[error("{0}")]
    Malformed(&'static str),
    /// They are more than is accepted.
    #[error("its {0} is larger than is accepted")]
    TooLarge(&'static str),
}

impl HttpReply {
    /// The values of a header, its name in any case.
    pub fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = move |(n, _): &&(String, String)| n.eq_ignore_ascii_case(name);
        self.headers
            .iter()
            .filter(named)
            .map(|(_, value)| value.as_str())
    }

    fn says(&self, name: &str, word: &str) -> bool {
        let mut words = self.header(name).flat_map(|value| value.split(','));
        words.any(|found| found.trim().eq_ignore_ascii_case(word))
    }
}

/// Reads a reply whose body may have at most `most` bytes. Bytes behind it stay unread, or are an
/// error where they cannot: nobody may talk before being asked.
pub fn read_reply(from: &mut dyn Read, most: usize) -> Result<HttpReply, MalformedReply> {
    let mut input = Input {
        from,
        buffer: Vec::new(),
    };
    let (mut reply, version) = 'head: {
        for _ in 0..MOST_INTERIM {
            let (reply, version) = head(&mut input)?;
            if !(100..200).contains(&reply.status) {
                break 'head (reply, version);
            }
        }
        return Err(MalformedReply::Malformed("it never comes to an end"));
    };
    let lengths: Vec<_> = reply.header("content-length").map(str::to_owned).collect();
    let to_end = if reply.says("transfer-encoding", "chunked") {
        reply.body = chunks(&mut input, most)?;
        false
    } else if reply.header("transfer-encoding").next().is_some() {
        return Err(MalformedReply::Malformed(
            "it has an unknown transfer encoding",
        ));
    } else if let Some(length) = lengths.first() {
        if lengths.iter().any(|other| other != length) {
            return Err(MalformedReply::Malformed("it tells two lengths"));
        }
        let digits = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
        let length = length.parse::<usize>().ok().filter(|_| digits);
        let length = length.ok_or(MalformedReply::Malformed("its length is no number"))?;
        if length > most {
            return Err(MalformedReply::TooLarge("body"));
        }
        input.fill(length)?;
        reply.body = input.take(length);
        false
    } else if matches!(reply.status, 204 | 304) {
        false
    } else {
        while input.buffer.len() <= most && input.more()? {}
        if input.buffer.len() > most {
            return Err(MalformedReply::TooLarge("body"));
        }
        reply.body = std::mem::take(&mut input.buffer);
        true
    };
    if !input.buffer.is_empty() {
        return Err(MalformedReply::Malformed("more follows than it tells"));
    }
    let stays = version == 1 || reply.says("connection", "keep-alive");
    reply.keep = stays && !to_end && !reply.says("connection", "close");
    Ok(reply)
}

struct Input<'a> {
    from: &'a mut dyn Read,
    buffer: Vec<u8>,
}

impl Input<'_> {
    /// Reads some more; whether there was any.
    fn more(&mut self) -> io::Result<bool> {
        let mut part = [0; 8192];
        loop {
            match self.from.read(&mut part) {
                Ok(len) => {
                    self.buffer
                        .extend_from_slice(part.get(..len).unwrap_or(&[]));
                    return Ok(len > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn must_have_more(&mut self) -> io::Result<()> {
        if self.more()? {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the host closed the connection",
        ))
    }

    fn fill(&mut self, len: usize) -> io::Result<()> {
        while self.buffer.len() < len {
            self.must_have_more()?;
        }
        Ok(())
    }

    /// The first bytes, which are there.
    fn take(&mut self, len: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(len.min(self.buffer.len()));
        std::mem::replace(&mut self.buffer, rest)
    }
}

fn head(input: &mut Input<'_>) -> Result<(HttpReply, u8), MalformedReply> {
    loop {
        let end = input.buffer.windows(4).position(|w| w == b"\r\n\r\n");
        if let Some(end) = end {
            return parse_head(&input.take(end + 4));
        }
        if input.buffer.len() > MOST_HEAD {
            return Err(MalformedReply::TooLarge("head"));
        }
        input.must_have_more()?;
    }
}

fn parse_head(bytes: &[u8]) -> Result<(HttpReply, u8), MalformedReply> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut parsed = httparse::Response::new(&mut headers);
    let complete = parsed.parse(bytes).is_ok_and(|status| status.is_complete());
    let (Some(status), Some(version), true) = (parsed.code, parsed.version, complete) else {
        return Err(MalformedReply::Malformed("its head is malformed"));
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let headers = parsed.headers.iter();
    let reply = HttpReply {
        status,
        headers: headers
            .map(|h| (h.name.to_owned(), text(h.value)))
            .collect(),
        ..HttpReply::default()
    };
    Ok((reply, version))
}

fn chunks(input: &mut Input<'_>, most: usize) -> Result<Vec<u8>, MalformedReply> {
    let malformed = || MalformedReply::Malformed("its chunks are malformed");
    let mut body = Vec::new();
    loop {
        let line = line(input)?;
        let size = line.split(';').next().unwrap_or("").trim();
        let digits = (1..=8).contains(&size.len()) && size.bytes().all(|b| b.is_ascii_hexdigit());
        let size = usize::from_str_radix(size, 16).ok().filter(|_| digits);
        let size = size.ok_or_else(malformed)?;
        if size > most.saturating_sub(body.len()) {
            return Err(MalformedReply::TooLarge("body"));
        }
        if size == 0 {
            // Trailers, which nobody asked for, and the end.
            for _ in 0..MOST_HEADERS {
                if self::line(input)?.is_empty() {
                    return Ok(body);
                }
            }
            return Err(MalformedReply::TooLarge("trailer"));
        }
        input.fill(size + 2)?;
        body.append(&mut input.take(size));
        if input.take(2) != b"\r\n" {
            return Err(malformed());
        }
    }
}

fn line(input: &mut Input<'_>) -> Result<String, MalformedReply> {
    loop {
        let end = input.buffer.windows(2).position(|w| w == b"\r\n");
        if let Some(end) = end {
            let line = input.take(end + 2);
            return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
        if input.buffer.len() > MOST_HEAD {
            return Err(MalformedReply::TooLarge("line"));
        }
        input.must_have_more()?;
    }
}
