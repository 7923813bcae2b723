//! Which blocks have a newer version in the journal.
//!
//! Transactions follow one another, each with its number, and each ends in a commit block. The first that
//! does not was never promised, and ends the scan: that is what a power cut leaves. A transaction that was
//! promised and is damaged ends it too, and that is told; all before it is taken.

use std::collections::{BTreeMap, HashMap};

use super::log::{Log, MAGIC, Sums};
use super::{FastCommits, MOST, fast};
use crate::error::{Error, Result};
use crate::ext::bytes::{be32, be64};
use crate::ext::superblock::Super;

/// What a journal holds.
pub(in crate::ext) struct Scanned {
    /// Blocks and where their newest version is, in ascending order. See [`super::Overlay`].
    pub(in crate::ext) blocks: Vec<(u64, u64)>,
    /// Transactions that were whole.
    pub(in crate::ext) transactions: u32,
    /// What is damaged, and from where on nothing was taken.
    pub(in crate::ext) damaged: Option<String>,
    /// What ends the journal and looks like a transaction that was never promised.
    pub(in crate::ext) unfinished: Option<String>,
    /// What the guest noted after them.
    pub(in crate::ext) fast: FastCommits,
    /// Why that was left out.
    pub(in crate::ext) fast_left_out: Option<String>,
}

/// A transaction that has not ended yet.
#[derive(Default)]
struct Open {
    blocks: Vec<(u64, u64)>,
    revoked: Vec<u64>,
    sum: u32,
    /// What is wrong with it.
    wrong: Option<String>,
}

impl Open {
    fn begin() -> Self {
        Self {
            sum: !0,
            ..Self::default()
        }
    }
}

/// Set in the place of a block whose first bytes were replaced.
pub(super) const ESCAPED: u64 = 1 << 63;

/// Reads the journal from its start to its end.
pub(in crate::ext) fn scan(log: &mut Log<'_>, sb: &Super) -> Result<Scanned> {
    let mut newest: BTreeMap<u64, (u32, u64)> = BTreeMap::new();
    let mut revoked: HashMap<u64, u32> = HashMap::new();
    let (mut at, mut sequence) = (log.start, log.sequence);
    let (mut open, mut transactions) = (Open::begin(), 0);
    let (mut damaged, mut unfinished) = (None, None);
    let mut time = 0;
    let mut left = log.last - log.first;
    while left > 0 {
        let (_, block) = log.block(at)?;
        if be32(&block, 0) != MAGIC || be32(&block, 8) != sequence {
            break;
        }
        left -= 1;
        at = log.after(at);
        match be32(&block, 4) {
            1 => at = descriptor(log, &block, at, &mut left, sequence, &mut open)?,
            2 => {
                let committed = be64(&block, 48);
                match end(log, &block, &open) {
                    End::Whole => {}
                    End::Wrong(why) => {
                        let why = format!("transaction {sequence}: {why}");
                        // What an earlier turn of the ring left here, or a block that was there before
                        // the others of its transaction: it was never promised.
                        match log.asynchronous || committed < time {
                            true => unfinished = Some(why),
                            false => damaged = Some(why),
                        }
                        break;
                    }
                }
                time = committed;
                transactions += 1;
                let open = std::mem::replace(&mut open, Open::begin());
                for (block, place) in open.blocks {
                    newest.insert(block, (sequence, place));
                }
                revoked.extend(open.revoked.into_iter().map(|block| (block, sequence)));
                sequence = sequence.wrapping_add(1);
            }
            5 => {
                match log.revoked(&block) {
                    Some(list) if log.sum_is_right(&block, block.len() - 4) => {
                        open.revoked.extend(list);
                    }
                    _ => open.wrong = Some("a damaged list of revoked blocks".into()),
                };
            }
            _ => break,
        }
        if newest.len() + open.blocks.len() > MOST || revoked.len() + open.revoked.len() > MOST {
            return Err(Error::Unsupported(format!(
                "a journal with more than {MOST} blocks in it"
            )));
        }
    }
    newest.retain(|block, (sequence, _)| {
        // Revoked with this transaction or a later one, counted in a ring.
        let after = |revoked: &u32| (sequence.wrapping_sub(*revoked) as i32) > 0;
        revoked.get(block).is_none_or(after)
    });
    let (fast, fast_left_out) = match damaged {
        Some(_) => (FastCommits::default(), None),
        None => fast::read(log, sequence, sb)?,
    };
    Ok(Scanned {
        blocks: newest
            .into_iter()
            .map(|(block, (_, place))| (block, place))
            .collect(),
        transactions,
        damaged,
        unfinished,
        fast,
        fast_left_out,
    })
}

/// Takes in the blocks of a descriptor; answers with the block of the journal behind them.
fn descriptor(
    log: &mut Log<'_>,
    block: &[u8],
    mut at: u64,
    left: &mut u64,
    sequence: u32,
    open: &mut Open,
) -> Result<u64> {
    if !log.sum_is_right(block, block.len() - 4) {
        open.wrong = Some("a damaged descriptor".into());
    }
    open.sum = log.go_on(open.sum, block);
    for tag in log.tags(block) {
        if *left == 0 {
            break;
        }
        *left -= 1;
        let place = match log.sums {
            Sums::None => log.place(at)?,
            _ => {
                let (place, bytes) = log.block(at)?;
                if !log.is_right(&tag, sequence, &bytes) {
                    open.wrong = Some(format!("a damaged version of block {}", tag.block));
                }
                open.sum = log.go_on(open.sum, &bytes);
                place
            }
        };
        if !log.replaces(tag.block) {
            open.wrong = Some(format!("block {} does not exist", tag.block));
        }
        let escaped = if tag.escaped { ESCAPED } else { 0 };
        open.blocks.push((tag.block, place | escaped));
        at = log.after(at);
    }
    Ok(at)
}

enum End {
    Whole,
    Wrong(String),
}

/// Whether a transaction is whole, by its commit block.
fn end(log: &Log<'_>, commit: &[u8], open: &Open) -> End {
    // Of the first form of checksums, a commit block may also have none.
    let (form, sum) = (be32(commit, 12) >> 16, be32(commit, 16));
    let summed = match log.sums {
        Sums::Whole => (form == 0x0104 && sum == open.sum) || (form == 0 && sum == 0),
        _ => log.sum_is_right(commit, 16),
    };
    match &open.wrong {
        _ if !summed => End::Wrong("its commit block has a wrong checksum".into()),
        Some(why) => End::Wrong(why.clone()),
        None => End::Whole,
    }
}
