//! XML from strangers, bounded before it is parsed; and XML written with everything escaped.

use roxmltree::{Document, Node, ParsingOptions};

/// Elements within one another.
const MOST_DEPTH: usize = 48;
/// Attributes of one element; the parser compares each with each.
const MOST_ATTRIBUTES: usize = 48;
/// Declarations of namespaces in a whole document; the parser looks through those in scope for
/// each element.
const MOST_NAMESPACES: usize = 512;
/// Nodes of a document.
const MOST_NODES: u32 = 1 << 18;

/// Why bytes are no document that is accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadXml {
    /// They are no text.
    #[error("it is neither UTF-8 nor UTF-16")]
    Encoding,
    /// It is made to be expensive.
    #[error("it has too many {0}")]
    TooMany(&'static str),
    /// It is no XML, or has a document type.
    #[error("{0}")]
    Malformed(String),
}

/// Parses a document and hands its root to `then`.
pub(super) fn parse<T, E: From<BadXml>>(
    bytes: &[u8],
    then: impl FnOnce(Node<'_, '_>) -> Result<T, E>,
) -> Result<T, E> {
    let text = decode(bytes)?;
    measure(&text)?;
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: MOST_NODES,
        ..Default::default()
    };
    let document = Document::parse_with_options(&text, options);
    let document = document.map_err(|error| BadXml::Malformed(error.to_string()))?;
    then(document.root_element())
}

fn decode(bytes: &[u8]) -> Result<String, BadXml> {
    let wide = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let pairs = rest.chunks(2).map(|pair| Some(unit(pair.try_into().ok()?)));
        let units: Option<Vec<u16>> = pairs.collect();
        String::from_utf16(&units?).ok()
    };
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] | rest => String::from_utf8(rest.to_vec()).ok(),
    };
    text.ok_or(BadXml::Encoding)
}

/// Counts what makes parsing expensive. What is no XML may be counted wrongly; the parser will
/// refuse it. A count is never too low for what it accepts.
fn measure(text: &str) -> Result<(), BadXml> {
    let (mut depth, mut namespaces, mut rest) = (0_usize, 0, text);
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let special = [("!--", "-->"), ("![CDATA[", "]]>"), ("?", "?>")];
        if let Some((_, end)) = special.iter().find(|(start, _)| rest.starts_with(start)) {
            let Some(at) = rest.find(end) else {
                return Ok(());
            };
            rest = &rest[at + end.len()..];
            continue;
        }
        if rest.starts_with('/') {
            depth = depth.saturating_sub(1);
            continue;
        }
        let (mut quote, mut attributes, mut end) = (None, 0, rest.len());
        for (at, c) in rest.char_indices() {
            match (quote, c) {
                (Some(open), c) if c == open => quote = None,
                (Some(_), _) => {}
                (None, '"' | '\'') => quote = Some(c),
                (None, '=') => attributes += 1,
                (None, '>') => {
                    end = at;
                    break;
                }
                (None, _) => {}
            }
        }
        let tag = &rest[..end];
        namespaces += tag.matches("xmlns").count();
        depth += usize::from(!tag.ends_with('/'));
        rest = &rest[end..];
        for (count, most, what) in [
            (attributes, MOST_ATTRIBUTES, "attributes"),
            (namespaces, MOST_NAMESPACES, "namespaces"),
            (depth, MOST_DEPTH, "nested elements"),
        ] {
            if count > most {
                return Err(BadXml::TooMany(what));
            }
        }
    }
    Ok(())
}

/// Whether an element has this namespace and name.
pub(super) fn is(node: Node<'_, '_>, namespace: &str, name: &str) -> bool {
    node.is_element()
        && node.tag_name().name() == name
        && node.tag_name().namespace() == Some(namespace)
}

/// The elements below one.
pub(super) fn elements<'a, 'i: 'a>(node: Node<'a, 'i>) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(|child| child.is_element())
}

/// The first element below one with this namespace and name.
pub(super) fn below<'a, 'i: 'a>(
    node: Node<'a, 'i>,
    namespace: &str,
    name: &str,
) -> Option<Node<'a, 'i>> {
    elements(node).find(|child| is(*child, namespace, name))
}

/// All text of an element, as it is.
pub(super) fn content(node: Node<'_, '_>) -> String {
    node.children()
        .filter(|n| n.is_text())
        .filter_map(|n| n.text())
        .collect()
}

/// The same without white space around it.
pub(super) fn trimmed(node: Node<'_, '_>) -> String {
    content(node).trim().to_owned()
}

/// Text for XML. Characters that it cannot carry become question marks, as hosts do it.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            '\n' | '\t' => out.push(c),
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(text: &str) -> Result<(), BadXml> {
        parse(text.as_bytes(), |_| Ok::<_, BadXml>(()))
    }

    #[test]
    fn expensive_documents_are_refused() {
        let many = |n: usize| (0..n).map(|n| format!(" a{n}='1'")).collect::<String>();
        assert_eq!(outcome(&format!("<a{}/>", many(MOST_ATTRIBUTES))), Ok(()));
        let more = outcome(&format!("<a{}/>", many(MOST_ATTRIBUTES + 1)));
        assert_eq!(more, Err(BadXml::TooMany("attributes")));
        let nested = |n: usize| format!("{}{}", "<a>".repeat(n), "</a>".repeat(n));
        assert_eq!(outcome(&nested(MOST_DEPTH)), Ok(()));
        let more = outcome(&nested(MOST_DEPTH + 1));
        assert_eq!(more, Err(BadXml::TooMany("nested elements")));
        let namespaces = "<a xmlns:x='u'/>".repeat(MOST_NAMESPACES + 1);
        let more = outcome(&format!("<r>{namespaces}</r>"));
        assert_eq!(more, Err(BadXml::TooMany("namespaces")));
        assert!(outcome("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>").is_err());
        assert_eq!(outcome("<a b='>'><!-- <c> --><![CDATA[<d>]]></a>"), Ok(()));
    }

    #[test]
    fn text_may_be_utf_16() {
        for (mark, unit) in [
            ([0xff, 0xfe], u16::to_le_bytes as fn(u16) -> [u8; 2]),
            ([0xfe, 0xff], u16::to_be_bytes),
        ] {
            let units = "<a>ü</a>".encode_utf16().flat_map(unit);
            let bytes: Vec<u8> = mark.into_iter().chain(units).collect();
            let text = parse(&bytes, |root| Ok::<_, BadXml>(content(root)));
            assert_eq!(text.unwrap(), "ü");
            let odd = parse(&bytes[..bytes.len() - 1], |_| Ok::<_, BadXml>(()));
            assert_eq!(odd, Err(BadXml::Encoding));
        }
    }
}
