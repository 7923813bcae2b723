//! Objects that are JSON, for people to look at: `vault.json`, key slots, writer certificates.
//!
//! Each is one JSON object with the members `hyperkeep` (what it is), `version` and `required`
//! (features a reader must know), and one member that proves it. The proof covers the *canonical
//! text* of all other members, known and unknown: RFC 8785 restricted to strings, integers,
//! arrays, objects, true, false and null; that is, no white space, members in ascending order of
//! their names' code points, and the shortest escapes.

use data_encoding::BASE64;
use serde_json::{Map, Value};

use crate::error::{Error, Result, limit};
use crate::prefix::VERSION;

/// Largest JSON object of the kinds above, in bytes.
pub const MAX_DOCUMENT_LEN: usize = 64 << 10;

/// A JSON object whose first three members are checked.
pub(crate) struct Document {
    what: &'static str,
    members: Map<String, Value>,
}

impl Document {
    pub(crate) fn new(what: &'static str, kind: &str) -> Self {
        let mut members = Map::new();
        members.insert("hyperkeep".into(), kind.into());
        members.insert("version".into(), VERSION.into());
        members.insert("required".into(), Value::Array(Vec::new()));
        Self { what, members }
    }

    /// Reads a document of `kind`; `features` are the required features that the caller knows.
    pub(crate) fn parse(
        what: &'static str,
        kind: &str,
        features: &[&str],
        bytes: &[u8],
    ) -> Result<Self> {
        limit(what, "length", bytes.len() as u64, MAX_DOCUMENT_LEN as u64)?;
        let members: Map<String, Value> = serde_json::from_slice(bytes)
            .map_err(|e| Error::damaged(what, format!("it is not a JSON object: {e}")))?;
        let document = Self { what, members };
        match document.members.get("hyperkeep") {
            None => return Err(Error::NotAnObject { expected: what }),
            Some(Value::String(found)) if found == kind => {}
            Some(other) => {
                return Err(Error::WrongKind {
                    expected: what,
                    found: other.to_string(),
                });
            }
        }
        let version = document.integer("version")?;
        if version == 0 || version > VERSION.into() {
            return Err(Error::UnknownVersion {
                object: what,
                version,
                known: VERSION,
            });
        }
        let names: Vec<String> = document
            .strings("required")?
            .into_iter()
            .filter(|name| !features.contains(&name.as_str()))
            .collect();
        if !names.is_empty() {
            return Err(Error::UnknownFeature {
                object: what,
                names,
            });
        }
        Ok(document)
    }

    pub(crate) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.members.insert(name.into(), value.into());
    }

    pub(crate) fn set_bytes(&mut self, name: &str, bytes: &[u8]) {
        self.set(name, BASE64.encode(bytes));
    }

    fn bad(&self, name: &str, why: &str) -> Error {
        Error::damaged(self.what, format!("its member \"{name}\" {why}"))
    }

    pub(crate) fn get(&self, name: &str) -> Result<&Value> {
        self.members
            .get(name)
            .ok_or_else(|| self.bad(name, "is missing"))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    pub(crate) fn text(&self, name: &str) -> Result<&str> {
        self.get(name)?
            .as_str()
            .ok_or_else(|| self.bad(name, "is not a string"))
    }

    pub(crate) fn integer(&self, name: &str) -> Result<u64> {
        self.get(name)?
            .as_u64()
            .ok_or_else(|| self.bad(name, "is not a natural number"))
    }

    pub(crate) fn u32(&self, name: &str) -> Result<u32> {
        u32::try_from(self.integer(name)?).map_err(|_| self.bad(name, "does not fit 32 bits"))
    }

    pub(crate) fn strings(&self, name: &str) -> Result<Vec<String>> {
        let list = self
            .get(name)?
            .as_array()
            .ok_or_else(|| self.bad(name, "is not an array"))?;
        list.iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or_else(|| self.bad(name, "holds something that is not a string"))
    }

    pub(crate) fn parsed<T: std::str::FromStr>(&self, name: &str) -> Result<T> {
        self.text(name)?
            .parse()
            .map_err(|_| self.bad(name, "is malformed"))
    }

    pub(crate) fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        BASE64
            .decode(self.text(name)?.as_bytes())
            .map_err(|_| self.bad(name, "is not base64"))
    }

    pub(crate) fn array<const N: usize>(&self, name: &str) -> Result<[u8; N]> {
        self.bytes(name)?
            .try_into()
            .map_err(|_| self.bad(name, &format!("has not {N} bytes")))
    }

    /// The canonical text of all members but `proof`.
    pub(crate) fn proven_text(&self, proof: &str) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        object(&self.members, Some(proof), &mut out)
            .ok_or_else(|| Error::damaged(self.what, "a number in it is not an integer"))?;
        Ok(out)
    }

    /// The document for people: one member a line.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        // `hyperkeep` first, so that the object tells what it is in its first bytes.
        const FIRST: [&str; 3] = ["hyperkeep", "version", "required"];
        let first = FIRST
            .iter()
            .filter_map(|name| self.members.get_key_value(*name));
        let rest = self
            .members
            .iter()
            .filter(|(name, _)| !FIRST.contains(&name.as_str()));
        let lines: Vec<String> = first
            .chain(rest)
            .map(|(name, value)| format!("  {}: {value}", Value::from(name.as_str())))
            .collect();
        format!("{{\n{}\n}}\n", lines.join(",\n")).into_bytes()
    }
}

fn object(members: &Map<String, Value>, without: Option<&str>, out: &mut Vec<u8>) -> Option<()> {
    // The map's own order depends on a cargo feature that any crate of a build may turn on.
    let mut sorted: Vec<_> = members
        .iter()
        .filter(|(name, _)| Some(name.as_str()) != without)
        .collect();
    sorted.sort_unstable_by_key(|(name, _)| name.as_str());
    out.push(b'{');
    for (i, (name, value)) in sorted.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(Value::from(name.as_str()).to_string().as_bytes());
        out.push(b':');
        canonical(value, out)?;
    }
    out.push(b'}');
    Some(())
}

/// Appends the canonical text; `None` when a number is not an integer.
fn canonical(value: &Value, out: &mut Vec<u8>) -> Option<()> {
    match value {
        Value::Object(members) => object(members, None, out),
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                canonical(item, out)?;
            }
            out.push(b']');
            Some(())
        }
        Value::Number(number) if number.is_f64() => None,
        scalar => {
            out.extend_from_slice(scalar.to_string().as_bytes());
            Some(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHAT: &str = "test document";

    fn parse(text: &str) -> Result<Document> {
        Document::parse(WHAT, "test", &["known"], text.as_bytes())
    }

    #[test]
    fn canonical_text_is_sorted_and_bare() {
        let document = parse(
            r#" { "version" : 1, "z": [1, -2, {"b": null, "a": true}], "required": ["known"],
                  "hyperkeep": "test", "é\u0001\n\"": "\u00e9/\u007f", "proof": "x" } "#,
        )
        .unwrap();
        let text = String::from_utf8(document.proven_text("proof").unwrap()).unwrap();
        assert_eq!(
            text,
            "{\"hyperkeep\":\"test\",\"required\":[\"known\"],\"version\":1,\
             \"z\":[1,-2,{\"a\":true,\"b\":null}],\"é\\u0001\\n\\\"\":\"é/\u{7f}\"}"
        );
        let again = Document::parse(WHAT, "test", &["known"], &document.to_bytes()).unwrap();
        assert_eq!(again.proven_text("proof").unwrap(), text.as_bytes());
        assert!(
            document
                .to_bytes()
                .starts_with(b"{\n  \"hyperkeep\": \"test\",\n  \"version\": 1")
        );
    }

    #[test]
    fn strangers_are_refused_by_name() {
        let message = |text: &str| parse(text).err().unwrap().to_string();
        assert!(message(r#"{"a":1}"#).contains("not a test document"));
        assert!(message(r#"{"hyperkeep":"slat"}"#).contains("slat"));
        assert!(message(r#"{"hyperkeep":"test","version":7}"#).contains("format version 7"));
        let text = r#"{"hyperkeep":"test","version":1,"required":["known","warp"]}"#;
        assert!(
            message(text).contains("requires warp,"),
            "{}",
            message(text)
        );
        for bad in [
            "",
            "[]",
            "{",
            "null",
            r#"{"hyperkeep":"test"}"#,
            r#"{"hyperkeep":"test","version":1}"#,
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(matches!(
            parse(&" ".repeat(MAX_DOCUMENT_LEN + 1)),
            Err(Error::TooLarge { .. })
        ));
        assert!(
            parse(&"[".repeat(60_000)).is_err(),
            "deep nesting ends in an error"
        );
        let float = parse(r#"{"hyperkeep":"test","version":1,"required":[],"x":1.5}"#).unwrap();
        assert!(float.proven_text("proof").is_err());
    }
}
