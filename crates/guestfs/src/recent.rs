//! What was used last, of a bounded number.

use std::collections::{BTreeMap, HashMap};

/// Values by their numbers, of which those used last are kept.
pub(crate) struct Recent<V> {
    values: HashMap<u64, (u64, V)>,
    /// Numbers by when they were used.
    used: BTreeMap<u64, u64>,
    now: u64,
    most: usize,
}

impl<V: Clone> Recent<V> {
    /// Keeps `most` values.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            values: HashMap::new(),
            used: BTreeMap::new(),
            now: 0,
            most,
        }
    }

    /// A value that is kept.
    pub(crate) fn get(&mut self, number: u64) -> Option<V> {
        let (used, value) = self.values.get_mut(&number)?;
        self.used.remove(used);
        self.now += 1;
        *used = self.now;
        self.used.insert(self.now, number);
        Some(value.clone())
    }

    /// Keeps a value in place of the one that was used longest ago.
    pub(crate) fn put(&mut self, number: u64, value: V) {
        self.now += 1;
        if let Some((used, _)) = self.values.insert(number, (self.now, value)) {
            self.used.remove(&used);
        }
        self.used.insert(self.now, number);
        if self.values.len() > self.most
            && let Some((_, oldest)) = self.used.pop_first()
        {
            self.values.remove(&oldest);
        }
    }

    /// How many are kept.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }
}
