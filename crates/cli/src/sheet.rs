//! The recovery sheet: one page to print and lock away, from which somebody who has never seen
//! this vault can open it.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use zeroize::Zeroizing;

use crate::failure::{Failure, OnPath, Result};
use crate::text;

/// What stands on the sheet.
pub(crate) struct Sheet<'a> {
    /// Where the vault is.
    pub(crate) location: &'a str,
    /// Its id.
    pub(crate) vault: &'a str,
    /// When the code was made, in milliseconds since 1970.
    pub(crate) made: u64,
    /// The recovery code.
    pub(crate) code: &'a str,
}

impl Sheet<'_> {
    /// The page.
    pub(crate) fn text(&self) -> Zeroizing<String> {
        let rows: String = groups(self.code)
            .iter()
            .map(|row| format!("        {row}\n"))
            .collect();
        Zeroizing::new(format!(
            "\
HYPERKEEP RECOVERY SHEET
========================

Whoever holds this page can read every backup in the vault. Print it, lock it
away from the machines that are backed up, and delete the file.

    Vault          {location}
    Vault id       {vault}
    Made           {made} UTC

    Recovery code

{rows}
Upper and lower case, spaces and hyphens do not matter. I and L are read as 1,
O as 0. A mistyped group is noticed and named.

To restore
----------

1. Get Hyperkeep, the open-source backup program for Hyper-V, for Linux or
   Windows: the program is one file, and nothing has to be installed.
2. Bring the vault's folder to the machine, or the machine to the vault.
3. Type the code above into a file, here code.txt.
4. In a terminal (on Windows: PowerShell), in the folder of that file, see what
   is there. VAULT is the vault's folder. Each command is typed on one line,
   however it is printed here.

       hyperkeep --vault VAULT --recovery-code-file code.txt
           points

5. Restore a VM's disks as files, or a folder that Hyper-V can import:

       hyperkeep --vault VAULT --recovery-code-file code.txt
           restore disks POINT --to FOLDER
       hyperkeep --vault VAULT --recovery-code-file code.txt
           restore folder POINT --to FOLDER

6. Set a new passphrase:

       hyperkeep --vault VAULT --recovery-code-file code.txt
           keys add-passphrase

The vault's format is documented; its files can be read without hyperkeep by
whoever has the code and the specification.

Kept by ______________________   Checked on ______________________
",
            location = text::line(self.location),
            vault = self.vault,
            made = text::time_ms(self.made),
        ))
    }

    /// Writes the page into a new file, which on Unix only its owner can read; on Windows the
    /// folder decides. Its lines end as the system's own editor wants them.
    pub(crate) fn write_to(&self, path: &Path) -> Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut text = self.text();
        if cfg!(windows) {
            text = Zeroizing::new(text.replace('\n', "\r\n"));
        }
        options
            .open(path)
            .and_then(|mut file| {
                file.write_all(text.as_bytes())?;
                file.sync_all()
            })
            .on_path(
                "writing the recovery sheet",
                path,
                "the recovery code was printed all the same: keep that one, or make another with \
                 `hyperkeep keys add-recovery-code --sheet FILE`",
            )
    }
}

/// Looks before the vault is made, so that a mistake is found while nothing has happened yet.
pub(crate) fn check_target(path: Option<&Path>) -> Result<()> {
    match path {
        Some(path) if path.symlink_metadata().is_ok() => {
            Err(Failure::new(format!("{}: already exists", path.display()))
                .hint("nothing is overwritten: name another file for the recovery sheet"))
        }
        _ => Ok(()),
    }
}

/// Four groups of the code on a line.
pub(crate) fn groups(code: &str) -> Vec<String> {
    let groups: Vec<&str> = code.split('-').collect();
    groups.chunks(4).map(|row| row.join("-")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHEET: Sheet<'static> = Sheet {
        location: "/srv/vault",
        vault: "00ff",
        made: 0,
        code: "11111-22222-33333-44444-55555-66666-77777-88888",
    };

    #[test]
    fn it_is_one_page() {
        let text = SHEET.text();
        assert!(text.lines().count() <= 60);
        assert!(text.lines().all(|line| line.chars().count() <= 80));
        assert!(text.contains("11111-22222-33333-44444\n"));
        assert!(text.contains("55555-66666-77777-88888\n"));
        // It is read on another system than it was made on: no shell's way to go on in a new line.
        assert!(!text.lines().any(|line| line.ends_with(['\\', '^', '`'])));
    }

    #[test]
    fn an_old_editor_shows_its_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sheet");
        SHEET.write_to(&path).unwrap();
        let written = std::fs::read_to_string(&path).unwrap();
        let ends = written.matches("\r\n").count();
        assert_eq!(
            ends,
            if cfg!(windows) {
                written.matches('\n').count()
            } else {
                0
            }
        );
        assert_eq!(written.replace("\r\n", "\n"), *SHEET.text());
    }

    #[test]
    fn nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sheet");
        check_target(Some(&path)).unwrap();
        SHEET.write_to(&path).unwrap();
        assert!(check_target(Some(&path)).is_err());
        assert!(SHEET.write_to(&path).is_err());
    }
}
