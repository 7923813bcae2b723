//! What holds for any bytes that are read as a journal.

use hyperkeep_hyperv::journal::read;

/// Reads `data`.
///
/// # Panics
/// When bytes behind a torn end, or cut off, make a journal tell more than its whole lines do.
pub(crate) fn check(data: &[u8]) {
    let found = read(data);
    let lines = data.iter().filter(|b| **b == b'\n').count();
    assert!(found.open.len() + found.checkpoints.len() + found.reference_points.len() <= lines);
    assert!(found.damaged <= lines + 1);
    let whole = data
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |at| at + 1);
    let mut of_whole = read(&data[..whole]);
    of_whole.damaged += usize::from(whole < data.len());
    assert_eq!(found, of_whole);
}
