//! From XML text to a tree.

use data_encoding::BASE64;
use roxmltree::{Document, Node, ParsingOptions};

use crate::tree::{Entry, MAX_DEPTH, Tree, Value};
use crate::warnings::{AndMore, Warnings};

/// Larger files are refused. Real ones take some 100 KiB.
pub const MAX_LEN: usize = 16 << 20;
/// More elements and texts than this are refused. Real files have some thousand.
const MAX_NODES: u32 = 1 << 18;
/// More signs `<`, or signs `=`, are refused: the parser sets memory aside for each, wherever it
/// stands.
const MAX_SIGNS: usize = 1 << 18;
/// More attributes of one element, or namespaces of all, are refused. Real files have one and none.
const MAX_ATTRIBUTES: usize = 64;

/// The result of reading XML.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an XML file cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file is larger than [`MAX_LEN`].
    #[error("the XML file takes {0} bytes, more than the {MAX_LEN} that a configuration may")]
    TooLarge(usize),
    /// The bytes are not text in a supported encoding.
    #[error("the XML file is not valid {0} text")]
    Encoding(&'static str),
    /// The text is not XML, or uses parts of XML that are refused.
    #[error("the XML cannot be parsed: {0}")]
    Xml(#[from] roxmltree::Error),
    /// There are more signs that begin a tag, or tell an attribute, than in any configuration.
    #[error("the XML has more than {MAX_SIGNS} signs `<` or `=`, which no configuration has")]
    TooManySigns,
    /// An element has more attributes, or all have more namespaces, than any configuration.
    #[error("an element has more than {MAX_ATTRIBUTES} attributes, or there are more namespaces")]
    TooManyAttributes,
    /// Elements are nested too deeply.
    #[error("the XML is nested deeper than {0} levels")]
    TooDeep(usize),
}

/// What is odd in an XML configuration that could be read nevertheless. Of long names there is the
/// beginning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// A leaf's text does not fit its type; it was kept as text.
    #[error("the value of {name:?} is not of its type {kind:?}; kept as text")]
    BadValue {
        /// The element's name.
        name: String,
        /// The type it claims.
        kind: String,
    },
    /// A leaf's type is not known; it was kept as text.
    #[error("the type {kind:?} of {name:?} is unknown; kept as text")]
    UnknownType {
        /// The element's name.
        name: String,
        /// The type it claims.
        kind: String,
    },
    /// A leaf has children, or a node has text: that part was left out.
    #[error("the element {0:?} has both text and children; the text was left out")]
    Mixed(String),
    /// More problems than are listed one by one.
    #[error("and {0} more")]
    More(usize),
}

impl AndMore for Warning {
    fn and_more(count: usize) -> Self {
        Warning::More(count)
    }
}

/// A name as a warning quotes it. A file may hold one of many MiB.
fn quoted(name: &str) -> String {
    const MAX: usize = 100;
    match name.char_indices().nth(MAX) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

/// Reads a file. The first warnings are listed, the others counted.
pub fn read_tree(bytes: &[u8]) -> Result<(Tree, Vec<Warning>)> {
    if bytes.len() > MAX_LEN {
        return Err(Error::TooLarge(bytes.len()));
    }
    let text = decode(bytes)?;
    check_signs(&text)?;
    check_attributes(&text)?;
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: MAX_NODES,
        ..Default::default()
    };
    let document = Document::parse_with_options(&text, options)?;
    let mut warnings = Warnings::default();
    let root = element(document.root_element(), 1, &mut warnings)?;
    Ok((
        Tree {
            entries: vec![root],
        },
        warnings.finish(),
    ))
}

/// Whether a tree read from XML is a VM's configuration and not some other XML file.
pub fn is_configuration(tree: &Tree) -> bool {
    tree.get(&["configuration", "manifest"]).is_some()
}

fn decode(bytes: &[u8]) -> Result<String> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        if !bytes.len().is_multiple_of(2) {
            return Err(Error::Encoding("UTF-16"));
        }
        let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        char::decode_utf16(units)
            .collect::<std::result::Result<String, _>>()
            .map_err(|_| Error::Encoding("UTF-16"))
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        // A lost byte order mark: XML begins with `<`.
        [b'<', 0, ..] => utf16(bytes, u16::from_le_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest),
        _ => utf8(bytes),
    }
}

fn utf8(bytes: &[u8]) -> Result<String> {
    std::str::from_utf8(bytes)
        .map(str::to_owned)
        .map_err(|_| Error::Encoding("UTF-8"))
}

/// Refuses what would cost the parser many times its length in memory.
fn check_signs(text: &str) -> Result<()> {
    let count = |sign| text.bytes().filter(|byte| *byte == sign).count();
    match count(b'<').max(count(b'=')) > MAX_SIGNS {
        true => Err(Error::TooManySigns),
        false => Ok(()),
    }
}

/// Refuses what would cost the parser more time than its length: it compares each attribute with all
/// others of its element, and an element that declares a namespace gets a copy of all around it.
///
/// No tag has a `<` inside, so what is between two of them has one tag at its beginning, or
/// belongs to a comment or the like, of which it is enough not to be stricter without need.
fn check_attributes(text: &str) -> Result<()> {
    let mut namespaces = 0;
    for tag in text
        .split('<')
        .skip(1)
        .filter(|tag| !tag.starts_with(['!', '?']))
    {
        let mut attributes = 0;
        let mut quote = None;
        let mut end = tag.len();
        for (at, byte) in tag.bytes().enumerate() {
            match (quote, byte) {
                (Some(open), _) if open == byte => quote = None,
                (Some(_), _) => {}
                (None, b'"' | b'\'') => quote = Some(byte),
                (None, b'=') => attributes += 1,
                (None, b'>') => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        if attributes > 0 {
            namespaces += tag[..end].matches("xmlns").count();
        }
        if attributes.max(namespaces) > MAX_ATTRIBUTES {
            return Err(Error::TooManyAttributes);
        }
    }
    Ok(())
}

fn element(node: Node<'_, '_>, depth: usize, warnings: &mut Warnings<Warning>) -> Result<Entry> {
    if depth > MAX_DEPTH {
        return Err(Error::TooDeep(MAX_DEPTH));
    }
    let name = node.tag_name().name().to_owned();
    let below: Vec<_> = node.children().filter(Node::is_element).collect();
    let text: String = node
        .children()
        .filter(Node::is_text)
        .filter_map(|text| text.text())
        .collect();
    let kind = node.attribute("type");
    if !below.is_empty() || kind.is_none() && text.trim().is_empty() {
        if !text.trim().is_empty() {
            warnings.push(Warning::Mixed(quoted(&name)));
        }
        let children = below
            .into_iter()
            .map(|node| element(node, depth + 1, warnings));
        return Ok(Entry::node(name, children.collect::<Result<_>>()?));
    }
    let kind = kind.unwrap_or("string");
    let value = match kind.to_ascii_lowercase().as_str() {
        "string" => Some(Value::String(text.clone())),
        "integer" => {
            let text = text.trim();
            let signed = text.parse().map(Value::Int);
            signed.or_else(|_| text.parse().map(Value::UInt)).ok()
        }
        "bool" | "boolean" => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" => Some(Value::Bool(true)),
            "false" | "0" => Some(Value::Bool(false)),
            _ => None,
        },
        "bytes" => {
            let packed: String = text.split_ascii_whitespace().collect();
            BASE64.decode(packed.as_bytes()).map(Value::Bytes).ok()
        }
        _ => {
            warnings.push(Warning::UnknownType {
                name: quoted(&name),
                kind: quoted(kind),
            });
            Some(Value::String(text.clone()))
        }
    };
    let value = value.unwrap_or_else(|| {
        warnings.push(Warning::BadValue {
            name: quoted(&name),
            kind: quoted(kind),
        });
        Value::String(text)
    });
    Ok(Entry::new(name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "<?xml version=\"1.0\" encoding=\"UTF-16\" standalone=\"yes\"?>\r\n\
        <configuration><manifest><size type=\"integer\">-2</size></manifest>\
        <properties><name type=\"string\">A &amp; &#x4E2D;&#128187; \"x\"</name>\
        <on type=\"bool\">True</on><raw type=\"bytes\">AAEC\r\nAwQ=</raw><raw type=\"bytes\"/>\
        <big type=\"integer\">18446744073709551615</big><empty/></properties></configuration>";

    fn utf16(text: &str) -> Vec<u8> {
        let units = [0xfeff].into_iter().chain(text.encode_utf16());
        units.flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn types_and_encodings() {
        let (tree, warnings) = read_tree(&utf16(SAMPLE)).unwrap();
        assert_eq!(warnings, []);
        assert!(is_configuration(&tree));
        let root = tree.get(&["configuration"]).unwrap();
        assert_eq!(root.int(&["manifest", "size"]), Some(-2));
        let properties = root.get(&["properties"]).unwrap();
        assert_eq!(properties.text(&["name"]), Some("A & 中💻 \"x\""));
        assert_eq!(properties.bool(&["on"]), Some(true));
        assert_eq!(properties.bytes(&["raw"]), Some(&[0, 1, 2, 3, 4][..]));
        assert_eq!(properties.children()[3].value, Value::Bytes(vec![]));
        assert_eq!(properties.uint(&["big"]), Some(u64::MAX));
        assert_eq!(
            properties.get(&["empty"]).unwrap().value,
            Value::Node(vec![])
        );
        for other in [
            SAMPLE.as_bytes().to_vec(),
            format!("\u{feff}{SAMPLE}").into_bytes(),
        ] {
            assert_eq!(read_tree(&other).unwrap().0, tree);
        }
    }

    #[test]
    fn what_does_not_fit_its_type_is_kept_and_told() {
        let text = "<configuration><a type=\"integer\">x</a><b type=\"new\">y</b></configuration>";
        let (tree, warnings) = read_tree(text.as_bytes()).unwrap();
        assert_eq!(warnings.len(), 2);
        assert_eq!(
            tree.get(&["configuration"]).unwrap().text(&["a"]),
            Some("x")
        );
        assert_eq!(
            tree.get(&["configuration"]).unwrap().text(&["b"]),
            Some("y")
        );
        assert!(!is_configuration(&tree));
    }

    #[test]
    fn the_first_warnings_are_told_briefly_and_the_others_counted() {
        let long = "é".repeat(5000);
        let leaves = format!("<a type=\"{long}\">x</a>").repeat(200);
        let (tree, warnings) = read_tree(format!("<c>{leaves}</c>").as_bytes()).unwrap();
        assert_eq!(tree.get(&["c"]).unwrap().children().len(), 200);
        assert_eq!(warnings.len(), 65);
        assert_eq!(warnings[64].to_string(), "and 136 more");
        assert!(warnings.iter().all(|told| told.to_string().len() < 400));
        let kind = format!("{}…", "é".repeat(100));
        let name = "a".to_owned();
        assert_eq!(warnings[0], Warning::UnknownType { name, kind });
    }

    /// The parser's work grows with the square of an element's attributes, and with the cube of
    /// nested namespaces.
    #[test]
    fn more_attributes_or_namespaces_than_any_configuration_has() {
        let named = |count: usize, name: &str| -> String {
            let all = (0..count).map(|n| format!(" {name}{n}='>\"='"));
            all.collect()
        };
        let nested = |count: usize| -> String {
            let open = (0..count).map(|n| format!("<a xmlns:p{n} = \"u{n}\">"));
            open.chain((0..count).map(|_| "</a>".to_owned())).collect()
        };
        let fine = format!("<c{}>a = = = \"b\"</c>", named(64, "a"));
        let many = format!("<c><!-- \" <b ' --><d{}/></c>", named(65, "a"));
        let spaces = format!("<c>{}{}</c>", nested(33), nested(32));
        let text = format!("<c>{}<!-- {} --></c>", "xmlns=".repeat(99), "=".repeat(99));
        assert!(read_tree(fine.as_bytes()).is_ok());
        assert!(read_tree(text.as_bytes()).is_ok());
        assert!(read_tree(nested(64).as_bytes()).is_ok());
        for refused in [many, spaces, nested(20_000)] {
            let error = read_tree(refused.as_bytes()).unwrap_err();
            assert!(matches!(error, Error::TooManyAttributes), "{error}");
        }
    }

    #[test]
    fn refused() {
        let dtd = "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>";
        assert!(matches!(read_tree(dtd.as_bytes()), Err(Error::Xml(_))));
        assert!(matches!(read_tree(b"<a>&b;</a>"), Err(Error::Xml(_))));
        assert!(matches!(
            read_tree(b"\xff\xfe<\0a"),
            Err(Error::Encoding("UTF-16"))
        ));
        assert!(matches!(
            read_tree(b"<a>\xff</a>"),
            Err(Error::Encoding("UTF-8"))
        ));
        assert!(matches!(read_tree(&[]), Err(Error::Xml(_))));
        for depth in [65, 100_000] {
            let deep = "<a>".repeat(depth) + &"</a>".repeat(depth);
            assert!(matches!(read_tree(deep.as_bytes()), Err(Error::TooDeep(_))));
        }
        assert!(matches!(
            read_tree("<a>".repeat(200_000).as_bytes()),
            Err(Error::Xml(_))
        ));
        for sign in ["=", "<a/>"] {
            let fine = format!("<c>{}</c>", sign.repeat(100_000));
            assert!(read_tree(fine.as_bytes()).is_ok());
            let many = format!("<c>{}</c>", sign.repeat(300_000));
            let error = read_tree(many.as_bytes()).unwrap_err();
            assert!(matches!(error, Error::TooManySigns), "{error}");
        }
        let large = vec![b' '; MAX_LEN + 1];
        assert!(matches!(read_tree(&large), Err(Error::TooLarge(_))));
    }
}
