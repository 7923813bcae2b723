//! What a host is set to, and what differs on another one.

use hyperkeep_hyperv::host_settings::{Change, HostSettings, Kind, Told, compare, take};
use lab::state::Switch;

use crate::support::Lab;

fn host(name: &str, switches: &str) -> Lab {
    let scenario = r#"{"host": {"name": "NAME", "seed": SEED}, "switches": [SWITCHES]}"#;
    let scenario = scenario.replace("NAME", name).replace("SWITCHES", switches);
    // Other hosts have other ids.
    let seed = name.bytes().map(u32::from).sum::<u32>();
    Lab::start(&scenario.replace("SEED", &seed.to_string()))
}

fn settings(lab: &Lab, name: &str) -> HostSettings {
    let settings = take(&lab.session(), Some(name)).unwrap();
    let json = serde_json::to_string_pretty(&settings).unwrap();
    assert_eq!(
        serde_json::from_str::<HostSettings>(&json).unwrap(),
        settings
    );
    settings
}

#[test]
fn everything_is_told_and_the_same_when_it_is_asked_again() {
    let lab = host("HV01", r#""LAN", "LAN", "DMZ""#);
    let told = settings(&lab, "HV01");
    let names = |kind| match &told.kinds[&kind] {
        Told::Objects(all) => all.keys().cloned().collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    // Two of one name are two.
    assert_eq!(names(Kind::Switch), ["DMZ", "LAN", "LAN (2)"]);
    assert_eq!(names(Kind::Service), [""]);
    assert!(names(Kind::ResourcePool).contains(&"4 / Microsoft:Hyper-V:Memory".to_owned()));
    assert_eq!(names(Kind::ReplicaServer), [""]);
    assert!(names(Kind::ReplicaSource).is_empty());
    let Told::Objects(service) = &told.kinds[&Kind::Service] else {
        panic!()
    };
    let properties = &service[""].properties;
    assert_eq!(properties["DefaultExternalDataRoot"], [r"D:\VMs"]);
    assert_eq!(properties["NumaSpanningEnabled"], ["true"]);
    assert!(compare(&told, &settings(&lab, "hv01.lab.local")).is_none());
}

#[test]
fn what_another_host_lacks_is_shown_and_nothing_is_changed() {
    let (one, other) = (host("HV01", r#""LAN", "DMZ""#), host("HV02", r#""LAN""#));
    let (was, is) = (settings(&one, "HV01"), settings(&other, "HV02"));
    let found = compare(&was, &is);
    let [changed] = &found.changed[..] else {
        panic!("{:?}", found.changed);
    };
    assert_eq!((changed.kind, changed.name.as_str()), (Kind::Switch, "DMZ"));
    assert_eq!(changed.change, Change::Missing);
    // Made anew with the same name, it is another switch to the VMs of the same host.
    let mut service = one.servers[0].service();
    let host = &mut service.repository.host;
    let id = host.new_id();
    host.switches.retain(|switch| switch.name != "LAN");
    let name = "LAN".to_owned();
    host.switches.push(Switch { id, name });
    drop(service);
    let found = compare(&was, &settings(&one, "HV01"));
    assert_eq!(found.changed.len(), 1);
    assert_eq!(found.changed[0].change, Change::Replaced);
}
