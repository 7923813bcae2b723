//! Progress on standard error: bars when somebody watches, a line for each VM when not.
//!
//! There is a bar for each disk that is worked on. Lines name their VM where several are at work.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::Outcome;
use engine::Severity;
use engine::progress::{Event, Sink, Step};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::text;
use crate::ui::Ui;

/// Draws events. See the [module](self).
pub(crate) struct Progress {
    ui: Ui,
    bars: Option<Bars>,
}

/// The bars of the disks that are worked on, by their tasks.
struct Bars {
    all: MultiProgress,
    of: Mutex<HashMap<u64, ProgressBar>>,
}

impl Bars {
    fn new() -> Self {
        let target = match std::io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr_with_hz(8),
            false => ProgressDrawTarget::hidden(),
        };
        Self {
            all: MultiProgress::with_draw_target(target),
            of: Mutex::default(),
        }
    }

    fn of(&self) -> MutexGuard<'_, HashMap<u64, ProgressBar>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress {
    /// As the command line and the terminal allow.
    pub(crate) fn new(ui: Ui) -> Self {
        Self {
            ui,
            bars: ui.watched().then(Bars::new),
        }
    }

    /// Says something above the bars, or on a line of its own.
    fn tell(&self, line: &str) {
        match &self.bars {
            None => self.ui.note(line),
            Some(bars) => bars.all.suspend(|| self.ui.note(line)),
        }
    }

    fn step(&self, step: &Step) {
        let Some(bars) = &self.bars else { return };
        let bars = bars.of();
        let Some(bar) = bars.get(&step.task) else {
            return;
        };
        bar.set_length(step.total);
        bar.set_position(step.done.min(step.total));
        bar.set_message(pace(step));
    }
}

impl Sink for Progress {
    fn event(&self, event: &Event) {
        match event {
            Event::VmStarted { vm, index, total } => {
                self.tell(&format!("[{}/{total}] {}", index + 1, text::line(vm)));
            }
            Event::DiskStarted {
                disk, bytes, task, ..
            } => {
                if let Some(bars) = &self.bars {
                    let bar = bars.all.add(drawn(*bytes, &text::line(disk)));
                    bars.of().insert(*task, bar);
                }
            }
            Event::DiskFinished { task } => {
                if let Some(bars) = &self.bars
                    && let Some(bar) = bars.of().remove(task)
                {
                    bar.finish_and_clear();
                    bars.all.remove(&bar);
                }
            }
            Event::Step(step) => self.step(step),
            // The report tells all findings; who watches learns of them as they come.
            Event::Found { vm, finding } if self.bars.is_some() => {
                let word = match finding.severity {
                    Severity::Info => "note",
                    Severity::Warning => "warning",
                    Severity::Partial => "not covered",
                    Severity::Error => "error",
                };
                let mut what = finding.to_string();
                if finding.object != *vm {
                    what = format!("{vm}: {what}");
                }
                let mut line = format!("  {word}: {}", text::line(&what));
                if let Some(hint) = &finding.hint {
                    line.push_str(&format!("\n    hint: {}", text::line(hint)));
                }
                self.tell(&line);
            }
            Event::VmFinished { vm, outcome } if *outcome != Outcome::Ok => {
                self.tell(&format!("  {}: {outcome}", text::line(vm)));
            }
            _ => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bars) = &self.bars {
            for bar in bars.of().values() {
                bar.finish_and_clear();
            }
        }
    }
}

/// `310.4 MiB/s, 0:42 min left`.
fn pace(step: &Step) -> String {
    let rate = step
        .rate
        .map(|rate| format!("{}/s", text::size(rate as u64)));
    let left = step.left.filter(|left| !left.is_zero()).map(|left| {
        // Rounded, since nobody knows better.
        let left = Duration::from_secs(left.as_secs() + 1);
        format!("{} left", text::duration(left))
    });
    [rate, left]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(", ")
}

/// A bar that is drawn when it is added to the others.
fn drawn(bytes: u64, name: &str) -> ProgressBar {
    let hidden = ProgressDrawTarget::hidden();
    let bar = ProgressBar::with_draw_target(Some(bytes), hidden).with_prefix(name.to_owned());
    // The template is fixed; the plain style stands in should it ever not parse.
    let style = ProgressStyle::with_template(
        "  {prefix:.bold} [{bar:30}] {binary_bytes}/{binary_total_bytes} {msg}",
    );
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_not_told() {
        assert_eq!(pace(&Step::default()), "");
        let step = Step {
            rate: Some(1_048_576.0),
            left: Some(Duration::from_millis(100)),
            ..Step::default()
        };
        assert_eq!(pace(&step), "1.0 MiB/s, 1 s left");
    }
}
