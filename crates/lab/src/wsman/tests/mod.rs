//! The service, asked by envelopes that were written by hand from the documentation.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::clock::ManualClock;
use crate::scenario::Scenario;

mod calls;

const NS: &str = "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/virtualization/v2";
const ADMIN: Caller = Caller::Account(Rights::Administrator);
const ENUMERATION: &str = "http://schemas.xmlsoap.org/ws/2004/09/enumeration";
const GET: &str = "http://schemas.xmlsoap.org/ws/2004/09/transfer/Get";

struct Bench {
    service: Service,
    clock: ManualClock,
    _folder: tempfile::TempDir,
}

fn bench() -> Bench {
    let vms: Vec<String> = (0..5)
        .map(|n| format!(r#"{{"name": "vm {n}", "state": "off"}}"#))
        .collect();
    let scenario = format!(
        r#"{{"vms": [{}], "limits": {{"envelope-kib": 16}}}}"#,
        vms.join(",")
    );
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new("2026-10-05T04:00:00Z".parse().unwrap());
    let scenario = Scenario::read(&scenario).unwrap();
    let host = scenario
        .build(folder.path(), Arc::new(clock.clone()))
        .unwrap();
    Bench {
        service: scenario.service(host).unwrap(),
        clock,
        _folder: folder,
    }
}

/// The header as MS-WSMV 2.2.4 shows it, with holes.
struct Envelope<'a> {
    action: String,
    resource: String,
    reply_to: &'a str,
    id: &'a str,
    /// More elements of the header.
    more: String,
    body: String,
}

impl<'a> Envelope<'a> {
    fn new(action: &str, resource: &str, body: &str) -> Self {
        Self {
            action: action.to_owned(),
            resource: resource.to_owned(),
            reply_to: "<a:ReplyTo><a:Address s:mustUnderstand=\"true\">http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address></a:ReplyTo>",
            id: "<a:MessageID>uuid:11111111-2222-3333-4444-555555555555</a:MessageID>",
            more: String::new(),
            body: body.to_owned(),
        }
    }

    fn with(mut self, more: &str) -> Self {
        self.more.push_str(more);
        self
    }

    fn text(&self) -> String {
        let Self {
            action,
            resource,
            reply_to,
            id,
            more,
            body,
        } = self;
        format!(
            "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" xmlns:w=\"http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd\" xmlns:p=\"http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd\" xmlns:n=\"{ENUMERATION}\">\
             <s:Header><a:To>http://hv01:5985/wsman</a:To><w:ResourceURI s:mustUnderstand=\"true\">{resource}</w:ResourceURI>{reply_to}<a:Action s:mustUnderstand=\"true\">{action}</a:Action>{id}<w:Locale xml:lang=\"en-US\" s:mustUnderstand=\"false\"/>{more}</s:Header><s:Body>{body}</s:Body></s:Envelope>"
        )
    }
}

fn enumerate(most: u32, filter: &str) -> Envelope<'static> {
    let class = if filter.is_empty() {
        "CIM_ComputerSystem"
    } else {
        "*"
    };
    let body = format!(
        "<n:Enumerate><w:OptimizeEnumeration/><w:MaxElements>{most}</w:MaxElements>{filter}</n:Enumerate>"
    );
    Envelope::new(
        &format!("{ENUMERATION}/Enumerate"),
        &format!("{NS}/{class}"),
        &body,
    )
}

fn pull(context: &str, most: u32) -> Envelope<'static> {
    let body = format!(
        "<n:Pull><n:EnumerationContext>{context}</n:EnumerationContext><n:MaxElements>{most}</n:MaxElements></n:Pull>"
    );
    Envelope::new(
        &format!("{ENUMERATION}/Pull"),
        &format!("{NS}/CIM_ComputerSystem"),
        &body,
    )
}

fn get(selectors: &str) -> Envelope<'static> {
    let set = format!("<w:SelectorSet>{selectors}</w:SelectorSet>");
    Envelope::new(GET, &format!("{NS}/Msvm_ComputerSystem"), "").with(&set)
}

const HOST: &str = "<w:Selector Name=\"CreationClassName\">Msvm_ComputerSystem</w:Selector><w:Selector Name=\"name\">hv01</w:Selector>";

impl Bench {
    fn ask(&mut self, envelope: &Envelope<'_>) -> Answer {
        let answer = self.service.answer(envelope.text().as_bytes(), ADMIN);
        // Whatever it says, it is XML.
        roxmltree::Document::parse(&answer.envelope).unwrap();
        answer
    }

    fn good(&mut self, envelope: &Envelope<'_>) -> String {
        let answer = self.ask(envelope);
        assert_eq!(answer.status, 200, "{}", answer.envelope);
        answer.envelope
    }

    /// The subcode and Windows' number of a refusal.
    fn refused(&mut self, envelope: &Envelope<'_>) -> (String, u32) {
        let answer = self.ask(envelope);
        assert_ne!(answer.status, 200, "{}", answer.envelope);
        let document = roxmltree::Document::parse(&answer.envelope).unwrap();
        let mut values = document
            .descendants()
            .filter(|n| n.tag_name().name() == "Value");
        let code = values
            .next_back()
            .and_then(|n| n.text())
            .unwrap()
            .to_owned();
        let fault = document
            .descendants()
            .find(|n| n.tag_name().name() == "WSManFault")
            .unwrap();
        (code, fault.attribute("Code").unwrap().parse().unwrap())
    }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let from = text.find(start)? + start.len();
    Some(&text[from..from + text[from..].find(end)?])
}

#[test]
fn headers_are_needed_and_judged() {
    let mut bench = bench();
    let reply = bench.good(&get(HOST));
    assert!(reply.contains("<a:RelatesTo>uuid:11111111-2222-3333-4444-555555555555</a:RelatesTo>"));
    assert!(reply.contains(
        "<a:Action>http://schemas.xmlsoap.org/ws/2004/09/transfer/GetResponse</a:Action>"
    ));
    let must = "s:mustUnderstand=\"true\"";
    let without_reply = Envelope {
        reply_to: "",
        ..get(HOST)
    };
    let elsewhere = Envelope {
        reply_to: "<a:ReplyTo><a:Address>http://elsewhere/</a:Address></a:ReplyTo>",
        ..get(HOST)
    };
    let without_id = Envelope {
        id: "",
        ..get(HOST)
    };
    let cases = [
        (without_reply, "a:MessageInformationHeaderRequired"),
        (elsewhere, "w:UnsupportedFeature"),
        (without_id, "a:MessageInformationHeaderRequired"),
        (
            get(HOST).with(&format!("<p:DataLocale xml:lang=\"en-US\" {must}/>")),
            "w:UnsupportedFeature",
        ),
        (
            get(HOST).with(&format!("<p:Nonsense {must}/>")),
            "s:MustUnderstand",
        ),
        (
            get(HOST).with("<w:MaxEnvelopeSize>8191</w:MaxEnvelopeSize>"),
            "w:EncodingLimit",
        ),
        (
            get(HOST).with("<w:MaxEnvelopeSize>much</w:MaxEnvelopeSize>"),
            "a:InvalidMessageInformationHeader",
        ),
        (
            get(HOST).with("<w:OperationTimeout>1 minute</w:OperationTimeout>"),
            "a:InvalidMessageInformationHeader",
        ),
        (
            get(HOST).with("<a:MessageID>uuid:2</a:MessageID>"),
            "a:InvalidMessageInformationHeader",
        ),
        (
            get(&format!("{HOST}<w:Selector Name=\"NAME\">x</w:Selector>")),
            "w:InvalidSelectors",
        ),
        (
            get(&format!(
                "{HOST}<w:Selector Name=\"__cimnamespace\">root/cimv2</w:Selector>"
            )),
            "w:InternalError",
        ),
        (
            Envelope::new(GET, "http://nonsense", ""),
            "a:DestinationUnreachable",
        ),
        (
            Envelope::new(
                "http://nonsense",
                &format!("{NS}/Msvm_ComputerSystem"),
                "<x/>",
            ),
            "a:ActionNotSupported",
        ),
    ];
    for (envelope, expected) in cases {
        assert_eq!(bench.refused(&envelope).0, expected, "{}", envelope.text());
    }
    assert!(
        bench.ask(&get(HOST).with("<p:Nonsense/>")).status == 200,
        "what need not be understood"
    );
    let same = get(&format!(
        "{HOST}<w:Selector Name=\"__cimnamespace\">ROOT\\virtualization\\v2</w:Selector>"
    ));
    bench.good(&same);
}

#[test]
fn numbers_are_those_of_windows() {
    let mut bench = bench();
    let must = "s:mustUnderstand=\"true\"";
    let without_reply = Envelope {
        reply_to: "",
        ..get(HOST)
    };
    let mode = enumerate(9, "<w:EnumerationMode>x</w:EnumerationMode>");
    let expires = enumerate(9, "<n:Expires>PT1M</n:Expires>");
    for (envelope, number) in [
        (without_reply, 0x8033_8011),
        (
            get(HOST).with("<w:OperationTimeout>x</w:OperationTimeout>"),
            0x8033_800f,
        ),
        (
            get(HOST).with(&format!("<p:Nonsense {must}/>")),
            0x8033_8010,
        ),
        (get(HOST).with(&format!("<w:Locale {must}/>")), 0x8033_8087),
        (
            get(HOST).with("<w:MaxEnvelopeSize>1</w:MaxEnvelopeSize>"),
            0x8033_807e,
        ),
        (
            get(HOST).with("<w:FragmentTransfer>a</w:FragmentTransfer>"),
            0x8033_8042,
        ),
        (mode, 0x8033_8086),
        (expires, 0x8033_8017),
        (enumerate(9, "<w:Filter Dialect=\"x\"/>"), 0x8033_8019),
    ] {
        assert_eq!(bench.refused(&envelope).1, number, "{}", envelope.text());
    }
}

#[test]
fn what_is_no_envelope_is_a_fault_all_the_same() {
    let mut bench = bench();
    let good = get(HOST).text();
    for bytes in [
        &b""[..],
        b"<a/>",
        b"<s:Envelope xmlns:s='http://www.w3.org/2003/05/soap-envelope'/>",
        b"\xff\xfe",
        &good.as_bytes()[..200],
    ] {
        let answer = bench.service.answer(bytes, ADMIN);
        assert_eq!(answer.status, 500);
        assert!(answer.envelope.contains("s:Fault") && !answer.envelope.contains("RelatesTo"));
    }
    // The same in UTF-16.
    let units = good.encode_utf16().flat_map(u16::to_le_bytes);
    let wide: Vec<u8> = [0xff, 0xfe].into_iter().chain(units).collect();
    assert_eq!(bench.service.answer(&wide, ADMIN).status, 200);
}

#[test]
fn values_are_written_as_recordings_show_them() {
    let mut bench = bench();
    let host = bench.good(&get(HOST));
    assert!(
        host.contains("<p:InstallDate xsi:nil=\"true\"/>"),
        "null is told"
    );
    assert!(
        host.contains("<p:OperationalStatus>2</p:OperationalStatus>"),
        "an array of one"
    );
    let id = crate::state::upper(bench.service.repository.host.vms()[0].id);
    let vm = format!(
        "<w:Selector Name=\"CreationClassName\">Msvm_ComputerSystem</w:Selector><w:Selector Name=\"Name\">{id}</w:Selector>"
    );
    let vm = bench.good(&get(&vm));
    assert!(vm.contains(
        "<p:InstallDate><cim:Datetime>2026-10-05T04:00:00Z</cim:Datetime></p:InstallDate>"
    ));
    assert!(vm.contains("<p:LastSuccessfulBackupTime><cim:Datetime>1601-01-01T00:00:00Z</cim:Datetime></p:LastSuccessfulBackupTime>"));
    assert!(vm.contains("xsi:type=\"p:Msvm_ComputerSystem_Type\""));
    assert!(!vm.contains("<p:StatusDescriptions/>"));
    let settings = bench.good(&enumerate(9, "<w:Filter Dialect=\"http://schemas.microsoft.com/wbem/wsman/1/WQL\">SELECT AutomaticStartupActionDelay, Notes FROM Msvm_VirtualSystemSettingData</w:Filter>"));
    assert!(settings.contains("<AutomaticStartupActionDelay><Interval>P0DT0H0M0S</Interval></AutomaticStartupActionDelay><Notes></Notes>"), "a fragment has no namespaces, and empty text is not null: {settings}");
    let schema = Envelope::new(GET, "http://schemas.dmtf.org/wbem/cim-xml/2/cim-schema/2/*", "")
        .with("<w:SelectorSet><w:Selector Name=\"__cimnamespace\">root/virtualization/v2</w:Selector><w:Selector Name=\"ClassName\">Msvm_AffectedJobElement</w:Selector></w:SelectorSet>");
    let class = bench.good(&schema);
    assert!(class.contains("<PROPERTY.REFERENCE NAME=\"AffectedElement\"><QUALIFIER NAME=\"key\""));
}

#[test]
fn pages_have_a_new_context_each_and_end() {
    let mut bench = bench();
    let first = bench.good(&enumerate(2, ""));
    assert!(first.contains("<w:Items>") && !first.contains("EndOfSequence"));
    let context = |reply: &str| {
        between(reply, "<n:EnumerationContext>", "<")
            .unwrap()
            .to_owned()
    };
    let old = context(&first);
    let second = bench.good(&pull(&old, 3));
    assert_eq!(second.matches("<p:ElementName>").count(), 3);
    assert!(second.contains("<n:Items>"));
    let new = context(&second);
    assert_ne!(old, new);
    let lost = ("n:InvalidEnumerationContext".to_owned(), 0x8033_801b);
    assert_eq!(
        bench.refused(&pull(&old, 1)),
        lost,
        "only the newest counts"
    );
    let mut elsewhere = pull(&new, 1);
    elsewhere.resource = format!("{NS}/Msvm_ConcreteJob");
    assert_eq!(bench.refused(&elsewhere), lost);
    let last = bench.good(&pull(&new, 100));
    assert!(last.contains("<n:EndOfSequence/>") && !last.contains("EnumerationContext"));
    assert_eq!(bench.refused(&pull(&new, 1)), lost);
    // Released, and forgotten after a while.
    let reply = bench.good(&enumerate(2, ""));
    let mut release = pull(&context(&reply), 1);
    release.action = format!("{ENUMERATION}/Release");
    release.body = release.body.replace("n:Pull", "n:Release");
    bench.good(&release);
    assert_eq!(bench.refused(&release), lost);
    let reply = bench.good(&enumerate(2, ""));
    bench.clock.advance(Duration::from_secs(241));
    assert_eq!(bench.refused(&pull(&context(&reply), 1)), lost);
    // One at a time unless told, and never more open than may be.
    for _ in 0..256 {
        bench.good(&enumerate(1, ""));
    }
    assert_eq!(bench.refused(&enumerate(1, "")).0, "w:QuotaLimit");
}

#[test]
fn a_page_is_cut_to_the_envelope_and_nothing_is_lost() {
    let mut bench = bench();
    let small = "<w:MaxEnvelopeSize>8192</w:MaxEnvelopeSize>";
    let mut reply = bench.good(&enumerate(100, "").with(small));
    let mut names = 0;
    let mut pages = 1;
    loop {
        assert!(reply.len() <= 8192, "{}", reply.len());
        names += reply.matches("<p:ElementName>").count();
        let Some(context) = between(&reply, "<n:EnumerationContext>", "<") else {
            break;
        };
        reply = bench.good(&pull(context, 100).with(small));
        pages += 1;
    }
    assert!(pages > 1);
    assert_eq!(names, 6, "five VMs and the host");
    // What does not fit at all is said so, and can be asked for again with more room.
    let vm = bench.service.repository.host.vms()[1].id;
    let notes = "x".repeat(9000);
    bench
        .service
        .repository
        .host
        .modify(vm, None, Some(&notes))
        .unwrap();
    let settings = |mut envelope: Envelope<'static>| {
        envelope.resource = format!("{NS}/Msvm_VirtualSystemSettingData");
        envelope
    };
    let reply = bench.good(&settings(enumerate(1, "")).with(small));
    let context = between(&reply, "<n:EnumerationContext>", "<").unwrap();
    let too_large = ("w:EncodingLimit".to_owned(), 0x8033_8026);
    let again = bench.refused(&settings(pull(context, 9)).with(small));
    assert_eq!(again, too_large);
    assert!(bench.good(&settings(pull(context, 1))).contains(&notes));
    let query = "<w:Filter Dialect=\"http://schemas.microsoft.com/wbem/wsman/1/WQL\">SELECT * FROM Msvm_VirtualSystemSettingData WHERE ElementName = 'vm 1'</w:Filter>";
    assert_eq!(bench.refused(&enumerate(9, query).with(small)), too_large);
}

#[test]
fn filters_are_judged() {
    let mut bench = bench();
    let wql = |query: &str| {
        format!(
            "<w:Filter Dialect=\"http://schemas.microsoft.com/wbem/wsman/1/WQL\">{query}</w:Filter>"
        )
    };
    bench.good(&enumerate(9, &wql("SELECT * FROM Msvm_ComputerSystem")));
    bench.good(&enumerate(
        9,
        &wql("SELECT * FROM Msvm_ComputerSystem").replace("w:Filter", "n:Filter"),
    ));
    let mut with_class = enumerate(9, &wql("SELECT * FROM Msvm_ComputerSystem"));
    with_class.resource = format!("{NS}/Msvm_ComputerSystem");
    assert_eq!(
        bench.refused(&with_class).0,
        "n:CannotProcessFilter",
        "the class must be *"
    );
    assert_eq!(
        bench.refused(&enumerate(9, "<w:Filter Dialect=\"x\"/>")).0,
        "n:FilterDialectRequestedUnavailable"
    );
    assert_eq!(bench.refused(&enumerate(9, &wql("SELECT"))).1, 0x8004_1017);
    let mut all = enumerate(9, "");
    all.resource = format!("{NS}/*");
    assert_eq!(bench.refused(&all).0, "a:DestinationUnreachable");
    all.resource = "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/nothing/A".to_owned();
    assert_eq!(bench.refused(&all).1, 0x8004_100e);
    let id = crate::state::upper(bench.service.repository.host.vms()[1].id);
    let object = format!(
        "<b:Object><a:Address>x</a:Address><a:ReferenceParameters><w:ResourceURI>{NS}/Msvm_ComputerSystem</w:ResourceURI><w:SelectorSet><w:Selector Name=\"CreationClassName\">Msvm_ComputerSystem</w:Selector><w:Selector Name=\"Name\">{id}</w:Selector></w:SelectorSet></a:ReferenceParameters></b:Object>"
    );
    let dialect = "http://schemas.dmtf.org/wbem/wsman/1/cimbinding/associationFilter";
    let b = "xmlns:b=\"http://schemas.dmtf.org/wbem/wsman/1/cimbinding.xsd\"";
    let associated = format!(
        "<w:Filter Dialect=\"{dialect}\"><b:AssociatedInstances {b}>{object}<b:AssociationClassName>Msvm_SettingsDefineState</b:AssociationClassName></b:AssociatedInstances></w:Filter>"
    );
    assert!(
        bench
            .good(&enumerate(9, &associated))
            .contains("<p:ElementName>vm 1</p:ElementName>")
    );
    let associations = format!(
        "<w:Filter Dialect=\"{dialect}\"><b:AssociationInstances {b}>{object}<b:ResultClassName>Msvm_SettingsDefineState</b:ResultClassName></b:AssociationInstances></w:Filter>"
    );
    let reply = bench.good(&enumerate(9, &associations));
    assert!(
        reply.contains("<p:ManagedElement><a:Address>"),
        "a reference has no wrapper: {reply}"
    );
}
