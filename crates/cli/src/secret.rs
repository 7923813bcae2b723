//! Where secrets come from: files, the environment, a question on the terminal; never the command
//! line, which everybody on the machine can read.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use vault::{RecoveryCode, Unlock};
use zeroize::{Zeroize, Zeroizing};

use crate::args::Global;
use crate::failure::{Failure, OnPath, Result};
use crate::host::HostAddress;

/// Longest secret in a file, in bytes; a passphrase may have 4096.
const MAX_LEN: u64 = 4098;

/// What opens the vault.
pub(crate) enum Secret {
    /// A passphrase.
    Passphrase(Zeroizing<String>),
    /// A recovery code.
    Recovery(RecoveryCode),
}

impl Secret {
    /// As the vault wants it.
    pub(crate) fn unlock(&self) -> Unlock<'_> {
        match self {
            Self::Passphrase(text) => Unlock::Passphrase(text.as_bytes()),
            Self::Recovery(code) => Unlock::Recovery(code),
        }
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
        None => ask("Passphrase or recovery code of the vault: ")?,
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
        None => ask_twice().and_then(chosen),
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
        None => ask_twice().and_then(chosen).map_err(|failure| {
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
        (None, None) => {
            let hint = "give --password-file, HYPERKEEP_HOST_PASSWORD_FILE or \
                        HYPERKEEP_HOST_PASSWORD";
            let question = format!("Password of {} on {address}: ", address.user);
            ask_for(&question, "password", hint)?
        }
    };
    Ok(cim::http::Secret::new(text.to_string()))
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

fn ask(question: &str) -> Result<Zeroizing<String>> {
    let hint = "give --passphrase-file, HYPERKEEP_PASSPHRASE_FILE or HYPERKEEP_PASSPHRASE";
    ask_for(question, "passphrase", hint)
}

fn ask_for(question: &str, what: &str, hint: &str) -> Result<Zeroizing<String>> {
    if !io::stdin().is_terminal() {
        return Err(Failure::new(format!(
            "no {what} was given, and there is no terminal to ask on"
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

fn ask_twice() -> Result<Zeroizing<String>> {
    let first = ask("New passphrase: ")?;
    let mut second = ask("Again: ")?;
    let same = *first == *second;
    second.zeroize();
    if same {
        Ok(first)
    } else {
        Err(Failure::new("the two passphrases differ").hint("try again"))
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
