//! Signs of life of a session: numbered records, so that none is ever rewritten.
//!
//! Whoever collects a vault must know which sessions may still lean on packs that no point
//! refers to. A record is written at least every [`BEAT`] while the session stores something. One that
//! waits for its source is silent: a collector must not take silence alone for the end.

use std::sync::Mutex;
use std::time::Duration;

use vault_format::record::{Session as Record, seal_record};
use vault_format::{ObjectName, SessionId, VaultKeys};

use crate::env::Env;
use crate::error::{Error, Result};
use crate::objects::Objects;

/// Longest time between two records of a session that stores.
pub(crate) const BEAT: Duration = Duration::from_secs(5 * 60);

pub(crate) struct Heartbeat {
    session: SessionId,
    state: Mutex<State>,
}

struct State {
    number: u64,
    last: Option<Duration>,
}

impl Heartbeat {
    pub(crate) fn new(session: SessionId) -> Self {
        Self {
            session,
            state: Mutex::new(State {
                number: 0,
                last: None,
            }),
        }
    }

    /// Writes a record if the last one is old. Cheap otherwise.
    pub(crate) fn beat(&self, objects: &Objects, keys: &VaultKeys, env: &Env) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(|e| e.into_inner());
        let now = env.clock.monotonic();
        if state
            .last
            .is_some_and(|last| now.saturating_sub(last) < BEAT)
        {
            return Ok(());
        }
        let name = ObjectName::Session {
            session: self.session,
            number: state.number + 1,
        };
        let bytes = seal_record(keys, &name, &Record::default(), &mut env.entropy())
            .map_err(Error::object(name))?;
        objects.put(&name, &bytes)?;
        state.number += 1;
        state.last = Some(now);
        Ok(())
    }

    /// Removes the records: the session is over.
    pub(crate) fn end(&self, objects: &Objects) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(|e| e.into_inner());
        while state.number > 0 {
            objects.delete(&ObjectName::Session {
                session: self.session,
                number: state.number,
            })?;
            state.number -= 1;
        }
        Ok(())
    }
}
