//! What a host's event log says of a merge that does not come.
//!
//! Hyper-V writes there why it could not merge. WMI tells of that log only where somebody has put
//! its name into the registry, and reading it takes rights: it is evidence where it is to be had,
//! and nothing is decided by it.

use std::time::Duration;

use cim::{DateTime, Instance, Timestamp};
use uuid::Uuid;

use crate::control::Control;
use crate::ids::fold;

const NAMESPACE: &str = "root/cimv2";
const LOG: &str = "Microsoft-Windows-Hyper-V-VMMS-Admin";
/// *Background disk merge failed*: known from people's reports.
const MERGE_FAILED: u16 = 19100;
/// How far back it is looked: the host's clock may be another one.
const BACK: Duration = Duration::from_secs(24 * 60 * 60);
/// Characters of a text that are told.
const MOST: usize = 400;

/// What the host wrote last about a merge of the VM that failed, within a day; `None` when there is
/// nothing, or it does not tell.
pub(super) fn last_failure(control: &Control, vm: Uuid) -> Option<String> {
    let since = control.time().checked_sub(BACK).ok()?;
    let since = DateTime::Timestamp(Timestamp::utc(since)).to_dmtf();
    let query = format!(
        "SELECT * FROM Win32_NTLogEvent WHERE Logfile = '{LOG}' AND EventCode = {MERGE_FAILED} \
         AND TimeWritten >= '{since}'"
    );
    // An account without rights there is the rule.
    let rows = control.session().query(NAMESPACE, &query).ok()?;
    let id = fold(&vm.hyphenated().to_string());
    let of_vm = rows.iter().filter(|row| {
        let strings = row.get_list::<String>("InsertionStrings");
        let strings = strings.unwrap_or_default().into_iter();
        strings.chain(text(row)).any(|s| fold(&s).contains(&id))
    });
    let when = |row: &&Instance| {
        row.get::<Timestamp>("TimeWritten")
            .ok()
            .map(Timestamp::instant)
    };
    let last = of_vm.max_by_key(when)?;
    let words: Vec<String> = text(last)?.split_whitespace().map(str::to_owned).collect();
    Some(words.join(" ").chars().take(MOST).collect())
}

fn text(row: &Instance) -> Option<String> {
    row.get_opt("Message").ok().flatten()
}
