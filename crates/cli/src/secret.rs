//! Where secrets come from: files, the environment, the system's keyring, a question on the terminal, in
//! this order; never the command line, which everybody on the machine can read.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;
use vault::{RecoveryCode, Unlock};
use zeroize::{Zeroize, Zeroizing};

use crate::args::Global;
use crate::failure::{Failure, OnPath, Result};
use crate::host::HostAddress;
use crate::keyring::{self, Name};
use crate::open;

/// Longest secret in a file, in bytes; a passphrase may have 4096.
const MAX_LEN: u64 = 4098;

/// What opens the vault.
pub(crate) enum Secret {
    /// A passphrase.
    Passphrase(Zeroizing<String>),
    /// A passphrase that the system's keyring has.
    Kept(Zeroizing<String>),
    /// A recovery code.
    Recovery(RecoveryCode),
}

impl Secret {
    /// As the vault wants it.
    pub(crate) fn unlock(&self) -> Unlock<'_> {
        match self {
            Self::Passphrase(text) | Self::Kept(text) => Unlock::Passphrase(text.as_bytes()),
            Self::Recovery(code) => Unlock::Recovery(code),
        }
    }

    /// The passphrase, if it is one.
    pub(crate) fn passphrase(&self) -> Option<&str> {
        match self {
            Self::Passphrase(text) | Self::Kept(text) => Some(text),
            Self::Recovery(_) => None,
        }
    }
}

/// Where a secret comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Source {
    /// A file that the command line or the environment names.
    File,
    /// A variable of the environment.
    Environment,
    /// The system's keyring.
    Keyring,
    /// A question on the terminal.
    Terminal,
}

/// Where what opens the vault is given; nothing when the keyring is asked for it.
pub(crate) fn source(global: &Global) -> Option<Source> {
    let file = global.recovery_code_file.is_some()
        || global.passphrase_file.is_some()
        || env("HYPERKEEP_PASSPHRASE_FILE").is_some();
    given_in(file, "HYPERKEEP_PASSPHRASE")
}

/// Where the password of a host's account is given; nothing when the keyring is asked for it.
pub(crate) fn host_source(file: Option<&Path>) -> Option<Source> {
    let file = file.is_some() || env("HYPERKEEP_HOST_PASSWORD_FILE").is_some();
    given_in(file, "HYPERKEEP_HOST_PASSWORD")
}

fn given_in(file: bool, variable: &str) -> Option<Source> {
    match file {
        true => Some(Source::File),
        false => env(variable).map(|_| Source::Environment),
    }
}

/// A secret that is to be kept in the keyring: from a file, or asked for twice.
pub(crate) fn to_keep(from: Option<&Path>, what: &str) -> Result<Zeroizing<String>> {
    match from {
        Some(path) => read(path, what),
        None => ask_twice(&format!("The {what}: "), what, "give --from FILE"),
    }
}

/// What the keyring has. One that cannot be asked has nothing; why is for those that ask for nothing
/// else.
fn kept(name: &Name<'_>) -> (Option<Zeroizing<String>>, Option<keyring::Unavailable>) {
    match keyring::get(name) {
        Ok(secret) => (secret, None),
        Err(error) => (None, Some(error)),
    }
}

/// The secret that opens the vault.
pub(crate) fn existing(global: &Global) -> Result<Secret> {
    if let Some(path) = &global.recovery_code_file {
        let text = read(path, "recovery code")?;
        let code = RecoveryCode::parse(&text).map_err(|error| {
            Failure::new(format!("{}: {error}", path.display()))
                .hint("type the recovery code again as the recovery sheet has it")
        })?;
        return Ok(Secret::Recovery(code));
    }
    let text = match given(global)? {
        Some(text) => text,
        None => {
            let (kept, problem) = kept(&Name::Vault(open::location(global)?));
            if let Some(text) = kept {
                return Ok(Secret::Kept(text));
            }
            ask(
                "Passphrase or recovery code of the vault: ",
                "passphrase",
                "give --passphrase-file, HYPERKEEP_PASSPHRASE_FILE or HYPERKEEP_PASSPHRASE, or keep it: \
                 `hyperkeep secret set`",
                problem.as_ref(),
            )?
        }
    };
    // No passphrase is one: see `chosen`.
    Ok(match RecoveryCode::parse(&text) {
        Ok(code) => Secret::Recovery(code),
        Err(_) => Secret::Passphrase(text),
    })
}

/// The passphrase of a vault that is being made.
pub(crate) fn first(global: &Global) -> Result<Zeroizing<String>> {
    if global.recovery_code_file.is_some() {
        return Err(Failure::usage(
            "--recovery-code-file opens a vault; a new one makes its own recovery code",
        )
        .hint("choose a passphrase: give --passphrase-file, or be asked for one"));
    }
    match given(global)? {
        Some(text) => chosen(text),
        None => new_passphrase().and_then(chosen),
    }
}

/// Refuses a passphrase that would be taken for a recovery code.
fn chosen(text: Zeroizing<String>) -> Result<Zeroizing<String>> {
    if RecoveryCode::parse(&text).is_ok() {
        return Err(
            Failure::new("a recovery code cannot be a passphrase").hint("choose one of your own")
        );
    }
    Ok(text)
}

/// A passphrase that is to be added.
pub(crate) fn fresh(file: Option<&Path>) -> Result<Zeroizing<String>> {
    let named = file
        .map(Path::to_path_buf)
        .or_else(|| env("HYPERKEEP_NEW_PASSPHRASE_FILE").map(PathBuf::from));
    match named {
        Some(path) => read(&path, "new passphrase").and_then(chosen),
        None => new_passphrase().and_then(chosen).map_err(|failure| {
            failure.hint("give --new-passphrase-file or HYPERKEEP_NEW_PASSPHRASE_FILE")
        }),
    }
}

/// The passphrase, if a file or the environment holds it.
fn given(global: &Global) -> Result<Option<Zeroizing<String>>> {
    let file = global
        .passphrase_file
        .clone()
        .or_else(|| env("HYPERKEEP_PASSPHRASE_FILE").map(PathBuf::from));
    if let Some(path) = file {
        return read(&path, "passphrase").map(Some);
    }
    env("HYPERKEEP_PASSPHRASE")
        .map(|text| {
            text.into_string().map(Zeroizing::new).map_err(|_| {
                Failure::new("HYPERKEEP_PASSPHRASE: not UTF-8")
                    .hint("set it again, or give --passphrase-file")
            })
        })
        .transpose()
}

/// The password of a host's account.
pub(crate) fn host(file: Option<&Path>, address: &HostAddress) -> Result<cim::http::Secret> {
    let file = file
        .map(Path::to_path_buf)
        .or_else(|| env("HYPERKEEP_HOST_PASSWORD_FILE").map(PathBuf::from));
    let text = match (file, env("HYPERKEEP_HOST_PASSWORD")) {
        (Some(path), _) => read(&path, "password")?,
        (None, Some(text)) => text.into_string().map(Zeroizing::new).map_err(|_| {
            Failure::new("HYPERKEEP_HOST_PASSWORD: not UTF-8")
                .hint("set it again, or give --password-file")
        })?,
        (None, None) => match kept(&Name::Host(address)) {
            (Some(text), _) => text,
            (None, problem) => ask(
                &format!("Password of {} on {address}: ", address.user),
                "password",
                "give --password-file, HYPERKEEP_HOST_PASSWORD_FILE or HYPERKEEP_HOST_PASSWORD, or keep \
                 it: `hyperkeep secret set HOST`",
                problem.as_ref(),
            )?,
        },
    };
    Ok(cim::http::Secret::new(text.to_string()))
}

/// What opens an encrypted volume of a guest, where no file has it.
pub(crate) fn of_volume(volume: &str, variable: &str) -> Result<Zeroizing<Vec<u8>>> {
    let mut text = match env(variable) {
        Some(text) => text.into_string().map(Zeroizing::new).map_err(|_| {
            Failure::new(format!("{variable}: not UTF-8"))
                .hint(format!("set it again, or give --volume-key {volume}=FILE"))
        })?,
        None => ask(
            &format!("Passphrase or recovery password of the volume {volume}: "),
            "key",
            &format!("give --volume-key {volume}=FILE, or set {variable}"),
            None,
        )?,
    };
    // Its bytes move, and are not copied.
    Ok(Zeroizing::new(std::mem::take(&mut *text).into_bytes()))
}

/// An environment variable; empty is as good as unset.
fn env(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn read(path: &Path, what: &str) -> Result<Zeroizing<String>> {
    // Room for all, so that no copy is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_LEN as usize + 1));
    let limit = MAX_LEN + 1;
    if path == Path::new("-") {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    }
    .on_path(
        &format!("reading the {what}"),
        path,
        "name a file that is there and that you may read, or `-` for standard input",
    )?;
    let fail = |why: &str| {
        Err(Failure::new(format!("{}: {why}", path.display()))
            .hint(format!("the file must hold the {what} alone, as UTF-8")))
    };
    if bytes.len() as u64 > MAX_LEN {
        return fail(&format!("too long for a {what}"));
    }
    let Ok(text) = std::str::from_utf8(&bytes) else {
        return fail(&format!("the {what} is not UTF-8"));
    };
    let text = strip_line_end(text);
    if text.is_empty() {
        return fail(&format!("the {what} is empty"));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

/// Without the one line break that editors and `echo` put at the end. All else is the secret.
fn strip_line_end(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

fn ask(
    question: &str,
    what: &str,
    hint: &str,
    problem: Option<&keyring::Unavailable>,
) -> Result<Zeroizing<String>> {
    if !io::stdin().is_terminal() {
        let also = problem.map(|problem| format!("; {problem}"));
        return Err(Failure::new(format!(
            "no {what} was given, and there is no terminal to ask on{}",
            also.unwrap_or_default()
        ))
        .hint(hint));
    }
    let text = rpassword::prompt_password(question)
        .map(Zeroizing::new)
        .map_err(|error| Failure::new(format!("reading from the terminal: {error}")).hint(hint))?;
    if text.is_empty() {
        return Err(Failure::new(format!("the {what} is empty")).hint("type one"));
    }
    Ok(text)
}

fn new_passphrase() -> Result<Zeroizing<String>> {
    let hint = "give --passphrase-file, HYPERKEEP_PASSPHRASE_FILE or HYPERKEEP_PASSPHRASE";
    ask_twice("New passphrase: ", "passphrase", hint)
}

fn ask_twice(question: &str, what: &str, hint: &str) -> Result<Zeroizing<String>> {
    let first = ask(question, what, hint, None)?;
    let mut second = ask("Again: ", what, hint, None)?;
    let same = *first == *second;
    second.zeroize();
    if same {
        Ok(first)
    } else {
        Err(
            Failure::new(format!("the two differ: it must be the same {what} twice"))
                .hint("try again"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_break_at_the_end_is_not_the_secret() {
        for (text, secret) in [
            ("a b \n", "a b "),
            ("a\r\n", "a"),
            ("a\n\n", "a\n"),
            ("a", "a"),
            ("\n", ""),
        ] {
            assert_eq!(strip_line_end(text), secret);
        }
    }

    #[test]
    fn a_file_holds_one_secret_and_nothing_absurd() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, "pass ü\n").unwrap();
        assert_eq!(*read(&path, "passphrase").unwrap(), "pass ü");
        for bad in [&b"\n"[..], b"\xff\xfe", &[b'x'; 5000]] {
            std::fs::write(&path, bad).unwrap();
            assert!(read(&path, "passphrase").is_err());
        }
        let missing = read(&dir.path().join("none"), "passphrase").unwrap_err();
        assert!(missing.causes().0.contains("none"), "{missing:?}");
        assert!(missing.hint.is_some(), "{missing:?}");
    }
}
