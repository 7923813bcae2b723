//! `secret`.

use serde::Serialize;

use crate::args::{Global, HostArgs, SecretCommand, WhichSecretArgs};
use crate::failure::{Exit, Failure, Result};
use crate::host::{self, HostAddress};
use crate::keyring::{self, Name};
use crate::secret::{self, Source};
use crate::ui::{Document, Ui};
use crate::{open, text};

const HINT: &str = "keep it in a file that only the account of backups may read: --passphrase-file, \
                    --password-file";

/// Runs one of the commands.
pub(crate) fn run(global: &Global, command: &SecretCommand, ui: Ui) -> Result<Exit> {
    let unavailable = |error| Failure::new(error).hint(HINT);
    let which = match command {
        SecretCommand::Set(args) => {
            let which = Which::read(global, &args.which)?;
            let text = secret::to_keep(args.from.as_deref(), which.what())?;
            keyring::set(&which.name(), &text).map_err(unavailable)?;
            which
        }
        SecretCommand::Show(args) => Which::read(global, args)?,
        SecretCommand::Remove(args) => {
            let which = Which::read(global, args)?;
            if !keyring::remove(&which.name()).map_err(unavailable)? {
                let name = which.name();
                return Err(
                    Failure::new(format!("the system's keyring has no “{name}”"))
                        .hint("`secret show` tells where a secret would come from"),
                );
            }
            which
        }
    };
    ui.print(&which.document(global))
}

/// What a secret opens.
enum Which {
    Vault(String),
    Host(HostAddress, Box<HostArgs>),
}

impl Which {
    fn read(global: &Global, args: &WhichSecretArgs) -> Result<Self> {
        let Some(text) = &args.host else {
            return open::location(global).map(|location| Self::Vault(location.to_owned()));
        };
        let reach = HostArgs {
            hosts: args.hosts.clone(),
            ..HostArgs::default()
        };
        let (address, reach) = host::find(text, &reach)?;
        Ok(Self::Host(address, Box::new(reach)))
    }

    fn name(&self) -> Name<'_> {
        match self {
            Self::Vault(location) => Name::Vault(location),
            Self::Host(address, _) => Name::Host(address),
        }
    }

    fn what(&self) -> &'static str {
        match self {
            Self::Vault(_) => "passphrase",
            Self::Host(..) => "password",
        }
    }

    fn document(&self, global: &Global) -> SecretDocument {
        let name = self.name();
        let (kept, problem) = match keyring::get(&name) {
            Ok(kept) => (Some(kept.is_some()), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let given = match self {
            Self::Vault(_) => secret::source(global),
            Self::Host(_, reach) => secret::host_source(reach.password_file.as_deref()),
        };
        let from = match (given, kept) {
            (Some(given), _) => given,
            (None, Some(true)) => Source::Keyring,
            (None, _) => Source::Terminal,
        };
        SecretDocument {
            name: name.to_string(),
            from,
            kept,
            problem,
        }
    }
}

#[derive(Serialize)]
struct SecretDocument {
    name: String,
    from: Source,
    /// Whether the keyring has it; nothing when it cannot be asked.
    kept: Option<bool>,
    problem: Option<String>,
}

impl Document for SecretDocument {
    const KIND: &'static str = "secret";

    fn human(&self) -> String {
        let name = text::line(&self.name);
        let kept = match (&self.problem, self.kept) {
            (Some(problem), _) => text::line(problem).into_owned(),
            (None, Some(true)) => "the system's keyring has it".to_owned(),
            (None, _) => "the system's keyring has none".to_owned(),
        };
        let from = match self.from {
            Source::File => "a file",
            Source::Environment => "the environment",
            Source::Keyring => "the system's keyring",
            Source::Terminal => "a question on the terminal",
        };
        format!("{name}: {kept}; it would come from {from}\n")
    }
}
