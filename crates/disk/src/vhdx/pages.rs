//! A few pages of the file, kept in memory: the parts of BAT and bitmaps that are in use.
//!
//! The BAT of a 64 TiB disk may have 513 MiB, and a VM has many layers. So each layer keeps at most
//! 256 KiB, however large its tables are: a disk that is read from its beginning to its end needs
//! two or three pages at a time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use crate::error::{Error, Result};
use crate::io::ReadAt;

/// Bytes of a page. Tables and bitmap blocks are whole pages.
pub(crate) const PAGE: u64 = 16 << 10;

/// Pages that are kept.
const KEPT: usize = 16;

/// A page of the file.
pub(crate) type Page = Arc<[u8]>;

/// The pages used last, the latest first.
#[derive(Debug, Default)]
pub(crate) struct Pages(Mutex<VecDeque<(u64, Page)>>);

impl Pages {
    /// The page that begins at `offset`, from memory or from `file`. A page that is read passes
    /// `check` before anyone else sees it.
    pub(crate) fn get(
        &self,
        file: &impl ReadAt,
        offset: u64,
        what: &'static str,
        check: impl FnOnce(&[u8]) -> Result<()>,
    ) -> Result<Page> {
        if let Some(page) = self.find(offset) {
            return Ok(page);
        }
        let mut bytes = vec![0; PAGE as usize];
        file.read_exact_at(&mut bytes, offset)
            .map_err(Error::io(what))?;
        check(&bytes)?;
        let page: Page = bytes.into();
        // Two threads may have read the same page; then it is kept twice for a while.
        let mut kept = self.lock();
        kept.truncate(KEPT - 1);
        kept.push_front((offset, Arc::clone(&page)));
        Ok(page)
    }

    fn find(&self, offset: u64) -> Option<Page> {
        let mut kept = self.lock();
        let place = kept.iter().position(|(at, _)| *at == offset)?;
        let found = kept.remove(place)?;
        let page = Arc::clone(&found.1);
        kept.push_front(found);
        Some(page)
    }

    // Nothing panics while it holds the lock halfway through a change.
    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<(u64, Page)>> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_used_last_are_kept_and_no_more() {
        let file = vec![7; 100 * PAGE as usize];
        let pages = Pages::default();
        let read = |n: u64| {
            let mut was_read = false;
            pages
                .get(&file, n * PAGE, "", |_| {
                    was_read = true;
                    Ok(())
                })
                .unwrap();
            was_read
        };
        assert!((0..KEPT as u64).all(read));
        assert!(!read(0), "still kept, and now the latest");
        assert!(read(KEPT as u64));
        assert!(!read(0));
        assert!(read(1), "made room");
        assert_eq!(pages.lock().len(), KEPT);
    }

    #[test]
    fn a_page_that_fails_its_check_is_not_kept() {
        let file = vec![7; PAGE as usize];
        let pages = Pages::default();
        let bad = |_: &[u8]| Err(Error::damaged("BAT", "test"));
        pages.get(&file, 0, "", bad).unwrap_err();
        pages.get(&file, 0, "", bad).unwrap_err();
        pages.get(&file, 0, "", |_| Ok(())).unwrap();
    }
}
