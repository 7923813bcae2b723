//! Which crate uses which.

use cargo_metadata::{DependencyKind, MetadataCommand};

use super::Finding;
use crate::rules::{CRATES, RESERVED, TESTKIT};

/// A crate of the workspace and what it names in its manifest.
#[derive(Debug)]
pub(super) struct Package {
    name: String,
    /// Name, and whether only for tests.
    dependencies: Vec<(String, bool)>,
}

/// What cargo says about this workspace.
pub(super) fn packages() -> anyhow::Result<Vec<Package>> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let metadata = MetadataCommand::new()
        .manifest_path(manifest)
        .no_deps()
        .exec()?;
    Ok(metadata
        .packages
        .into_iter()
        .map(|package| Package {
            name: package.name.to_string(),
            dependencies: package
                .dependencies
                .into_iter()
                .map(|dep| (dep.name, dep.kind == DependencyKind::Development))
                .collect(),
        })
        .collect())
}

/// Every arrow that [`CRATES`] and [`RESERVED`] do not allow.
pub(super) fn check(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let Some(row) = CRATES.iter().position(|(name, _)| *name == package.name) else {
            findings.push(Finding::new(
                &package.name,
                0,
                "is not in the table of crates: give it its place in xtask/src/rules.rs",
            ));
            continue;
        };
        for (dependency, dev) in &package.dependencies {
            findings.extend(
                judge(row, dependency, *dev).map(|what| Finding::new(&package.name, 0, what)),
            );
        }
    }
    findings
}

/// What is wrong with the crate in `row` using `dependency`.
fn judge(row: usize, dependency: &str, dev: bool) -> Option<String> {
    let (name, allowed) = CRATES[row];
    let test_only = if dev { " in tests" } else { "" };
    if let Some(other) = CRATES.iter().position(|(crate_, _)| *crate_ == dependency) {
        let fine = allowed.contains(&dependency) || dev && (dependency == TESTKIT || other < row);
        return (!fine).then(|| {
            format!("may not use {dependency}{test_only}: the table in xtask/src/rules.rs has no such arrow")
        });
    }
    let (_, users, why) = RESERVED.iter().find(|(crate_, ..)| *crate_ == dependency)?;
    (!users.contains(&name)).then(|| format!("may not use {dependency}{test_only}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(name: &str, dependency: &str, dev: bool) -> usize {
        check(&[Package {
            name: name.into(),
            dependencies: vec![(dependency.into(), dev)],
        }])
        .len()
    }

    #[test]
    fn arrows_follow_the_table() {
        assert_eq!(findings("hyperkeep-vault", "hyperkeep-store", false), 0);
        assert_eq!(findings("hyperkeep-vault", "hyperkeep-disk", false), 1);
        assert_eq!(findings("hyperkeep-store", "hyperkeep-vault", false), 1);
        assert_eq!(findings("hyperkeep-store", "hyperkeep-vault", true), 1);
        assert_eq!(findings("hyperkeep-vault", "hyperkeep-disk", true), 0);
    }

    #[test]
    fn only_tests_use_the_testkit() {
        assert_eq!(findings("hyperkeep-disk", TESTKIT, true), 0);
        assert_eq!(findings("hyperkeep-disk", TESTKIT, false), 1);
        assert_eq!(findings("hyperkeep-cli", TESTKIT, false), 1);
    }

    #[test]
    fn an_unknown_crate_must_be_given_a_place() {
        assert_eq!(findings("hyperkeep-surprise", "thiserror", false), 1);
    }

    #[test]
    fn some_crates_are_reserved() {
        assert_eq!(findings("hyperkeep-cli", "clap", false), 0);
        assert_eq!(findings("hyperkeep-engine", "clap", false), 1);
        assert_eq!(findings("hyperkeep-engine", "anyhow", true), 1);
        assert_eq!(findings("hyperkeep-store", "tokio", false), 1);
        assert_eq!(findings("hyperkeep-store", "thiserror", false), 0);
    }

    #[test]
    fn the_table_itself_never_points_down_among_what_ships() {
        for (row, (name, allowed)) in CRATES.iter().enumerate() {
            for other in *allowed {
                let at = CRATES.iter().position(|(crate_, _)| crate_ == other);
                assert!(at.is_some_and(|at| at < row), "{name} -> {other}");
            }
        }
    }

    #[test]
    fn the_real_workspace_has_every_crate_of_the_table() {
        let packages = packages().expect("metadata");
        for (name, _) in CRATES {
            assert!(packages.iter().any(|p| p.name == *name), "{name}");
        }
    }
}
