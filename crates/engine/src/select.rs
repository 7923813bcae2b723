//! Which VMs a job is about: ordered patterns.

use globset::{GlobBuilder, GlobMatcher};

/// A pattern that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("pattern “{pattern}”: {why}")]
pub struct PatternError {
    /// The pattern as it was given.
    pub pattern: String,
    /// What is wrong with it.
    pub why: String,
}

/// Whether a rule brings VMs in or keeps them out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// `--vm`
    Include,
    /// `--exclude`
    Exclude,
}

/// Ordered rules over VM names and ids; the **last** rule that matches decides.
///
/// A VM that no rule matches is in when there is no [`Rule::Include`] at all, and out otherwise.
/// Patterns are shell globs (`*`, `?`, `[…]`, `{a,b}`), compared without regard to case, as
/// Hyper-V compares names. A pattern that is a VM's exact name matches it even when the name holds
/// glob characters.
#[derive(Debug, Clone, Default)]
pub struct Selection(Vec<(Rule, String, GlobMatcher)>);

impl Selection {
    /// Every VM.
    pub fn all() -> Self {
        Self::default()
    }

    /// The given rules, in the order given.
    ///
    /// # Errors
    /// When a pattern is not a glob.
    pub fn new(rules: impl IntoIterator<Item = (Rule, String)>) -> Result<Self, PatternError> {
        rules
            .into_iter()
            .map(|(rule, pattern)| {
                let glob = GlobBuilder::new(&pattern)
                    .case_insensitive(true)
                    .build()
                    .map_err(|error| PatternError {
                        why: error.kind().to_string(),
                        pattern: pattern.clone(),
                    })?;
                Ok((rule, pattern.to_lowercase(), glob.compile_matcher()))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The patterns that shall bring VMs in and match none of these (name and id), as they were
    /// given, and whether each is meant literally. A VM that another rule keeps out counts as
    /// matched: somebody decided that.
    pub fn unmatched<'a>(&'a self, vms: &[(String, String)]) -> Vec<(&'a str, bool)> {
        let include = self.0.iter().filter(|(rule, ..)| *rule == Rule::Include);
        let idle = include.filter(|(_, text, glob)| {
            let hit = |word: &String| word.to_lowercase() == *text || glob.is_match(word);
            !vms.iter().any(|(name, id)| hit(name) || hit(id))
        });
        idle.map(|(_, text, glob)| (glob.glob().glob(), !text.contains(['*', '?', '[', '{'])))
            .collect()
    }

    /// Whether a VM with this name and id is selected.
    pub fn matches(&self, name: &str, id: Option<&str>) -> bool {
        let hit = self.0.iter().rev().find(|(_, text, glob)| {
            [Some(name), id]
                .into_iter()
                .flatten()
                .any(|word| word.to_lowercase() == *text || glob.is_match(word))
        });
        match hit {
            Some((rule, ..)) => *rule == Rule::Include,
            None => !self.0.iter().any(|(rule, ..)| *rule == Rule::Include),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(rules: &[(Rule, &str)]) -> Selection {
        Selection::new(rules.iter().map(|(r, p)| (*r, (*p).to_owned()))).unwrap()
    }

    #[test]
    fn the_last_rule_that_matches_decides() {
        use Rule::{Exclude, Include};
        let nothing_said = Selection::all();
        assert!(nothing_said.matches("any", None));

        let only_exclude = select(&[(Exclude, "test-*")]);
        assert!(only_exclude.matches("web", None));
        assert!(!only_exclude.matches("TEST-1", None));

        let in_out_in = select(&[
            (Include, "web*"),
            (Exclude, "*old*"),
            (Include, "web-old-1"),
        ]);
        assert!(in_out_in.matches("web-2", None));
        assert!(!in_out_in.matches("web-old-2", None));
        assert!(in_out_in.matches("web-old-1", None));
        assert!(!in_out_in.matches("db", None));
    }

    #[test]
    fn ids_match_too_and_exact_names_need_no_escaping() {
        let rules = select(&[(Rule::Include, "2BA7*"), (Rule::Include, "数据 {a,b}")]);
        assert!(rules.matches("x", Some("2ba7c1f0-0000-0000-0000-000000000000")));
        assert!(rules.matches("数据 {a,b}", None));
        assert!(rules.matches("数据 a", None));
    }

    #[test]
    fn a_pattern_that_brings_nothing_in_is_known() {
        use Rule::{Exclude, Include};
        let rules = select(&[
            (Include, "Web*"),
            (Include, "Db"),
            (Include, "old-*"),
            (Include, "2ba7*"),
            (Exclude, "web-1"),
            (Exclude, "nothing"),
        ]);
        let vms = [("web-1".to_owned(), "2ba7c1f0".to_owned())];
        assert_eq!(rules.unmatched(&vms), [("Db", true), ("old-*", false)]);
    }

    #[test]
    fn a_broken_glob_names_itself() {
        let error = Selection::new([(Rule::Include, "a[".to_owned())]).unwrap_err();
        assert_eq!(error.pattern, "a[");
    }
}
