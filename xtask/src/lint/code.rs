//! Rules about Rust code: what may stand where, and how long a file may be.

use super::Finding;
use crate::rules::{IMPURE, MOST_LINES, PURE_CRATES, UNSAFE_FILES};

/// Checks one Rust file.
pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lines = text.lines().count();
    if lines > MOST_LINES {
        findings.push(Finding::new(
            path,
            0,
            format!("has {lines} lines; split it along its nouns ({MOST_LINES} at most)"),
        ));
    }
    let code = blank_comments_and_strings(text);
    let pure = pure_lines(path, &code);
    for (number, line) in code.lines().enumerate() {
        let mut found = |what: String| findings.push(Finding::new(path, number + 1, what));
        if has_word(line, "unsafe") && !UNSAFE_FILES.contains(&path) {
            found("unsafe outside the modules that bind the operating system".into());
        }
        for unfinished in ["todo!", "unimplemented!"] {
            if has_word(line, unfinished) {
                found(format!("{unfinished} in the tree"));
            }
        }
        if line.contains("#[ignore") {
            found("an ignored test: a test that cannot run says \"skipped: NAME (why)\"".into());
        }
        if number < pure {
            for name in IMPURE.iter().filter(|name| has_word(line, name)) {
                found(format!("{name} in a crate whose parsers are pure"));
            }
        }
    }
    findings
}

/// How many lines from the top must be pure: none outside pure crates, and none of the tests.
fn pure_lines(path: &str, code: &str) -> usize {
    let strict = PURE_CRATES
        .iter()
        .any(|(dir, except)| path.starts_with(dir) && !except.contains(&path));
    if !strict || path.ends_with("/tests.rs") || path.contains("/tests/") {
        return 0;
    }
    let lines: Vec<&str> = code.lines().collect();
    lines
        .windows(2)
        .position(|two| two[0].trim() == "#[cfg(test)]" && has_word(two[1], "mod"))
        .unwrap_or(lines.len())
}

/// Whether `word` stands in `line` as a whole word. A word may be a path or end in `!`.
fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(part) && !line[at + word.len()..].starts_with(part))
}

/// The text with everything inside comments, strings and character literals made blank, so that
/// positions stay and only code is left.
fn blank_comments_and_strings(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let before = out.chars().next_back().unwrap_or(' ');
        let skip = literal_len(rest, before);
        let (taken, keep) = match skip {
            0 => (first.len_utf8(), true),
            n => (n, false),
        };
        let (piece, tail) = rest.split_at(taken);
        if keep {
            out.push_str(piece);
        } else {
            out.extend(piece.chars().map(|c| if c == '\n' { c } else { ' ' }));
        }
        rest = tail;
    }
    out
}

/// Bytes of the comment or literal that `text` begins with, 0 when it begins with code; `before`
/// is the character in front of it.
fn literal_len(text: &str, before: char) -> usize {
    let until = |end: &str, from: usize| {
        text.get(from..)
            .and_then(|tail| tail.find(end))
            .map_or(text.len(), |at| from + at + end.len())
    };
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return block_comment_len(text);
    }
    if text.starts_with('"') {
        return quoted_len(text);
    }
    if let Some(raw) = text.strip_prefix('r')
        && !(before.is_alphanumeric() && before != 'b')
        && before != '_'
    {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            return until(&format!("\"{}", "#".repeat(hashes)), hashes + 2);
        }
    }
    if let Some(inner) = text.strip_prefix('\'') {
        // A lifetime has no closing quote right after its first character.
        if inner.starts_with('\\') {
            return until("'", 3);
        }
        let first = inner.chars().next().map_or(0, char::len_utf8);
        if inner[first..].starts_with('\'') {
            return 1 + first + 1;
        }
    }
    0
}

/// Bytes of the string that `text` begins with, quotes included.
fn quoted_len(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => (),
        }
    }
    text.len()
}

/// Bytes of the comment that `text` begins with; such comments nest.
fn block_comment_len(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let here = &text[at..];
        if here.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if here.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

#[cfg(test)]
mod tests;
