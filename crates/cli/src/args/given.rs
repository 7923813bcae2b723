//! Which options of `backup` stand on the command line, and for which kind of source they are.
//!
//! Most options have a usual value, from which cannot be seen whether somebody gave it. One that a source
//! takes no notice of is refused: who gives it believes that it counts.

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches};

/// A kind of source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SourceKind {
    /// Files in a folder.
    Folder,
    /// VMs on a host.
    Host,
}

/// All options that only one kind of source takes, by their ids; every other one is for both.
const ONE_KIND: &[(&str, SourceKind)] = &[
    ("auth", SourceKind::Host),
    ("ca", SourceKind::Host),
    ("changed_ranges", SourceKind::Folder),
    ("cluster", SourceKind::Host),
    ("consistency", SourceKind::Host),
    ("disks_per_host", SourceKind::Host),
    ("disks_per_volume", SourceKind::Host),
    ("file_server", SourceKind::Host),
    ("floor", SourceKind::Host),
    ("guest_backup", SourceKind::Host),
    ("hosts", SourceKind::Host),
    ("kdc", SourceKind::Host),
    ("map", SourceKind::Host),
    ("memory", SourceKind::Host),
    ("mode", SourceKind::Host),
    ("parents", SourceKind::Folder),
    ("password_file", SourceKind::Host),
    ("pin", SourceKind::Host),
    ("release_on_start", SourceKind::Host),
    ("share", SourceKind::Host),
    ("side", SourceKind::Host),
    ("smb", SourceKind::Host),
    ("smb_port", SourceKind::Host),
    ("stagger", SourceKind::Host),
    ("staging", SourceKind::Host),
    ("state", SourceKind::Host),
    ("suspend_replication", SourceKind::Host),
];

/// The options of one kind of source that were given.
#[derive(Debug, Clone, Default)]
pub(crate) struct GivenArgs(Vec<(&'static str, SourceKind)>);

impl GivenArgs {
    /// Those that another kind of source than this one takes, as they were written: `--map, --smb`.
    pub(crate) fn not_for(&self, kind: SourceKind) -> Option<String> {
        let not = self.0.iter().filter(|(_, of)| *of != kind);
        let not: Vec<String> = not.map(|(id, _)| option(id)).collect();
        (!not.is_empty()).then(|| not.join(", "))
    }
}

fn option(id: &str) -> String {
    format!("--{}", id.replace('_', "-"))
}

impl FromArgMatches for GivenArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        // What the environment says is not said of this source.
        let given = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
        let all = ONE_KIND.iter().filter(|(id, _)| given(id));
        Ok(Self(all.copied().collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// There are none of its own.
impl Args for GivenArgs {
    fn augment_args(command: Command) -> Command {
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        command
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::args::Cli;

    /// Every option is in one of the two lists: a new one has to be put somewhere.
    #[test]
    fn each_option_is_for_one_kind_of_source_or_for_both() {
        const BOTH: [&str; 8] = [
            "audit",
            "audit_runs",
            "exclude",
            "help",
            "hooks",
            "level",
            "parallel",
            "vm",
        ];
        let mut command = Cli::command();
        command.build();
        let backup = command.find_subcommand("backup").unwrap();
        let options = backup.get_arguments().filter(|arg| {
            let global = arg.is_global_set() || arg.get_id() == "version";
            arg.get_long().is_some() && !global
        });
        let mut seen = 0;
        for arg in options {
            let id = arg.get_id().as_str();
            assert_eq!(option(id), format!("--{}", arg.get_long().unwrap()));
            let Some((_, kind)) = ONE_KIND.iter().find(|(known, _)| *known == id) else {
                assert!(BOTH.contains(&id), "--{id} is for which sources?");
                continue;
            };
            assert!(!BOTH.contains(&id), "{id}");
            seen += 1;
            // Given with any value, be it the usual one.
            let mut line = vec!["hyperkeep".to_owned(), "backup".to_owned(), "x".to_owned()];
            line.push(option(id));
            if arg.get_action().takes_values() {
                let words = arg.get_possible_values();
                let usual = arg.get_default_values().first();
                let usual = usual.map(|usual| usual.to_string_lossy().into_owned());
                let word = words.first().map(|word| word.get_name().to_owned());
                line.push(usual.or(word).unwrap_or_else(|| "1".to_owned()));
            }
            // Neither goes without the other.
            match id {
                "memory" => line.push("--staging=1".to_owned()),
                "staging" => line.push("--memory".to_owned()),
                _ => {}
            }
            let cli = Cli::try_parse_from(&line).unwrap();
            let crate::args::Command::Backup(args) = cli.command else {
                panic!("{line:?}");
            };
            let (other, same) = match kind {
                SourceKind::Folder => (SourceKind::Host, SourceKind::Folder),
                SourceKind::Host => (SourceKind::Folder, SourceKind::Host),
            };
            let told = args.given.not_for(other).unwrap();
            assert!(told.contains(&option(id)), "{told}");
            assert_eq!(args.given.not_for(same), None, "{id}");
        }
        assert_eq!(seen, ONE_KIND.len(), "one is no option any more");
    }

    #[test]
    fn what_was_not_given_is_refused_to_nobody() {
        let cli = Cli::try_parse_from(["hyperkeep", "backup", "x", "--level", "full"]).unwrap();
        let crate::args::Command::Backup(args) = cli.command else {
            panic!("{cli:?}");
        };
        assert_eq!(args.given.not_for(SourceKind::Folder), None);
    }
}
