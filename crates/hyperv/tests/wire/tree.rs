//! Trees of checkpoints that come back: the same ones, each made after the same, and the VM goes on from
//! where it was. What a host makes otherwise is told, and such a VM is not started.

use std::collections::BTreeMap;

use hyperkeep_hyperv::import::{Applied, Identity, Mac, Place, Request, SwitchMap, Target, plan};
use hyperkeep_hyperv::inventory::{self, Machine, Parent};

use crate::restored::{FOLDER, carry_out, point, write};
use crate::support::Lab;

/// root → a → b and root → c; the VM goes on from `now`.
fn scenario(now: &str, rules: &str) -> String {
    let write = |seed: u32| {
        let offset = seed * 65536;
        format!(r#"[{{"offset": {offset}, "length": 4096, "seed": {seed}}}]"#)
    };
    let mark = |name: &str| if name == now { r#""now": true,"# } else { "" };
    format!(
        r#"{{"vms": [
            {{"name": "a", "state": "off",
              "disks": [{{"path": "D:\\VMs\\a\\a.vhdx", "size": 4194304}}],
              "writes": {last},
              "checkpoints": [{{"name": "root", "writes": {root}, "checkpoints": [
                  {{"name": "a", {now_a} "writes": {a}, "checkpoints": [
                      {{"name": "b", "writes": {b}}}]}},
                  {{"name": "c", {now_c} "writes": {c}}}]}}]}}],
            "rules": {{{rules}}}}}"#,
        last = write(9),
        root = write(1),
        a = write(2),
        b = write(3),
        c = write(4),
        now_a = mark("a"),
        now_c = mark("c"),
    )
}

fn beside() -> Request {
    Request {
        folder: Some(FOLDER.to_owned()),
        start: true,
        ..Request::default()
    }
}

fn in_place() -> Request {
    let mut request = Request {
        place: Place::InPlace,
        identity: Identity::Keep,
        remove_checkpoints: true,
        ..beside()
    };
    request.network.switches = SwitchMap::Same;
    request.network.mac = Mac::Keep;
    request
}

/// The VM as it was, and as it came back.
fn restore(lab: &Lab, request: &Request) -> (Machine, Applied, Machine) {
    let (point, written) = (point(lab), write(lab));
    let inventory = inventory::take(&lab.session()).unwrap();
    let was = inventory.machine(lab.vm()).unwrap().clone();
    let target = Target { inventory };
    let plan = plan(&point, request, &target);
    assert!(plan.is_possible(), "{:?}", plan.findings);
    let done = lab.with(|control| carry_out(control, &point, &plan, &written));
    let done = done.unwrap();
    let now = inventory::take(&lab.session()).unwrap();
    let is = now.machine(done.vm).unwrap().clone();
    (was, done, is)
}

/// For each checkpoint by its name the one that it was made after; for the VM by no name.
fn tree(machine: &Machine) -> BTreeMap<String, String> {
    let name = |parent| match parent {
        Parent::Of(id) => {
            let mut all = machine.checkpoints.iter();
            let found = all.find(|c| c.id == id).unwrap();
            found.settings.config.name.clone()
        }
        other => format!("{other:?}"),
    };
    let all = machine.checkpoints.iter();
    let all = all.map(|c| (c.settings.config.name.clone(), name(c.parent)));
    let now = (String::new(), name(machine.parent));
    all.chain([now]).collect()
}

#[test]
fn a_branched_tree_comes_back_with_the_right_one_current() {
    for now in ["a", "c"] {
        for request in [beside(), in_place()] {
            let lab = Lab::start(&scenario(now, ""));
            let (was, done, is) = restore(&lab, &request);
            assert_eq!(done.differences, [], "{now}");
            assert_eq!((&done.unverified, done.started), (&None, true), "{now}");
            let pairs = [
                ("", now),
                ("a", "root"),
                ("b", "a"),
                ("c", "root"),
                ("root", "None"),
            ];
            let wanted: BTreeMap<_, _> = pairs
                .map(|(name, after)| (name.to_owned(), after.to_owned()))
                .into();
            assert_eq!((tree(&was), tree(&is)), (wanted.clone(), wanted));
            let ids = |machine: &Machine| -> Vec<_> {
                let mut ids: Vec<_> = machine.checkpoints.iter().map(|c| c.id).collect();
                ids.sort();
                ids
            };
            // The ids of a VM that keeps its own are kept, and others must not be.
            let kept = request.identity == Identity::Keep;
            assert_eq!(ids(&was) == ids(&is), kept);
        }
    }
}

#[test]
fn a_tree_that_is_another_one_is_told_and_its_vm_is_not_started() {
    for (loses, beside_told, in_place_told) in [
        (
            "current",
            &["the checkpoint that it goes on from should be \"c\" and is \"root\""][..],
            &["the checkpoint that it goes on from should be \"c\" and is \"root\""][..],
        ),
        (
            "parents",
            &[
                "the checkpoint \"b\" after \"a\" should be there and is not there",
                "the checkpoint \"b\" after \"root\" should be not there and is there",
            ],
            &["what the checkpoint \"b\" was made after should be \"a\" and is \"root\""],
        ),
        (
            "names",
            &[
                "the checkpoint \"b\" after \"a\" should be there and is not there",
                "the checkpoint \"c\" after \"root\" should be there and is not there",
                "the checkpoint \"c\" after \"a\" should be not there and is there",
                "the checkpoint \"b\" after \"root\" should be not there and is there",
            ],
            &[
                "the name of the checkpoint \"b\" should be b and is c",
                "the name of the checkpoint \"c\" should be c and is b",
            ],
        ),
    ] {
        let rules = format!(r#""import-loses": "{loses}""#);
        for (request, told) in [(beside(), beside_told), (in_place(), in_place_told)] {
            let lab = Lab::start(&scenario("c", &rules));
            let (_, done, _) = restore(&lab, &request);
            let mut differs: Vec<String> =
                done.differences.iter().map(ToString::to_string).collect();
            let mut told: Vec<&str> = told.to_vec();
            differs.sort();
            told.sort_unstable();
            assert_eq!(differs, told, "{loses}");
            assert!(!done.started && done.not_started.is_some(), "{loses}");
        }
    }
}
