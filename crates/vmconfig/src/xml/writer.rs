//! From a tree to XML, in the shape that Hyper-V writes: UTF-16LE, byte order mark, CRLF.

use std::fmt::Write;

use data_encoding::BASE64;

use crate::tree::{Entry, Tree, Value};

/// Why a tree cannot be written as XML.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} cannot be written as XML: {why}")]
pub struct Unwritable {
    /// The entry's name.
    pub name: String,
    /// What stands against it.
    pub why: &'static str,
}

/// Writes a tree with one root entry as the bytes of an `.xml` configuration.
///
/// An unsigned number that fits becomes a signed one when read again: XML has one integer type.
///
/// # Errors
/// For what XML cannot hold: other than one root, names that are no element names, control
/// characters, ill-formed text, floating-point numbers, values not loaded.
pub fn write_tree(tree: &Tree) -> Result<Vec<u8>, Unwritable> {
    let [root] = tree.entries.as_slice() else {
        return Err(Unwritable {
            name: String::new(),
            why: "it must have one root",
        });
    };
    let mut text =
        String::from("\u{feff}<?xml version=\"1.0\" encoding=\"UTF-16\" standalone=\"yes\"?>\r\n");
    element(root, 0, &mut text)?;
    Ok(text.encode_utf16().flat_map(u16::to_le_bytes).collect())
}

fn element(entry: &Entry, depth: usize, out: &mut String) -> Result<(), Unwritable> {
    let name = &entry.name;
    let fail = |why| {
        Err(Unwritable {
            name: name.clone(),
            why,
        })
    };
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !starts
        || !name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
    {
        return fail("its name is not an element name");
    }
    let indent = "  ".repeat(depth);
    let (kind, text) = match &entry.value {
        Value::Node(children) => {
            let _ = write!(out, "{indent}<{name}>\r\n");
            for child in children {
                element(child, depth + 1, out)?;
            }
            let _ = write!(out, "{indent}</{name}>\r\n");
            return Ok(());
        }
        Value::Int(n) => ("integer", n.to_string()),
        Value::UInt(n) => ("integer", n.to_string()),
        Value::Bool(true) => ("bool", "True".into()),
        Value::Bool(false) => ("bool", "False".into()),
        Value::Bytes(bytes) => ("bytes", BASE64.encode(bytes)),
        Value::String(text) => match escape(text) {
            Some(text) => ("string", text),
            None => return fail("its text has characters that XML forbids"),
        },
        Value::WideString(_) => return fail("its text is not well-formed"),
        Value::Double(_) => return fail("XML configurations have no floating-point numbers"),
        Value::Blob(_) => return fail("its value was not loaded from its file"),
    };
    let _ = write!(out, "{indent}<{name} type=\"{kind}\">{text}</{name}>\r\n");
    Ok(())
}

fn escape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // Written plainly, a parser turns it into a line feed.
            '\r' => out.push_str("&#13;"),
            '\t' | '\n' => out.push(c),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => return None,
            _ => out.push(c),
        }
    }
    Some(out)
}
