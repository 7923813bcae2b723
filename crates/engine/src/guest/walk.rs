//! Everything below what somebody named, folder by folder.
//!
//! A path may be a pattern: `*`, `?`, `[…]`, `{…}` within a name, `**` for any number of folders. What comes before
//! the first pattern is looked up, at the cost of its depth; only folders in which a pattern could match are listed.

use std::collections::HashSet;
use std::ops::ControlFlow;

use globset::{GlobBuilder, GlobMatcher};
use guestfs::{Entry, Error, FileSystem, Kind, Name, Node, NodeId};

use super::path::{GuestPath, name, text};

#[cfg(test)]
mod tests;

/// Folders in folders that are gone into. More than any system makes: what has more is a loop.
const DEEPEST: usize = 1024;

/// What somebody named.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// What it says, for messages.
    text: String,
    volume: Volumes,
    /// Names before the first pattern.
    fixed: Vec<Name>,
    /// The rest as one pattern for the path behind the fixed names, if there is a rest.
    rest: Option<GlobMatcher>,
    /// What each of its first names must match, for what is behind them to match.
    steps: Vec<GlobMatcher>,
    /// Whether anything may match behind the steps; else they are all the names that there may be.
    open: bool,
}

/// Which volumes are meant.
#[derive(Clone, Debug)]
enum Volumes {
    /// This one.
    This(String),
    /// All with such names.
    Like(GlobMatcher),
}

/// A pattern that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// It names nothing.
    #[error("an empty path names no volume")]
    Empty,
    /// It is no pattern.
    #[error("“{text}” is no pattern: {source}")]
    Bad {
        /// What was written.
        text: String,
        /// Why not.
        source: globset::Error,
    },
}

impl Pattern {
    /// A pattern as somebody wrote it: `VOLUME/path`. A volume or folder that is named is all that is in it.
    ///
    /// # Errors
    /// When it names nothing, or a bracket is not closed.
    pub fn parse(written: &str) -> Result<Self, PatternError> {
        let bad = |source| PatternError::Bad {
            text: written.to_owned(),
            source,
        };
        let mut parts = written
            .split('/')
            .filter(|part| !part.is_empty())
            .peekable();
        let first = *parts.peek().ok_or(PatternError::Empty)?;
        let volume = Volumes::Like(glob(first).map_err(bad)?);
        // Any number of folders, and the volume above them.
        let any_depth = first == "**" && parts.clone().nth(1).is_some();
        let parts: Vec<&str> = parts.skip(usize::from(!any_depth)).collect();
        let first = parts.iter().position(|part| is_pattern(part));
        let (fixed, rest) = parts.split_at(first.unwrap_or(parts.len()));
        let whole = match rest.is_empty() {
            true => None,
            false => Some(glob(&rest.join("/")).map_err(bad)?),
        };
        let mut steps = Vec::new();
        for part in rest {
            // Braces may reach over a slash; such a part is no pattern by itself.
            match glob(part) {
                Ok(step) if !part.contains("**") => steps.push(step),
                _ => break,
            }
        }
        Ok(Self {
            text: written.to_owned(),
            volume,
            fixed: fixed.iter().map(|part| name(part)).collect(),
            open: steps.len() < rest.len(),
            rest: whole,
            steps,
        })
    }

    /// A pattern that somebody wrote in a folder, or where the volumes are: one with a slash at its start begins
    /// with a volume, one with a slash in it goes on from there, and a mere name is looked for in all folders.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn below(folder: Option<&GuestPath>, written: &str) -> Result<Self, PatternError> {
        let above = folder.map(|folder| globset::escape(&folder.to_string()));
        match (written.contains('/'), above) {
            (true, Some(above)) if !written.starts_with('/') => {
                Self::parse(&format!("{above}/{written}"))
            }
            (true, _) => Self::parse(written),
            (false, above) => {
                let above = above.as_deref().unwrap_or("*");
                Self::parse(&format!("{above}/**/{written}"))
            }
        }
    }

    /// Just this, and all that is in it.
    pub fn of(path: &GuestPath) -> Self {
        Self {
            text: format!("/{path}"),
            volume: Volumes::This(path.volume.clone()),
            fixed: path.names.clone(),
            rest: None,
            steps: Vec::new(),
            open: false,
        }
    }

    /// Whether it is about a volume.
    pub fn is_of(&self, volume: &str) -> bool {
        match &self.volume {
            Volumes::This(name) => name == volume,
            Volumes::Like(glob) => glob.is_match(volume),
        }
    }

    /// Whether it names something itself, and not only a folder that it is in.
    pub fn names(&self, path: &GuestPath) -> bool {
        let Some(rest) = path.names.get(self.fixed.len()..) else {
            return false;
        };
        match &self.rest {
            None => rest.is_empty(),
            Some(pattern) => pattern.is_match(joined(rest)),
        }
    }

    /// Whether something in a folder may be named by it.
    pub fn leads_into(&self, folder: &GuestPath) -> bool {
        let Some(names) = folder.names.get(self.fixed.len()..) else {
            return true;
        };
        let steps = self.steps.iter().zip(names);
        let room = self.open || names.len() < self.steps.len();
        room && steps
            .into_iter()
            .all(|(step, name)| step.is_match(text(name)))
    }

    /// What was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

fn joined(names: &[Name]) -> String {
    names.iter().map(text).collect::<Vec<_>>().join("/")
}

fn is_pattern(part: &str) -> bool {
    part.contains(['*', '?', '[', '{'])
}

/// Case matters, since it does in most file systems; a name is matched as it is written in paths.
fn glob(text: &str) -> Result<GlobMatcher, globset::Error> {
    let mut glob = GlobBuilder::new(text);
    let glob = glob.literal_separator(true).backslash_escape(false);
    Ok(glob.build()?.compile_matcher())
}

/// Something that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Where.
    pub path: GuestPath,
    /// What.
    pub node: Node,
}

/// What a walk meets.
pub enum Met<'a> {
    /// A file, or a folder before what is in it.
    Here(&'a Found),
    /// A folder, after all that is in it.
    Left(&'a Found),
    /// Something that could not be read.
    Failed(&'a GuestPath, Error),
}

/// What is to come after something was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// What is in it, and behind it.
    On,
    /// Of a folder, nothing that is in it, nor its end.
    Skip,
    /// Nothing.
    Stop,
}

/// Calls `each` for all that a pattern names in a volume, and all below it, in the order of names. Links are
/// not followed. Gives whether anything was there.
pub fn walk(
    fs: &dyn FileSystem,
    volume: &str,
    pattern: &Pattern,
    each: &mut dyn FnMut(Met<'_>) -> Next,
) -> Result<bool, Error> {
    let mut at = GuestPath::root(volume);
    let mut id = fs.root();
    for part in &pattern.fixed {
        if fs.node(id)?.kind != Kind::Folder {
            return Ok(false);
        }
        let Some(found) = fs.entry(id, part)? else {
            return Ok(false);
        };
        // As it is stored, however it was written.
        at = at.join(found.name);
        id = found.node;
    }
    let mut walk = Walk {
        fs,
        names: pattern,
        found: false,
        entered: HashSet::new(),
        each,
    };
    let node = fs.node(id)?;
    let root = Found { path: at, node };
    let mut above = Vec::new();
    let _ = walk.enter(root, pattern.rest.is_none(), &mut above);
    Ok(walk.found)
}

struct Walk<'a> {
    fs: &'a dyn FileSystem,
    names: &'a Pattern,
    found: bool,
    /// Folders that were met: none is in two places.
    entered: HashSet<NodeId>,
    each: &'a mut dyn FnMut(Met<'_>) -> Next,
}

/// A folder that is being walked through.
struct Level {
    folder: Found,
    wanted: bool,
    /// What is still to come, last first.
    left: Vec<Entry>,
}

impl Walk<'_> {
    fn enter(&mut self, root: Found, wanted: bool, above: &mut Vec<Level>) -> ControlFlow<()> {
        self.meet(root, wanted, above)?;
        while let Some(level) = above.last_mut() {
            let Some(entry) = level.left.pop() else {
                if let Some(level) = above.pop()
                    && level.wanted
                {
                    self.tell(Met::Left(&level.folder))?;
                }
                continue;
            };
            let wanted = level.wanted;
            let path = level.folder.path.join(entry.name);
            let wanted = wanted || self.names.names(&path);
            // What nobody wants is gone through for what is in it, and is nothing itself.
            let is_folder = matches!(entry.kind, None | Some(Kind::Folder));
            if !(wanted || is_folder && self.names.leads_into(&path)) {
                continue;
            }
            match self.fs.node(entry.node) {
                Ok(node) => self.meet(Found { path, node }, wanted, above)?,
                // It may be a folder with what is wanted in it.
                Err(error) => {
                    self.found |= wanted;
                    self.tell(Met::Failed(&path, error))?;
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn tell(&mut self, met: Met<'_>) -> ControlFlow<(), Next> {
        match (self.each)(met) {
            Next::Stop => ControlFlow::Break(()),
            next => ControlFlow::Continue(next),
        }
    }

    fn meet(&mut self, found: Found, wanted: bool, above: &mut Vec<Level>) -> ControlFlow<()> {
        if wanted {
            self.found = true;
            if self.tell(Met::Here(&found))? == Next::Skip {
                return ControlFlow::Continue(());
            }
        }
        if found.node.kind != Kind::Folder || !wanted && !self.names.leads_into(&found.path) {
            return ControlFlow::Continue(());
        }
        // One that is met again would be gone through as often as there are ways to it.
        if !self.entered.insert(found.node.id) || above.len() >= DEEPEST {
            let why = Error::Damaged {
                structure: "folder".to_owned(),
                why: "it is in several places, or too deep".to_owned(),
            };
            return self
                .tell(Met::Failed(&found.path, why))
                .map_continue(|_| ());
        }
        let mut left = Vec::new();
        let listed = self.fs.list(found.node.id, &mut |entry| {
            left.push(entry);
            ControlFlow::Continue(())
        });
        left.sort_by(|a: &Entry, b| b.name.cmp(&a.name));
        let mut doubles = Vec::new();
        left.dedup_by(|one, other| {
            let same = one.name == other.name;
            if same {
                doubles.push(one.name.clone());
            }
            same
        });
        for name in doubles {
            let why = Error::Damaged {
                structure: "folder".to_owned(),
                why: "it has this name twice".to_owned(),
            };
            self.tell(Met::Failed(&found.path.join(name), why))?;
        }
        if let Err(error) = listed {
            self.tell(Met::Failed(&found.path, error))?;
        }
        above.push(Level {
            folder: found,
            wanted,
            left,
        });
        ControlFlow::Continue(())
    }
}

/// The node that a path leads to.
///
/// # Errors
/// As [`guestfs::by_path`].
pub fn node(fs: &dyn FileSystem, path: &GuestPath) -> Result<NodeId, Error> {
    guestfs::by_path(fs, &path.names)
}
