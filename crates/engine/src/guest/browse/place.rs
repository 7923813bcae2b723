//! Where somebody is.

use std::fmt;

use crate::guest::path::{GuestPath, name};
use crate::source::Owner;

/// A state of the VM, and a folder in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which state.
    pub owner: Owner,
    /// The folder; nothing where the volumes are.
    pub path: Option<GuestPath>,
}

impl Place {
    /// The volumes of a state.
    pub fn volumes(owner: Owner) -> Self {
        Self { owner, path: None }
    }

    /// The same path in another state.
    #[must_use]
    pub fn at(&self, owner: Owner) -> Self {
        Self {
            owner,
            path: self.path.clone(),
        }
    }

    /// What a path means here: one with a slash at its start begins with a volume, any other one goes on from
    /// here. `..` is the folder above, and above volumes there is nothing.
    #[must_use]
    pub fn to(&self, typed: &str) -> Self {
        let mut place = match typed.starts_with('/') {
            true => Self::volumes(self.owner.clone()),
            false => self.clone(),
        };
        for part in typed.split('/') {
            match (part, &mut place.path) {
                ("" | ".", _) => {}
                ("..", _) => place = place.up().unwrap_or(place),
                (part, Some(path)) => path.names.push(name(part)),
                (part, none) => *none = Some(GuestPath::root(part)),
            }
        }
        place
    }

    /// The folder above; nothing above the volumes.
    pub fn up(&self) -> Option<Self> {
        let mut path = self.path.clone()?;
        let above = path.names.pop().map(|_| path);
        Some(Self {
            owner: self.owner.clone(),
            path: above,
        })
    }
}

/// Its path.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            None => f.write_str("/"),
            Some(path) => write!(f, "/{path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_go_on_from_where_one_is() {
        let start = Place::volumes(Owner::Vm);
        for (path, expected) in [
            ("d0p1/a", "/d0p1/a"),
            ("/d0p1//a/./b/", "/d0p1/a/b"),
            ("d0p1/a/..", "/d0p1"),
            ("d0p1/../..", "/"),
            ("d0p1/%FF%2F", "/d0p1/%FF%2F"),
            ("..", "/"),
        ] {
            assert_eq!(start.to(path).to_string(), expected, "{path}");
        }
        let deep = start.to("d0p1/a b");
        assert_eq!(deep.to("c").to_string(), "/d0p1/a b/c");
        assert_eq!(deep.to("../c").to_string(), "/d0p1/c");
        assert_eq!(deep.to("/d1").to_string(), "/d1");
        assert_eq!(deep.to("").to_string(), "/d0p1/a b");
    }
}
