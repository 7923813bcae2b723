//! All items of an enumeration, page by page.
//!
//! A host may cut a page short for its size, change the context with every reply, answer with an
//! empty page before the end, and forget the context; and a reply can get lost. None of that may lose an item or give one
//! twice: an enumeration that was forgotten begins anew, from nothing.

use super::wsman::{Call, Wire};
use super::{CimError, CimProblem};
use crate::wsman::{FaultKind, Item, Page, Reply, Request};

/// Items that an enumeration may have.
const MOST_ITEMS: usize = 1 << 20;
/// Bytes that its replies may have: those of the largest hosts have some tens of millions. Fewer in
/// this crate's own tests, which would have to make them.
const MOST_BYTES: u64 = if cfg!(test) { 1 << 20 } else { 256 << 20 };
/// Replies in a row without an item before an enumeration is taken to have no end.
const MOST_EMPTY: u32 = 64;
/// Items that are asked for at once, to begin with; hosts cut it to what fits.
const FIRST_MOST: u32 = 32_000;

/// Enumerates all that the request finds; `make` makes it for a number of items at once.
pub(super) fn all(
    wire: &mut Wire,
    call: &Call,
    make: &dyn Fn(u32) -> Request,
) -> Result<Vec<Item>, CimError> {
    let mut most = FIRST_MOST;
    let mut restarts = 1;
    loop {
        let error = match once(wire, call, &make(most), most) {
            Ok(items) => return Ok(items),
            Err(error) => error,
        };
        match error.fault_kind() {
            // Fewer items make smaller replies.
            Some(FaultKind::TooLarge) if most > 1 => most = (most / 32).max(1),
            Some(FaultKind::ContextLost) if restarts > 0 => restarts -= 1,
            None if error.is_transient() && restarts > 0 => restarts -= 1,
            _ => return Err(error),
        }
    }
}

fn once(wire: &mut Wire, call: &Call, request: &Request, most: u32) -> Result<Vec<Item>, CimError> {
    let mut items = Vec::new();
    let mut empty = 0;
    let before = wire.received;
    let mut page = expect_page(call, wire.request(call, request)?)?;
    loop {
        empty = if page.items.is_empty() { empty + 1 } else { 0 };
        items.append(&mut page.items);
        let context = match page.context {
            Some(context) if !page.end => context,
            _ => return Ok(items),
        };
        let excess = if items.len() > MOST_ITEMS {
            Some("has more items than are accepted")
        } else if wire.received.saturating_sub(before) > MOST_BYTES {
            Some("has more bytes than are accepted")
        } else if empty > MOST_EMPTY {
            Some("does not end")
        } else {
            None
        };
        if let Some(problem) = excess {
            // The host frees it by itself later on; whether this works changes nothing.
            let _ = wire.request(call, &request.release(&context));
            return Err(call.failed(CimProblem::Enumeration(problem)));
        }
        page = match wire.request(call, &request.pull(&context, most)) {
            Ok(reply) => expect_page(call, reply)?,
            Err(error) => {
                if error.fault_kind() == Some(FaultKind::TooLarge) {
                    let _ = wire.request(call, &request.release(&context));
                }
                return Err(error);
            }
        };
    }
}

fn expect_page(call: &Call, reply: Reply) -> Result<Page, CimError> {
    match reply {
        Reply::Page(page) => Ok(page),
        _ => Err(call.unexpected("a part of an enumeration")),
    }
}
