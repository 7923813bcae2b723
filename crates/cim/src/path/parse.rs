//! WMI's text of a path, read.

use super::{Key, KeyValue, MOST_BYTES, MOST_KEYS, ObjectPath, slashes};

/// Text that is no object path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no object path: {problem}")]
pub struct BadPath {
    /// The text, shortened.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl std::str::FromStr for ObjectPath {
    type Err = BadPath;

    fn from_str(text: &str) -> Result<Self, BadPath> {
        parse(text).map_err(|problem| BadPath {
            text: crate::value::shorten(text),
            problem,
        })
    }
}

type Parsed<T> = Result<T, &'static str>;

fn parse(text: &str) -> Parsed<ObjectPath> {
    if text.len() > MOST_BYTES {
        return Err("it is too long");
    }
    let mut path = ObjectPath::default();
    let mut rest = text;
    let absolute = rest
        .strip_prefix("\\\\")
        .or_else(|| rest.strip_prefix("//"));
    if let Some(after) = absolute {
        let end = after
            .find(['\\', '/'])
            .ok_or("no namespace follows the host")?;
        let (host, tail) = after.split_at(end);
        if host.is_empty() || host.contains(char::is_whitespace) {
            return Err("the host's name is empty or has white space");
        }
        path.host = Some(host.to_owned());
        rest = tail.get(1..).unwrap_or("");
    }
    // A colon ends the namespace; one behind a quote or an equals sign belongs to a key.
    let colon = rest
        .find([':', '"', '\'', '='])
        .filter(|at| rest[*at..].starts_with(':'));
    if let Some(at) = colon {
        let namespace = slashes(&rest[..at]);
        if namespace.split('/').any(str::is_empty) {
            return Err("a part of the namespace is empty");
        }
        path.namespace = Some(namespace);
        rest = &rest[at + 1..];
    } else if path.host.is_some() {
        return Err("no class follows the namespace");
    }
    let end = rest.find(|c| !in_name(c)).unwrap_or(rest.len());
    let (class, rest) = rest.split_at(end);
    path.class = name(class).ok_or("the class has no proper name")?;
    match rest.as_bytes() {
        [] => {}
        b"=@" => path.singleton = true,
        [b'.', ..] => path.keys = keys(&rest[1..])?,
        _ => return Err("neither a dot nor an end follows the class"),
    }
    Ok(path)
}

fn keys(text: &str) -> Parsed<Vec<Key>> {
    let mut keys: Vec<Key> = Vec::new();
    let mut rest = text;
    loop {
        let (key, after) = rest.split_once('=').ok_or("a key has no value")?;
        let key = name(key).ok_or("a key has no proper name")?;
        if keys.iter().any(|k| k.name.eq_ignore_ascii_case(&key)) {
            return Err("a key is there twice");
        }
        let (value, after) = value(after)?;
        keys.push(Key { name: key, value });
        if keys.len() > MOST_KEYS {
            return Err("it has too many keys");
        }
        rest = match after.strip_prefix(',') {
            Some(next) => next,
            None if after.is_empty() => return Ok(keys),
            None => return Err("neither a comma nor an end follows a key"),
        };
    }
}

fn value(text: &str) -> Parsed<(KeyValue, &str)> {
    if let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        return quoted(&text[1..], quote);
    }
    let end = text.find(',').unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let value = if word.eq_ignore_ascii_case("true") {
        KeyValue::Boolean(true)
    } else if word.eq_ignore_ascii_case("false") {
        KeyValue::Boolean(false)
    } else {
        let digits = word.strip_prefix('-').unwrap_or(word);
        let number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        let parsed = number.then(|| word.parse().ok()).flatten();
        KeyValue::Integer(parsed.ok_or("a value is neither quoted nor a number nor a boolean")?)
    };
    Ok((value, rest))
}

/// Behind the opening quote: the text up to the closing one, and what follows it.
fn quoted(text: &str, quote: char) -> Parsed<(KeyValue, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, escaped @ ('\\' | '"' | '\''))) => out.push(escaped),
                _ => return Err("a backslash is not doubled"),
            },
            c if c == quote => return Ok((KeyValue::Text(out), &text[at + 1..])),
            c => out.push(c),
        }
    }
    Err("a quote is not closed")
}

/// What names of classes and properties are made of (DSP0004 A.1).
pub(super) fn in_name(c: char) -> bool {
    c == '_' || c.is_ascii_alphanumeric() || c >= '\u{80}' && !c.is_whitespace()
}

fn name(text: &str) -> Option<String> {
    let proper = !text.is_empty()
        && text.chars().all(in_name)
        && !text.starts_with(|c: char| c.is_ascii_digit());
    proper.then(|| text.to_owned())
}
