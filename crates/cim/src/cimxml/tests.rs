use super::*;
use crate::{CimType, Instance, Interval, Kind, ObjectPath, Scalar, Value};

fn read(text: &str) -> Instance {
    read_instance(text).unwrap()
}

fn refused(text: &str) -> String {
    read_instance(text).unwrap_err().to_string()
}

#[test]
fn what_hyper_v_is_given() {
    let mut settings = Instance::new("Msvm_StorageAllocationSettingData")
        .with("ElementName", "Hard <Drive> & \"more\"")
        .with("ResourceType", 31_u16)
        .with("AutomaticAllocation", true)
        .with(
            "AutomaticStartupActionDelay",
            Interval::from_micros(60_000_000),
        )
        .with("HostResource", vec![r"D:\VMs\a.vhdx".to_owned()]);
    settings.set_null("Notes", Kind::array(CimType::String));
    settings.set_null("Parent", Kind::of(CimType::String));
    let text = write_instance(&settings).unwrap();
    assert_eq!(
        text,
        include_str!("../../tests/golden/cimxml-settings.xml").trim_end()
    );
    assert_eq!(read(&text), settings);
}

#[test]
fn references_and_objects() {
    let vm = ObjectPath {
        host: Some("HV01".into()),
        ..ObjectPath::new("root/virtualization/v2", "Msvm_ComputerSystem")
    }
    .with_key("CreationClassName", "Msvm_ComputerSystem")
    .with_key("Name", "G");
    let mut both = Instance::new("Msvm_Both").with("System", vm);
    let inner = Scalar::Object(Box::new(Instance::new("Inner").with("N", 1_u8)));
    both.put(
        "One",
        Some(Kind::of(CimType::Object)),
        Value::Scalar(inner.clone()),
    );
    both.put(
        "Many",
        Some(Kind::array(CimType::Object)),
        Value::Array(vec![inner.clone(), inner]),
    );
    let text = write_instance(&both).unwrap();
    assert_eq!(
        text,
        include_str!("../../tests/golden/cimxml-references.xml").trim_end()
    );
    assert_eq!(read(&text), both);
}

/// As Windows writes it: origins, qualifiers, system properties, upper-case booleans.
#[test]
fn what_hyper_v_answers() {
    let text = concat!(
        "\u{feff}",
        r#"<INSTANCE CLASSNAME="Msvm_KvpExchangeDataItem">"#,
        r#"<QUALIFIER NAME="dynamic" TYPE="boolean"><VALUE>TRUE</VALUE></QUALIFIER>"#,
        r#"<PROPERTY NAME="__PATH" CLASSORIGIN="___SYSTEM" TYPE="string"></PROPERTY>"#,
        "\n",
        r#"<PROPERTY NAME="Caption" PROPAGATED="true" TYPE="string"></PROPERTY>"#,
        r#"<PROPERTY NAME="Data" TYPE="string"><QUALIFIER NAME="x"/><VALUE></VALUE></PROPERTY>"#,
        r#"<PROPERTY NAME="On" TYPE="boolean"><VALUE>TRUE</VALUE></PROPERTY>"#,
        r#"<PROPERTY.ARRAY NAME="Codes" TYPE="uint16"><VALUE.ARRAY/></PROPERTY.ARRAY>"#,
        r#"<PROPERTY.ARRAY NAME="None" TYPE="uint16"></PROPERTY.ARRAY>"#,
        r#"<PROPERTY NAME="E" TYPE="string" EmbeddedObject="instance">"#,
        r#"<VALUE>&lt;INSTANCE CLASSNAME="In"/&gt;</VALUE></PROPERTY>"#,
        r#"<PROPERTY.REFERENCE NAME="R"><VALUE.REFERENCE>A.K="1"</VALUE.REFERENCE></PROPERTY.REFERENCE>"#,
        "</INSTANCE>"
    );
    let item = read(text);
    assert_eq!(item.class, "Msvm_KvpExchangeDataItem");
    assert_eq!(item.property("__PATH").unwrap().value, Value::Null);
    assert_eq!(item.get_opt::<String>("Caption"), Ok(None));
    assert_eq!(item.get::<String>("Data"), Ok(String::new()));
    assert_eq!(item.get::<bool>("On"), Ok(true));
    assert_eq!(item.property("Codes").unwrap().value, Value::Array(vec![]));
    assert_eq!(item.property("None").unwrap().value, Value::Null);
    assert_eq!(item.get::<Instance>("E").unwrap().class, "In");
    assert_eq!(item.get::<ObjectPath>("R").unwrap().class, "A");
}

#[test]
fn what_is_not_understood_is_refused() {
    let with = |inner: &str| format!("<INSTANCE CLASSNAME=\"A\">{inner}</INSTANCE>");
    for (text, why) in [
        ("<CLASS NAME=\"A\"/>".to_owned(), "<CLASS> where <INSTANCE>"),
        ("<INSTANCE/>".to_owned(), "lacks a name"),
        (
            with("<PROPERTY NAME=\"P\" TYPE=\"uint5\"/>"),
            "unknown type",
        ),
        (with("<PROPERTY NAME=\"P\" TYPE=\"object\"/>"), "not for it"),
        (
            with("<PROPERTY NAME=\"P\" TYPE=\"uint8\"><VALUE>256</VALUE></PROPERTY>"),
            "\"256\" where uint8",
        ),
        (
            with("<PROPERTY NAME=\"P\" TYPE=\"uint8\"><VALUE>1</VALUE><VALUE>2</VALUE></PROPERTY>"),
            "another form",
        ),
        (
            with("<PROPERTY NAME=\"P\" TYPE=\"uint8\"><VALUE.ARRAY/></PROPERTY>"),
            "another form",
        ),
        (
            with("<PROPERTY NAME=\"P\" TYPE=\"uint8\"/><PROPERTY NAME=\"p\" TYPE=\"uint8\"/>"),
            "twice",
        ),
        (with("<THING NAME=\"P\"/>"), "no property"),
        (
            "<!DOCTYPE a [<!ENTITY b \"c\">]><INSTANCE CLASSNAME=\"A\"/>".to_owned(),
            "parsed",
        ),
    ] {
        let told = refused(&text);
        assert!(told.contains(why), "{text}: {told}");
    }
    let deep = (0..20).fold(String::new(), |inner, _| {
        with(&format!(
            "<PROPERTY.OBJECT NAME=\"P\"><VALUE.OBJECT>{inner}</VALUE.OBJECT></PROPERTY.OBJECT>"
        ))
    });
    assert!(refused(&deep).contains("nested"), "{}", refused(&deep));
}

#[test]
fn what_cannot_be_written_is_refused() {
    let mut open = Instance::new("A");
    open.put("P", None, Value::Scalar(Scalar::Untyped("5".into())));
    assert_eq!(write_instance(&open), Err(Unwritable::Untyped("P".into())));
    let control = Instance::new("A").with("P", "a\u{1}b");
    assert_eq!(
        write_instance(&control),
        Err(Unwritable::Character("VALUE".into(), 1))
    );
    let mut wrong = Instance::new("A");
    wrong.put(
        "P",
        Some(Kind::of(CimType::Uint8)),
        Value::Scalar(Scalar::Uint16(5)),
    );
    assert!(matches!(
        write_instance(&wrong),
        Err(Unwritable::Mismatch(..))
    ));
    let lines = Instance::new("A").with("P", "a\r\nb\t\"c\" ]]>");
    assert_eq!(read(&write_instance(&lines).unwrap()), lines);
}

const CLASS: &str = r#"<CLASS NAME="Msvm_ConcreteJob" SUPERCLASS="CIM_ConcreteJob">
<QUALIFIER NAME="dynamic" TYPE="boolean"><VALUE>true</VALUE></QUALIFIER>
<PROPERTY NAME="InstanceID" TYPE="string"><QUALIFIER NAME="Key" TYPE="boolean"><VALUE>true</VALUE></QUALIFIER></PROPERTY>
<PROPERTY NAME="JobState" TYPE="uint16"/>
<PROPERTY.ARRAY NAME="OperationalStatus" TYPE="uint16"/>
<PROPERTY NAME="Settings" TYPE="string"><QUALIFIER NAME="EmbeddedInstance" TYPE="string"><VALUE>Msvm_S</VALUE></QUALIFIER></PROPERTY>
<METHOD NAME="RequestStateChange" TYPE="uint32">
<PARAMETER NAME="RequestedState" TYPE="uint16"><QUALIFIER NAME="In" TYPE="boolean"><VALUE>true</VALUE></QUALIFIER></PARAMETER>
<PARAMETER.REFERENCE NAME="Job" REFERENCECLASS="CIM_Job"><QUALIFIER NAME="out" TYPE="boolean"><VALUE>true</VALUE></QUALIFIER></PARAMETER.REFERENCE>
</METHOD></CLASS>"#;

#[test]
fn a_class_tells_types_keys_and_methods() {
    let mut class = read_class(CLASS).unwrap();
    class.namespace = Some("root/virtualization/v2".into());
    assert!(class.property("instanceid").unwrap().key);
    assert_eq!(
        class.property("Settings").unwrap().embeds.as_deref(),
        Some("Msvm_S")
    );
    let method = class.method("RequestStateChange").unwrap();
    let shape: Vec<_> = method
        .parameters
        .iter()
        .map(|p| (p.name.as_str(), p.input, p.output))
        .collect();
    assert_eq!(
        shape,
        [("RequestedState", true, false), ("Job", false, true)]
    );

    let open = |text: &str| Value::Scalar(Scalar::Untyped(text.into()));
    let mut job = Instance::new("Msvm_ConcreteJob");
    job.put("InstanceID", None, open("7"));
    job.put("JobState", None, open("4"));
    job.put("OperationalStatus", None, open("2"));
    job.put("Newer", None, open("?"));
    let typed = class.conform(job.clone()).unwrap();
    assert_eq!(
        typed.property("InstanceID").unwrap().value,
        Value::Scalar(Scalar::String("7".into()))
    );
    assert_eq!(
        typed.property("OperationalStatus").unwrap().value,
        Value::Array(vec![Scalar::Uint16(2)])
    );
    assert_eq!(typed.property("Newer").unwrap().kind, None);
    let path = class.path_of(&typed).unwrap();
    assert_eq!(
        path.to_string(),
        "root/virtualization/v2:Msvm_ConcreteJob.InstanceID=\"7\""
    );

    job.put("JobState", None, open("läuft"));
    let error = class.conform(job).unwrap_err().to_string();
    assert!(error.contains("JobState of Msvm_ConcreteJob"), "{error}");
}
