//! Progress on standard error: a bar when somebody watches, a line for each VM when not.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::Duration;

use engine::Outcome;
use engine::Severity;
use engine::progress::{Event, Sink, Step};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::text;
use crate::ui::Ui;

/// Draws events. See the [module](self).
pub(crate) struct Progress {
    ui: Ui,
    bar: Option<Mutex<ProgressBar>>,
}

impl Progress {
    /// As the command line and the terminal allow.
    pub(crate) fn new(ui: Ui) -> Self {
        Self {
            ui,
            bar: ui.watched().then(|| Mutex::new(hidden())),
        }
    }

    /// Says something above the bar, or on a line of its own.
    fn tell(&self, line: &str) {
        match &self.bar {
            None => self.ui.note(line),
            Some(bar) => {
                let bar = bar.lock().unwrap_or_else(|e| e.into_inner());
                bar.suspend(|| self.ui.note(line));
            }
        }
    }

    fn step(&self, step: &Step) {
        let Some(bar) = &self.bar else { return };
        let bar = bar.lock().unwrap_or_else(|e| e.into_inner());
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
            Event::DiskStarted { disk, bytes, .. } => {
                if let Some(bar) = &self.bar {
                    let mut bar = bar.lock().unwrap_or_else(|e| e.into_inner());
                    bar.finish_and_clear();
                    *bar = drawn(*bytes, &text::line(disk));
                }
            }
            Event::Step(step) => self.step(step),
            // The report tells all findings; who watches learns of them as they come.
            Event::Found { finding, .. } if self.bar.is_some() => {
                let word = match finding.severity {
                    Severity::Info => "note",
                    Severity::Warning => "warning",
                    Severity::Partial => "not covered",
                    Severity::Error => "error",
                };
                let mut line = format!("  {word}: {}", text::line(&finding.to_string()));
                if let Some(hint) = &finding.hint {
                    line.push_str(&format!("\n    hint: {}", text::line(hint)));
                }
                self.tell(&line);
            }
            Event::VmFinished { vm, outcome } => {
                if let Some(bar) = &self.bar {
                    bar.lock()
                        .unwrap_or_else(|e| e.into_inner())
                        .finish_and_clear();
                }
                if *outcome != Outcome::Ok {
                    self.tell(&format!("  {}: {outcome}", text::line(vm)));
                }
            }
            _ => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.lock()
                .unwrap_or_else(|e| e.into_inner())
                .finish_and_clear();
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

fn hidden() -> ProgressBar {
    ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden())
}

fn drawn(bytes: u64, name: &str) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr_with_hz(8)
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(bytes), target).with_prefix(name.to_owned());
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
