//! Rules about any text: the tree names no machine it was made on.

use super::Finding;

/// What begins a path on somebody's machine. In pieces, so that this file is not found itself.
const MACHINE_PATHS: &[&str] = &[
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
];

/// Hosts that a package client is configured with, never a script.
const REGISTRY_HOSTS: &[&str] = &[
    concat!("deb.deb", "ian.org"),
    concat!("registry.npm", "js.org"),
    concat!("pyp", "i.org"),
    concat!("pythonho", "sted.org"),
    concat!("static.cra", "tes.io"),
    concat!("index.cra", "tes.io"),
];

/// Checks one text file.
pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for prefix in MACHINE_PATHS.iter().filter(|p| has_absolute(line, p)) {
            findings.push(Finding::new(
                path,
                number + 1,
                format!("a path of some machine: {prefix}"),
            ));
        }
        for host in REGISTRY_HOSTS.iter().filter(|host| line.contains(**host)) {
            findings.push(Finding::new(
                path,
                number + 1,
                format!("a registry's host: {host}; package clients know it"),
            ));
        }
    }
    findings
}

/// Whether `prefix` stands in `line` where an absolute path begins, not in the middle of another.
fn has_absolute(line: &str, prefix: &str) -> bool {
    line.match_indices(prefix).any(|(at, _)| {
        !line[..at].ends_with(|c: char| c.is_alphanumeric() || "_-.~}*)/".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_paths_are_found_where_they_begin() {
        let bad = format!("cd {}src", MACHINE_PATHS[1]);
        assert_eq!(check("scripts/x.sh", &bad).len(), 1);
        for good in ["cd \"$DIR/work/src\"", "bench-data/work/x", "frame/work/"] {
            assert!(check("scripts/x.sh", good).is_empty(), "{good}");
        }
    }

    #[test]
    fn registry_hosts_are_found() {
        for host in REGISTRY_HOSTS {
            let bad = format!("fine\nhttps://{host}/x");
            let found = check("docs/x.md", &bad);
            assert_eq!((found.len(), found[0].line), (1, 2));
        }
        assert!(check("Cargo.lock", "https://github.com/rust-lang/crates.io-index").is_empty());
    }
}
