//! Where files of a guest go below a target, so that no two have one place.
//!
//! Names that differ in the guest may be one here: `Readme` and `README` where case does not count, `a:b` and
//! `a%3Ab` where a colon cannot be written. The first one that comes gets the name, and each other one a number
//! behind it, `README (2)`, which is told. What is in a folder follows it to where it went.
//!
//! Invariants: asked again, a path has the same place. Of a name that can meet no other one nothing is kept; of
//! any other one two numbers, which depend on the run and not on the guest alone, so no guest can make them meet.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::ffi::{OsStr, OsString};
use std::hash::BuildHasher as _;
use std::path::Path;

use guestfs::Name;

use crate::finding::{Code, Finding, Severity};
use crate::guest::path::GuestPath;

/// More than these are counted and not listed.
const MOST: usize = 1000;

/// See the [module](self).
pub(super) struct Places {
    /// A name as it is written there, and whether it is another one.
    write: fn(&Name) -> (OsString, bool),
    /// Case does not count there.
    folds: bool,
    hashes: RandomState,
    /// By the place, whose it is.
    taken: HashMap<u64, u64>,
    /// What got another name, by its path in the guest.
    numbered: HashMap<u64, OsString>,
    /// By the place that several want, the number that comes next.
    next: HashMap<u64, u64>,
    told: Vec<(GuestPath, OsString)>,
    more: u64,
}

/// Where something goes.
pub(super) struct Placed {
    /// Names from the target on, the volume's first.
    pub(super) names: Vec<OsString>,
    /// Its own name is written differently, since it is none there.
    pub(super) strange: bool,
}

impl Places {
    pub(super) fn new(write: fn(&Name) -> (OsString, bool), folds: bool) -> Self {
        Self {
            write,
            folds,
            hashes: RandomState::new(),
            taken: HashMap::new(),
            numbered: HashMap::new(),
            next: HashMap::new(),
            told: Vec::new(),
            more: 0,
        }
    }

    /// The place of a path, which is its own from now on.
    pub(super) fn place(&mut self, path: &GuestPath) -> Placed {
        let volume = Name::from(path.volume.as_str());
        let mut names = Vec::with_capacity(path.names.len() + 1);
        let (mut guest, mut place, mut strange) = (0, 0, false);
        for (depth, name) in std::iter::once(&volume).chain(&path.names).enumerate() {
            let (written, other) = (self.write)(name);
            strange = other;
            guest = self.hashes.hash_one((guest, name.as_bytes()));
            let (written, new) = self.own(guest, place, written);
            if new {
                let mut of = path.clone();
                of.names.truncate(depth);
                self.tell(of, &written);
            }
            place = self.key(place, &written);
            names.push(written);
        }
        Placed { names, strange }
    }

    /// What was given other names, once.
    pub(super) fn findings(&mut self) -> Vec<Finding> {
        let tell = |(path, name): (GuestPath, OsString)| {
            let name = name.to_string_lossy();
            let message = format!(
                "another one of its folder has its name here already: it is there as '{name}'"
            );
            Finding::new(Code::NotCovered, Severity::Warning, path.to_string(), message)
                .hint("look for it by that name; what it is called in the guest is told by `hyperkeep ls`")
        };
        let mut findings: Vec<Finding> = self.told.drain(..).map(tell).collect();
        if let more @ 1.. = std::mem::take(&mut self.more) {
            let message = format!("{more} more files and folders have a number behind their names");
            findings.push(Finding::note(Code::MoreFindings, "names", message));
        }
        findings
    }

    /// A name in a folder that is this path's alone, and whether it was given to it just now.
    fn own(&mut self, guest: u64, folder: u64, name: OsString) -> (OsString, bool) {
        // What was changed to be written has this sign, and so has whatever could be meant by that.
        if !self.folds && !name.as_encoded_bytes().contains(&b'%') {
            return (name, false);
        }
        let key = self.key(folder, &name);
        if *self.taken.entry(key).or_insert(guest) == guest {
            return (name, false);
        }
        if let Some(own) = self.numbered.get(&guest) {
            return (own.clone(), false);
        }
        let mut number = self.next.get(&key).copied().unwrap_or(2);
        // At most as often as there are names.
        let own = loop {
            let own = numbered(&name, number);
            let key = self.key(folder, &own);
            number += 1;
            if *self.taken.entry(key).or_insert(guest) == guest {
                break own;
            }
        };
        self.next.insert(key, number);
        self.numbered.insert(guest, own.clone());
        (own, true)
    }

    fn key(&self, folder: u64, name: &OsStr) -> u64 {
        match self.folds {
            true => self.hashes.hash_one((folder, folded(name).as_bytes())),
            false => self.hashes.hash_one((folder, name.as_encoded_bytes())),
        }
    }

    fn tell(&mut self, path: GuestPath, name: &OsStr) {
        match self.told.len() < MOST {
            true => self.told.push((path, name.to_owned())),
            false => self.more += 1,
        }
    }
}

/// The same for all that some system takes for the same. Rather too much is taken for the same than too little.
fn folded(name: &OsStr) -> String {
    let name = name.to_string_lossy();
    let upper = name.chars().flat_map(char::to_uppercase);
    upper.flat_map(char::to_lowercase).collect()
}

/// `name (2).ext`, as Windows' own programs do.
fn numbered(name: &OsStr, number: u64) -> OsString {
    let path = Path::new(name);
    let mut own = path.file_stem().unwrap_or(name).to_owned();
    own.push(format!(" ({number})"));
    if let Some(extension) = path.extension() {
        own.push(".");
        own.push(extension);
    }
    own
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::super::host_name::{here, in_zip};
    use super::*;

    fn at(places: &mut Places, names: &[&[u8]]) -> String {
        let mut path = GuestPath::root("d0p1");
        path.names = names.iter().map(|name| Name::new(*name)).collect();
        let placed = places.place(&path).names;
        let placed: Vec<_> = placed.iter().map(|name| name.to_string_lossy()).collect();
        placed.join("/")
    }

    #[test]
    fn the_second_of_a_name_gets_one_of_its_own() {
        let mut places = Places::new(in_zip, true);
        let steps: [(&[&[u8]], &str); 13] = [
            (&[b"a:b"], "d0p1/a%3Ab"),
            (&[b"a%3Ab"], "d0p1/a%3Ab (2)"),
            (&[b"a%3Ab", b"in"], "d0p1/a%3Ab (2)/in"),
            (&[b"a:b", b"in"], "d0p1/a%3Ab/in"),
            // A name that is what another one was given.
            (&[b"readme (2).txt"], "d0p1/readme (2).txt"),
            (&[b"Readme.txt"], "d0p1/Readme.txt"),
            (&[b"README.TXT"], "d0p1/README (3).TXT"),
            (&[b"readme (3).txt"], "d0p1/readme (3) (2).txt"),
            (&[b"readme.txt"], "d0p1/readme (4).txt"),
            // Elsewhere it is another name, and asked again it is the same.
            (&[b"a:b", b"readme.txt"], "d0p1/a%3Ab/readme.txt"),
            (&[b"README.TXT"], "d0p1/README (3).TXT"),
            (&["\u{3c3}".as_bytes()], "d0p1/\u{3c3}"),
            (&["\u{3c2}".as_bytes()], "d0p1/\u{3c2} (2)"),
        ];
        for (names, expected) in steps {
            assert_eq!(at(&mut places, names), expected);
        }
        let told = places.findings();
        let told: Vec<String> = told.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 5, "{told:#?}");
        assert_eq!(
            told[0],
            "d0p1/a%253Ab: another one of its folder has its name here already: it is there as 'a%3Ab (2)'"
        );
        assert!(places.findings().is_empty());
    }

    #[test]
    fn nothing_is_kept_of_names_that_meet_no_other() {
        let mut places = Places::new(in_zip, false);
        for name in ["Readme", "README", "a b", "ü"] {
            assert_eq!(at(&mut places, &[name.as_bytes()]), format!("d0p1/{name}"));
        }
        assert!(places.taken.is_empty());
        assert_eq!(at(&mut places, &[b".."]), "d0p1/%2E.");
        assert_eq!(at(&mut places, &[b"%2E."]), "d0p1/%2E (2).");
    }

    /// Many that all want one name take no longer than others, and are counted.
    #[test]
    fn very_many_of_one_name() {
        let mut places = Places::new(in_zip, true);
        for bits in 0..1_u32 << 13 {
            let letter = |at: u32| if bits >> at & 1 == 1 { b'A' } else { b'a' };
            let name: Vec<u8> = (0..13).map(letter).collect();
            at(&mut places, &[&name]);
        }
        let told = places.findings();
        assert_eq!(told.len(), MOST + 1);
        assert!(
            told[MOST].message.starts_with("7191 more"),
            "{}",
            told[MOST]
        );
    }

    proptest! {
        #![proptest_config(testkit::vary::config(128))]

        /// Whatever the names are: places are as many as paths, also where case does not count.
        #[test]
        fn no_two_have_one_place(
            names in prop::collection::vec("[aA:%2E3. ()]{0,5}", 1..40),
            folds in any::<bool>(),
            zip in any::<bool>(),
        ) {
            let write = if zip { in_zip } else { here };
            let mut places = Places::new(write, folds || zip || cfg!(windows));
            let names: HashSet<String> = names.into_iter().collect();
            let mut seen = HashSet::new();
            for name in &names {
                let placed = at(&mut places, &[name.as_bytes()]);
                prop_assert_eq!(&placed, &at(&mut places, &[name.as_bytes()]));
                let placed = if places.folds { placed.to_lowercase() } else { placed };
                prop_assert!(seen.insert(placed), "{} of {:?}", name, names);
            }
        }
    }
}
