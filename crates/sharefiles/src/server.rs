//! A server, connected to when something is wanted of it, and again when the connection went.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::conn::{Conn, connect};
use crate::fault::Fault;
use crate::settings::Settings;
use crate::wire::{Command, Status, read_tree, tree_connect};

/// Times in a row that a connection may come about and end before it was of use.
const MOST_LOST: u32 = 5;
/// How long a server that was given up is left alone.
const REST: Duration = Duration::from_secs(30);

/// A server.
///
/// An outage is borne once: many files, and several threads, want something of the same server, and
/// a VM's checkpoint is there while they wait. When it was given up, whoever wants something is
/// refused at once for a while; then one attempt is made, and one request may be lost, before it is
/// given up again. An answer ends that.
pub(crate) struct Server {
    name: String,
    settings: Arc<Settings>,
    state: Mutex<State>,
    given_up: Mutex<Option<GivenUp>>,
}

/// An outage that was longer than is waited for.
struct GivenUp {
    why: String,
    /// When it was tried last.
    at: Duration,
}

/// Losses in a row of who wants something.
#[derive(Default)]
pub(crate) struct Losses(u32);

#[derive(Default)]
struct State {
    live: Option<Arc<Live>>,
    /// Why it is not asked again.
    refused: Option<Fault>,
    /// Whether it was ever there.
    met: bool,
}

/// A connection to a server, with the shares that are used.
pub(crate) struct Live {
    pub(crate) conn: Conn,
    server: String,
    trees: Mutex<HashMap<String, u32>>,
}

impl Server {
    pub(crate) fn new(name: String, settings: Arc<Settings>) -> Self {
        Self {
            name,
            settings,
            state: Mutex::default(),
            given_up: Mutex::default(),
        }
    }

    fn outage(&self) -> MutexGuard<'_, Option<GivenUp>> {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_up(&self, why: String) -> Fault {
        let at = self.settings.pace.now();
        *self.outage() = Some(GivenUp {
            why: why.clone(),
            at,
        });
        Fault::GivenUp(why)
    }

    /// Something of use came from it.
    pub(crate) fn answered(&self, losses: &mut Losses) {
        losses.0 = 0;
        *self.outage() = None;
    }

    /// A connection was lost before it was of use to the caller, who may try again.
    ///
    /// # Errors
    /// When that was so too often.
    pub(crate) fn lost(&self, losses: &mut Losses, why: String) -> Result<(), Fault> {
        losses.0 += 1;
        let doubted = self.outage().is_some();
        match doubted || losses.0 >= MOST_LOST {
            true => Err(self.give_up(why)),
            false => Ok(()),
        }
    }

    /// The connection, a new one when there is none.
    ///
    /// A server that was there before may be away for a while, once; one that was not is missing. One
    /// that refused us is not asked again.
    pub(crate) fn live(&self) -> Result<Arc<Live>, Fault> {
        // Held while connecting: one connects, the others wait for it.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(live) = &state.live
            && live.conn.is_alive()
        {
            return Ok(Arc::clone(live));
        }
        state.live = None;
        if let Some(fault) = &state.refused {
            return Err(fault.clone());
        }
        let mut bear = state.met;
        if let Some(given_up) = &*self.outage() {
            let rested = self.settings.pace.now().saturating_sub(given_up.at);
            if rested < REST {
                return Err(Fault::GivenUp(given_up.why.clone()));
            }
            bear = false;
        }
        match self.connect(bear) {
            Ok(conn) => {
                let live = Arc::new(Live {
                    conn,
                    server: self.name.clone(),
                    trees: Mutex::default(),
                });
                state.live = Some(Arc::clone(&live));
                state.met = true;
                Ok(live)
            }
            Err(Fault::Lost(why)) => {
                let fault = self.give_up(why.clone());
                Err(match state.met {
                    true => fault,
                    false => Fault::Away(why),
                })
            }
            Err(fault) => {
                if matches!(fault, Fault::Refused(_)) {
                    state.refused = Some(fault.clone());
                }
                Err(fault)
            }
        }
    }

    /// Connects, again and again if an outage is to be borne.
    fn connect(&self, bear: bool) -> Result<Conn, Fault> {
        let outage = self.settings.outage;
        let pace = &self.settings.pace;
        let begun = pace.now();
        let mut wait = outage.first;
        let mut attempt = 1;
        loop {
            if pace.cancelled() {
                return Err(Fault::Cancelled);
            }
            match connect(&self.name, &self.settings) {
                Err(Fault::Lost(why)) => {
                    if !bear {
                        return Err(Fault::Lost(why));
                    }
                    let late = pace.now().saturating_sub(begun) + wait > outage.total;
                    if late || attempt >= outage.attempts {
                        let why = format!("{why}, {attempt} times in a row");
                        return Err(Fault::Lost(why));
                    }
                }
                other => return other,
            }
            attempt += 1;
            pace.sleep(wait);
            wait = wait.saturating_mul(2).min(outage.most);
        }
    }

    /// Does something with the connection, again with another one when it is lost in between.
    pub(crate) fn persist<T>(
        &self,
        mut what: impl FnMut(&Arc<Live>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut losses = Losses::default();
        loop {
            let live = self.live()?;
            match what(&live) {
                Err(Fault::Lost(why)) => {
                    live.conn.end(&why);
                    self.lost(&mut losses, why)?;
                }
                done => {
                    if matches!(done, Ok(_) | Err(Fault::Status(_))) {
                        self.answered(&mut losses);
                    }
                    return done;
                }
            }
        }
    }
}

impl Live {
    /// The number of a share, which is connected to first.
    pub(crate) fn tree(&self, share: &str) -> Result<u32, Fault> {
        let mut trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
        let key = share.to_lowercase();
        if let Some(tree) = trees.get(&key) {
            return Ok(*tree);
        }
        let body = tree_connect(&self.server, share);
        let reply = self.conn.ask(Command::TreeConnect, 0, &body, 0)?;
        if reply.status == Status::BAD_NETWORK_NAME {
            return Err(Fault::NoShare(share.to_owned()));
        }
        let (files, _) = read_tree(reply.success()?)?;
        if !files {
            return Err(Fault::NoShare(share.to_owned()));
        }
        if reply.tree == 0 {
            // A share that is told late may be told without its number.
            return Err(Fault::Lost(format!("{share} has no number")));
        }
        trees.insert(key, reply.tree);
        Ok(reply.tree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conn::tests::{answer, pair};

    #[test]
    fn a_share_without_a_number_is_not_used() {
        let (conn, mut server) = pair(9, Duration::from_secs(60));
        let live = Live {
            conn,
            server: "files".to_owned(),
            trees: Mutex::default(),
        };
        // A disk; the rest is of no interest.
        let body = [16, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        std::thread::scope(|scope| {
            scope.spawn(|| {
                answer(&mut server, 0, &body);
                answer(&mut server, 6, &body);
            });
            assert!(matches!(live.tree("C$"), Err(Fault::Lost(_))));
            assert_eq!(live.tree("C$"), Ok(6));
            // It is known.
            assert_eq!(live.tree("c$"), Ok(6));
        });
    }
}
