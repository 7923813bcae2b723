use super::*;
use crate::path::HYPER_V;
use crate::recorded::{Answer, between, element, fault, host, object, page, returned, script};
use crate::wsman::FaultKind;

const CONTEXT_LOST: u32 = 2_150_858_779;
const TOO_LARGE: u32 = 2_150_858_790;

fn vm(name: &str) -> String {
    element("Msvm_ComputerSystem", &format!("<p:Name>{name}</p:Name>"))
}

fn names(found: &[Instance]) -> Vec<String> {
    found.iter().map(|i| i.get("Name").unwrap()).collect()
}

fn path() -> ObjectPath {
    ObjectPath::new(HYPER_V, "Msvm_ComputerSystem").with_key("Name", "A")
}

const QUERY: &str = "SELECT * FROM Msvm_ComputerSystem";

#[test]
fn an_enumeration_goes_by_the_newest_context() {
    let (session, asked) = script([
        page(true, &vm("A"), Some("c1")),
        page(false, "", Some("c2")),
        page(false, &(vm("B") + &vm("C")), Some("c3")),
        page(false, "", None),
    ]);
    assert_eq!(
        names(&session.query(HYPER_V, QUERY).unwrap()),
        ["A", "B", "C"]
    );
    let all = asked.all();
    let context = |at: usize| between(&all[at], "<n:EnumerationContext>", "</n").to_owned();
    assert_eq!([context(1), context(2), context(3)], ["c1", "c2", "c3"]);
    assert_eq!(asked.actions(), ["Enumerate", "Pull", "Pull", "Pull"]);
    let ids: std::collections::HashSet<_> = all
        .iter()
        .map(|m| between(m, "<a:MessageID>", "<").to_owned())
        .collect();
    assert_eq!(ids.len(), 4, "each message has its own id");
}

#[test]
fn a_forgotten_enumeration_begins_anew_and_gives_nothing_twice() {
    let (session, asked) = script([
        page(true, &vm("A"), Some("c1")),
        fault(CONTEXT_LOST),
        page(true, &vm("A"), Some("c1")),
        page(false, &vm("B"), None),
    ]);
    assert_eq!(names(&session.query(HYPER_V, QUERY).unwrap()), ["A", "B"]);
    assert_eq!(asked.actions(), ["Enumerate", "Pull", "Enumerate", "Pull"]);
    let (session, _) = script([
        page(true, &vm("A"), Some("c1")),
        fault(CONTEXT_LOST),
        page(true, &vm("A"), Some("c1")),
        fault(CONTEXT_LOST),
    ]);
    let error = session.query(HYPER_V, QUERY).unwrap_err();
    assert_eq!(error.fault_kind(), Some(FaultKind::ContextLost));
}

/// A page that got lost on the way back is not asked for again: the host is past it.
#[test]
fn a_lost_page_is_no_lost_item() {
    let (session, asked) = script([
        page(true, &vm("A"), Some("c1")),
        Answer::Broken { maybe_sent: true },
        page(true, &(vm("A") + &vm("B")), None),
    ]);
    assert_eq!(names(&session.query(HYPER_V, QUERY).unwrap()), ["A", "B"]);
    assert_eq!(asked.actions(), ["Enumerate", "Pull", "Enumerate"]);
}

#[test]
fn replies_that_are_too_large_are_asked_for_in_smaller_parts() {
    let (session, asked) = script([fault(TOO_LARGE), page(true, &vm("A"), None)]);
    assert_eq!(names(&session.query(HYPER_V, QUERY).unwrap()), ["A"]);
    let most: Vec<_> = asked
        .all()
        .iter()
        .map(|m| between(m, "<w:MaxElements>", "<").to_owned())
        .collect();
    assert_eq!(most, ["32000", "1000"]);
    let (session, asked) = host(|_| fault(TOO_LARGE));
    let error = session.query(HYPER_V, QUERY).unwrap_err();
    assert_eq!(error.fault_kind(), Some(FaultKind::TooLarge));
    assert_eq!(asked.all().len(), 4);
}

#[test]
fn an_enumeration_without_end_is_given_up_and_released() {
    let (session, asked) = host(|message| match message.contains("n:Release") {
        true => Answer::Body(String::new()),
        false => page(message.contains("n:Enumerate "), "", Some("c")),
    });
    let error = session.query(HYPER_V, QUERY).unwrap_err();
    assert!(
        error.to_string().ends_with("the enumeration does not end"),
        "{error}"
    );
    assert_eq!(asked.actions().last().unwrap(), "Release");
}

#[test]
fn an_enumeration_that_is_too_long_is_given_up_and_released() {
    let name = "A".repeat(100_000);
    let (session, asked) = host(move |message| match message.contains("n:Release") {
        true => Answer::Body(String::new()),
        false => page(message.contains("n:Enumerate "), &vm(&name), Some("c")),
    });
    let error = session.query(HYPER_V, QUERY).unwrap_err();
    let why = "the enumeration has more bytes than are accepted";
    assert!(error.to_string().ends_with(why), "{error}");
    let actions = asked.actions();
    assert!((11..13).contains(&actions.len()), "{}", actions.len());
    assert_eq!(actions.last().unwrap(), "Release");
}

#[test]
fn reading_is_tried_twice_and_changing_only_if_it_was_not_sent() {
    let broken = |maybe_sent| Answer::Broken { maybe_sent };
    let one = || object("Msvm_ComputerSystem", "<p:Name>A</p:Name>");
    let (session, _) = script([broken(true), one()]);
    assert_eq!(session.get(&path()).unwrap().path, Some(path()));
    let (session, _) = script([broken(true), broken(true)]);
    assert!(!session.get(&path()).unwrap_err().may_have_happened());

    let inputs = Instance::default().with("RequestedState", 3_u16);
    let change = |session: &WsmanSession| session.invoke(&path(), "RequestStateChange", &inputs);
    let done = || returned("RequestStateChange", "<p:ReturnValue>0</p:ReturnValue>");
    let (session, asked) = script([broken(false), done()]);
    assert_eq!(change(&session).unwrap().outcome(), Ok(Invoked::Done));
    assert_eq!(asked.all().len(), 2);
    let (session, asked) = script([broken(true)]);
    assert!(change(&session).unwrap_err().may_have_happened());
    assert_eq!(asked.all().len(), 1, "sent once");
}

#[test]
fn what_a_call_may_have_done_is_said() {
    let inputs = Instance::default();
    for (answer, may) in [
        (fault(5), false),
        (fault(87), false),
        (fault(2_150_858_793), true),
        (fault(99), true),
        (Answer::Raw("<html/>".into()), true),
        (returned("Other", "<p:ReturnValue>0</p:ReturnValue>"), true),
        (page(true, "", None), true),
    ] {
        let (session, _) = script([answer]);
        let error = session
            .invoke(&path(), "DestroySnapshot", &inputs)
            .unwrap_err();
        assert_eq!(error.may_have_happened(), may, "{error}");
        assert!(
            error
                .to_string()
                .starts_with("call DestroySnapshot of root/virt"),
            "{error}"
        );
    }
    let (session, asked) = script([]);
    let bad = Instance::default().with("Text", "\u{1}");
    let error = session
        .invoke(&path(), "DestroySnapshot", &bad)
        .unwrap_err();
    assert!(!error.may_have_happened() && asked.all().is_empty());
}

#[test]
fn what_a_method_returns() {
    let job = "<p:Job><a:Address/><a:ReferenceParameters><w:ResourceURI>\
        http://schemas.microsoft.com/wbem/wsman/1/wmi/root/virtualization/v2/Msvm_ConcreteJob\
        </w:ResourceURI><w:SelectorSet><w:Selector Name=\"InstanceID\">J</w:Selector></w:SelectorSet>\
        </a:ReferenceParameters></p:Job><p:ReturnValue>4096</p:ReturnValue>";
    let (session, _) = script([
        returned("M", job),
        returned("M", "<p:ReturnValue>32775</p:ReturnValue>"),
        returned(
            "M",
            "<p:Job xsi:nil=\"true\"/><p:ReturnValue>4096</p:ReturnValue>",
        ),
        returned("M", ""),
    ]);
    let call = || session.invoke(&path(), "M", &Instance::default()).unwrap();
    let wanted = ObjectPath::new(HYPER_V, "Msvm_ConcreteJob").with_key("InstanceID", "J");
    assert_eq!(call().outcome(), Ok(Invoked::Job(wanted)));
    assert_eq!(call().outcome(), Ok(Invoked::Refused(32775)));
    assert!(
        call()
            .outcome()
            .unwrap_err()
            .to_string()
            .contains("Job of M_OUTPUT is null")
    );
    assert!(
        call()
            .outcome()
            .unwrap_err()
            .to_string()
            .contains("ReturnValue of M_OUTPUT is missing")
    );
}

#[test]
fn associations_in_either_dialect() {
    let which = Associations::of(&path()).to("Msvm_VirtualSystemSettingData");
    let (session, asked) = host(|_| page(true, "", None));
    assert_eq!(session.associators(&which).unwrap(), []);
    assert_eq!(session.references(&which).unwrap(), []);
    let session = session.with_dialect(AssociationDialect::Filter);
    session.associators(&which).unwrap();
    session.references(&which).unwrap();
    let all = asked.all();
    assert!(all[0].contains(">ASSOCIATORS OF {Msvm_ComputerSystem.Name='A'} WHERE ResultClass="));
    assert!(all[1].contains(">REFERENCES OF {Msvm_ComputerSystem.Name='A'} WHERE ResultClass="));
    assert!(
        all[2].contains("<b:AssociatedInstances>") && all[3].contains("<b:AssociationInstances>")
    );
}

#[test]
fn paths_classes_limits_and_fragments() {
    let fragment = "<w:XmlFragment><Name>A</Name></w:XmlFragment>";
    let epr = "<a:EndpointReference><a:Address/><a:ReferenceParameters><w:ResourceURI>\
        http://schemas.microsoft.com/wbem/wsman/1/wmi/root/virtualization/v2/Msvm_ComputerSystem\
        </w:ResourceURI><w:SelectorSet><w:Selector Name=\"Name\">A</w:Selector></w:SelectorSet>\
        </a:ReferenceParameters></a:EndpointReference>";
    let class = "<CLASS NAME=\"Msvm_X\"><PROPERTY NAME=\"A\" TYPE=\"uint8\"/></CLASS>";
    let limits = "<c:Config xmlns:c=\"http://schemas.microsoft.com/wbem/wsman/1/config\">\
        <c:MaxEnvelopeSizekb>500</c:MaxEnvelopeSizekb></c:Config>";
    let (session, asked) = script([
        page(true, fragment, None),
        page(true, epr, None),
        page(true, epr, None),
        Answer::Body(class.into()),
        Answer::Body(limits.into()),
        page(true, "", None),
    ]);
    let found = session
        .query(HYPER_V, "select Name from Msvm_ComputerSystem where x")
        .unwrap();
    assert_eq!(
        (found[0].class.as_str(), names(&found)),
        ("Msvm_ComputerSystem", vec!["A".to_owned()])
    );
    assert_eq!(session.query_paths(HYPER_V, QUERY).unwrap(), [path()]);
    assert!(
        session.query(HYPER_V, QUERY).is_err(),
        "paths are no objects"
    );
    let class = session.class(HYPER_V, "Msvm_X").unwrap();
    assert!(Arc::ptr_eq(
        &class,
        &session.class("ROOT/Virtualization/V2", "msvm_x").unwrap()
    ));
    assert_eq!(session.adapt().unwrap().max_envelope_kib, Some(500));
    session.query(HYPER_V, QUERY).unwrap();
    let sizes: Vec<_> = asked
        .all()
        .iter()
        .map(|m| between(m, "<w:MaxEnvelopeSize s:mustUnderstand=\"true\">", "<").to_owned())
        .collect();
    assert_eq!(sizes.last().unwrap(), "512000");
    assert_eq!(sizes[0], "153600");
}

#[test]
fn sessions_can_be_shared_and_hidden_behind_the_trait() {
    fn shared<T: Send + Sync>(_: &T) {}
    let (session, _) = script([fault(5)]);
    shared(&session);
    let session: Box<dyn CimSession> = Box::new(session);
    let error = session.get(&path()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "get root/virtualization/v2:Msvm_ComputerSystem.Name=\"A\": the host denies access, code 5; it says: Nein"
    );
}

#[test]
fn ids_differ_from_each_other_and_from_other_sessions() {
    let mut ids = random_ids().unwrap();
    let mut others = random_ids().unwrap();
    let all: std::collections::HashSet<_> = (0..1000).flat_map(|_| [ids(), others()]).collect();
    assert_eq!(all.len(), 2000);
    assert!(all.iter().all(|id| id.get_version_num() == 4));
}
