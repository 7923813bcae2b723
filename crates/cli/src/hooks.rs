//! The file that names the programs around a backup.
//!
//! ```toml
//! [before]
//! program = "/usr/local/bin/stop-db"
//! args = ["--wait"]
//! timeout-s = 30
//! policy = "fail"
//! codes = { 4 = "ignore" }
//!
//! [after]
//! program = "start-db"
//! ```
//!
//! A program is run as it is, by no shell. A path is relative to the file's folder; a name alone is
//! looked for where the system looks. A member that is not known is an error: a misspelt policy must
//! not let a backup go on.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use engine::hooks::{Hook, Hooks};

use crate::failure::{Failure, OnPath, Result};

/// No such file is longer.
const MOST_BYTES: u64 = 1 << 20;

/// Reads the file.
///
/// # Errors
/// When it cannot be read or is not understood.
pub(crate) fn read(path: &Path) -> Result<Hooks> {
    const HINT: &str = "see --hooks: a file with [before], [after-freeze] and [after]";
    let file = fs::File::open(path).on_path("reading the hooks", path, HINT)?;
    let mut text = String::new();
    file.take(MOST_BYTES + 1)
        .read_to_string(&mut text)
        .on_path("reading the hooks", path, HINT)?;
    let wrong = |what: String| {
        Failure::usage(format!("{}: {what}", path.display()))
            .hint("see docs/hyperv/pacing.md for the file's members")
    };
    if text.len() as u64 > MOST_BYTES {
        return Err(wrong("is too long".to_owned()));
    }
    let mut hooks: Hooks =
        toml::from_str(&text).map_err(|error| wrong(error.to_string().trim_end().to_owned()))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let all = [&mut hooks.before, &mut hooks.after_freeze, &mut hooks.after];
    for hook in all.into_iter().flatten() {
        settle(hook, folder).map_err(&wrong)?;
    }
    Ok(hooks)
}

fn settle(hook: &mut Hook, folder: &Path) -> std::result::Result<(), String> {
    let program = hook.program.display();
    if hook.program.as_os_str().is_empty() {
        return Err("a hook has no program".to_owned());
    }
    if hook.timeout_s == 0 {
        return Err(format!("{program}: nothing ends within 0 s"));
    }
    if hook.program.components().count() > 1 {
        hook.program = folder.join(&hook.program);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use engine::hooks::Policy;

    use super::*;

    fn with(text: &str) -> (tempfile::TempDir, Result<Hooks>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hooks.toml");
        fs::write(&path, text).unwrap();
        let read = read(&path);
        (folder, read)
    }

    #[test]
    fn programs_are_found_beside_the_file_or_by_the_system() {
        let (folder, hooks) = with(
            "[before]\nprogram = 'bin/stop-db'\nargs = ['a b', '$HOME']\ntimeout-s = 5\n\
             codes = { 4 = 'ignore', -1 = 'warn' }\n[after]\nprogram = 'start-db'\npolicy = 'warn'\n",
        );
        let hooks = hooks.unwrap();
        let before = hooks.before.unwrap();
        assert_eq!(before.program, folder.path().join("bin/stop-db"));
        assert_eq!(before.args, ["a b", "$HOME"]);
        assert_eq!((before.timeout_s, before.policy), (5, Policy::Fail));
        assert_eq!(before.codes[&4], Policy::Ignore);
        assert_eq!(before.codes[&-1], Policy::Warn);
        let after = hooks.after.unwrap();
        assert_eq!(after.program, PathBuf::from("start-db"));
        assert_eq!((after.timeout_s, after.policy), (60, Policy::Warn));
        assert_eq!(hooks.after_freeze, None);
    }

    #[test]
    fn what_is_not_understood_runs_nothing() {
        for (bad, part) in [
            ("[befor]\nprogram = 'x'\n", "befor"),
            ("[before]\nprogram = 'x'\npolice = 'warn'\n", "police"),
            ("[before]\nprogram = 'x'\npolicy = 'never'\n", "never"),
            ("[before]\nprogram = 'x'\ntimeout-s = 0\n", "0 s"),
            ("[before]\nprogram = ''\n", "no program"),
            (
                "[before]\nprogram = 'x'\ncodes = { four = 'warn' }\n",
                "four",
            ),
            ("[before]\n", "program"),
        ] {
            let (_folder, read) = with(bad);
            let error = read.unwrap_err();
            assert!(
                error.causes().0.contains(part),
                "{bad}: {:?}",
                error.causes()
            );
        }
    }
}
