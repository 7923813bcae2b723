//! Ctrl-C.

use engine::{Cancel, Outcome};

use crate::ui::Ui;

/// A request to stop, made by Ctrl-C or a terminating system. The first lets the work end cleanly;
/// the second ends the process at once, which is safe as well but leaves temporary files.
pub(crate) fn on_signal(ui: Ui) -> Cancel {
    let cancel = Cancel::new();
    let asked = cancel.clone();
    let handler = move || {
        if asked.is_cancelled() {
            std::process::exit(i32::from(Outcome::Cancelled.exit_code()));
        }
        asked.cancel();
        ui.note("stopping; once more to stop at once");
    };
    // Without a handler the signal ends the process at once: nothing depends on it not doing so.
    if let Err(error) = ctrlc::set_handler(handler) {
        ui.note(&format!(
            "note: Ctrl-C will end the program at once: {error}"
        ));
    }
    cancel
}
