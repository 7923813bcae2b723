//! Calling methods, and who may.

use super::*;

fn invoke(class: &str, method: &str, inputs: &str) -> Envelope<'static> {
    let uri = format!("{NS}/{class}");
    let body = format!("<q:{method}_INPUT xmlns:q=\"{uri}\">{inputs}</q:{method}_INPUT>");
    Envelope::new(&format!("{uri}/{method}"), &uri, &body)
}

#[test]
fn calls_are_held_against_the_schema() {
    let mut bench = bench();
    let service = "Msvm_VirtualSystemSnapshotService";
    let id = crate::state::upper(bench.service.repository.host.vms()[0].id);
    let epr = format!(
        "<a:Address>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address><a:ReferenceParameters><w:ResourceURI>{NS}/Msvm_ComputerSystem</w:ResourceURI><w:SelectorSet><w:Selector Name=\"CreationClassName\">Msvm_ComputerSystem</w:Selector><w:Selector Name=\"Name\">{id}</w:Selector></w:SelectorSet></a:ReferenceParameters>"
    );
    let create = |inputs: &str| invoke(service, "CreateSnapshot", inputs);
    let kind = "<q:SnapshotType>32768</q:SnapshotType>";
    let schema = ("w:SchemaValidationError".to_owned(), 0x8033_8041);
    for bad in [
        format!(
            "<q:AffectedSystem><a:EndpointReference>{epr}</a:EndpointReference></q:AffectedSystem>{kind}"
        ),
        format!("<q:affectedsystem>{epr}</q:affectedsystem>{kind}"),
        format!("<AffectedSystem>{epr}</AffectedSystem>{kind}"),
        format!(
            "<q:SnapshotSettings><q:ConsistencyLevel>1</q:ConsistencyLevel></q:SnapshotSettings>{kind}"
        ),
        format!("{kind}<q:AffectedSystem>{epr}</q:AffectedSystem>{kind}"),
        format!("{kind}{kind}"),
        "<q:Job/>".to_owned(),
    ] {
        assert_eq!(bench.refused(&create(&bad)), schema, "{bad}");
    }
    let typed = ("w:InvalidParameter".to_owned(), 0x8033_8054);
    assert_eq!(
        bench.refused(&create("<q:SnapshotType>65536</q:SnapshotType>")),
        typed
    );
    let mut other = create(kind);
    other.body = other
        .body
        .replace("CreateSnapshot_INPUT", "CreateSnapshot_Input");
    assert_eq!(bench.refused(&other), schema);
    // In any order, with nil for what is not given: 32768 with level 2.
    let settings = "&lt;INSTANCE CLASSNAME=&quot;Msvm_VirtualSystemSnapshotSettingData&quot;&gt;&lt;PROPERTY NAME=&quot;ConsistencyLevel&quot; TYPE=&quot;uint8&quot;&gt;&lt;VALUE&gt;2&lt;/VALUE&gt;&lt;/PROPERTY&gt;&lt;/INSTANCE&gt;";
    let nil = "<q:ResultingSnapshot xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:nil=\"true\"/>";
    let good = create(&format!(
        "{kind}{nil}<q:SnapshotSettings>{settings}</q:SnapshotSettings><q:AffectedSystem>{epr}</q:AffectedSystem>"
    ));
    let reply = bench.good(&good);
    assert!(
        reply.contains("<p:ReturnValue>4096</p:ReturnValue>"),
        "{reply}"
    );
    assert!(reply.contains("<p:ResultingSnapshot xsi:nil=\"true\"/>"));
    assert!(
        reply.contains("<p:Job><a:Address>"),
        "a reference has no wrapper"
    );
    let busy = bench.good(&good);
    assert!(
        busy.contains("<p:ReturnValue>32775</p:ReturnValue>"),
        "busy: {busy}"
    );
    assert!(busy.contains("<p:Job xsi:nil=\"true\"/>"));
    assert_eq!(
        bench.refused(&invoke(service, "Nonsense", "")).0,
        "a:ActionNotSupported"
    );
    // Date and time as elements only, of the kind that they say.
    let state = |period: &str| {
        let mut call = invoke(
            "Msvm_ComputerSystem",
            "RequestStateChange",
            &format!(
                "<q:RequestedState>2</q:RequestedState><q:TimeoutPeriod xmlns:c=\"http://schemas.dmtf.org/wbem/wscim/1/common\">{period}</q:TimeoutPeriod>"
            ),
        );
        call.more = format!("<w:SelectorSet>{HOST}</w:SelectorSet>");
        call
    };
    assert_eq!(bench.refused(&state("P0DT0H1M0S")), schema);
    assert_eq!(
        bench.refused(&state("<c:Datetime>P0DT0H1M0S</c:Datetime>")),
        schema
    );
    let reply = bench.good(&state("<c:Interval>P0DT0H1M0S</c:Interval>"));
    assert!(
        reply.contains("<p:ReturnValue>32770</p:ReturnValue>"),
        "the host is not turned off: {reply}"
    );
}

#[test]
fn strangers_may_ask_what_it_is_and_no_more() {
    let mut bench = bench();
    let ask = b"<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\"><s:Header/><s:Body><i:Identify xmlns:i=\"http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd\"/></s:Body></s:Envelope>";
    let stranger = bench.service.answer(ask, Caller::Anonymous);
    assert!(stranger.envelope.contains("OS: 0.0.0 SP: 0.0 Stack: 3.0") && stranger.status == 200);
    let known = bench.service.answer(ask, ADMIN);
    assert!(known.envelope.contains("OS: 10.0.20348 SP: 0.0 Stack: 3.0"));
    let refused = bench
        .service
        .answer(get(HOST).text().as_bytes(), Caller::Anonymous);
    assert!(refused.status == 500 && refused.envelope.contains("w:AccessDenied"));
}
