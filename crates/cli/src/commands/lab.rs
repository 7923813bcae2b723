//! `lab`.

use std::io::BufReader;
use std::sync::Arc;

use crate::args::LabArgs;
use crate::failure::{Exit, Failure, Result};
use crate::ui::Ui;

/// Runs a simulated host until the process ends.
pub(crate) fn run(args: &LabArgs, ui: Ui) -> Result<Exit> {
    let servers = lab::serve(&args.scenario, &args.folder, args.address).map_err(|error| {
        Failure::from(anyhow::Error::new(error))
            .hint("docs/hyperv/lab-scenario.md tells what a scenario can say")
    })?;
    if let Some(folder) = &args.keep_frozen {
        for server in &servers {
            server.service().repository.host.keep_frozen(folder);
        }
    }
    // One line for each host, for programs that wait for them.
    for server in &servers {
        ui.print_text(&format!("{}\n", server.address()))?;
    }
    // Whoever waited for the addresses may not listen any more.
    let say: lab::Say = Arc::new(move |line| _ = ui.print_text(&format!("{line}\n")));
    let orders = args.orders.then(|| BufReader::new(std::io::stdin()));
    lab::keep_going(&servers, orders, &say)
}
