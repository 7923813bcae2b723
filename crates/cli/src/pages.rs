//! Manual pages and completion scripts, made from the same definitions that parse the line.

use std::path::Path;

use clap::CommandFactory;
use engine::Outcome;
use serde::Serialize;

use crate::args::{Cli, CompletionsArgs, ManArgs};
use crate::failure::{Exit, Failure, OnPath, Result};
use crate::ui::{Document, Ui};

#[derive(Serialize)]
struct ManDocument {
    files: Vec<String>,
}

impl Document for ManDocument {
    const KIND: &'static str = "man";

    fn human(&self) -> String {
        self.files.iter().map(|file| format!("{file}\n")).collect()
    }
}

/// `man`
pub(crate) fn man(args: &ManArgs, ui: Ui) -> Result<Exit> {
    let mut files = Vec::new();
    let mut command = Cli::command();
    command.build();
    page(&command, "", &args.folder, &mut files)?;
    ui.print(&ManDocument { files })
}

/// The page of a command and those of its subcommands: `hyperkeep-restore-disks.1`.
fn page(
    command: &clap::Command,
    parent: &str,
    folder: &Path,
    files: &mut Vec<String>,
) -> Result<()> {
    // The generated `help` command mirrors all others.
    if command.get_name() == "help" {
        return Ok(());
    }
    let name = match parent {
        "" => command.get_name().to_owned(),
        parent => format!("{parent}-{}", command.get_name()),
    };
    let mut bytes = Vec::new();
    clap_mangen::Man::new(command.clone().display_name(&name))
        .render(&mut bytes)
        .map_err(|error| Failure::new(format!("the manual page of {name}: {error}")))?;
    let path = folder.join(format!("{name}.1"));
    std::fs::write(&path, bytes).on_path(
        "writing a manual page",
        &path,
        "name a folder that is there and that you may write to",
    )?;
    files.push(path.display().to_string());
    for sub in command.get_subcommands() {
        page(sub, &name, folder, files)?;
    }
    Ok(())
}

#[derive(Serialize)]
struct CompletionsDocument {
    shell: String,
    script: String,
}

impl Document for CompletionsDocument {
    const KIND: &'static str = "completions";

    fn human(&self) -> String {
        self.script.clone()
    }
}

/// `completions`
pub(crate) fn completions(args: &CompletionsArgs, ui: Ui) -> Result<Exit> {
    let mut bytes = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "hyperkeep", &mut bytes);
    let document = CompletionsDocument {
        shell: args.shell.to_string(),
        script: String::from_utf8_lossy(&bytes).into_owned(),
    };
    if ui.is_json() {
        return ui.print(&document);
    }
    // To the byte: a script has tabs.
    ui.print_text(&document.script)?;
    Ok(Exit::Outcome(Outcome::Ok))
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;
    use clap_complete::Shell;

    use super::*;

    /// Every command but the generated `help`, with the name of its page.
    fn commands() -> Vec<(String, clap::Command)> {
        fn visit(command: &clap::Command, name: String, all: &mut Vec<(String, clap::Command)>) {
            for sub in command
                .get_subcommands()
                .filter(|sub| sub.get_name() != "help")
            {
                visit(sub, format!("{name}-{}", sub.get_name()), all);
            }
            all.push((name, command.clone()));
        }
        let mut root = Cli::command();
        root.build();
        let mut all = Vec::new();
        visit(&root, "hyperkeep".to_owned(), &mut all);
        all
    }

    fn options(command: &clap::Command) -> impl Iterator<Item = &str> {
        command.get_arguments().filter_map(clap::Arg::get_long)
    }

    #[test]
    fn every_command_has_a_page_with_all_its_options() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Cli::command();
        command.build();
        let mut files = Vec::new();
        page(&command, "", dir.path(), &mut files).unwrap();
        let commands = commands();
        assert_eq!(files.len(), commands.len());
        for (name, command) in commands {
            let text = std::fs::read_to_string(dir.path().join(format!("{name}.1"))).unwrap();
            // In these pages a hyphen is written with a backslash.
            let text = text.replace("\\-", "-");
            assert!(text.contains(".SH NAME") && text.contains(&name), "{name}");
            let usual = text.contains("Examples:") || command.has_subcommands();
            assert!(usual, "{name} has examples");
            for option in options(&command) {
                assert!(text.contains(&format!("--{option}")), "{name} --{option}");
            }
            for sub in command.get_subcommands() {
                assert!(text.contains(sub.get_name()), "{name} {}", sub.get_name());
            }
        }
    }

    #[test]
    fn every_shell_completes_all_commands_and_options() {
        for shell in Shell::value_variants() {
            let mut bytes = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "hyperkeep", &mut bytes);
            let script = String::from_utf8(bytes).unwrap();
            for (name, command) in commands() {
                assert!(script.contains(command.get_name()), "{shell}: {name}");
                for option in options(&command) {
                    // fish leaves the hyphens out.
                    let said = ["--", "-l "].map(|mark| format!("{mark}{option}"));
                    let told = said.iter().any(|said| script.contains(said));
                    assert!(told, "{shell}: {name} --{option}");
                }
            }
        }
    }
}
