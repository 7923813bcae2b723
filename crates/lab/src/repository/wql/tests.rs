use cim::Instance;
use proptest::prelude::*;

use super::*;

fn holds(condition: &str, of: &Instance) -> Result<bool, BadQuery> {
    let text = format!("select * from A where {condition}");
    match text.parse()? {
        Query::Select {
            condition: Some(condition),
            ..
        } => condition.holds(of),
        other => panic!("{other:?}"),
    }
}

fn object() -> Instance {
    let mut object = Instance::new("A")
        .with("Name", "Straße \\ 'x'")
        .with("Size", u64::MAX)
        .with("State", 3_u16)
        .with("On", true)
        .with("List", vec![1_u16]);
    object.set_null("Nothing", cim::Kind::of(cim::CimType::String));
    object
}

#[test]
fn conditions_hold_as_they_should() {
    for (condition, expected) in [
        ("State = 3", true),
        ("state='3'", true),
        ("State != 3", false),
        ("State <> 4 AND On = TRUE", true),
        (
            "State >= 3 and State <= 3 and not State > 3 and not State < 3",
            true,
        ),
        ("Size = 18446744073709551615", true),
        ("Size > '-1'", true),
        (r"Name = 'straSSe'", false),
        (r"Name = 'STRAßE \\ \'x\''", true),
        (r#"Name = "straße \\ 'x'""#, true),
        ("Name LIKE 'str%x_'", true),
        ("Name LIKE '%y%'", false),
        ("Nothing IS NULL", true),
        ("Nothing IS NOT NULL", false),
        ("Nothing = null and Name <> null", true),
        ("Nothing = 'x' or Nothing <> 'x'", false),
        ("On = 1 and On = 'true'", true),
        ("State = 1 or State = 2 and State = 3", false),
        ("(State = 1 or On = true) and State = 3", true),
        ("__CLASS = 'a'", true),
    ] {
        assert_eq!(holds(condition, &object()), Ok(expected), "{condition}");
    }
    for bad in [
        "List = 1",
        "State = 'x'",
        "State LIKE '3'",
        "On < 'x'",
        "Nothing < null",
    ] {
        assert!(holds(bad, &object()).is_err(), "{bad}");
    }
}

#[test]
fn queries_are_understood() {
    let query = "SELECT Name, state FROM Msvm_ComputerSystem".parse();
    let columns = Some(vec!["Name".to_owned(), "state".to_owned()]);
    assert_eq!(
        query,
        Ok(Query::Select {
            columns,
            class: "Msvm_ComputerSystem".to_owned(),
            condition: None
        })
    );
    let text = r#"ASSOCIATORS OF {Msvm_X.InstanceID='Microsoft:A\\B}'} WHERE AssocClass = Msvm_Y ResultClass=Z Role=r ResultRole='q'"#;
    let Ok(Query::Associators(related)) = text.parse() else {
        panic!("not understood");
    };
    assert_eq!(
        related.of.key("InstanceID").as_deref(),
        Some("Microsoft:A\\B}")
    );
    let told = [
        related.association,
        related.result,
        related.role,
        related.result_role,
    ];
    assert_eq!(told.map(Option::unwrap), ["Msvm_Y", "Z", "r", "q"]);
}

#[test]
fn what_is_not_understood_is_refused() {
    for bad in [
        "",
        "select",
        "select * from",
        "select * from A where",
        "select * from A where B",
        "select * from A where B = ",
        "select * from A where B = 'x",
        "select * from A where (B = 1",
        "select * from A where B = 1 group by C",
        "select * from A within 1 where B = 1",
        "select * from A where B = 99999999999999999999999999999999999999999",
        "associators of {A} where Foo=B",
        "associators of {A.B=C}",
        "associators of A",
        "delete from A",
        "select * from A where B = 1;",
    ] {
        assert!(bad.parse::<Query>().is_err(), "{bad}");
    }
    let deep = format!(
        "select * from A where {}B=1{}",
        "(".repeat(10_000),
        ")".repeat(10_000)
    );
    assert!(deep.parse::<Query>().is_err());
}

proptest! {
    #[test]
    fn any_text_is_a_query_or_an_error(text in "(select|from|where|associators of|[a-c*=<>'\"{}()\\\\]| |not|and){0,30}") {
        let _ = text.parse::<Query>();
    }
}
