//! What changed on a disk since a token, and the text form in which a person can say it.

use disk::{ByteRange, ByteRanges};

/// What a source knows about the bytes of a layer that changed since the token of the last
/// durable restore point.
///
/// A source that is not certain says [`Changed::Unknown`]: reading too much costs time, reading
/// too little costs the backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// Nobody knows: everything allocated is read, and deduplication keeps it small.
    Unknown {
        /// Why, for the restore point.
        why: String,
    },
    /// Provably not one byte.
    Unchanged,
    /// At most these bytes. Ranges may be larger than the change and may reach past the end of
    /// the disk, where they mean nothing.
    Ranges(ByteRanges),
}

/// A line of a list of changed ranges that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct RangesError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

/// Reads a list of changed ranges: a range a line, `OFFSET LENGTH`, each decimal or `0x`
/// hexadecimal, in bytes. Empty lines and what follows a `#` are left out. Ranges may overlap
/// and come in any order.
///
/// Anything else is an error, since a range that is misread is a change that is not saved.
///
/// # Errors
/// The first line that is not such a range, or whose range runs past the end of 64 bits.
pub fn parse_ranges(text: &str) -> Result<ByteRanges, RangesError> {
    text.lines()
        .enumerate()
        .filter_map(|(index, line)| {
            let line = line.split('#').next().unwrap_or_default().trim();
            (!line.is_empty()).then(|| {
                parse_line(line).map_err(|why| RangesError {
                    line: index + 1,
                    why,
                })
            })
        })
        .collect()
}

fn parse_line(line: &str) -> Result<ByteRange, String> {
    let mut words = line.split_whitespace();
    let (Some(offset), Some(len), None) = (words.next(), words.next(), words.next()) else {
        return Err(format!("“{line}” is not “OFFSET LENGTH”"));
    };
    let (offset, len) = (number(offset)?, number(len)?);
    ByteRange::at(offset, len)
        .ok_or_else(|| format!("{len} bytes from {offset} run past the end of 64 bits"))
}

fn number(word: &str) -> Result<u64, String> {
    let (digits, radix) = match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        Some(hex) => (hex, 16),
        None => (word, 10),
    };
    // `from_str_radix` would take a sign.
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(format!("“{word}” is not a number"));
    }
    u64::from_str_radix(digits, radix).map_err(|_| format!("{word} does not fit in 64 bits"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decimal_hex_comments_and_blank_lines() {
        let text = "# from the tracker\n0 4096\n\n 0x10000\t0X1000 # one page\r\n8192 0\n4096 1\n";
        let ranges = parse_ranges(text).unwrap();
        assert_eq!(
            ranges.as_slice(),
            [ByteRange::new(0, 4097), ByteRange::new(0x10000, 0x11000)]
        );
    }

    #[test]
    fn every_other_line_is_refused_with_its_number() {
        for bad in [
            "1",
            "1 2 3",
            "-1 2",
            "+1 2",
            "1 0x",
            "1 x",
            "1,2",
            "1.5 2",
            "18446744073709551615 2",
            "0x10000000000000000 1",
            "٣ 1",
        ] {
            let error = parse_ranges(&format!("0 1\n{bad}\n")).unwrap_err();
            assert_eq!(error.line, 2, "{bad}");
        }
    }

    proptest! {
        #![proptest_config(testkit::vary::config(256))]
        #[test]
        fn what_is_written_is_read(list in prop::collection::vec((any::<u32>(), any::<u32>(), any::<bool>()), 0..20)) {
            let text: String = list.iter().map(|(offset, len, hex)| if *hex {
                format!("{offset:#x} {len:#x}\n")
            } else {
                format!("{offset} {len}\n")
            }).collect();
            let expected: ByteRanges = list.iter()
                .map(|(offset, len, _)| ByteRange::new(u64::from(*offset), u64::from(*offset) + u64::from(*len)))
                .collect();
            prop_assert_eq!(parse_ranges(&text).unwrap(), expected);
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = parse_ranges(&text);
        }
    }
}
