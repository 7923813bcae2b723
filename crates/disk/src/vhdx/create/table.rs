//! A BAT of which only the pages in use are kept.

use std::collections::BTreeMap;

use crate::vhdx::bat::BatEntry;

/// Entries of a page of 4 KiB.
const PAGE: u64 = 512;

/// Entries by index; those never set are zero, "not present".
#[derive(Debug, Default)]
pub(crate) struct Table(BTreeMap<u64, Box<[u64; PAGE as usize]>>);

impl Table {
    pub(crate) fn get(&self, index: u64) -> BatEntry {
        let page = self.0.get(&(index / PAGE));
        BatEntry(page.map_or(0, |page| page[(index % PAGE) as usize]))
    }

    pub(crate) fn set(&mut self, index: u64, entry: BatEntry) {
        let page = self.0.entry(index / PAGE);
        page.or_insert_with(|| Box::new([0; PAGE as usize]))[(index % PAGE) as usize] = entry.0;
    }

    /// As [`set`](Self::set) for ascending indices: gives back, and forgets, the page before.
    pub(crate) fn set_ascending(&mut self, index: u64, entry: BatEntry) -> Option<(u64, Vec<u8>)> {
        let done = match self.0.first_key_value() {
            Some((page, _)) if *page != index / PAGE => self.0.pop_first(),
            _ => None,
        };
        self.set(index, entry);
        done.map(|(page, entries)| (page * PAGE * 8, encode(&entries)))
    }

    /// The pages in use: offset within the table, and bytes.
    pub(crate) fn pages(&self) -> impl Iterator<Item = (u64, Vec<u8>)> + '_ {
        self.0
            .iter()
            .map(|(page, entries)| (page * PAGE * 8, encode(entries)))
    }
}

fn encode(entries: &[u64; PAGE as usize]) -> Vec<u8> {
    entries
        .iter()
        .flat_map(|entry| entry.to_le_bytes())
        .collect()
}
