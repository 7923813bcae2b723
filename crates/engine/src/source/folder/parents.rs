//! Folders that are no part of the source and hold what its disks stand on: masters that many VMs
//! are made from often lie on a share of their own.

use std::collections::HashSet;
use std::path::PathBuf;

use crate::finding::{Code, Finding, Severity};
use crate::source::RelPath;
use crate::source::folder::walk::{FoundFile, walk};

/// The files below `folders` that are not among the source's `own`. Adds what could not be looked
/// into.
pub(crate) fn lent(
    folders: &[PathBuf],
    own: &[FoundFile],
    findings: &mut Vec<Finding>,
) -> Vec<FoundFile> {
    let mut known: HashSet<PathBuf> = own.iter().map(|file| file.path.clone()).collect();
    let mut lent = Vec::new();
    for (place, folder) in places(own).zip(folders) {
        let (files, trouble) = walk(folder);
        for file in files {
            let rel = RelPath::new(format!("{place}/{}", file.rel));
            if let (Ok(rel), true) = (rel, known.insert(file.path.clone())) {
                lent.push(FoundFile {
                    path: file.path,
                    rel,
                    lent: true,
                });
            }
        }
        findings.extend(trouble.into_iter().filter_map(as_lent));
    }
    lent
}

/// Names that no folder of the source has, for the places of lent files in a restore point.
fn places(own: &[FoundFile]) -> impl Iterator<Item = String> {
    let top = |file: &FoundFile| {
        let first = file.rel.as_str().split('/').next().unwrap_or_default();
        first.to_lowercase()
    };
    let taken: HashSet<String> = own.iter().map(top).collect();
    let name = |number: u64| match number {
        1 => "parents".to_owned(),
        number => format!("parents ({number})"),
    };
    (1..).map(name).filter(move |name| !taken.contains(name))
}

/// A folder that could not be looked into may hide a parent, and nothing that should be backed up.
fn as_lent(finding: Finding) -> Option<Finding> {
    (finding.code == Code::FileUnreadable).then(|| {
        Finding::new(
            finding.code,
            Severity::Warning,
            finding.object,
            finding.message,
        )
        .hint("a parent that lies in it is not found")
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use testkit::image::{Image, Kind};

    use crate::source::Source as _;
    use crate::source::folder::FolderSource;
    use crate::source::folder::tests::{list, names, request};

    const LEN: u64 = 4 << 20;

    fn source(folder: &Path, parents: &[&Path]) -> FolderSource {
        let source = FolderSource::open(folder).unwrap();
        let with = |source: FolderSource, more: &&Path| source.with_parents(more).unwrap();
        parents.iter().fold(source, with)
    }

    fn layers(source: &mut FolderSource, vm: usize) -> Vec<String> {
        let vms = list(source);
        let frozen = source.freeze(&vms[vm], &request(None)).unwrap();
        let view = frozen.view();
        assert_eq!(view.findings, []);
        view.layers.iter().map(|l| l.path.to_string()).collect()
    }

    /// `lent/x/base ← lent/mid ← own/{a, b}`; and another disk in each folder.
    #[test]
    fn disks_made_from_one_master_stay_apart_and_bring_it_each() {
        let dir = tempfile::tempdir().unwrap();
        let [own, lent] = ["own", "lent"].map(|name| dir.path().join(name));
        fs::create_dir_all(own.join("Parents")).unwrap();
        fs::create_dir_all(lent.join("x")).unwrap();
        let base = Image::new(Kind::Vhdx, LEN, 1).write(&lent.join("x/base.vhdx"));
        let mid = Image::child(&base, "base.vhdx", 2).write(&lent.join("mid.avhdx"));
        Image::child(&base, "base.vhdx", 3).write(&lent.join("sister.avhdx"));
        Image::child(&mid, "mid.avhdx", 4).write(&own.join("a.vhdx"));
        Image::child(&mid, "mid.avhdx", 5).write(&own.join("b.vhdx"));
        Image::new(Kind::Raw, LEN, 0).write(&own.join("Parents/c.raw"));
        fs::write(lent.join("torn.vhdx"), b"vhdxfile").unwrap();

        let mut alone = source(&own, &[]);
        let known = list(&mut alone);
        let mut with = source(&own, &[&lent, &own]);
        assert_eq!(
            list(&mut with),
            known,
            "whatever is lent, they are the same VMs"
        );
        assert_eq!(names(&known), ["c.raw", "a.vhdx", "b.vhdx"]);
        // The source has a folder of the name that lent files would have.
        let mut expected = ["parents (2)/x/base.vhdx", "parents (2)/mid.avhdx", "a.vhdx"];
        assert_eq!(layers(&mut with, 1), expected.map(str::to_owned));
        expected[2] = "b.vhdx";
        assert_eq!(layers(&mut with, 2), expected.map(str::to_owned));
        assert!(
            FolderSource::open(&own)
                .unwrap()
                .with_parents(&lent.join("mid.avhdx"))
                .is_err()
        );
    }

    #[test]
    fn a_copy_that_is_the_sources_own_goes_before_a_lent_one() {
        let dir = tempfile::tempdir().unwrap();
        let [own, lent] = ["own", "lent"].map(|name| dir.path().join(name));
        for folder in [&own, &lent] {
            fs::create_dir(folder).unwrap();
        }
        let base = Image::new(Kind::Vhdx, LEN, 1).write(&own.join("renamed.vhdx"));
        fs::copy(own.join("renamed.vhdx"), lent.join("base.vhdx")).unwrap();
        Image::child(&base, "base.vhdx", 2).write(&own.join("child.avhdx"));
        let mut both = source(&own, &[&lent]);
        assert_eq!(layers(&mut both, 0), ["renamed.vhdx", "child.avhdx"]);
    }
}
