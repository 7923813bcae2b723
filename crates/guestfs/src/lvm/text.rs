//! The text in which LVM2 writes its metadata: sections, numbers, strings and lists.
//!
//! Bounded: so many values, so deep, and lists hold no lists.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// Values of a text at most, and sections within one another.
const MOST: usize = 1 << 20;
const DEPTH: usize = 16;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Number(i64),
    Text(String),
    List(Vec<Value>),
    Section(Section),
}

/// Values by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Section(BTreeMap<String, Value>);

impl Section {
    /// The sections in it, by name.
    pub(super) fn sections(&self) -> impl Iterator<Item = (&str, &Section)> {
        self.0.iter().filter_map(|(name, value)| match value {
            Value::Section(section) => Some((name.as_str(), section)),
            _ => None,
        })
    }

    pub(super) fn section(&self, name: &str) -> Option<&Section> {
        match self.0.get(name) {
            Some(Value::Section(section)) => Some(section),
            _ => None,
        }
    }

    pub(super) fn number(&self, name: &str) -> Result<u64> {
        match self.0.get(name) {
            Some(Value::Number(number)) if *number >= 0 => Ok(number.unsigned_abs()),
            value => Err(Error::damaged(
                "LVM metadata",
                format!("{name} is {value:?} and no number"),
            )),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<&str> {
        match self.0.get(name) {
            Some(Value::Text(text)) => Ok(text),
            value => Err(Error::damaged(
                "LVM metadata",
                format!("{name} is {value:?} and no text"),
            )),
        }
    }

    pub(super) fn list(&self, name: &str) -> &[Value] {
        match self.0.get(name) {
            Some(Value::List(list)) => list,
            _ => &[],
        }
    }

    /// Whether a list has this text.
    pub(super) fn has(&self, list: &str, text: &str) -> bool {
        let is = |value: &Value| matches!(value, Value::Text(one) if one == text);
        self.list(list).iter().any(is)
    }
}

/// Reads a text.
pub(super) fn parse(text: &[u8]) -> Result<Section> {
    let text = String::from_utf8_lossy(text);
    let mut parser = Parser {
        rest: text.trim_end_matches('\0'),
        values: 0,
    };
    let all = parser.section(0)?;
    parser.skip();
    match parser.rest {
        "" => Ok(all),
        _ => Err(parser.damaged("a section is closed that was not opened")),
    }
}

struct Parser<'a> {
    rest: &'a str,
    values: usize,
}

impl<'a> Parser<'a> {
    fn damaged(&self, why: &str) -> Error {
        let near: String = self.rest.chars().take(20).collect();
        Error::damaged("LVM metadata", format!("{why}, before {near:?}"))
    }

    /// Space and comments.
    fn skip(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            if !self.rest.starts_with('#') {
                return;
            }
            self.rest = self
                .rest
                .find('\n')
                .and_then(|at| self.rest.get(at..))
                .unwrap_or("");
        }
    }

    fn take(&mut self, char: char) -> bool {
        self.skip();
        match self.rest.strip_prefix(char) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// As many as fit.
    fn word(&mut self, fits: fn(char) -> bool) -> &'a str {
        self.skip();
        let len = self
            .rest
            .find(|char| !fits(char))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at_checked(len).unwrap_or((self.rest, ""));
        self.rest = rest;
        word
    }

    /// Up to the bracket that closes it, or the end.
    fn section(&mut self, depth: usize) -> Result<Section> {
        if depth > DEPTH {
            return Err(self.damaged("sections are nested too deep"));
        }
        let mut section = Section::default();
        loop {
            self.skip();
            if self.rest.is_empty() || self.rest.starts_with('}') {
                return Ok(section);
            }
            let name = self.word(|char| char.is_ascii_alphanumeric() || "_.+-".contains(char));
            if name.is_empty() {
                return Err(self.damaged("a name is missing"));
            }
            let value = if self.take('{') {
                let inner = self.section(depth + 1)?;
                if !self.take('}') {
                    return Err(self.damaged("a section is not closed"));
                }
                Value::Section(inner)
            } else if self.take('=') {
                self.value()?
            } else {
                return Err(self.damaged(&format!("{name} has no value")));
            };
            self.count()?;
            section.0.insert(name.to_owned(), value);
        }
    }

    fn count(&mut self) -> Result<()> {
        self.values += 1;
        match self.values {
            ..=MOST => Ok(()),
            _ => Err(self.damaged("there are too many values")),
        }
    }

    fn value(&mut self) -> Result<Value> {
        if !self.take('[') {
            return self.single();
        }
        let mut list = Vec::new();
        while !self.take(']') {
            list.push(self.single()?);
            self.count()?;
            self.take(',');
        }
        Ok(Value::List(list))
    }

    fn single(&mut self) -> Result<Value> {
        if self.take('"') {
            return self.text();
        }
        let word = self.word(|char| char.is_ascii_alphanumeric() || "-+.".contains(char));
        if let Ok(number) = word.parse() {
            return Ok(Value::Number(number));
        }
        // Numbers with a fraction stand in places that are of no matter here.
        match word.parse::<f64>() {
            Ok(_) => Ok(Value::Text(word.to_owned())),
            Err(_) => Err(self.damaged(&format!("{word:?} is no value"))),
        }
    }

    fn text(&mut self) -> Result<Value> {
        let mut text = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((at, char)) = chars.next() {
            match char {
                '"' => {
                    self.rest = self.rest.get(at + 1..).unwrap_or("");
                    return Ok(Value::Text(text));
                }
                '\\' => text.extend(chars.next().map(|(_, char)| char)),
                char => text.push(char),
            }
        }
        Err(self.damaged("a text does not end"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read() {
        let read = parse(
            b"# c\nvg {\n id = \"a\\\"b\" # x\n n=-1 e = []\n l = [\"pv0\", 7]\n}\nversion = 1\n",
        )
        .unwrap();
        let group = read.section("vg").unwrap();
        assert_eq!(group.text("id").unwrap(), "a\"b");
        assert!(group.number("n").is_err() && group.text("n").is_err());
        assert!(group.has("l", "pv0") && group.list("e").is_empty());
        assert_eq!(read.number("version").unwrap(), 1);
    }

    #[test]
    fn what_is_none_is_told() {
        let deep = "a {".repeat(100_000);
        for text in [
            "a",
            "a = ",
            "a = [1",
            "a = \"",
            "a {",
            "}",
            "a = x",
            "= 1",
            deep.as_str(),
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text:.20}");
        }
    }
}
