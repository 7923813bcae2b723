//! Where a byte range is cut into chunks.
//!
//! Cuts lie only at pages of 4 KiB, after a page whose seeded hash is under a threshold, so equal
//! runs of guest file data are cut equally wherever they lie, as file systems allocate by pages.
//! The seed is secret: which cuts a file leads to cannot be computed without it.
//!
//! A cut depends on nothing before the chunk's first page. So a changed range can be cut anew
//! from the beginning of the old chunk that holds it, and once a new cut falls on an old one with
//! nothing changed behind it, all further old cuts hold.
//!
//! A run of zeros of at least the minimum size ends a chunk, and so does zeros' end: zero runs
//! are not stored. Shorter runs of zeros inside a chunk stay in it, since cutting there would
//! cost more in places than the zeros do after compression.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The unit in which cuts lie.
pub const PAGE: usize = 4096;

static ZEROS: [u8; PAGE] = [0; PAGE];

/// What comes next in a byte range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// This many bytes are zero.
    Zero(usize),
    /// This many bytes are a chunk; the first page is not zero.
    Chunk(usize),
}

impl Piece {
    /// Number of bytes.
    pub fn len(self) -> usize {
        match self {
            Self::Zero(len) | Self::Chunk(len) => len,
        }
    }

    /// Never: a piece has bytes.
    pub fn is_empty(self) -> bool {
        false
    }
}

/// Cuts byte ranges by the parameters and the secret of one vault.
#[derive(Clone)]
pub struct Cutter {
    seed: u64,
    threshold: u64,
    min: usize,
    max: usize,
}

impl Cutter {
    /// Chunks of `min` to `max` bytes, `avg` on average; all are multiples of [`PAGE`], and
    /// `min < avg <= max`. `None` when they are not.
    pub fn new(seed: u64, min: u32, avg: u32, max: u32) -> Option<Self> {
        let [min, avg, max] = [min, avg, max].map(|n| n as usize);
        let pages = [min, avg, max].iter().all(|n| n.is_multiple_of(PAGE));
        if !pages || min == 0 || min >= avg || avg > max {
            return None;
        }
        // After the minimum, every page ends the chunk with the chance that makes up the rest.
        let odds = ((avg - min) / PAGE) as u64;
        Some(Self {
            seed,
            threshold: u64::MAX / odds,
            min,
            max,
        })
    }

    /// Longest chunk in bytes.
    pub fn max(&self) -> usize {
        self.max
    }

    /// The piece at the beginning of `data`, or `None` when that depends on what follows `data`.
    /// With `last`, nothing follows and only empty `data` has no piece.
    ///
    /// `lead` tells how many bytes of `data` come before its first multiple of [`PAGE`] in the
    /// segment: 0 almost always, since almost everything is aligned to pages.
    pub fn next(&self, data: &[u8], lead: usize, last: bool) -> Option<Piece> {
        let mut pages = Pages { data, at: 0, lead };
        let zeros = pages.skip_zeros(usize::MAX);
        if zeros > 0 {
            // A run's end is not needed to know that it is one: more of it is another piece.
            return Some(Piece::Zero(zeros));
        }
        loop {
            let at = pages.at;
            let Some(page) = pages.next() else {
                return (last && at > 0).then_some(Piece::Chunk(at));
            };
            if pages.at > self.max {
                return Some(Piece::Chunk(at));
            }
            // Half a page tells nothing yet.
            if pages.at == data.len() && !last && !pages.at_boundary() {
                return None;
            }
            if is_zero(page) {
                pages.at = at;
                let run = pages.skip_zeros(self.min);
                if run >= self.min {
                    return Some(Piece::Chunk(at));
                }
                if at + run == data.len() {
                    // Zeros up to the end of all are not stored; otherwise, who knows.
                    return last.then_some(Piece::Chunk(at));
                }
                if at + run > self.max {
                    return Some(Piece::Chunk(at));
                }
                continue;
            }
            if pages.at >= self.min && xxh3_64_with_seed(page, self.seed) <= self.threshold {
                return Some(Piece::Chunk(pages.at));
            }
            if pages.at == self.max {
                return Some(Piece::Chunk(self.max));
            }
        }
    }

    /// All pieces of `data`, after which nothing follows; `lead` as for [`next`](Self::next).
    pub fn cut<'a>(&'a self, data: &'a [u8], lead: usize) -> impl Iterator<Item = Piece> + 'a {
        let mut at = 0;
        std::iter::from_fn(move || {
            let piece = self.next(&data[at..], lead_at(lead, at), true)?;
            at += piece.len();
            Some(piece)
        })
    }
}

/// The lead of what begins `at` bytes further on.
pub(crate) fn lead_at(lead: usize, at: usize) -> usize {
    match at.checked_sub(lead) {
        None => lead - at,
        Some(past) => (PAGE - past % PAGE) % PAGE,
    }
}

/// Walks over data by pages.
struct Pages<'a> {
    data: &'a [u8],
    at: usize,
    lead: usize,
}

impl<'a> Pages<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.data.get(self.at..)?;
        if rest.is_empty() {
            return None;
        }
        let len = match lead_at(self.lead, self.at) {
            0 => PAGE,
            lead => lead,
        };
        let page = rest.get(..len).unwrap_or(rest);
        self.at += page.len();
        Some(page)
    }

    fn at_boundary(&self) -> bool {
        lead_at(self.lead, self.at) == 0
    }

    /// Skips zero pages and tells how many bytes; looks no further than `enough` bytes.
    fn skip_zeros(&mut self, enough: usize) -> usize {
        let start = self.at;
        loop {
            let at = self.at;
            if at - start >= enough {
                return at - start;
            }
            match self.next() {
                Some(page) if is_zero(page) => {}
                _ => {
                    self.at = at;
                    return at - start;
                }
            }
        }
    }
}

fn is_zero(page: &[u8]) -> bool {
    page == &ZEROS[..page.len()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KIB: usize = 1024;

    fn cutter() -> Cutter {
        Cutter::new(7, 32 * 1024, 64 * 1024, 256 * 1024).unwrap()
    }

    /// Noise that differs for each page and seed.
    fn noise(seed: u64, len: usize) -> Vec<u8> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(&state.to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }

    #[test]
    fn wrong_sizes_are_refused() {
        for (min, avg, max) in [
            (0, 4096, 8192),
            (4096, 4096, 8192),
            (4096, 8192, 4096),
            (1, 2, 3),
        ] {
            assert!(Cutter::new(0, min, avg, max).is_none(), "{min} {avg} {max}");
        }
    }

    #[test]
    fn sizes_are_within_bounds_and_near_the_average() {
        let data = noise(1, 64 << 20);
        let pieces: Vec<_> = cutter().cut(&data, 0).collect();
        let (last, body) = pieces.split_last().unwrap();
        assert!(last.len() <= 256 * KIB);
        assert!(
            body.iter()
                .all(|p| (32 * KIB..=256 * KIB).contains(&p.len()))
        );
        let mean = data.len() / pieces.len();
        assert!((52 * KIB..68 * KIB).contains(&mean), "{mean}");
    }

    #[test]
    fn another_seed_cuts_elsewhere() {
        let data = noise(1, 4 << 20);
        let other = Cutter::new(8, 32 * 1024, 64 * 1024, 256 * 1024).unwrap();
        let [a, b] = [cutter(), other].map(|c| c.cut(&data, 0).map(Piece::len).collect::<Vec<_>>());
        assert_ne!(a, b);
    }

    /// The rules of `docs/format/vault.md`, one after the other.
    fn by_the_book(seed: u64, run: &[u8], lead: usize) -> Vec<Piece> {
        let [page, min, average, max] = [4096, 32 * KIB, 64 * KIB, 256 * KIB];
        let threshold = u64::MAX / ((average - min) / page) as u64;
        let (first, rest) = run.split_at(lead.min(run.len()));
        let first = (!first.is_empty()).then_some(first);
        let pages: Vec<&[u8]> = first.into_iter().chain(rest.chunks(page)).collect();
        let zero = |page: &&&[u8]| page.iter().all(|byte| *byte == 0);
        let zeros = |from: usize| pages[from..].iter().take_while(zero);
        let (mut pieces, mut at) = (Vec::new(), 0);
        while at < pages.len() {
            let count = zeros(at).count();
            if count > 0 {
                pieces.push(Piece::Zero(zeros(at).map(|page| page.len()).sum()));
                at += count;
                continue;
            }
            let mut len = 0;
            while let Some(page) = pages.get(at) {
                let end = len + page.len();
                if end > max {
                    break;
                }
                let (mut z, mut taken) = (0, 0);
                for page in zeros(at) {
                    if z < min {
                        z += page.len();
                        taken += 1;
                    }
                }
                if z > 0 {
                    if z >= min || at + taken == pages.len() || len + z > max {
                        break;
                    }
                    (len, at) = (len + z, at + taken);
                    continue;
                }
                (len, at) = (end, at + 1);
                if end == max || end >= min && xxh3_64_with_seed(page, seed) <= threshold {
                    break;
                }
            }
            pieces.push(Piece::Chunk(len));
        }
        pieces
    }

    #[test]
    fn moved_data_is_cut_alike() {
        let file = noise(3, 2 << 20);
        let mut disk = noise(4, 100 * KIB / PAGE * PAGE);
        let shift = disk.len();
        disk.extend_from_slice(&file);
        let cuts = |data: &[u8]| {
            let mut at = 0;
            let cutter = cutter();
            let all = cutter.cut(data, 0).map(|p| {
                at += p.len();
                at
            });
            all.collect::<Vec<_>>()
        };
        let moved = cuts(&disk);
        let alone = cuts(&file);
        let common = alone
            .iter()
            .filter(|c| moved.contains(&(**c + shift)))
            .count();
        assert!(
            common * 10 >= alone.len() * 9,
            "{common} of {}",
            alone.len()
        );
    }

    #[test]
    fn zeros_are_pieces_of_their_own() {
        let mut data = vec![0; 64 * KIB];
        data.extend(noise(1, 40 * KIB));
        data.extend(vec![0; 32 * KIB]);
        data.extend(noise(2, 8 * KIB));
        data.extend(vec![0; 12 * KIB + 5]);
        let pieces: Vec<_> = cutter().cut(&data, 0).collect();
        assert_eq!(pieces[0], Piece::Zero(64 * KIB));
        assert_eq!(pieces.last(), Some(&Piece::Zero(12 * KIB + 5)));
        let zeros: usize = pieces
            .iter()
            .filter(|p| matches!(p, Piece::Zero(_)))
            .map(|p| p.len())
            .sum();
        assert_eq!(zeros, 64 * KIB + 32 * KIB + 12 * KIB + 5);
    }

    fn segments() -> impl Strategy<Value = Vec<u8>> {
        let run = (0u64..4, 1usize..30).prop_map(|(seed, pages)| match seed {
            0 => vec![0; pages * PAGE],
            _ => noise(seed, pages * PAGE),
        });
        (prop::collection::vec(run, 0..12), 0usize..PAGE).prop_map(|(runs, tail)| {
            let mut data = runs.concat();
            data.extend(noise(9, tail));
            data
        })
    }

    proptest! {
        #![proptest_config(testkit::vary::config(64))]
        /// Knowing less never leads to another piece, only to none or, for zeros, a part of it.
        #[test]
        fn a_piece_does_not_depend_on_how_much_is_known(data in segments(), known in 0usize..400) {
            let known = &data[..(known * PAGE).min(data.len() / PAGE * PAGE)];
            let full = cutter().next(&data, 0, true);
            match (cutter().next(known, 0, false), full) {
                (None, _) => {}
                (Some(Piece::Zero(a)), Some(Piece::Zero(b))) => prop_assert!(a <= b),
                (some, full) => prop_assert_eq!(some, full),
            }
        }

        /// Another writer that follows the document cuts alike.
        #[test]
        fn cuts_are_as_documented(data in segments(), lead in prop_oneof![Just(0), 0usize..PAGE]) {
            let pieces: Vec<_> = cutter().cut(&data, lead).collect();
            prop_assert_eq!(pieces, by_the_book(7, &data, lead));
        }

        /// Where data begins off a page, later cuts lie on pages all the same.
        #[test]
        fn cuts_lie_on_pages_wherever_data_begins(data in segments(), lead in 0usize..PAGE) {
            let mut at = 0;
            for piece in cutter().cut(&data, lead) {
                at += piece.len();
                prop_assert!(lead_at(lead, at) == 0 || at == data.len());
            }
            prop_assert_eq!(at, data.len());
        }

        #[test]
        fn pieces_cover_everything_and_zero_pieces_are_zero(data in segments()) {
            let mut at = 0;
            let mut before = None;
            for piece in cutter().cut(&data, 0) {
                let bytes = &data[at..at + piece.len()];
                prop_assert!(!bytes.is_empty());
                match piece {
                    Piece::Zero(_) => {
                        prop_assert!(bytes.iter().all(|b| *b == 0));
                        prop_assert!(!matches!(before, Some(Piece::Zero(_))));
                    }
                    Piece::Chunk(len) => {
                        prop_assert!(len <= 256 * KIB);
                        prop_assert!(!is_zero(&bytes[..PAGE.min(len)]));
                    }
                }
                before = Some(piece);
                at += piece.len();
            }
            prop_assert_eq!(at, data.len());
        }
    }
}
