//! A line of a script as words, by the rules that `browse --help` tells.

/// What is wrong with a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// A quote that begins and does not end.
    Open(char),
    /// A backslash at the end.
    Backslash,
}

/// The words of a line; none of an empty one, or a remark.
pub(super) fn words(line: &str) -> Result<Vec<String>, Wrong> {
    let mut words = Vec::new();
    // Nothing between words, which is something else than an empty one in quotes.
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        match char {
            '#' if word.is_none() => break,
            char if char.is_whitespace() => words.extend(word.take()),
            '\\' => {
                let next = chars.next().ok_or(Wrong::Backslash)?;
                word.get_or_insert_default().push(next);
            }
            quote @ ('\'' | '"') => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next().ok_or(Wrong::Open(quote))? {
                        end if end == quote => break,
                        '\\' if quote == '"' => match chars.next().ok_or(Wrong::Open(quote))? {
                            kept @ ('"' | '\\') => word.push(kept),
                            other => word.extend(['\\', other]),
                        },
                        other => word.push(other),
                    }
                }
            }
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_keep_words_together() {
        for (line, expected) in [
            ("", &[][..]),
            ("  # a remark", &[]),
            ("cd  a\tb # c", &["cd", "a", "b"]),
            ("cd 'My Documents'", &["cd", "My Documents"]),
            (
                "cd \"it's \\\"x\\\" \\n \\\\\"",
                &["cd", "it's \"x\" \\n \\"],
            ),
            ("cd a' 'b\\ c", &["cd", "a b c"]),
            ("cd '' a#b \\#c", &["cd", "", "a#b", "#c"]),
            ("cd '\\'", &["cd", "\\"]),
        ] {
            assert_eq!(words(line).unwrap(), expected, "{line}");
        }
        assert_eq!(words("cd 'a"), Err(Wrong::Open('\'')));
        assert_eq!(words("cd \"a\\"), Err(Wrong::Open('"')));
        assert_eq!(words("cd a\\"), Err(Wrong::Backslash));
    }
}
