//! Where the host's folders are found here.

use std::path::{Path, PathBuf};

use super::path::HostPath;

/// Folders of the host with where they are found here: a share that is mounted, a disk that is
/// attached, a copy. Of several that a path lies in, the longest counts.
#[derive(Clone, Debug, Default)]
pub struct PathMap {
    rules: Vec<(HostPath, PathBuf)>,
    native: bool,
}

impl PathMap {
    /// Nothing is found anywhere.
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything is found where the host says that it is: for a program that runs on the host.
    /// Rules still come first.
    pub fn native() -> Self {
        Self {
            rules: Vec::new(),
            native: true,
        }
    }

    /// The same with a folder of the host found in a folder here; it replaces an earlier rule for
    /// the same folder.
    #[must_use]
    pub fn with(mut self, folder: HostPath, here: impl Into<PathBuf>) -> Self {
        self.rules.retain(|(known, _)| *known != folder);
        self.rules.push((folder, here.into()));
        self
    }

    /// The folder here that a path leads into, and the names from there on.
    pub(super) fn find<'a>(&self, path: &'a HostPath) -> Option<(PathBuf, &'a [String])> {
        let fitting = self.rules.iter().filter_map(|(folder, here)| {
            let rest = path.below(folder)?;
            Some((here.as_path(), rest))
        });
        // The longest rule leaves the shortest rest.
        let found = fitting.min_by_key(|(_, rest)| rest.len());
        let found = found.map(|(here, rest): (&Path, _)| (here.to_owned(), rest));
        found.or_else(|| self.native.then(|| (native_root(path), path.names())))
    }
}

/// A root as the system spells it.
fn native_root(path: &HostPath) -> PathBuf {
    let mut root = path.clone();
    while let Some(parent) = root.parent() {
        root = parent;
    }
    PathBuf::from(root.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> HostPath {
        HostPath::parse(text).unwrap()
    }

    #[test]
    fn the_longest_rule_counts_whatever_the_order() {
        let rules = [
            (r"C:\ClusterStorage", "/csv"),
            (r"c:\clusterstorage\VOLUME2", "/two"),
            (r"C:\", "/c"),
            (r"\\nas\vms", "/nas"),
        ];
        for turn in 0..rules.len() {
            let map = rules.iter().cycle().skip(turn).take(rules.len());
            let map = map.fold(PathMap::new(), |map, (from, to)| map.with(host(from), to));
            let find = |text| {
                let path = host(text);
                let (folder, rest) = map.find(&path)?;
                Some(format!("{}:{}", folder.display(), rest.join("/")))
            };
            assert_eq!(
                find(r"C:\ClusterStorage\Volume1\a"),
                Some("/csv:Volume1/a".into())
            );
            assert_eq!(find(r"C:\ClusterStorage\Volume2\a"), Some("/two:a".into()));
            assert_eq!(
                find(r"C:\ClusterStorage\Volume20\a"),
                Some("/csv:Volume20/a".into())
            );
            assert_eq!(find(r"C:\Users"), Some("/c:Users".into()));
            assert_eq!(find(r"\\NAS\VMs\x"), Some("/nas:x".into()));
            assert_eq!(find(r"\\nas\vms2\x"), None);
            assert_eq!(find(r"D:\x"), None);
        }
    }

    #[test]
    fn natively_everything_is_where_it_is_said_to_be() {
        let map = PathMap::native().with(host(r"D:\"), "/d");
        let path = host(r"C:\a\b");
        let (root, rest) = map.find(&path).unwrap();
        assert_eq!((root, rest.len()), (PathBuf::from(r"C:\"), 2));
        assert_eq!(map.find(&host(r"D:\a")).unwrap().0, PathBuf::from("/d"));
    }
}
