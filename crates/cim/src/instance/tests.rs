use super::*;
use crate::{CimType, Scalar};

fn job() -> Instance {
    let mut job = Instance::new("Msvm_ConcreteJob")
        .with("JobState", 4_u16)
        .with("Name", "")
        .with("OperationalStatus", vec![2_u16, 32768]);
    job.set_null("ErrorDescription", Kind::of(CimType::String));
    let open = Value::Scalar(Scalar::Untyped("abc".into()));
    job.put("PercentComplete", None, open);
    job
}

#[test]
fn getters_tell_null_absent_and_wrong_apart() {
    let job = job();
    assert_eq!(job.get::<u32>("jobstate"), Ok(4));
    assert_eq!(job.get::<String>("Name"), Ok(String::new()));
    assert_eq!(job.get_opt::<String>("ErrorDescription"), Ok(None));
    assert_eq!(job.get_opt::<String>("Nothing"), Ok(None));
    assert_eq!(job.get_list::<u16>("OperationalStatus"), Ok(vec![2, 32768]));
    assert_eq!(job.get_list::<u16>("JobState"), Ok(vec![4]));
    assert_eq!(job.get_list::<u16>("Nothing"), Ok(vec![]));
    let told = |error: PropertyError| error.to_string();
    assert_eq!(
        told(job.get::<u16>("Nothing").unwrap_err()),
        "the property Nothing of Msvm_ConcreteJob is missing"
    );
    assert_eq!(
        told(job.get::<String>("ErrorDescription").unwrap_err()),
        "the property ErrorDescription of Msvm_ConcreteJob is null"
    );
    assert_eq!(
        told(job.get::<u16>("PercentComplete").unwrap_err()),
        "the property PercentComplete of Msvm_ConcreteJob is \"abc\" where uint16 was expected"
    );
    assert_eq!(
        told(job.get::<u16>("OperationalStatus").unwrap_err()),
        "the property OperationalStatus of Msvm_ConcreteJob is an array of 2 where one value was expected"
    );
}

#[test]
fn setting_replaces_and_keeps_the_order() {
    let mut job = job();
    job.set("JOBSTATE", 7_u16);
    let names: Vec<_> = job.properties().iter().map(|p| p.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "JobState",
            "Name",
            "OperationalStatus",
            "ErrorDescription",
            "PercentComplete"
        ]
    );
    assert_eq!(job.get::<u16>("JobState"), Ok(7));
}

#[test]
fn embedded_instances_come_back() {
    let inner =
        Instance::new("Msvm_VirtualSystemSnapshotSettingData").with("ConsistencyLevel", 1_u8);
    let mut outer = Instance::new("CreateSnapshot_INPUT");
    outer.set_embedded("SnapshotSettings", &inner).unwrap();
    outer
        .set_embedded_list("More", &[inner.clone(), inner.clone()])
        .unwrap();
    assert_eq!(outer.get::<Instance>("SnapshotSettings"), Ok(inner.clone()));
    assert_eq!(
        outer.get_list::<Instance>("More"),
        Ok(vec![inner.clone(), inner])
    );
}
