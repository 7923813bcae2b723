//! What goes wrong on demand: so often, at certain requests.

use super::fault::Fault;
use super::request::Request;
use crate::state::Accident;

/// Each request of an account, whatever it asks for.
pub const ANY: &str = "any";

/// Something that goes wrong at a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mishap {
    /// The request that it happens to: a method's name, `Get`, `Enumerate`, `Pull` or `Release`;
    /// [`ANY`] is each of them.
    pub on: String,
    /// Such requests that pass before it happens.
    pub skip: u32,
    /// How many of them it happens to.
    pub times: u32,
    /// How it is answered, if otherwise than it would be.
    pub what: Option<What>,
    /// What happens to the host before the request is looked at.
    pub before: Vec<Accident>,
    /// What happens to the host when the request is done, before its reply is sent.
    pub after: Vec<Accident>,
}

/// How a request is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The method returns a code and does nothing.
    Return(u32),
    /// The request is refused, and nothing is done.
    Refuse(Fault),
    /// It is done, and the connection ends within the reply.
    Cut(Cut),
    /// An enumeration, or what is left of one, ends after so many items as if there were no more.
    Fewer(usize),
    /// It is not done, and the connection ends without a reply.
    Lose,
    /// It waits until its client is gone.
    Hold(Held),
    /// It is answered as ever, and whoever listens is told of it.
    Tell,
}

/// Where a reply breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// After so many bytes: 0 for none at all.
    After(usize),
    /// Between its head and its body.
    BeforeBody,
    /// Before its last byte.
    BeforeLast,
}

/// What becomes of a request whose client is gone before it had a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// It is not done.
    Never,
    /// It is done when the client is gone.
    Late,
    /// It was done before.
    Done,
}

/// What whoever listens is told of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What is asked for, as [`Mishap::on`] says it.
    pub request: String,
    /// What becomes of it, if it waits until its client is gone.
    pub held: Option<Held>,
}

/// What a request asks for, in one word.
pub(super) fn name(request: &Request) -> &str {
    request.action.rsplit('/').next().unwrap_or("")
}

/// Takes what goes wrong with a request out of the list.
pub(super) fn take(mishaps: &mut Vec<Mishap>, request: &Request) -> Option<Mishap> {
    let name = name(request);
    let of_request = |mishap: &&mut Mishap| {
        let is = |on: &str| mishap.on.eq_ignore_ascii_case(on);
        (is(name) || is(ANY)) && mishap.times > 0
    };
    let mishap = mishaps.iter_mut().find(of_request)?;
    if mishap.skip > 0 {
        mishap.skip -= 1;
        return None;
    }
    mishap.times -= 1;
    let taken = mishap.clone();
    mishaps.retain(|mishap| mishap.times > 0);
    Some(taken)
}
