//! From bytes to a tree, and around in it by namespace and local name.

use roxmltree::{Document, Node, ParsingOptions};

use super::{MOST_BYTES, MOST_NODES, XmlError, guard};

/// Decodes and parses a document, and hands it to `use_it`.
pub(crate) fn parse<T, E: From<XmlError>>(
    bytes: &[u8],
    use_it: impl FnOnce(Node<'_, '_>) -> Result<T, E>,
) -> Result<T, E> {
    if bytes.len() > MOST_BYTES {
        return Err(XmlError::TooLarge(bytes.len()).into());
    }
    let text = decode(bytes)?;
    guard::check(&text)?;
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: MOST_NODES,
        ..Default::default()
    };
    let document = Document::parse_with_options(&text, options)
        .map_err(|error| XmlError::Malformed(error.to_string()))?;
    use_it(document.root_element())
}

/// UTF-8, or UTF-16 by its byte order mark: hosts may send either.
fn decode(bytes: &[u8]) -> Result<String, XmlError> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        if !bytes.len().is_multiple_of(2) {
            return Err(XmlError::Encoding("UTF-16"));
        }
        let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        char::decode_utf16(units)
            .collect::<Result<String, _>>()
            .map_err(|_| XmlError::Encoding("UTF-16"))
    };
    let utf8 = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(XmlError::Encoding("UTF-8")),
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest),
        _ => utf8(bytes),
    }
}

/// Whether an element has this namespace and local name.
pub(crate) fn name_is(node: Node<'_, '_>, namespace: &str, local: &str) -> bool {
    node.is_element()
        && node.tag_name().name() == local
        && node.tag_name().namespace().unwrap_or("") == namespace
}

/// The elements directly below one.
pub(crate) fn elements<'a, 'i: 'a>(node: Node<'a, 'i>) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(Node::is_element)
}

/// The first element directly below one with this namespace and local name.
pub(crate) fn child<'a, 'i: 'a>(
    node: Node<'a, 'i>,
    namespace: &str,
    local: &str,
) -> Option<Node<'a, 'i>> {
    elements(node).find(|child| name_is(*child, namespace, local))
}

/// The text directly below an element, all pieces of it, as it is.
pub(crate) fn raw_text(node: Node<'_, '_>) -> String {
    let pieces = node.children().filter(Node::is_text);
    pieces.filter_map(|piece| piece.text()).collect()
}

/// The same without white space around it, for what is no data.
pub(crate) fn text(node: Node<'_, '_>) -> String {
    raw_text(node).trim().to_owned()
}
