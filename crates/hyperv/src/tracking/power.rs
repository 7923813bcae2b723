//! Whether a host has lost its power since the last backup.
//!
//! Change tracking keeps the newest changes in memory, and coarser ones on the disk for the case that the
//! host is switched off. That none is lost then is promised nowhere. A host that was started anew since the
//! last backup is asked for what Windows writes into the system's event log when it was not shut down
//! before. Accounts without rights may see an empty log: only one that tells of the start is believed.

use cim::{CimError, CimSession, DateTime, Instance, Timestamp};
use serde::{Deserialize, Serialize};

use crate::ids::fold;

const NAMESPACE: &str = "root/cimv2";
/// *The event log service was started*, at every start of the host.
const STARTED: (u16, &str) = (6005, "eventlog");
/// *The previous system shutdown was unexpected*, by the service of event logs.
const UNEXPECTED: (u16, &str) = (6008, "eventlog");
/// *The system has rebooted without cleanly shutting down first*, by the kernel.
const POWER: (u16, &str) = (41, "microsoft-windows-kernel-power");
/// By how much the time of a start is told otherwise the next time: hosts reckon it from a clock that is
/// set. Seconds.
const CLOCK: i64 = 60;

/// A host that runs since some time, as it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uptime {
    /// The host's own name.
    pub host: String,
    /// When it was started, by its own clock.
    pub since: jiff::Timestamp,
    /// When it was asked, by the same clock.
    pub asked: jiff::Timestamp,
}

/// Whether a host has run since the last backup as it should.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Power {
    /// As far as is known it has; or there is nothing to compare with, and another host to ask.
    #[default]
    Steady,
    /// It was switched off without having been shut down.
    Cut,
    /// It was started anew, or does not tell that any more, and does not tell how it had ended.
    Untold,
}

/// Since when a host runs; `None` when it does not tell.
///
/// # Errors
/// When it cannot be asked.
pub(crate) fn uptime(session: &dyn CimSession) -> Result<Option<Uptime>, CimError> {
    let wql = "SELECT * FROM Win32_OperatingSystem";
    let Some(rows) = may(session.query(NAMESPACE, wql))? else {
        return Ok(None);
    };
    let read = |row: &Instance| {
        Some(Uptime {
            host: row.get_opt("CSName").ok().flatten()?,
            since: time(row, "LastBootUpTime")?,
            asked: time(row, "LocalDateTime")?,
        })
    };
    Ok(rows.first().and_then(read))
}

/// How a host has run since it `was` asked.
///
/// # Errors
/// When it cannot be asked.
pub(crate) fn power(
    session: &dyn CimSession,
    was: Option<&Uptime>,
    now: Option<&Uptime>,
) -> Result<Power, CimError> {
    let (was, now) = match (was, now) {
        (Some(was), Some(now)) => (was, now),
        // It told then.
        (Some(_), None) => return Ok(Power::Untold),
        (None, _) => return Ok(Power::Steady),
    };
    let later = now.since.as_second().saturating_sub(was.since.as_second());
    if fold(&was.host) != fold(&now.host) || later.abs() <= CLOCK {
        return Ok(Power::Steady);
    }
    let since = DateTime::Timestamp(Timestamp::utc(was.asked)).to_dmtf();
    let wql = format!(
        "SELECT * FROM Win32_NTLogEvent WHERE Logfile = 'System' AND (EventCode = {} OR \
         EventCode = {} OR EventCode = {}) AND TimeWritten >= '{since}'",
        STARTED.0, UNEXPECTED.0, POWER.0
    );
    let Some(rows) = may(session.query(NAMESPACE, &wql))? else {
        return Ok(Power::Untold);
    };
    // Numbers are each program's own.
    let told = |(number, by): (u16, &str)| {
        rows.iter().any(|row| {
            let code: Option<u16> = row.get_opt("EventCode").ok().flatten();
            let source: Option<String> = row.get_opt("SourceName").ok().flatten();
            code == Some(number) && source.unwrap_or_default().to_lowercase() == by
        })
    };
    Ok(match (told(UNEXPECTED) || told(POWER), told(STARTED)) {
        (true, _) => Power::Cut,
        (false, true) => Power::Steady,
        (false, false) => Power::Untold,
    })
}

/// An account need not have rights there.
fn may(rows: Result<Vec<Instance>, CimError>) -> Result<Option<Vec<Instance>>, CimError> {
    match rows {
        Ok(rows) => Ok(Some(rows)),
        Err(error) if error.fault_kind().is_some() => Ok(None),
        Err(error) => Err(error),
    }
}

fn time(row: &Instance, property: &str) -> Option<jiff::Timestamp> {
    let told = row.get_opt::<Timestamp>(property).ok().flatten();
    told.filter(|at| !at.is_never()).map(Timestamp::instant)
}
