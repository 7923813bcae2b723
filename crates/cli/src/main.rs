//! The `hyperkeep` program: words in, words out, and no logic that the crates below lack.
//!
//! Standard output carries one document, for people or as JSON; everything else goes to standard
//! error. The exit code is the outcome. Secrets never stand on the command line.

mod address;
mod apart;
mod args;
mod commands;
mod failure;
mod hooks;
mod host;
mod keyring;
mod open;
mod pages;
mod progress;
mod secret;
mod sheet;
mod stop;
mod stream;
mod table;
mod text;
mod ui;
mod volume_key;

use std::process::ExitCode;

use clap::error::ErrorKind;

use crate::args::{Cli, Command, Global};
use crate::failure::{Exit, Failure, Result};
use crate::ui::Ui;

fn main() -> ExitCode {
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => return ExitCode::from(not_understood(&error).code()),
    };
    let ui = Ui::new(cli.global.json, cli.global.quiet);
    let exit = run(&cli.global, cli.command, ui).unwrap_or_else(|failure| {
        ui.error(&failure);
        failure.exit
    });
    ExitCode::from(exit.code())
}

fn run(global: &Global, command: Command, ui: Ui) -> Result<Exit> {
    match command {
        Command::Init(args) => commands::init::run(global, &args, ui),
        Command::Backup(args) => commands::backup::run(global, &args, ui),
        Command::Doctor(args) => commands::doctor::run(global, &args, ui),
        Command::Estimate(args) => commands::estimate::run(global, &args, ui),
        Command::Vms(args) => commands::vms::run(global, &args, ui),
        Command::Points(args) => commands::points::run(global, &args, ui),
        Command::Show(args) => commands::show::run(global, &args, ui),
        Command::Find(args) => commands::guest::find(global, &args, ui),
        Command::Diff(args) => commands::diff::run(global, &args, ui),
        Command::Verify(args) => commands::verify::run(global, &args, ui),
        Command::Ls(args) => commands::ls::run(global, &args, ui),
        Command::Browse(args) => commands::browse::run(global, &args, ui),
        Command::Restore(command) => commands::restore::run(global, &command, ui),
        Command::Check(args) => commands::check::run(global, &args, ui),
        Command::Keys(command) => commands::keys::run(global, &command, ui),
        Command::Secret(command) => commands::secret::run(global, &command, ui),
        Command::Lab(args) => commands::lab::run(&args, ui),
        Command::Man(args) => pages::man(&args, ui),
        Command::Completions(args) => pages::completions(&args, ui),
    }
}

/// Help and versions are answers; all else is bad usage, said as JSON to those who asked for it.
fn not_understood(error: &clap::Error) -> Exit {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        // The reader may have gone; there is nothing else to say.
        let _ = error.print();
        return Exit::Outcome(engine::Outcome::Ok);
    }
    let json = std::env::args_os()
        .skip(1)
        .take_while(|arg| arg != "--")
        .any(|arg| arg == "--json");
    let text = error.to_string();
    let Some(message) = text.strip_prefix("error: ").or(json.then_some(&*text)) else {
        // To a line that says nothing, the help itself is the answer.
        let _ = error.print();
        return Exit::Usage;
    };
    // The parser ends with advice of its own, which the hint replaces.
    let message = message.split("\n\nFor more information").next();
    let failure = Failure::usage(message.unwrap_or_default().trim_end());
    let hint = "`--help` after the command tells what it takes, with examples";
    Ui::new(json, false).error(&failure.hint(hint));
    Exit::Usage
}
