//! WMI's text of a path, written; and paths and literals within WQL.

use std::fmt::{Display, Formatter, Result, Write};

use super::{KeyValue, ObjectPath};

/// With a host as hosts themselves write it, backslashes throughout; without one as
/// `root/virtualization/v2:Class.Key="…"`, which methods take as well.
impl Display for ObjectPath {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match (&self.host, &self.namespace) {
            (Some(host), namespace) => {
                let namespace = namespace.as_deref().unwrap_or("root");
                write!(f, "\\\\{host}\\{}:", namespace.replace('/', "\\"))?;
            }
            (None, Some(namespace)) => write!(f, "{namespace}:")?,
            (None, None) => {}
        }
        write_relative(f, self, '"')
    }
}

impl ObjectPath {
    /// The path as `ASSOCIATORS OF {…}` wants it: class and keys, in single quotes.
    pub fn to_wql(&self) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = write_relative(&mut out, self, '\'');
        out
    }
}

fn write_relative(out: &mut dyn Write, path: &ObjectPath, quote: char) -> Result {
    out.write_str(&path.class)?;
    if path.singleton {
        return out.write_str("=@");
    }
    for (at, key) in path.keys.iter().enumerate() {
        out.write_char(if at == 0 { '.' } else { ',' })?;
        write!(out, "{}=", key.name)?;
        match &key.value {
            KeyValue::Integer(number) => write!(out, "{number}")?,
            KeyValue::Boolean(_) => out.write_str(&key.value.to_text())?,
            other => write_quoted(out, &other.to_text(), quote)?,
        }
    }
    Ok(())
}

/// A string literal of WQL, in single quotes: `'Microsoft:GUID\\0'`.
pub fn wql_literal(text: &str) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write_quoted(&mut out, text, '\'');
    out
}

fn write_quoted(out: &mut dyn Write, text: &str, quote: char) -> Result {
    out.write_char(quote)?;
    for c in text.chars() {
        if c == '\\' || c == quote {
            out.write_char('\\')?;
        }
        out.write_char(c)?;
    }
    out.write_char(quote)
}
