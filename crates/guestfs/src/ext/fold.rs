//! Which names are the same in a folder that does not tell cases apart.
//!
//! The guest folds names by a table of Unicode. Here letters of ASCII are folded as it does, and others by
//! what upper and lower case they have; composed and decomposed letters stay different. So the index,
//! which is sorted by folded names, is asked for names of ASCII alone.

/// Whether two names are the same but for case.
pub(super) fn same(one: &[u8], other: &[u8]) -> bool {
    if one.eq_ignore_ascii_case(other) {
        return true;
    }
    match (std::str::from_utf8(one), std::str::from_utf8(other)) {
        (Ok(one), Ok(other)) if !(one.is_ascii() && other.is_ascii()) => {
            folded(one).eq(folded(other))
        }
        _ => false,
    }
}

fn folded(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn case_does_not_matter_and_all_else_does() {
        assert!(same(b"Readme.TXT", b"readme.txt"));
        assert!(same("Größe".as_bytes(), "GRÖSSE".as_bytes()));
        assert!(same("ΣΊΣΥΦΟΣ".as_bytes(), "σίσυφος".as_bytes()));
        assert!(!same(b"a", b"b"));
        assert!(!same(b"\xffA", b"\xfea"));
        assert!(same(b"\xffA", b"\xffa"));
    }
}
