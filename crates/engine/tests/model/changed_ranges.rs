//! Lists of changed ranges: whatever the text, an answer; and what is read says the same again.

use hyperkeep_engine::changes::parse_ranges;

pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match parse_ranges(text) {
        Ok(ranges) => {
            let again: String = ranges
                .iter()
                .map(|range| format!("{} {:#x}\n", range.start, range.len()))
                .collect();
            assert_eq!(parse_ranges(&again), Ok(ranges));
        }
        Err(error) => assert!(error.line >= 1 && error.line <= text.lines().count()),
    }
}
