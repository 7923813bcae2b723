//! One pass over a document's tags, without understanding them, that counts what is expensive.
//!
//! Whatever is no well-formed XML may be counted wrongly here: the parser refuses it afterwards.
//! It only matters that nothing which the parser accepts is counted too low.

use super::{MOST_ATTRIBUTES, MOST_DEPTH, MOST_NAMESPACES, XmlError};

/// Refuses a document that is nested too deeply or has too many attributes or namespaces.
pub(super) fn check(text: &str) -> Result<(), XmlError> {
    // For each open element the declarations that it has.
    let mut open: Vec<usize> = Vec::new();
    let mut in_scope = 0_usize;
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let skipped = [("!--", "-->"), ("![CDATA[", "]]>"), ("?", "?>")];
        let skip = skipped.iter().find(|(start, _)| rest.starts_with(start));
        if let Some((start, end)) = skip {
            let Some(at) = rest[start.len()..].find(end) else {
                return Ok(());
            };
            rest = &rest[start.len() + at + end.len()..];
            continue;
        }
        if rest.starts_with('/') {
            in_scope -= open.pop().unwrap_or(0);
            continue;
        }
        let tag = scan(rest);
        if tag.attributes > MOST_ATTRIBUTES {
            return Err(XmlError::TooMany("attributes"));
        }
        in_scope += tag.namespaces;
        if in_scope > MOST_NAMESPACES {
            return Err(XmlError::TooMany("namespaces"));
        }
        if tag.empty {
            in_scope -= tag.namespaces;
        } else {
            open.push(tag.namespaces);
            if open.len() > MOST_DEPTH {
                return Err(XmlError::TooMany("nested elements"));
            }
        }
        rest = &rest[tag.len..];
    }
    Ok(())
}

struct Tag {
    /// Bytes up to and with the closing bracket.
    len: usize,
    attributes: usize,
    namespaces: usize,
    empty: bool,
}

/// Counts within a start tag; brackets within quotes do not end it.
fn scan(text: &str) -> Tag {
    let mut tag = Tag {
        len: text.len(),
        attributes: 0,
        namespaces: 0,
        empty: false,
    };
    let bytes = text.as_bytes();
    let mut quote = None;
    let mut word = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        match (quote, byte) {
            (Some(open), _) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'=') => {
                tag.attributes += 1;
                let name = bytes.get(word..at).unwrap_or(&[]);
                tag.namespaces += usize::from(name.starts_with(b"xmlns"));
            }
            (None, b'>') => {
                tag.len = at + 1;
                tag.empty = at > 0 && bytes.get(at - 1) == Some(&b'/');
                break;
            }
            // A name may stand apart from its equals sign.
            (None, b' ' | b'\t' | b'\r' | b'\n') => {
                let next = bytes.get(at + 1);
                if !next.is_none_or(|b| b.is_ascii_whitespace() || *b == b'=') {
                    word = at + 1;
                }
            }
            (None, _) => {}
        }
    }
    tag
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn real_documents_pass() {
        let text =
            "<?xml version='1.0'?><!-- <a> --><s:E xmlns:s=\"u\" a='>'><b/><![CDATA[<<<]]></s:E>";
        assert_eq!(check(text), Ok(()));
        assert!(roxmltree::Document::parse(text).is_ok());
    }

    #[test]
    fn depth_attributes_and_namespaces_are_bounded() {
        let deep = "<a>".repeat(MOST_DEPTH + 1) + &"</a>".repeat(MOST_DEPTH + 1);
        assert_eq!(check(&deep), Err(XmlError::TooMany("nested elements")));
        let level = "<a>".repeat(MOST_DEPTH) + &"</a>".repeat(MOST_DEPTH);
        assert_eq!(check(&level), Ok(()));
        let wide: String = (0..=MOST_ATTRIBUTES).map(|n| format!(" a{n}=''")).collect();
        assert_eq!(
            check(&format!("<a{wide}/>")),
            Err(XmlError::TooMany("attributes"))
        );
        let per = MOST_ATTRIBUTES - 1;
        let declare: String = (0..per).map(|n| format!(" xmlns:a{n} = 'u'")).collect();
        let nested = format!("<a{declare}><a{declare}><a{declare}/></a></a>");
        assert_eq!(check(&nested), Err(XmlError::TooMany("namespaces")));
        // One after another they are not in scope together.
        let flat = format!("<a{declare}/>").repeat(100);
        assert_eq!(check(&format!("<r>{flat}</r>")), Ok(()));
    }

    proptest! {
        /// What the guard lets through has no more than the bounds by the parser's own count.
        #[test]
        fn nothing_is_counted_too_low(text in "(<a|<b xmlns:x='u'|<!--|-->|/>|>|</a>|</b>| c=\"1\"|'|\"| |\n){0,40}") {
            let Ok(document) = roxmltree::Document::parse(&text) else { return Ok(()) };
            let depth = |n: roxmltree::Node<'_, '_>| n.ancestors().filter(|n| n.is_element()).count();
            let deepest = document.descendants().filter(|n| n.is_element()).map(depth).max();
            if check(&text).is_ok() {
                prop_assert!(deepest.unwrap_or(0) <= MOST_DEPTH);
            }
        }
    }
}
