use proptest::prelude::*;

use super::*;

const VM: &str = r#"\\HV01\root\virtualization\v2:Msvm_ComputerSystem.CreationClassName="Msvm_ComputerSystem",Name="5D2A7C1E-0000-0000-0000-000000000001""#;

#[test]
fn a_path_of_a_host_leads_back() {
    let path: ObjectPath = VM.parse().unwrap();
    assert_eq!(path.host.as_deref(), Some("HV01"));
    assert_eq!(path.namespace.as_deref(), Some("root/virtualization/v2"));
    assert_eq!(path.class, "Msvm_ComputerSystem");
    assert_eq!(
        path.key("creationclassname").as_deref(),
        Some("Msvm_ComputerSystem")
    );
    assert_eq!(path.to_string(), VM);
    let port = r#"root/virtualization/v2:Msvm_Port.InstanceID="Microsoft:GUID\\GUID2""#;
    let path: ObjectPath = port.parse().unwrap();
    assert_eq!(
        path.key("InstanceID").as_deref(),
        Some(r"Microsoft:GUID\GUID2")
    );
    assert_eq!(path.to_string(), port);
    assert_eq!(
        path.to_wql(),
        r"Msvm_Port.InstanceID='Microsoft:GUID\\GUID2'"
    );
}

#[test]
fn other_forms() {
    let path: ObjectPath = r"//./root/cimv2:Win32_X.A=-5,B=TRUE,C='it\'s'"
        .parse()
        .unwrap();
    assert_eq!(path.host.as_deref(), Some("."));
    let values: Vec<_> = path.keys.iter().map(|k| k.value.clone()).collect();
    assert_eq!(
        values,
        [
            KeyValue::Integer(-5),
            KeyValue::Boolean(true),
            KeyValue::Text("it's".into())
        ]
    );
    assert_eq!(path.to_wql(), r"Win32_X.A=-5,B=TRUE,C='it\'s'");
    let class: ObjectPath = "Msvm_ComputerSystem".parse().unwrap();
    assert_eq!((class.namespace, class.keys.len()), (None, 0));
    let only: ObjectPath = r"\\h\root\x:Only=@".parse().unwrap();
    assert!(only.singleton);
    assert_eq!(only.to_string(), r"\\h\root\x:Only=@");
    // Colons and equals signs within quotes are nobody's marks.
    let odd: ObjectPath = "A.B=\"x:y=z,\\\"\"".parse().unwrap();
    assert_eq!(odd.key("b").as_deref(), Some("x:y=z,\""));
}

#[test]
fn what_is_no_path_says_why() {
    for (bad, why) in [
        ("", "no proper name"),
        (r"\\", "no namespace follows"),
        (r"\\\root:A", "empty"),
        (r"\\h\root", "no class follows"),
        (r"root\\x:A", "part of the namespace"),
        ("A.B", "no value"),
        ("A.=1", "no proper name"),
        ("A.1=1", "no proper name"),
        ("A=\"x\"", "neither a dot"),
        ("A.B=\"x", "not closed"),
        (r#"A.B="x\y""#, "not doubled"),
        ("A.B=\"x\"C=1", "neither a comma"),
        ("A.B=1,b=2", "twice"),
        ("A.B=1,", "no value"),
        ("A.B=0x10", "neither quoted"),
        ("A B", "neither a dot"),
    ] {
        let error = bad.parse::<ObjectPath>().unwrap_err();
        assert!(error.problem.contains(why), "{bad:?}: {error}");
    }
    let long = format!("A.B=\"{}\"", "x".repeat(MOST_BYTES));
    assert!(long.parse::<ObjectPath>().is_err());
    let keys: Vec<_> = (0..=MOST_KEYS).map(|n| format!("K{n}=1")).collect();
    assert!(
        format!("A.{}", keys.join(","))
            .parse::<ObjectPath>()
            .is_err()
    );
}

#[test]
fn the_same_object_under_two_names() {
    let told: ObjectPath = VM.parse().unwrap();
    let ours = ObjectPath::new(r"root\virtualization\v2", "MSVM_ComputerSystem")
        .with_key("Name", "5d2a7c1e-0000-0000-0000-000000000001")
        .with_key("CreationClassName", "Msvm_ComputerSystem");
    assert!(told.same_object(&ours));
    let other =
        ObjectPath::new("root/virtualization/v2", "Msvm_ComputerSystem").with_key("Name", "x");
    assert!(!told.same_object(&other));
}

fn any_path() -> impl Strategy<Value = ObjectPath> {
    let name = "[A-Za-z_][A-Za-z0-9_]{0,8}";
    let value = prop_oneof![
        any::<String>().prop_map(KeyValue::Text),
        any::<i128>().prop_map(KeyValue::Integer),
        any::<bool>().prop_map(KeyValue::Boolean),
    ];
    let namespace = "[a-z]{1,5}(/[a-z0-9]{1,5}){0,2}";
    let place = prop_oneof![
        Just((None, None)),
        namespace.prop_map(|n| (None, Some(n))),
        ("[a-zA-Z0-9.-]{1,9}", namespace).prop_map(|(h, n)| (Some(h), Some(n))),
    ];
    (place, name, prop::collection::btree_map(name, value, 0..4)).prop_map(
        |(place, class, keys)| {
            let mut seen = std::collections::HashSet::new();
            let keys = keys
                .into_iter()
                .filter(|(name, _)| seen.insert(name.to_ascii_lowercase()));
            ObjectPath {
                host: place.0,
                namespace: place.1,
                class,
                keys: keys.map(|(name, value)| Key { name, value }).collect(),
                singleton: false,
            }
        },
    )
}

proptest! {
    #[test]
    fn every_path_leads_back(path in any_path()) {
        let text = path.to_string();
        prop_assert_eq!(text.parse::<ObjectPath>(), Ok(path));
    }

    #[test]
    fn single_quotes_lead_back_too(path in any_path()) {
        let again: ObjectPath = path.to_wql().parse().unwrap();
        prop_assert_eq!(again.keys, path.keys);
    }
}
