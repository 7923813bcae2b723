//! In what state a file system was when its disk was frozen.

/// How well its bytes belong together, and what is odd about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// How well they belong together.
    pub how: How,
    /// What is odd, in words for people.
    pub notes: Vec<String>,
}

/// How well the bytes of a file system belong together, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum How {
    /// It was closed, or all was written: nothing is to be replayed.
    Clean,
    /// Its journal was not empty, and has been replayed beside the disk: it is read as the guest would
    /// after a power cut.
    Replayed,
    /// Its journal is not empty, and was not replayed: the newest changes may be missing or half there.
    NotReplayed,
    /// Its guest is asleep: what that had in memory is in no file yet, or half there.
    Hibernated,
    /// It has no journal and was in use: the newest changes may be missing or half there.
    InUse,
    /// Its guest has marked it to be checked, or nobody can replay its journal: it wants its own repair.
    Dirty,
    /// The guest, or this reader, has found it damaged.
    Damaged,
}

impl State {
    /// A state without anything odd.
    pub fn of(how: How) -> Self {
        Self {
            how,
            notes: Vec::new(),
        }
    }

    /// Takes in something odd. How it is gets no better by it.
    pub fn note(&mut self, how: How, note: impl Into<String>) {
        self.how = self.how.max(how);
        self.notes.push(note.into());
    }
}
