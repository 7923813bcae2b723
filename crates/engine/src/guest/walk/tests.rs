//! Patterns against a small tree that counts how often it is looked at.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use guestfs::{About, Content, Extras, How, Result, State, Times};

use super::*;

/// Folders of `paths`; a path that ends with a slash is an empty folder.
struct Tree {
    about: About,
    paths: Vec<&'static str>,
    listed: AtomicUsize,
}

impl Tree {
    fn new(paths: &[&'static str]) -> Self {
        Self {
            about: About {
                format: "tree",
                label: String::new(),
                id: String::new(),
                len: 0,
                block: 1,
                state: State::of(How::Clean),
            },
            paths: paths.to_vec(),
            listed: AtomicUsize::new(0),
        }
    }

    /// All that there is, with the root as the first.
    fn all(&self) -> Vec<String> {
        let mut all = vec![String::new()];
        for path in &self.paths {
            let ends = path
                .match_indices('/')
                .map(|(at, _)| at)
                .chain([path.len()]);
            for end in ends {
                let path = path[..end].to_owned();
                if !all.contains(&path) {
                    all.push(path);
                }
            }
        }
        all
    }
}

impl FileSystem for Tree {
    fn about(&self) -> &About {
        &self.about
    }

    fn root(&self) -> NodeId {
        NodeId(0)
    }

    fn node(&self, id: NodeId) -> Result<Node> {
        let path = &self.all()[id.0 as usize];
        let is_file = self.paths.contains(&path.as_str());
        Ok(Node {
            id,
            kind: if is_file { Kind::File } else { Kind::Folder },
            len: 0,
            links: 1,
            owner: None,
            times: Times::default(),
            attributes: None,
            obstacle: None,
        })
    }

    fn list(&self, folder: NodeId, each: &mut dyn FnMut(Entry) -> ControlFlow<()>) -> Result<()> {
        self.listed.fetch_add(1, Ordering::Relaxed);
        let all = self.all();
        let above = match all[folder.0 as usize].as_str() {
            "" => String::new(),
            path => format!("{path}/"),
        };
        for (at, path) in all.iter().enumerate().skip(1) {
            let Some(name) = path.strip_prefix(&above).filter(|name| !name.contains('/')) else {
                continue;
            };
            let node = NodeId(at as u64);
            let kind = Some(self.node(node)?.kind);
            let name = Name::from(name);
            if each(Entry { name, node, kind }).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn open(&self, _: NodeId, _: Option<&Name>) -> Result<Box<dyn Content + '_>> {
        Err(Error::NotFound("contents".to_owned()))
    }

    fn target(&self, _: NodeId) -> Result<Name> {
        Err(Error::NotFound("a target".to_owned()))
    }

    fn extras(&self, _: NodeId) -> Result<Extras> {
        Ok(Extras::default())
    }
}

/// What a pattern names in a volume `d0`, without what is below it, and how many folders were listed.
fn named(tree: &Tree, pattern: &str) -> (Vec<String>, usize) {
    let pattern = Pattern::parse(pattern).unwrap();
    let mut names = Vec::new();
    let before = tree.listed.load(Ordering::Relaxed);
    if pattern.is_of("d0") {
        walk(tree, "d0", &pattern, &mut |met| {
            if let Met::Here(found) = met {
                names.push(found.path.to_string());
                return Next::Skip;
            }
            Next::On
        })
        .unwrap();
    }
    (names, tree.listed.load(Ordering::Relaxed) - before)
}

const PATHS: &[&str] = &[
    "etc/a.conf",
    "etc/ssl/b.conf",
    "etc/ssl/private/c.conf",
    "usr/lib/d.conf",
    "usr/lib/deep/er/e.txt",
    "x",
    "odd/[1].txt",
    "odd/{2}.txt",
    "odd/1.txt",
];

#[test]
fn only_folders_that_can_match_are_listed() {
    let tree = Tree::new(PATHS);
    for (pattern, expected, listed) in [
        // One to look up “etc”, and it.
        ("d0/etc/*.conf", &["d0/etc/a.conf"][..], 2),
        ("d0/*/ssl/*.conf", &["d0/etc/ssl/b.conf"], 5),
        ("/d0/etc/*", &["d0/etc/a.conf", "d0/etc/ssl"], 2),
        ("d0/u*/**/*.txt", &["d0/usr/lib/deep/er/e.txt"], 5),
        (
            "d0/{usr/lib,etc}/*.conf",
            &["d0/etc/a.conf", "d0/usr/lib/d.conf"],
            9,
        ),
        ("d1/**", &[], 0),
    ] {
        let (names, count) = named(&tree, pattern);
        assert_eq!(
            (names, count),
            (expected.iter().map(ToString::to_string).collect(), listed),
            "{pattern}"
        );
    }
}

#[test]
fn any_number_of_folders_begins_with_any_volume() {
    let tree = Tree::new(PATHS);
    assert_eq!(named(&tree, "**/x").0, ["d0/x"]);
    assert_eq!(named(&tree, "**/e.txt").0, ["d0/usr/lib/deep/er/e.txt"]);
    assert_eq!(named(&tree, "/**/ssl/*.conf").0, ["d0/etc/ssl/b.conf"]);
    assert_eq!(named(&tree, "**").0, ["d0"]);
}

#[test]
fn brackets_and_braces_are_escaped_by_brackets() {
    let tree = Tree::new(PATHS);
    assert_eq!(named(&tree, "d0/odd/[1].txt").0, ["d0/odd/1.txt"]);
    assert_eq!(named(&tree, "d0/odd/[[]1].txt").0, ["d0/odd/[1].txt"]);
    assert_eq!(named(&tree, "d0/odd/[{]2[}].txt").0, ["d0/odd/{2}.txt"]);
    let exact = GuestPath::parse("d0/odd/[1].txt").unwrap();
    let met = Cell::new(0);
    walk(&tree, "d0", &Pattern::of(&exact), &mut |_| {
        met.set(met.get() + 1);
        Next::On
    })
    .unwrap();
    assert_eq!(met.get(), 1);
    assert!(!Pattern::of(&GuestPath::root("d*")).is_of("d0"));
}

#[test]
fn a_pattern_goes_on_from_the_folder_that_it_is_written_in() {
    let folder = GuestPath::parse("d0/odd [1]").unwrap();
    let named = |written: &str, folder: Option<&GuestPath>, path: &str| {
        let path = GuestPath::parse(path).unwrap();
        let pattern = Pattern::below(folder, written).unwrap();
        pattern.is_of(&path.volume) && pattern.names(&path)
    };
    assert!(named("*.txt", Some(&folder), "d0/odd [1]/deep/er/a.txt"));
    assert!(!named("*.txt", Some(&folder), "d0/odd 1/a.txt"));
    assert!(named("deep/*.txt", Some(&folder), "d0/odd [1]/deep/a.txt"));
    assert!(named("/d0/*", Some(&folder), "d0/x") && named("d*/x", None, "d0/x"));
    assert!(named("x", None, "d7/a/x"));
}
