//! What a command says, and where: its one document on standard output, all else on standard
//! error.
//!
//! A document is what a command found out. With `--json` it is one line of JSON, described in
//! `docs/json.md`; without, it is text for people. Both come from the same value, so neither can
//! tell what the other does not know.

use std::io::{self, IsTerminal, Write};

use engine::Outcome;
use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::text;

/// The version of all JSON documents. Members may be added without a new one.
pub(crate) const VERSION: u32 = 1;

/// What a command prints.
pub(crate) trait Document: Serialize {
    /// The kind, for scripts.
    const KIND: &'static str;

    /// How the command ended.
    fn outcome(&self) -> Outcome {
        Outcome::Ok
    }

    /// The text for people, with its last line break.
    fn human(&self) -> String;
}

#[derive(Serialize)]
struct Envelope<'a, D> {
    kind: &'a str,
    version: u32,
    outcome: &'a str,
    #[serde(flatten)]
    document: &'a D,
}

#[derive(Serialize)]
struct ErrorDocument<'a> {
    kind: &'a str,
    version: u32,
    outcome: &'a str,
    error: ErrorBody<'a>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    message: &'a str,
    causes: &'a [String],
    hint: Option<&'a str>,
}

/// How to speak.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ui {
    json: bool,
    quiet: bool,
}

impl Ui {
    /// As the command line says.
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet }
    }

    /// Whether somebody watches standard error.
    pub(crate) fn watched(self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    /// Prints what the command found out and says how it ended.
    pub(crate) fn print<D: Document>(self, document: &D) -> Result<Exit, Failure> {
        let outcome = document.outcome();
        if self.json {
            self.print_json(&Envelope {
                kind: D::KIND,
                version: VERSION,
                outcome: outcome.as_str(),
                document,
            })?;
        } else {
            self.print_text(&text::lines(&document.human()))?;
        }
        Ok(Exit::Outcome(outcome))
    }

    /// Prints what must not be lost although something failed afterwards, and says what; with
    /// `--json` the failure goes to standard error alone, since there is but one document.
    pub(crate) fn print_beside<D: Document>(
        self,
        document: &D,
        failure: &Failure,
    ) -> Result<Exit, Failure> {
        self.print(document)?;
        self.say(&told(failure));
        Ok(failure.exit)
    }

    /// Whether the document is wanted as JSON.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Prints text as it is.
    pub(crate) fn print_text(self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        match written {
            // Whoever reads has seen enough: `hyperkeep points | head`.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(|error| {
                Failure::from(anyhow::Error::new(error).context("writing to standard output"))
                    .hint("the command has done its work; only what it found out was not printed")
            }),
        }
    }

    fn print_json(self, value: &impl Serialize) -> Result<(), Failure> {
        let mut line = serde_json::to_string(value)
            .map_err(|error| Failure::new(format!("making JSON: {error}")))?;
        line.push('\n');
        self.print_text(&line)
    }

    /// Says why a command failed: on standard error for people, and with `--json` as a document.
    pub(crate) fn error(self, failure: &Failure) {
        let (message, causes) = failure.causes();
        if self.json {
            // Standard error tells it as well, should this not be possible.
            let _ = self.print_json(&ErrorDocument {
                kind: "error",
                version: VERSION,
                outcome: failure.exit.as_str(),
                error: error_body(failure, (&message, &causes)),
            });
        }
        self.say(&told(failure));
    }

    /// A remark for people.
    pub(crate) fn note(self, text: &str) {
        if !self.quiet {
            self.say(&format!("{text}\n"));
        }
    }

    /// Says something on standard error, whatever it takes.
    pub(crate) fn say(self, text: &str) {
        // When standard error is gone there is nobody to tell.
        let _ = io::stderr().lock().write_all(text::lines(text).as_bytes());
    }
}

fn error_body<'a>(
    failure: &'a Failure,
    (message, causes): (&'a str, &'a [String]),
) -> ErrorBody<'a> {
    ErrorBody {
        message,
        causes,
        hint: failure.hint.as_deref(),
    }
}

/// What an `error` document has of a failure, for one that has begun already.
pub(crate) fn error_json(failure: &Failure) -> Result<String, Failure> {
    let (message, causes) = failure.causes();
    let body = error_body(failure, (&message, &causes));
    serde_json::to_string(&body).map_err(|error| Failure::new(format!("making JSON: {error}")))
}

/// What is said of a failure.
pub(crate) fn told(failure: &Failure) -> String {
    let (message, causes) = failure.causes();
    let mut text = format!("error: {message}\n");
    for cause in &causes {
        text.push_str(&format!("  because: {cause}\n"));
    }
    if let Some(hint) = &failure.hint {
        text.push_str(&format!("hint: {hint}\n"));
    }
    text
}
