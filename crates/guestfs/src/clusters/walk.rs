//! A walk along the clusters of a file or folder.

use super::{Clusters, FIRST};
use crate::error::{Error, Result};

/// Places along a chain that are kept at most, so that going back need not begin at the start.
const MARKS: u64 = 1024;
/// Clusters between two such places at least.
const NEAR: u64 = 64;

/// A walk along so many clusters.
pub(crate) struct Walk<'a> {
    clusters: &'a Clusters,
    first: u32,
    /// Clusters that are needed.
    count: u64,
    /// Whether each is the one behind the last one, whatever the table says.
    is_row: bool,
    marks: Vec<u32>,
    /// Clusters between two marks.
    step: u64,
    /// Where the walk is: the how manieth, and which.
    at: (u64, u32),
    /// How far it ever came.
    front: u64,
    /// The cluster that the front stood on when its number was a power of two.
    hare_left: u32,
    is_checked: bool,
    is_circle: bool,
}

impl<'a> Walk<'a> {
    /// Along a chain of the table, of which `count` clusters are needed.
    pub(crate) fn chain(clusters: &'a Clusters, first: u32, count: u64) -> Result<Self> {
        clusters.place(first)?;
        let walk = Self {
            clusters,
            first,
            count,
            is_row: false,
            marks: vec![first],
            step: count.div_ceil(MARKS).max(NEAR),
            at: (0, first),
            front: 0,
            hare_left: first,
            is_checked: false,
            is_circle: false,
        };
        if count > u64::from(clusters.shape.count) {
            let all = clusters.shape.count;
            return Err(walk.damaged(&format!("{count} clusters are needed, and there are {all}")));
        }
        Ok(walk)
    }

    /// Along `count` clusters that lie one behind the other.
    pub(crate) fn row(clusters: &'a Clusters, first: u32, count: u64) -> Result<Self> {
        let mut walk = Self::chain(clusters, first, count)?;
        walk.is_row = true;
        if u64::from(first - FIRST) + count > u64::from(clusters.shape.count) {
            return Err(walk.damaged("it runs over the end of the volume"));
        }
        Ok(walk)
    }

    fn damaged(&self, why: &str) -> Error {
        Error::damaged(format!("chain of clusters from {}", self.first), why)
    }

    /// The cluster of a number, from 0; `None` where a chain has ended.
    pub(crate) fn get(&mut self, index: u64) -> Result<Option<u32>> {
        if self.is_row {
            let within = index < self.count;
            return Ok(within.then(|| self.first + u32::try_from(index).unwrap_or_default()));
        }
        let mark = (index / self.step).min(self.marks.len() as u64 - 1);
        let near = mark * self.step;
        if (index < self.at.0 || near > self.at.0)
            && let Some(cluster) = usize::try_from(mark).ok().and_then(|at| self.marks.get(at))
        {
            self.at = (near, *cluster);
        }
        while self.at.0 < index {
            let Some(next) = self.clusters.next(self.at.1)? else {
                return Ok(None);
            };
            let number = self.at.0 + 1;
            if number > self.front {
                self.go_on(number, next)?;
            }
            self.at = (number, next);
        }
        Ok(Some(self.at.1))
    }

    /// The front comes to a cluster where it never was.
    fn go_on(&mut self, number: u64, cluster: u32) -> Result<()> {
        if cluster == self.hare_left || number > u64::from(self.clusters.shape.count) {
            self.is_circle = true;
            return Err(self.damaged(&format!("it comes back to cluster {cluster}")));
        }
        if number.is_power_of_two() {
            self.hare_left = cluster;
        }
        if number.is_multiple_of(self.step) && (self.marks.len() as u64) < 2 * MARKS {
            self.marks.push(cluster);
        }
        self.front = number;
        Ok(())
    }

    /// The cluster of a number, and how many behind it lie in one row, up to `most` of them.
    pub(crate) fn run(&mut self, index: u64, most: u64) -> Result<(u32, u64)> {
        let first = self.get(index)?.ok_or_else(|| {
            let (at, count) = (self.at.0 + 1, self.count);
            self.damaged(&format!(
                "it ends after {at} clusters, where {count} are needed"
            ))
        })?;
        if self.is_row {
            return Ok((first, most.min(self.count - index)));
        }
        let (mut len, mut last) = (1, first);
        while len < most && index + len < self.count {
            match self.get(index + len)? {
                Some(next) if Some(next) == last.checked_add(1) => last = next,
                _ => break,
            }
            len += 1;
        }
        Ok((first, len))
    }

    /// Whether the chain was found to come back to itself.
    pub(crate) fn is_circle(&self) -> bool {
        self.is_circle
    }

    /// Goes on to where the chain ends, so that one which comes back to itself is told, and gives how many
    /// clusters it has. One that is longer than needed is no damage: it may have been set aside.
    pub(crate) fn follow_to_the_end(&mut self) -> Result<u64> {
        if self.is_row || self.is_checked {
            return Ok(self.count);
        }
        while self.get(self.front + 1)?.is_some() {}
        self.is_checked = true;
        Ok(self.front + 1)
    }
}
