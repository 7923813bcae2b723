//! What takes its time: reading folders, counting, restoring. One thing after the other.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender};

use engine::Cancel;
use engine::guest::browse::{Browser, Marks, Place, Progress};
use engine::guest::list;

use super::app::{Answer, Ask, Level};
use crate::commands::browse::estimate_text;

/// Restores what is marked to where somebody typed, and gives the report.
pub(super) type Restore<'a> = &'a (dyn Fn(&Marks, &str, &Cancel, &Progress) -> String + Sync);

/// Answers until nobody asks any more.
pub(super) fn work(
    browser: &Browser<'_>,
    restore: Restore<'_>,
    asks: &Receiver<Ask>,
    answers: &Sender<Answer>,
) {
    while let Ok(ask) = asks.recv() {
        let answer = match ask {
            Ask::Load(place, cancel, seen) => load(browser, place, &cancel, &|number| {
                seen.store(number as u64, Ordering::Relaxed);
            }),
            Ask::Lines(folder, range) => {
                let first = range.start;
                let lines = folder.lines(range);
                Answer::Lines(folder, first, lines)
            }
            Ask::Details(owner, path) => {
                let details = browser.details(&owner, &path);
                let details = details.map(Box::new).map_err(|error| error.to_string());
                Answer::Details(owner, path, details)
            }
            Ask::Estimate(marks, cancel, progress) => {
                let estimate = browser.estimate(&marks, &cancel, &progress);
                report(&estimate_text(estimate))
            }
            Ask::Restore(marks, to, cancel, progress) => {
                report(&restore(&marks, &to, &cancel, &progress))
            }
        };
        if answers.send(answer).is_err() {
            return;
        }
    }
}

fn report(text: &str) -> Answer {
    Answer::Report(text.lines().map(str::to_owned).collect())
}

fn load(browser: &Browser<'_>, place: Place, cancel: &Cancel, seen: &dyn Fn(usize)) -> Answer {
    if place.path.is_none() {
        let guest = browser.guest(&place.owner);
        let (volumes, odd) = list::volumes(&guest);
        let findings = [guest.findings.clone(), odd].concat();
        return Answer::Loaded(place, Level::Volumes(volumes), findings);
    }
    let listed = browser.list(&place, &mut |number| {
        seen(number);
        !cancel.is_cancelled()
    });
    match listed {
        Ok(listing) => {
            let findings = listing.findings.clone();
            let level = Level::Folder(Arc::new(listing), std::collections::HashMap::new());
            Answer::Loaded(place, level, findings)
        }
        Err(error) => Answer::Loaded(place, Level::Failed(error.to_string()), Vec::new()),
    }
}
