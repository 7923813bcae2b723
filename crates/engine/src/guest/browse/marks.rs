//! What somebody wants to have.

use crate::guest::path::GuestPath;
use crate::guest::walk::Pattern;
use crate::source::Owner;

/// Files and folders of several states, each with all that is in it, in the order in which they were marked.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    all: Vec<(Owner, GuestPath)>,
}

impl Marks {
    /// Marks something. Whether it was not marked before.
    pub fn insert(&mut self, owner: Owner, path: GuestPath) -> bool {
        let new = !self.contains(&owner, &path);
        if new {
            self.all.push((owner, path));
        }
        new
    }

    /// Takes a mark away. Whether there was one.
    pub fn remove(&mut self, owner: &Owner, path: &GuestPath) -> bool {
        let before = self.all.len();
        self.all
            .retain(|(of, marked)| of != owner || marked != path);
        self.all.len() < before
    }

    /// Whether this very thing is marked.
    pub fn contains(&self, owner: &Owner, path: &GuestPath) -> bool {
        self.all
            .iter()
            .any(|(of, marked)| of == owner && marked == path)
    }

    /// Whether it is marked, or in something that is.
    pub fn cover(&self, owner: &Owner, path: &GuestPath) -> bool {
        self.all.iter().any(|(of, marked)| {
            of == owner && marked.volume == path.volume && path.names.starts_with(&marked.names)
        })
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &(Owner, GuestPath)> {
        self.all.iter()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Takes all away.
    pub fn clear(&mut self) {
        self.all.clear();
    }

    /// The states with marks, and what is marked in each, without what is in something else that is.
    pub(super) fn by_state(&self) -> Vec<(Owner, Vec<Pattern>)> {
        let mut states: Vec<(Owner, Vec<Pattern>)> = Vec::new();
        for (owner, path) in &self.all {
            let mut above = path.clone();
            let mut inside = false;
            while !inside && above.names.pop().is_some() {
                inside = self.contains(owner, &above);
            }
            let at = states.iter().position(|(of, _)| of == owner);
            let at = at.unwrap_or_else(|| {
                states.push((owner.clone(), Vec::new()));
                states.len() - 1
            });
            if let Some((_, patterns)) = states.get_mut(at).filter(|_| !inside) {
                patterns.push(Pattern::of(path));
            }
        }
        states
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_something_marked_is_not_taken_twice() {
        let mut marks = Marks::default();
        let path = |text: &str| GuestPath::parse(text).unwrap();
        assert!(marks.insert(Owner::Vm, path("d0/a/b")));
        assert!(marks.insert(Owner::Vm, path("d0/a")));
        assert!(!marks.insert(Owner::Vm, path("d0/a")));
        assert!(marks.insert(Owner::Vm, path("d0/ab")));
        let other = Owner::Checkpoint(uuid::Uuid::nil());
        assert!(marks.insert(other.clone(), path("d0/a/b")));
        assert!(marks.cover(&Owner::Vm, &path("d0/a/x/y")));
        assert!(!marks.cover(&Owner::Vm, &path("d0")) && !marks.cover(&other, &path("d0/a")));
        let states = marks.by_state();
        let texts: Vec<Vec<&str>> = states
            .iter()
            .map(|(_, all)| all.iter().map(Pattern::text).collect())
            .collect();
        assert_eq!(texts, [vec!["/d0/a", "/d0/ab"], vec!["/d0/a/b"]]);
        assert!(
            marks.remove(&Owner::Vm, &path("d0/a")) && !marks.remove(&Owner::Vm, &path("d0/a"))
        );
        assert_eq!(marks.len(), 3);
    }
}
