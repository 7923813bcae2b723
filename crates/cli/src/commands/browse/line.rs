//! Lines of commands from somewhere, none longer than anybody writes.

use std::io::{BufRead, Read as _};

use crate::failure::{Failure, Result};

/// Bytes of the longest line.
const LONGEST: u64 = 1 << 16;

/// The next line, without its end; nothing at the end of all.
pub(super) fn next(from: &mut dyn BufRead) -> Result<Option<String>> {
    let mut line = Vec::new();
    let read = from.take(LONGEST).read_until(b'\n', &mut line);
    read.map_err(|error| {
        let error = anyhow::Error::new(error).context("reading commands");
        Failure::from(error).hint("write them into a file, and give it by --script FILE")
    })?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.pop_if(|byte| *byte == b'\n').is_none() && line.len() as u64 == LONGEST {
        return Err(Failure::usage("a line is too long").hint("write one command on a line"));
    }
    line.pop_if(|byte| *byte == b'\r');
    let line = String::from_utf8(line);
    line.map(Some).map_err(|_| {
        Failure::usage("a line is no UTF-8")
            .hint("write bytes of odd names as %XX, as `ls` shows them")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_and_are_bounded() {
        let mut from: &[u8] = b"a b\r\n\nlast";
        for expected in [Some("a b"), Some(""), Some("last"), None] {
            assert_eq!(next(&mut from).unwrap().as_deref(), expected);
        }
        assert!(next(&mut &b"\xff\n"[..]).is_err());
        assert!(next(&mut &vec![b'x'; 1 << 17][..]).is_err());
    }
}
