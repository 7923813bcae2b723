//! What a restore point says in words, within what a manifest has room for.
//!
//! A configuration that is damaged, or made to harm, can make a source say any amount. Its disks are
//! none the worse for it, so that must not be what a backup of them fails for: the worst is kept, and
//! the rest is told as a number. The files themselves are saved whole whatever becomes of this.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;

use serde::Serialize;

use crate::finding::{Code, Finding, Severity};
use crate::point::Details;
use crate::source::{MissingLayer, Owner};

/// The most items of one list. The format allows 65536.
pub(super) const MOST_ITEMS: usize = 1000;
/// The most bytes of one list as it is stored. All that the manifest has must fit into 16 MiB.
const MOST_BYTES: usize = 2 << 20;
/// The most bytes of one text.
const MOST_TEXT: usize = 4 << 10;
/// The most bytes of all configurations as plain data. Real ones take some 10 KiB each.
const MOST_CONFIGURATION: usize = 6 << 20;

/// Brings `details` within their bounds. The outcome that its findings allow stays the same.
pub(super) fn bound(details: &mut Details) {
    configurations(details);
    distinct_slots(details);
    missing(details);
    not_covered(details);
    findings(details);
}

/// Leaves out configurations as plain data that are too large together; the VM's own comes first.
fn configurations(details: &mut Details) {
    let mut left = MOST_CONFIGURATION;
    let mut lost = 0;
    let of_checkpoints = details.checkpoints.iter_mut().map(|c| &mut c.config);
    for config in std::iter::once(&mut details.config).chain(of_checkpoints) {
        let len = config.as_ref().map_or(0, stored_len);
        match left.checked_sub(len) {
            Some(rest) => left = rest,
            None => {
                *config = None;
                lost += 1;
            }
        }
    }
    if lost > 0 {
        let what = match lost {
            1 => "one configuration is".to_owned(),
            n => format!("{n} configurations are"),
        };
        details.findings.push(
            Finding::new(
                Code::ConfigUnreadable,
                Severity::Warning,
                details.vm_name.clone(),
                format!("{what} too large to be described; every file is saved as it is"),
            )
            .hint("look at the configuration in Hyper-V: real ones are small"),
        );
    }
}

/// A configuration may attach two disks to one place; a list of disks names each place once.
fn distinct_slots(details: &mut Details) {
    let mut taken = HashSet::new();
    let mut next = HashMap::new();
    for disk in &mut details.uses {
        let place = (disk.owner.clone(), disk.slot.clone());
        while !taken.insert((disk.owner.clone(), disk.slot.clone())) {
            let number = next.entry(place.clone()).or_insert(1);
            *number += 1;
            disk.slot = format!("{} ({number})", place.1);
        }
    }
}

fn missing(details: &mut Details) {
    for layer in &mut details.missing {
        shorten(&mut layer.name);
        shorten(&mut layer.why);
        // One disk may be named again and again.
        let owners: BTreeSet<Owner> = layer.needed_by.drain(..).collect();
        layer.needed_by.extend(owners);
    }
    let rest = keep(&mut details.missing, |_| ());
    if !rest.is_empty() {
        let owners: BTreeSet<Owner> = rest.iter().flat_map(|l| l.needed_by.clone()).collect();
        details.missing.push(MissingLayer {
            name: format!("{} more", rest.len()),
            why: "there are too many to list each".to_owned(),
            needed_by: owners.into_iter().take(MOST_ITEMS).collect(),
            by_choice: false,
        });
    }
}

fn not_covered(details: &mut Details) {
    details.not_covered.iter_mut().for_each(shorten);
    let rest = keep(&mut details.not_covered, |_| ()).len();
    if rest > 0 {
        details.not_covered.push(format!("and {rest} more"));
    }
}

fn findings(details: &mut Details) {
    for finding in &mut details.findings {
        shorten(&mut finding.object);
        shorten(&mut finding.message);
        finding.hint.iter_mut().for_each(shorten);
    }
    let rest = keep(&mut details.findings, |finding| finding.severity);
    if let Some(worst) = rest.iter().map(|finding| finding.severity).max() {
        let what = match rest.len() {
            1 => "1 more finding is not listed".to_owned(),
            n => format!("{n} more findings are not listed"),
        };
        let name = details.vm_name.clone();
        details.findings.push(
            Finding::new(Code::MoreFindings, worst, name, what)
                .hint("mend what is listed, and the next backup tells the rest"),
        );
    }
}

/// Keeps of `items`, in their order, as many as may be, those of the highest rank first. Gives the
/// rest.
fn keep<T: Serialize, K: Ord>(items: &mut Vec<T>, rank: impl Fn(&T) -> K) -> Vec<T> {
    let mut ranked: Vec<(usize, &T)> = items.iter().enumerate().collect();
    ranked.sort_by_key(|(_, item)| Reverse(rank(item)));
    let mut left = MOST_BYTES;
    let fit = ranked.into_iter().take(MOST_ITEMS).map_while(|(at, item)| {
        left = left.checked_sub(stored_len(item))?;
        Some(at)
    });
    let fit: HashSet<usize> = fit.collect();
    let all = std::mem::take(items).into_iter().enumerate();
    let (kept, rest): (Vec<_>, Vec<_>) = all.partition(|(at, _)| fit.contains(at));
    items.extend(kept.into_iter().map(|(_, item)| item));
    rest.into_iter().map(|(_, item)| item).collect()
}

fn shorten(text: &mut String) {
    if text.len() > MOST_TEXT {
        text.truncate(text.floor_char_boundary(MOST_TEXT));
        text.push('…');
    }
}

/// The bytes that `value` takes as JSON.
fn stored_len(value: &impl Serialize) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.saturating_add(bytes.len());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // What cannot be written at all has no room either.
    serde_json::to_writer(&mut count, value).map_or(usize::MAX, |()| count.0)
}
