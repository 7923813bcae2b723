//! Runs outside tools on image files: `qemu-img`, and Python packages.
//!
//! A tool that is missing skips its test by name, unless `HYPERKEEP_REQUIRE_TOOLS=1` says that a
//! missing tool is a failure.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Announces a check that this system's kernel does not let this user make. No program that could
/// be installed would change that, so it is no failure, whatever `HYPERKEEP_REQUIRE_TOOLS` says;
/// `docs/oracles.md` lists these checks, and what holds in their place.
pub fn forbidden(name: &str, why: &str) {
    eprintln!("skipped: {name} (this system does not allow it: {why})");
}

/// Announces a skipped check.
///
/// # Panics
/// When `HYPERKEEP_REQUIRE_TOOLS=1`.
pub fn skip(name: &str, why: &str) {
    let required = std::env::var("HYPERKEEP_REQUIRE_TOOLS").is_ok_and(|v| v == "1");
    assert!(!required, "{name}: {why}, and HYPERKEEP_REQUIRE_TOOLS=1");
    eprintln!("skipped: {name} ({why})");
}

fn run(command: &mut Command) -> Result<String, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match command.output() {
        Err(e) => Err(format!("{command:?}: {e}")),
        Ok(Output { status, stdout, .. }) if status.success() => Ok(text(&stdout)),
        Ok(out) => Err(format!(
            "{command:?}: {}\n{}\n{}",
            out.status,
            text(&out.stdout),
            text(&out.stderr)
        )),
    }
}

/// `qemu-img`, or a named skip.
pub fn qemu_img(test: &str) -> Option<Qemu> {
    match Command::new("qemu-img").arg("--version").output() {
        Ok(out) if out.status.success() => Some(Qemu(())),
        _ => {
            skip(test, "no qemu-img");
            None
        }
    }
}

/// A `qemu-img` that is there.
pub struct Qemu(());

impl Qemu {
    /// Runs `qemu-img` and gives its output, or everything it said as an error.
    pub fn run(&self, args: &[&str], files: &[&Path]) -> Result<String, String> {
        run(Command::new("qemu-img").args(args).args(files))
    }

    /// The disk's bytes as `qemu-img convert` reads them.
    pub fn read(&self, format: &str, image: &Path) -> Result<Vec<u8>, String> {
        let raw = image.with_extension("qemu-raw");
        self.run(&["convert", "-f", format, "-O", "raw"], &[image, &raw])?;
        let bytes = std::fs::read(&raw).map_err(|e| e.to_string());
        let _ = std::fs::remove_file(&raw);
        bytes
    }
}

/// A Python that can import `module`, or a named skip.
pub fn python(test: &str, module: &str) -> Option<Python> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let program = match std::env::var_os("HYPERKEEP_PYTHON") {
        Some(program) => PathBuf::from(program),
        None => workspace.join(".venv/bin/python"),
    };
    let python = Python(program);
    match python.run(&format!("import {module}"), &[]) {
        Ok(_) => Some(python),
        Err(_) => {
            skip(test, &format!("no Python with {module}"));
            None
        }
    }
}

/// A Python interpreter.
pub struct Python(PathBuf);

impl Python {
    /// The program, for tests that talk with a script of their own.
    pub fn program(&self) -> &Path {
        &self.0
    }

    /// Runs a script with arguments and gives its output.
    pub fn run(&self, script: &str, args: &[&Path]) -> Result<String, String> {
        run(Command::new(&self.0).arg("-c").arg(script).args(args))
    }

    /// Runs a program with arguments and gives its output.
    pub fn run_program(&self, program: &Path, args: &[&str]) -> Result<String, String> {
        run(Command::new(&self.0).arg(program).args(args))
    }

    /// The bytes of a VHD, with its parents, as FATtools reads them.
    pub fn fattools_vhd(&self, image: &Path) -> Result<Vec<u8>, String> {
        self.read(
            "import sys\n\
             from FATtools import vhdutils\n\
             image = vhdutils.Image(sys.argv[1], 'rb')\n\
             open(sys.argv[2], 'wb').write(image.read(image.size))",
            image,
        )
    }

    /// The bytes of a VHDX, with its parents, as dissect.hypervisor reads them.
    pub fn dissect_vhdx(&self, image: &Path) -> Result<Vec<u8>, String> {
        self.read(
            "import sys\n\
             from pathlib import Path\n\
             from dissect.hypervisor.disk.vhdx import VHDX\n\
             image = VHDX(Path(sys.argv[1]))\n\
             open(sys.argv[2], 'wb').write(image.read(image.size))",
            image,
        )
    }

    /// Runs a script that writes what it reads from one file into another.
    fn read(&self, script: &str, image: &Path) -> Result<Vec<u8>, String> {
        let raw = image.with_extension("oracle-raw");
        self.run(script, &[image, &raw])?;
        let bytes = std::fs::read(&raw).map_err(|e| e.to_string());
        let _ = std::fs::remove_file(&raw);
        bytes
    }
}

/// The folder of outside sample files, or a named skip.
pub fn samples(test: &str) -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = match std::env::var_os("HYPERKEEP_SAMPLES") {
        Some(folder) => PathBuf::from(folder),
        None => workspace.join("../shared/samples"),
    };
    if folder.is_dir() {
        return Some(folder);
    }
    // Samples are not part of the repository: their absence is never a failure.
    eprintln!("skipped: {test} (no samples in {})", folder.display());
    None
}

/// The contents of a gzip file, by the `gzip` program.
pub fn gunzip(file: &Path) -> Result<Vec<u8>, String> {
    let out = Command::new("gzip")
        .arg("-dc")
        .arg(file)
        .output()
        .map_err(|e| format!("gzip: {e}"))?;
    if out.status.success() {
        Ok(out.stdout)
    } else {
        Err(String::from_utf8_lossy(&out.stderr).into_owned())
    }
}

/// `sfdisk`, or a named skip.
pub fn sfdisk(test: &str) -> Option<Sfdisk> {
    match Command::new("sfdisk").arg("--version").output() {
        Ok(out) if out.status.success() => Some(Sfdisk(())),
        _ => {
            skip(test, "no sfdisk");
            None
        }
    }
}

/// An `sfdisk` that is there.
pub struct Sfdisk(());

impl Sfdisk {
    /// Writes a partition table into an image, by a script in its own language.
    pub fn write(&self, image: &Path, script: &str) -> Result<(), String> {
        let file = image.with_extension("sfdisk");
        std::fs::write(&file, script).map_err(|error| error.to_string())?;
        let script = std::fs::File::open(&file).map_err(|error| error.to_string())?;
        let mut command = Command::new("sfdisk");
        command.args(["--quiet", "--no-reread", "--no-tell-kernel"]);
        run(command.arg(image).stdin(script)).map(drop)
    }

    /// The partition table of an image, as JSON.
    pub fn read(&self, image: &Path) -> Result<String, String> {
        run(Command::new("sfdisk").arg("--json").arg(image))
    }
}
