//! File names that every system can hold.
//!
//! What is restored for Hyper-V goes to Windows, wherever it is restored: names are made such that
//! Windows takes them, and are compared as Windows compares them. They do not depend on the system
//! that makes them.

use std::collections::BTreeSet;

/// Longest name in bytes: what Linux file systems hold, and never more than the 255 UTF-16 units
/// of Windows' file systems.
pub const NAME_MAX: usize = 255;
/// Longest folder name in bytes that is made of a VM's name: paths below it should stay within
/// the 260 that older tools can open.
const FOLDER_MAX: usize = 100;
/// A longer ending is part of the name.
const ENDING_MAX: usize = 16;

/// Names that were given, so that none is given twice. Case does not make names different.
#[derive(Clone, Debug, Default)]
pub struct Names(BTreeSet<String>);

impl Names {
    /// A folder name for a VM: its name made safe, with a number if another VM has it.
    pub fn folder(&mut self, vm_name: &str) -> String {
        self.unique(&safe_name(vm_name, FOLDER_MAX), "")
    }

    /// A file name: `name` made safe, with a number before its ending if another file has it.
    pub fn file(&mut self, name: &str) -> String {
        let safe = safe_name(name, NAME_MAX);
        let (stem, ending) = split(&safe);
        self.unique(stem, ending)
    }

    /// A file name for a system that takes nearly any: `name` as it is, cut if it is too long, with
    /// a number before its ending if another file has it.
    pub fn plain_file(&mut self, name: &str) -> String {
        let (stem, ending) = split(name);
        let stem = cut(stem, NAME_MAX.saturating_sub(ending.len()));
        self.unique(stem, ending)
    }

    fn unique(&mut self, stem: &str, ending: &str) -> String {
        let mut name = format!("{stem}{ending}");
        let mut number = 2u64;
        while !self.0.insert(fold(&name)) {
            let tail = format!(" ({number}){ending}");
            name = format!("{}{tail}", cut(stem, NAME_MAX.saturating_sub(tail.len())));
            number += 1;
        }
        name
    }
}

/// Equal for names that Windows takes for one, and for a few more.
fn fold(name: &str) -> String {
    name.to_lowercase().to_uppercase()
}

/// A name that Windows can hold: no reserved characters or device names, no dot or space at the
/// end, and at most `max` bytes (32 or more), the ending kept.
pub fn safe_name(name: &str, max: usize) -> String {
    let bad = |c: char| c.is_control() || r#"<>:"/\|?*"#.contains(c);
    let name: String = name.chars().map(|c| if bad(c) { '_' } else { c }).collect();
    let name = name.trim_end_matches(['.', ' ']);
    let (stem, ending) = split(name);
    let stem = cut(stem, max.saturating_sub(ending.len()));
    let mut safe = format!("{stem}{ending}");
    safe.truncate(safe.trim_end_matches(['.', ' ']).len());
    if safe.is_empty() || is_device(&safe) {
        let (stem, ending) = split(&safe);
        safe = format!(
            "_{}{ending}",
            cut(stem, max.saturating_sub(1 + ending.len()))
        );
    }
    safe
}

/// Names that mean devices, whatever follows their first dot.
fn is_device(name: &str) -> bool {
    let stem = name
        .split('.')
        .next()
        .unwrap_or_default()
        .trim_end()
        .to_ascii_uppercase();
    let numbered = |prefix: &str| {
        let digit = stem.strip_prefix(prefix).and_then(|rest| {
            let mut chars = rest.chars();
            chars.next().filter(|_| chars.next().is_none())
        });
        digit.is_some_and(|c| c.is_ascii_digit() || "¹²³".contains(c))
    };
    ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"].contains(&stem.as_str())
        || numbered("COM")
        || numbered("LPT")
}

/// A name and its ending, dot included.
fn split(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(at) if at > 0 && name.len() - at <= ENDING_MAX => name.split_at(at),
        _ => (name, ""),
    }
}

/// The longest start of a text that takes at most `max` bytes.
fn cut(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len())).rev();
    end.filter_map(|end| text.get(..end)).next().unwrap_or("")
}
