//! A query's words and signs.

use super::BadQuery;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Word(String),
    /// Digits, perhaps with a sign.
    Number(String),
    Text(String),
    Sign(&'static str),
    /// What stands between braces.
    Path(String),
}

const SIGNS: [&str; 10] = ["<>", "!=", "<=", ">=", "=", "<", ">", ",", "(", ")"];

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, BadQuery> {
    let bad = |what: &str| BadQuery(what.to_owned());
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, after) = if let Some(sign) = SIGNS.iter().find(|s| rest.starts_with(**s)) {
            (Token::Sign(sign), &rest[sign.len()..])
        } else if first == '\'' || first == '"' {
            let (text, after) =
                quoted(&rest[1..], first).ok_or_else(|| bad("a quote is not closed"))?;
            (Token::Text(text), after)
        } else if first == '{' {
            let (path, after) = braced(&rest[1..]).ok_or_else(|| bad("a brace is not closed"))?;
            (Token::Path(path), after)
        } else if first == '*' {
            (Token::Sign("*"), &rest[1..])
        } else {
            let end =
                rest.find(|c: char| !(c == '_' || c == '-' || c == '.' || c.is_alphanumeric()));
            let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
            let digits = word.strip_prefix('-').unwrap_or(word);
            match digits {
                "" => return Err(BadQuery(format!("{first:?} does not belong there"))),
                _ if digits.bytes().all(|b| b.is_ascii_digit()) => {
                    (Token::Number(word.to_owned()), after)
                }
                _ => (Token::Word(word.to_owned()), after),
            }
        };
        tokens.push(token);
        rest = after.trim_start();
    }
    Ok(tokens)
}

/// Behind the opening quote: the text, and what follows the closing one.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => out.push(chars.next()?.1),
            c if c == quote => return Some((out, &text[at + c.len_utf8()..])),
            c => out.push(c),
        }
    }
    None
}

/// Behind the opening brace: as it is up to the closing one that is in no quotes.
fn braced(text: &str) -> Option<(String, &str)> {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(_), '\\') if !escaped => {
                escaped = true;
                continue;
            }
            (Some(open), c) if c == open && !escaped => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '}') => return Some((text[..at].to_owned(), &text[at + 1..])),
            (None, _) => {}
        }
        escaped = false;
    }
    None
}
