//! A document whose list is printed while it is found out, so that it takes no memory however long it is.
//!
//! As JSON it is one line like any other document: the head, the list, the rest. Nothing is printed before
//! there is much of it, or the end: until then an error takes the document's place. An error that comes later is
//! what the document ends with, so that what is printed is one whole document in any case.

use engine::Outcome;
use serde::Serialize;

use crate::failure::{Exit, Failure, Result};
use crate::text;
use crate::ui::{Ui, VERSION, error_json, told};

/// Text that is kept before it is printed.
const KEPT: usize = 64 << 10;

/// Where the text goes.
type Out = Box<dyn FnMut(&str) -> Result<()>>;

/// A document in the making.
pub(crate) struct Stream<H> {
    ui: Ui,
    out: Out,
    kind: &'static str,
    head: H,
    list: &'static str,
    kept: String,
    items: u64,
    /// Something of it was printed, or would have been.
    begun: bool,
    /// It could not be printed, and nobody knows how much of it is there.
    broken: bool,
    failure: Option<Failure>,
}

impl<H: Serialize> Stream<H> {
    /// A document of a kind, with the members of `head` before its `list`.
    pub(crate) fn new(ui: Ui, kind: &'static str, head: H, list: &'static str) -> Self {
        Self::to(
            Box::new(move |text| ui.print_text(text)),
            ui,
            kind,
            head,
            list,
        )
    }

    fn to(out: Out, ui: Ui, kind: &'static str, head: H, list: &'static str) -> Self {
        Self {
            ui,
            out,
            kind,
            head,
            list,
            kept: String::new(),
            items: 0,
            begun: false,
            broken: false,
            failure: None,
        }
    }

    /// Adds an item: as JSON, or in the words that `human` has for it.
    pub(crate) fn item<T: Serialize>(&mut self, item: &T, human: impl FnOnce(&T) -> String) {
        if self.failure.is_some() {
            return;
        }
        let added = match self.ui.is_json() {
            true => self.json_item(item),
            false => {
                self.kept.push_str(&text::lines(&human(item)));
                Ok(())
            }
        };
        self.items += 1;
        let printed = added.and_then(|()| match self.kept.len() >= KEPT {
            true => self.print(),
            false => Ok(()),
        });
        self.failure = printed.err();
    }

    fn print(&mut self) -> Result<()> {
        self.begun = true;
        let printed = (self.out)(&std::mem::take(&mut self.kept));
        self.broken |= printed.is_err();
        printed
    }

    fn json_item(&mut self, item: &impl Serialize) -> Result<()> {
        let item = json(item)?;
        match self.items {
            0 => self.open()?,
            _ => self.kept.push(','),
        }
        self.kept.push_str(&item);
        Ok(())
    }

    fn open(&mut self) -> Result<()> {
        let (kind, list) = (self.kind, self.list);
        let head = members(&self.head)?;
        let begin = format!(r#"{{"kind":"{kind}","version":{VERSION},{head},"{list}":["#);
        self.kept.push_str(&begin);
        Ok(())
    }

    /// Ends the document: as JSON with the members of `rest`, or with text.
    pub(crate) fn end<R: Serialize>(
        mut self,
        rest: &R,
        outcome: Outcome,
        human: impl FnOnce(&R) -> String,
    ) -> Result<Exit> {
        if let Some(failure) = self.failure.take() {
            return self.fail(failure);
        }
        if self.ui.is_json() {
            if self.items == 0 {
                self.open()?;
            }
            let rest = members(rest)?;
            let end = format!("],{rest},\"outcome\":\"{}\"}}\n", outcome.as_str());
            self.kept.push_str(&end);
        } else {
            self.kept.push_str(&text::lines(&human(rest)));
        }
        match self.print() {
            Ok(()) => Ok(Exit::Outcome(outcome)),
            Err(failure) if self.ui.is_json() => Ok(self.said(&failure)),
            Err(failure) => Err(failure),
        }
    }

    /// Ends the document with why it is not whole, or gives its place to that.
    pub(crate) fn fail(mut self, failure: Failure) -> Result<Exit> {
        if !self.begun || !self.ui.is_json() {
            return Err(failure);
        }
        if !self.broken {
            let (outcome, error) = (failure.exit.as_str(), error_json(&failure)?);
            let end = format!("],\"error\":{error},\"outcome\":\"{outcome}\"}}\n");
            self.kept.push_str(&end);
            if let Err(more) = self.print() {
                self.said(&more);
            }
        }
        Ok(self.said(&failure))
    }

    /// Says on standard error alone why it ended so.
    fn said(&self, failure: &Failure) -> Exit {
        self.ui.say(&told(failure));
        failure.exit
    }
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Failure::new(format!("making JSON: {error}")))
}

/// The members of something that has some, without the braces around them.
fn members(value: &impl Serialize) -> Result<String> {
    let text = json(value)?;
    let inner = text
        .strip_prefix('{')
        .and_then(|text| text.strip_suffix('}'));
    Ok(inner.unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::Value;

    use super::*;

    #[derive(Serialize)]
    struct Head {
        before: u32,
    }

    #[derive(Serialize)]
    struct Rest {
        counts: u32,
    }

    /// A stream to memory that takes so many pieces and not the next one, and what it printed.
    fn stream(pieces: usize) -> (Stream<Head>, Arc<Mutex<String>>) {
        let printed = Arc::new(Mutex::new(String::new()));
        let (to, mut left) = (Arc::clone(&printed), pieces);
        let out = move |text: &str| {
            if left == 0 {
                left = usize::MAX;
                return Err(Failure::new("the disk is full"));
            }
            left -= 1;
            to.lock().unwrap().push_str(text);
            Ok(())
        };
        let ui = Ui::new(true, true);
        let head = Head { before: 1 };
        (
            Stream::to(Box::new(out), ui, "diff", head, "changes"),
            printed,
        )
    }

    fn add(stream: &mut Stream<Head>, items: usize) {
        for item in 0..items {
            stream.item(&format!("{item} {}", "x".repeat(1000)), String::clone);
        }
    }

    fn lost() -> Failure {
        Failure::new("a chunk is lost").hint("check the vault")
    }

    /// Each line of what was printed.
    fn documents(printed: &Mutex<String>) -> Vec<Value> {
        let printed = printed.lock().unwrap();
        assert!(printed.is_empty() || printed.ends_with('\n'));
        let lines = printed.lines().map(serde_json::from_str);
        lines.collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn a_failure_takes_the_place_of_what_is_not_printed_yet() {
        let (mut stream, printed) = stream(usize::MAX);
        add(&mut stream, 60);
        assert_eq!(
            stream.fail(lost()).unwrap_err().error.to_string(),
            "a chunk is lost"
        );
        assert!(documents(&printed).is_empty());
    }

    #[test]
    fn a_failure_ends_what_is_printed_already() {
        let (mut stream, printed) = stream(usize::MAX);
        add(&mut stream, 150);
        assert!(!printed.lock().unwrap().is_empty());
        let exit = stream.fail(lost()).unwrap();
        assert_eq!(exit, Exit::Outcome(Outcome::Failed));
        let documents = documents(&printed);
        assert_eq!(documents.len(), 1);
        let document = &documents[0];
        assert_eq!(document["kind"], "diff");
        assert_eq!(document["changes"].as_array().unwrap().len(), 150);
        assert_eq!(document["outcome"], "failed");
        assert_eq!(document["error"]["message"], "a chunk is lost");
        assert_eq!(document["error"]["hint"], "check the vault");
        assert!(document["counts"].is_null());
    }

    #[test]
    fn a_whole_one_is_one_line_however_long() {
        for items in [0, 1, 500] {
            let (mut stream, printed) = stream(usize::MAX);
            add(&mut stream, items);
            let end = stream.end(&Rest { counts: 2 }, Outcome::Warning, |_| String::new());
            assert_eq!(end.unwrap(), Exit::Outcome(Outcome::Warning));
            let documents = documents(&printed);
            assert_eq!(documents.len(), 1);
            assert_eq!(documents[0]["changes"].as_array().unwrap().len(), items);
            assert_eq!(documents[0]["counts"], 2);
        }
    }

    /// When printing itself fails nothing is printed behind what nobody knows the length of.
    #[test]
    fn nothing_follows_what_could_not_be_printed() {
        for pieces in [0, 1] {
            let (mut stream, printed) = stream(pieces);
            add(&mut stream, 150);
            let end = stream.end(&Rest { counts: 2 }, Outcome::Ok, |_| String::new());
            assert_eq!(end.unwrap(), Exit::Outcome(Outcome::Failed));
            let printed = printed.lock().unwrap();
            assert_eq!(printed.is_empty(), pieces == 0);
            assert!(!printed.contains("error") && !printed.ends_with('\n'));
        }
    }
}
