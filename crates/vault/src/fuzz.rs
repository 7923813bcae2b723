//! What the fuzz targets and the replay of their corpora run.

/// A table of the local cache, which anybody may have written to.
pub fn cache_table(data: &[u8]) {
    crate::index::fuzz_cache_table(data);
}
