//! A document whose list is printed while it is found out, so that it takes no memory however long it is.
//!
//! As JSON it is one line like any other document: the head, the list, the rest. Nothing is printed before
//! there is an item or the end: until then an error can take the document's place.

use engine::Outcome;
use serde::Serialize;

use crate::failure::{Exit, Failure, Result};
use crate::text;
use crate::ui::{Ui, VERSION};

/// Text that is kept before it is printed.
const KEPT: usize = 64 << 10;

/// A document in the making.
pub(crate) struct Stream<H> {
    ui: Ui,
    kind: &'static str,
    head: H,
    list: &'static str,
    kept: String,
    items: u64,
    failure: Option<Failure>,
}

impl<H: Serialize> Stream<H> {
    /// A document of a kind, with the members of `head` before its `list`.
    pub(crate) fn new(ui: Ui, kind: &'static str, head: H, list: &'static str) -> Self {
        Self {
            ui,
            kind,
            head,
            list,
            kept: String::new(),
            items: 0,
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
            true => self.ui.print_text(&std::mem::take(&mut self.kept)),
            false => Ok(()),
        });
        self.failure = printed.err();
    }

    fn json_item(&mut self, item: &impl Serialize) -> Result<()> {
        match self.items {
            0 => self.open()?,
            _ => self.kept.push(','),
        }
        self.kept.push_str(&json(item)?);
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
        if let Some(failure) = self.failure {
            return Err(failure);
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
        self.ui.print_text(&self.kept)?;
        Ok(Exit::Outcome(outcome))
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
