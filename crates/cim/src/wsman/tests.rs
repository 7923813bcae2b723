use std::time::Duration;

use uuid::{Uuid, uuid};

use super::*;
use crate::{Instance, Interval, ObjectPath, Scalar, Value};

const MESSAGE: Uuid = uuid!("4b0f0c0a-7f9b-4c38-9d0b-0c9e1a3d7f11");
const SESSION: Uuid = uuid!("11111111-2222-3333-4444-555555555555");
const V2: &str = "root/virtualization/v2";

fn settings() -> Settings {
    Settings::new("http://hv01:5985/wsman", SESSION)
}

fn written(request: &Request) -> String {
    request.write(&settings(), MESSAGE).unwrap()
}

/// Golden envelopes are told in lines for people; between elements lines mean nothing.
fn golden(text: &str) -> String {
    text.lines().map(str::trim_start).collect()
}

fn vm() -> ObjectPath {
    ObjectPath::new(V2, "Msvm_ComputerSystem")
        .with_key("CreationClassName", "Msvm_ComputerSystem")
        .with_key("Name", "5D2A7C1E-0000-0000-0000-000000000001")
}

macro_rules! golden {
    ($name:literal) => {
        golden(include_str!(concat!("../../tests/golden/", $name, ".xml")))
    };
}

#[test]
fn envelopes_are_golden() {
    let wql = Filter::Wql("SELECT * FROM Msvm_X WHERE A<'b' AND C='d\\\\e'".into());
    let by = Associations::of(&vm())
        .by("Msvm_SettingsDefineState")
        .to("Msvm_VirtualSystemSettingData");
    let roles = Associations {
        role: Some("ManagedElement".into()),
        result_role: Some("SettingData".into()),
        ..by.clone()
    };
    let list = Request::enumerate(V2, "Msvm_ComputerSystem", 32000, Mode::Object);
    for (name, request, wanted) in [
        ("get", Request::get(&vm()), golden!("get")),
        (
            "class",
            Request::class(V2, "Msvm_ConcreteJob"),
            golden!("class"),
        ),
        ("config", Request::config(), golden!("config")),
        ("enumerate", list.clone(), golden!("enumerate")),
        (
            "wql",
            Request::filtered(V2, wql.clone(), 32000, Mode::Object),
            golden!("wql"),
        ),
        (
            "wql-epr",
            Request::filtered(V2, wql, 100, Mode::Path),
            golden!("wql-epr"),
        ),
        (
            "associated",
            Request::filtered(V2, Filter::Associated(roles), 32000, Mode::Both),
            golden!("associated"),
        ),
        (
            "associating",
            Request::filtered(V2, Filter::Associating(by), 32000, Mode::Object),
            golden!("associating"),
        ),
        ("pull", list.pull("uuid:C0", 32000), golden!("pull")),
        ("release", list.release("uuid:C0"), golden!("release")),
    ] {
        assert_eq!(written(&request), wanted, "{name}");
    }
    assert_eq!(identify(), golden!("identify"));
}

#[test]
fn parameters_are_golden() {
    let service = ObjectPath::new(V2, "Msvm_VirtualSystemSnapshotService")
        .with_key("CreationClassName", "Msvm_VirtualSystemSnapshotService");
    let how = Instance::new("Msvm_VirtualSystemSnapshotSettingData").with("ConsistencyLevel", 1_u8);
    let mut inputs = Instance::default();
    inputs.set("AffectedSystem", vm());
    inputs.set_embedded("SnapshotSettings", &how).unwrap();
    inputs.set("SnapshotType", 32768_u16);
    inputs.set_null("Nothing", crate::Kind::of(crate::CimType::String));
    inputs.set("Codes", vec![1_u32, 107]);
    inputs.set("None", Vec::<u32>::new());
    inputs.set("Flag", true);
    inputs.set("TimeoutPeriod", Interval::from_micros(60_000_000));
    inputs.set(
        "At",
        crate::Timestamp::parse_iso("2026-10-05T04:23:50Z").unwrap(),
    );
    inputs.put(
        "Setting",
        None,
        Value::Scalar(Scalar::Object(Box::new(how))),
    );
    let mut request = Request::invoke(&service, "CreateSnapshot", &inputs);
    request.options = vec![("WINRS_NOPROFILE".into(), "TRUE".into())];
    let mut settings = settings();
    settings.timeout = Duration::from_millis(1500);
    let text = request.write(&settings, MESSAGE).unwrap();
    assert_eq!(text, golden!("invoke"));
}

#[test]
fn what_would_break_the_envelope_is_refused() {
    let odd = Instance::default().with("A b", 1_u8);
    let request = Request::invoke(&vm(), "M", &odd);
    assert!(request.write(&settings(), MESSAGE).is_err());
    let request = Request::invoke(&vm(), "M><", &Instance::default());
    assert!(request.write(&settings(), MESSAGE).is_err());
    let bad = vm().with_key("Other", "a\u{0}");
    assert!(Request::get(&bad).write(&settings(), MESSAGE).is_err());
}

#[test]
fn associations_in_wql() {
    let path = ObjectPath::new(V2, "Msvm_S").with_key("InstanceID", r"Microsoft:A\B");
    let which = Associations::of(&path).by("Msvm_Component").to("Msvm_Disk");
    assert_eq!(
        which.to_wql(),
        r"ASSOCIATORS OF {Msvm_S.InstanceID='Microsoft:A\\B'} WHERE AssocClass=Msvm_Component ResultClass=Msvm_Disk"
    );
    assert_eq!(
        which.to_wql_references(),
        r"REFERENCES OF {Msvm_S.InstanceID='Microsoft:A\\B'} WHERE ResultClass=Msvm_Disk"
    );
    assert_eq!(
        Associations::of(&path).to_wql(),
        r"ASSOCIATORS OF {Msvm_S.InstanceID='Microsoft:A\\B'}"
    );
    let odd = Associations::of(&path).to("X} OR");
    assert!(odd.to_wql().ends_with("ResultClass='X} OR'"));
}

fn reply(text: &str) -> Reply {
    Reply::read(text.as_bytes(), Some(MESSAGE)).unwrap()
}

macro_rules! recorded {
    ($name:literal) => {
        include_str!(concat!("../../tests/golden/reply-", $name, ".xml"))
    };
}

#[test]
fn an_object_keeps_null_empty_and_time_apart() {
    let Reply::Instance(job) = reply(recorded!("get")) else {
        panic!()
    };
    assert_eq!(job.class, "Msvm_StorageJob");
    assert_eq!(job.namespace.as_deref(), Some(V2));
    assert_eq!(job.get::<bool>("Cancellable"), Ok(true));
    assert_eq!(job.get_opt::<String>("Child"), Ok(None));
    assert_eq!(job.get::<String>("ErrorDescription"), Ok(String::new()));
    assert_eq!(job.get::<Interval>("ElapsedTime").unwrap().micros(), 14_947);
    assert_eq!(
        job.get::<crate::Timestamp>("StartTime").unwrap().to_iso(),
        "2026-10-05T04:23:50Z"
    );
    assert_eq!(job.get_list::<u16>("OperationalStatus"), Ok(vec![2]));
    assert_eq!(job.get_list::<u16>("Codes"), Ok(vec![1, 2, 3]));
    assert_eq!(job.get::<ObjectPath>("Owner").unwrap(), vm());
    let inner: Instance = job.get("Settings").unwrap();
    assert_eq!(
        (inner.class.as_str(), inner.get::<u32>("Sum")),
        ("Msvm_Inner", Ok(7))
    );
}

/// What makes no sense in one property costs nobody the others, nor the host.
#[test]
fn odd_values_are_told_to_whoever_wants_them() {
    let text = recorded!("get")
        .replace("<p:Codes>2</p:Codes>", "<p:Codes xsi:nil=\"true\"/>")
        .replace("2026-10-05T04:23:50Z", "yesterday");
    let Reply::Instance(job) = reply(&text) else {
        panic!()
    };
    assert_eq!(job.get::<bool>("Cancellable"), Ok(true));
    assert!(job.get_list::<u16>("Codes").is_err());
    let codes = ["1", "", "3"].map(str::to_owned).to_vec();
    assert_eq!(job.get_list::<String>("Codes"), Ok(codes));
    assert!(job.get::<crate::Timestamp>("StartTime").is_err());
    assert_eq!(job.get_list::<u16>("OperationalStatus"), Ok(vec![2]));
}

#[test]
fn pages_of_both_kinds() {
    let Reply::Page(first) = reply(recorded!("enumerate")) else {
        panic!()
    };
    assert_eq!(
        (first.items.len(), first.context.as_deref(), first.end),
        (2, Some("uuid:C1"), false)
    );
    let Item::Instance(host) = &first.items[0] else {
        panic!()
    };
    assert_eq!(host.class, "Msvm_ComputerSystem");
    assert_eq!(host.path.as_ref().unwrap(), &vm());
    let Item::Instance(fragment) = &first.items[1] else {
        panic!()
    };
    assert_eq!(
        (fragment.class.as_str(), fragment.get::<u16>("EnabledState")),
        ("", Ok(2))
    );
    let Reply::Page(last) = reply(recorded!("pull")) else {
        panic!()
    };
    assert_eq!(last.items, [Item::Path(vm())]);
    assert!(last.end && last.context.is_none());
}

#[test]
fn a_method_returns_its_outputs() {
    let Reply::Instance(outputs) = reply(recorded!("invoke")) else {
        panic!()
    };
    assert_eq!(outputs.class, "CreateSnapshot_OUTPUT");
    assert_eq!(outputs.get::<u32>("ReturnValue"), Ok(4096));
    let job: ObjectPath = outputs.get("Job").unwrap();
    assert_eq!(
        job.to_string(),
        "root/virtualization/v2:Msvm_ConcreteJob.InstanceID=\"1A2B\""
    );
}

#[test]
fn what_hosts_say_of_themselves() {
    let Reply::Identity(host) = reply(recorded!("identify")) else {
        panic!()
    };
    assert_eq!(host.os(), Some((10, 0, 20348)));
    let Reply::Limits(limits) = reply(recorded!("config")) else {
        panic!()
    };
    assert_eq!(limits.max_envelope_kib, Some(500));
    let Reply::Class(class) = reply(recorded!("class")) else {
        panic!()
    };
    assert!(class.property("InstanceID").unwrap().key);
}

#[test]
fn faults_are_judged_by_their_codes() {
    let fault = |text| match reply(text) {
        Reply::Fault(fault) => *fault,
        other => panic!("{other:?}"),
    };
    let selectors = fault(recorded!("fault-wsman"));
    assert_eq!(selectors.kind(), FaultKind::BadRequest);
    assert_eq!(selectors.subcode.as_ref().unwrap().1, "InvalidSelectors");
    assert_eq!(
        selectors.subcode.as_ref().unwrap().0,
        "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
    );
    assert_eq!(selectors.wsman_code, Some(2_150_858_843));
    assert_eq!(selectors.machine.as_deref(), Some("hv01"));
    let wmi = fault(recorded!("fault-wmi"));
    assert_eq!(wmi.kind(), FaultKind::NotFound);
    assert_eq!(wmi.hresult().map(|h| h.0), Some(0x8004_1002));
    assert!(
        wmi.to_string().contains("0x80041002 (WMI: not found)"),
        "{wmi}"
    );
    let job = fault(recorded!("fault-provider"));
    assert_eq!(job.hresult().map(|h| h.0), Some(0x8007_052f));
    assert_eq!(job.kind(), FaultKind::Other);
}

#[test]
fn every_known_code_of_the_service_has_its_kind() {
    for (code, kind) in [
        ("5", FaultKind::AccessDenied),
        ("2150858752", FaultKind::NotFound),
        ("2150858778", FaultKind::BadQuery),
        ("2150858779", FaultKind::ContextLost),
        ("2150858790", FaultKind::TooLarge),
        ("2150858793", FaultKind::TimedOut),
        ("2150858817", FaultKind::BadRequest),
        ("2150859174", FaultKind::Quota),
        ("-2147217392", FaultKind::NoClass),
        ("0x8004100E", FaultKind::NoNamespace),
        ("99", FaultKind::Other),
    ] {
        let text = recorded!("fault-wsman").replace("2150858843", code);
        let text = text.replace("InvalidSelectors", "InternalError");
        let Reply::Fault(fault) = reply(&text) else {
            panic!()
        };
        assert_eq!(fault.kind(), kind, "{code}");
    }
}

#[test]
fn odd_replies_are_refused() {
    let text = recorded!("get");
    let other = Reply::read(text.as_bytes(), Some(SESSION)).unwrap_err();
    assert!(matches!(other, ReplyError::Unrelated { .. }), "{other}");
    let utf16: Vec<u8> = [0xfeff]
        .into_iter()
        .chain(text.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    assert_eq!(Reply::read(&utf16, None).unwrap(), reply(text));
    for (from, to, why) in [
        ("<s:Body>", "<s:Bodies>", "parsed"),
        (
            "http://www.w3.org/2003/05/soap-envelope",
            "http://schemas.xmlsoap.org/soap/envelope/",
            "no SOAP envelope",
        ),
        (
            "<p:Codes>3</p:Codes>",
            "<p:InstanceID>3</p:InstanceID>",
            "twice",
        ),
    ] {
        assert!(text.contains(from), "{from}");
        let error = Reply::read(text.replace(from, to).as_bytes(), None).unwrap_err();
        assert!(error.to_string().contains(why), "{from}: {error}");
    }
}

#[test]
fn uris_lead_back() {
    assert_eq!(
        split_class_uri(&class_uri(r"root\virtualization\v2", "Msvm_X")),
        Some((Some(V2.into()), "Msvm_X".into()))
    );
    let dmtf = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_X";
    assert_eq!(split_class_uri(dmtf), Some((None, "CIM_X".into())));
    for bad in [
        "",
        "http://x/y",
        "http://schemas.microsoft.com/wbem/wsman/1/wmi/root",
    ] {
        assert_eq!(split_class_uri(bad), None);
    }
}
