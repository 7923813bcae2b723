//! What the command line wants of a restored VM.

use std::collections::BTreeMap;

use engine::restore::vm::{
    Identity, Mac, Network, Place, Request, SavedState, SwitchMap, Tree, WantedWay,
};

use crate::args::{SavedStateArg, VmArgs, VmWantedArgs};
use crate::failure::{Failure, Result};

/// In the words of a plan.
///
/// # Errors
/// When it contradicts itself.
pub(super) fn request(args: &VmArgs) -> Result<Request> {
    let wanted = &args.wanted;
    if wanted.remove_replication && !(wanted.replace || wanted.in_place) {
        let why = "--remove-replication is for a VM that is replaced or rolled back";
        return Err(Failure::usage(why).hint("say --replace or --in-place with it"));
    }
    let disk_folders = wanted.disk_folder.iter().map(|rule| {
        let bad = |why: String| {
            Failure::usage(format!("--disk-folder {rule}: {why}"))
                .hint(r"write PLACE=PATH: 'SCSI 0:1=E:\Fast'")
        };
        let (place, folder) = rule
            .split_once('=')
            .ok_or_else(|| bad("it does not say in which folder".to_owned()))?;
        let place = place.parse();
        Ok((
            place.map_err(|error| bad(format!("{error}")))?,
            folder.to_owned(),
        ))
    });
    let define = wanted.define || args.script;
    Ok(Request {
        place: match wanted.replace {
            true => Place::InPlace,
            false => Place::Beside,
        },
        name: wanted.name.clone(),
        identity: match wanted.replace || wanted.keep_id {
            true => Identity::Keep,
            false => Identity::New,
        },
        folder: wanted.folder.clone(),
        checkpoint_folder: wanted.checkpoint_folder.clone(),
        disk_folders: disk_folders.collect::<Result<_>>()?,
        network: Network {
            switches: switches(wanted)?,
            mac: match wanted.replace || wanted.keep_mac {
                true => Mac::Keep,
                false => Mac::New,
            },
        },
        saved_state: match wanted.saved_state {
            SavedStateArg::Auto => SavedState::Auto,
            SavedStateArg::Keep => SavedState::Keep,
            SavedStateArg::Discard => SavedState::Discard,
        },
        tree: match wanted.flatten || define {
            true => Tree::Flat,
            false => Tree::Whole,
        },
        way: match define {
            true => WantedWay::Define,
            false => WantedWay::Auto,
        },
        start: wanted.start,
        remove_replication: wanted.remove_replication,
        remove_checkpoints: wanted.remove_checkpoints,
        written: BTreeMap::new(),
    })
}

/// To which switches.
fn switches(wanted: &VmWantedArgs) -> Result<SwitchMap> {
    const HINT: &str = "write --switch same, --switch none, or --switch OLD=NEW for each switch";
    let mut map = BTreeMap::new();
    let (mut same, mut none) = (wanted.replace, false);
    for rule in &wanted.switch {
        match (rule.as_str(), rule.split_once('=')) {
            ("same", _) => same = true,
            ("none", _) => none = true,
            (_, Some((old, new))) if !old.is_empty() => {
                let new = (!new.is_empty()).then(|| new.to_owned());
                if map.insert(old.to_owned(), new).is_some() {
                    let why = format!("--switch says of {old:?} two things");
                    return Err(Failure::usage(why).hint(HINT));
                }
            }
            _ => {
                let why = format!("--switch {rule}: is neither same nor none nor OLD=NEW");
                return Err(Failure::usage(why).hint(HINT));
            }
        }
    }
    let other = !map.is_empty() || wanted.switch.iter().any(|rule| rule == "same");
    if none && other {
        let why = "--switch none stands alone: it means that no adapter is connected";
        return Err(Failure::usage(why).hint("to leave one adapter without: --switch OLD="));
    }
    Ok(match (none, map.is_empty()) {
        (true, _) => SwitchMap::Disconnected,
        (false, false) => SwitchMap::Map(map),
        (false, true) if same => SwitchMap::Same,
        (false, true) => SwitchMap::Disconnected,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(replace: bool, rules: &[&str]) -> Option<SwitchMap> {
        let wanted = VmWantedArgs {
            replace,
            switch: rules.iter().map(|rule| (*rule).to_owned()).collect(),
            ..VmWantedArgs::default()
        };
        switches(&wanted).ok()
    }

    #[test]
    fn switches_are_told_one_by_one_or_all_at_once() {
        let map = |all: &[(&str, Option<&str>)]| {
            let all = all.iter();
            Some(SwitchMap::Map(
                all.map(|(old, new)| ((*old).to_owned(), new.map(str::to_owned)))
                    .collect(),
            ))
        };
        assert_eq!(read(false, &[]), Some(SwitchMap::Disconnected));
        assert_eq!(read(true, &[]), Some(SwitchMap::Same));
        assert_eq!(read(true, &["none"]), Some(SwitchMap::Disconnected));
        assert_eq!(read(false, &["same"]), Some(SwitchMap::Same));
        assert_eq!(
            read(false, &["A=B", "same", "C=", "D=E=F"]),
            map(&[("A", Some("B")), ("C", None), ("D", Some("E=F"))])
        );
        for bad in [
            &["none", "same"][..],
            &["none", "A=B"],
            &["LAN"],
            &["=B"],
            &["A=B", "A=C"],
        ] {
            assert_eq!(read(false, bad), None, "{bad:?}");
        }
    }
}
