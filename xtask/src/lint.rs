//! Runs every lint over the files that git would commit.

mod arrows;
mod code;
mod fuzz;
mod links;
mod text;
mod tree;

use std::fmt;
use std::process::ExitCode;

use tree::Tree;

/// Something that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    /// Path from the root of the workspace, or the name of a crate.
    place: String,
    /// Line, counted from 1; 0 when the whole file is meant.
    line: usize,
    /// What is wrong and what to do.
    what: String,
}

impl Finding {
    fn new(place: impl Into<String>, line: usize, what: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            line,
            what: what.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.place, self.what),
            line => write!(f, "{}:{line}: {}", self.place, self.what),
        }
    }
}

/// Prints every finding; the code is 1 when there is one.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    let tree = Tree::open()?;
    let mut findings = arrows::check(&arrows::packages()?);
    for file in &tree.files {
        let Some(text) = &file.text else { continue };
        findings.extend(text::check(&file.path, text));
        if file.path.ends_with(".rs") {
            findings.extend(code::check(&file.path, text));
        }
    }
    findings.extend(links::check(&tree));
    findings.extend(fuzz::check(&tree));
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    println!(
        "{} files, {} finding{}",
        tree.files.len(),
        findings.len(),
        if findings.len() == 1 { "" } else { "s" }
    );
    Ok(ExitCode::from(u8::from(!findings.is_empty())))
}
