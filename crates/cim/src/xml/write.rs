//! A writer of elements that escapes all that it is given.

use std::borrow::Cow;

/// A value that XML or CIM-XML cannot carry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unwritable {
    /// XML 1.0 has no way to write this character.
    #[error("the text for {0} has the character U+{1:04X}, which XML cannot carry")]
    Character(String, u32),
    /// The type is needed and not known.
    #[error("the type of {0} is not known: read the class and conform the instance to it first")]
    Untyped(String),
    /// The value does not fit the declared type.
    #[error("the value of {0} is not of its type {1}")]
    Mismatch(String, String),
    /// Objects within objects without end.
    #[error("{0} has objects nested deeper than can be written")]
    TooDeep(String),
    /// A name that is none: it would change the document's structure.
    #[error("{0:?} is no name")]
    Name(String),
}

/// Builds a document from the outside in.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    out: String,
    open: Vec<Cow<'static, str>>,
    problem: Option<Unwritable>,
}

impl Writer {
    /// Opens an element.
    pub(crate) fn open(&mut self, name: impl Into<Cow<'static, str>>) -> &mut Self {
        let name = name.into();
        self.start(&name);
        self.out.push('>');
        self.open.push(name);
        self
    }

    /// Opens an element with attributes.
    pub(crate) fn open_with(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        attributes: &[(&str, &str)],
    ) -> &mut Self {
        let name = name.into();
        self.start(&name);
        self.attributes(attributes);
        self.out.push('>');
        self.open.push(name);
        self
    }

    /// Writes an element without content.
    pub(crate) fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) -> &mut Self {
        self.start(name);
        self.attributes(attributes);
        self.out.push_str("/>");
        self
    }

    /// Closes the innermost element.
    pub(crate) fn close(&mut self) -> &mut Self {
        if let Some(name) = self.open.pop() {
            self.out.push_str("</");
            self.out.push_str(&name);
            self.out.push('>');
        }
        self
    }

    /// Writes text into the innermost element.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.escape(text, false);
        self
    }

    /// An element with nothing but text.
    pub(crate) fn leaf(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        attributes: &[(&str, &str)],
        text: &str,
    ) -> &mut Self {
        self.open_with(name, attributes);
        self.text(text).close()
    }

    /// Notes that something cannot be written; the first such note is what `finish` returns.
    pub(crate) fn refuse(&mut self, problem: Unwritable) {
        self.problem.get_or_insert(problem);
    }

    /// Closes what is open and gives the document.
    pub(crate) fn finish(mut self) -> Result<String, Unwritable> {
        while !self.open.is_empty() {
            self.close();
        }
        self.problem.map_or(Ok(self.out), Err)
    }

    fn start(&mut self, name: &str) {
        let proper = |c: char| c.is_alphanumeric() || matches!(c, ':' | '_' | '.' | '-');
        let first = name
            .chars()
            .next()
            .is_some_and(|c| c.is_alphabetic() || c == '_');
        if !first || !name.chars().all(proper) {
            self.refuse(Unwritable::Name(name.to_owned()));
        }
        self.out.push('<');
        self.out.push_str(name);
    }

    fn attributes(&mut self, attributes: &[(&str, &str)]) {
        for (name, value) in attributes {
            self.out.push(' ');
            self.out.push_str(name);
            self.out.push_str("=\"");
            self.escape(value, true);
            self.out.push('"');
        }
    }

    /// A carriage return is escaped everywhere, since a parser would make a line feed of it, and
    /// all white space but blanks in attributes, where it would become a blank.
    fn escape(&mut self, text: &str, attribute: bool) {
        for c in text.chars() {
            match c {
                '&' => self.out.push_str("&amp;"),
                '<' => self.out.push_str("&lt;"),
                '>' => self.out.push_str("&gt;"),
                '"' if attribute => self.out.push_str("&quot;"),
                '\r' => self.out.push_str("&#13;"),
                '\n' if attribute => self.out.push_str("&#10;"),
                '\t' if attribute => self.out.push_str("&#9;"),
                '\n' | '\t' => self.out.push(c),
                '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {
                    let place = self.open.last().map_or("", |name| name).to_owned();
                    self.refuse(Unwritable::Character(place, u32::from(c)));
                }
                c => self.out.push(c),
            }
        }
    }
}
