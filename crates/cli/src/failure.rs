//! Why a command did not do what it was asked to: what happened, to which object, what to do next.

use std::fmt;

use engine::Outcome;

/// A command that ended with an error.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What happened, with its causes.
    pub(crate) error: anyhow::Error,
    /// What to do about it.
    pub(crate) hint: Option<String>,
    /// How it is reported to the caller's shell.
    pub(crate) exit: Exit,
}

/// What the process's exit code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// How the work ended.
    Outcome(Outcome),
    /// The command line asks for something that there is not.
    Usage,
}

impl Exit {
    /// The exit code.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Outcome(outcome) => outcome.exit_code(),
            Self::Usage => 2,
        }
    }

    /// The word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Outcome(outcome) => outcome.as_str(),
            Self::Usage => "usage",
        }
    }
}

/// Shorthand used throughout the program.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// Something failed.
    pub(crate) fn new(message: impl fmt::Display) -> Self {
        anyhow::anyhow!("{message}").into()
    }

    /// The command line asks for something that there is not.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self {
            exit: Exit::Usage,
            ..Self::new(message)
        }
    }

    /// The same with advice, unless there is some already.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// The same with an outcome.
    #[must_use]
    pub(crate) fn outcome(mut self, outcome: Outcome) -> Self {
        self.exit = Exit::Outcome(outcome);
        self
    }

    /// The message on one line and each further cause, without those that the message already
    /// tells: many errors print their source themselves.
    pub(crate) fn causes(&self) -> (String, Vec<String>) {
        let message = self.error.to_string();
        let mut told = message.clone();
        let mut causes = Vec::new();
        for cause in self.error.chain().skip(1).map(ToString::to_string) {
            if !told.contains(&cause) {
                told.push_str(&cause);
                causes.push(cause);
            }
        }
        (message, causes)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self {
            error,
            hint: None,
            exit: Exit::Outcome(Outcome::Failed),
        }
    }
}

/// Says on what an error of the operating system happened.
pub(crate) trait OnPath<T> {
    /// The error with what was being done, the path, and what to do about it.
    fn on_path(self, doing: &str, path: &std::path::Path, hint: &str) -> Result<T>;
}

impl<T> OnPath<T> for std::io::Result<T> {
    fn on_path(self, doing: &str, path: &std::path::Path, hint: &str) -> Result<T> {
        self.map_err(|error| {
            let error = anyhow::Error::new(error).context(format!("{}: {doing}", path.display()));
            Failure::from(error).hint(hint)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_once() {
        let inner = anyhow::anyhow!("no space left");
        let failure = Failure::from(inner.context("writing: no space left").context("outer"));
        let (message, causes) = failure.causes();
        assert_eq!(message, "outer");
        assert_eq!(causes, ["writing: no space left"]);
    }

    #[test]
    fn what_the_system_says_of_a_path_comes_with_advice() {
        let path = std::path::Path::new("a file");
        let error = std::fs::read(path).on_path("reading it", path, "look for it");
        let failure = error.unwrap_err();
        assert_eq!(failure.causes().0, "a file: reading it");
        assert_eq!(failure.hint.as_deref(), Some("look for it"));
    }

    #[test]
    fn the_first_hint_stays() {
        let failure = Failure::usage("x").hint("near").hint("far");
        assert_eq!(failure.hint.as_deref(), Some("near"));
        assert_eq!(failure.exit.code(), 2);
    }
}
