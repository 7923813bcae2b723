//! A cache that is bounded by bytes and forgets what was not used for longest.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard};

/// Values by key; those used least recently go when `capacity` is exceeded.
pub(crate) struct Lru<K, V> {
    state: Mutex<State<K, V>>,
    capacity: usize,
}

struct State<K, V> {
    values: HashMap<K, (V, usize, u64)>,
    by_use: BTreeMap<u64, K>,
    used: usize,
    tick: u64,
}

impl<K: Hash + Eq + Clone, V: Clone> Lru<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            state: Mutex::new(State {
                values: HashMap::new(),
                by_use: BTreeMap::new(),
                used: 0,
                tick: 0,
            }),
            capacity,
        }
    }

    fn state(&self) -> MutexGuard<'_, State<K, V>> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub(crate) fn get(&self, key: &K) -> Option<V> {
        let mut state = self.state();
        state.tick += 1;
        let tick = state.tick;
        let (value, _, used) = state.values.get_mut(key)?;
        let value = value.clone();
        let before = std::mem::replace(used, tick);
        state.by_use.remove(&before);
        state.by_use.insert(tick, key.clone());
        Some(value)
    }

    /// Keeps `value`, which takes `size` bytes. A value larger than all is not kept.
    pub(crate) fn insert(&self, key: K, value: V, size: usize) {
        if size > self.capacity {
            return;
        }
        let mut state = self.state();
        state.tick += 1;
        let tick = state.tick;
        if let Some((_, old, used)) = state.values.insert(key.clone(), (value, size, tick)) {
            state.used -= old;
            state.by_use.remove(&used);
        }
        state.by_use.insert(tick, key);
        state.used += size;
        while state.used > self.capacity {
            let Some((_, oldest)) = state.by_use.pop_first() else {
                break;
            };
            if let Some((_, size, _)) = state.values.remove(&oldest) {
                state.used -= size;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_last_stays_and_the_bound_holds() {
        let lru = Lru::new(10);
        for (key, size) in [(1, 4), (2, 4)] {
            lru.insert(key, key * 10, size);
        }
        assert_eq!(lru.get(&1), Some(10));
        lru.insert(3, 30, 4);
        assert_eq!(
            (lru.get(&1), lru.get(&2), lru.get(&3)),
            (Some(10), None, Some(30))
        );
        lru.insert(4, 40, 11);
        assert_eq!(lru.get(&4), None);
        lru.insert(1, 11, 10);
        assert_eq!((lru.get(&1), lru.get(&3)), (Some(11), None));
    }
}
