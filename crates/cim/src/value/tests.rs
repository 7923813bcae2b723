use proptest::prelude::*;

use super::*;

fn parse(cim_type: CimType, text: &str) -> Option<Scalar> {
    Scalar::parse(cim_type, text)
}

#[test]
fn every_type_has_a_name_that_leads_back() {
    for (cim_type, name) in CimType::NAMES {
        assert_eq!(CimType::from_name(name), Some(*cim_type));
        assert_eq!(CimType::from_name(&name.to_uppercase()), Some(*cim_type));
        assert_eq!(cim_type.name(), *name);
    }
    assert_eq!(CimType::from_name("int"), None);
    assert_eq!(Kind::array(CimType::Uint16).to_string(), "uint16[]");
}

#[test]
fn integers_are_strict_and_bounded() {
    assert_eq!(parse(CimType::Uint8, "255"), Some(Scalar::Uint8(255)));
    assert_eq!(parse(CimType::Sint8, "-128"), Some(Scalar::Sint8(-128)));
    let most = u64::MAX.to_string();
    assert_eq!(
        parse(CimType::Uint64, &most),
        Some(Scalar::Uint64(u64::MAX))
    );
    for bad in ["", "+5", " 5", "5 ", "0x5", "256", "-1", "5.0", "five", "٥"] {
        assert_eq!(parse(CimType::Uint8, bad), None, "{bad:?}");
    }
    assert_eq!(parse(CimType::Uint64, "18446744073709551616"), None);
}

#[test]
fn booleans_reals_and_characters() {
    for (text, value) in [
        ("true", true),
        ("TRUE", true),
        ("1", true),
        ("False", false),
        ("0", false),
    ] {
        assert_eq!(parse(CimType::Boolean, text), Some(Scalar::Boolean(value)));
    }
    assert_eq!(parse(CimType::Boolean, "yes"), None);
    assert_eq!(
        parse(CimType::Real64, "-1.5E3"),
        Some(Scalar::Real64(-1500.0))
    );
    assert_eq!(
        parse(CimType::Real64, "-INF").unwrap().to_text().unwrap(),
        "-INF"
    );
    for bad in ["inf", "infinity", "nan", "1,5", ""] {
        assert_eq!(parse(CimType::Real32, bad), None, "{bad:?}");
    }
    assert_eq!(parse(CimType::Char16, "ß"), Some(Scalar::Char16(0xdf)));
    assert_eq!(parse(CimType::Char16, "💻"), None);
    assert_eq!(Scalar::Char16(0xd800).to_text(), None);
}

#[test]
fn dates_of_both_forms_are_the_same_instant() {
    let iso = DateTime::parse("2026-10-05T06:23:50.25+02:00").unwrap();
    let dmtf = DateTime::parse("20261005062350.250000+120").unwrap();
    assert_eq!(iso, dmtf);
    assert_eq!(iso.to_dmtf(), "20261005062350.250000+120");
    let DateTime::Timestamp(at) = iso else {
        panic!("{iso:?}")
    };
    assert_eq!(at.to_iso(), "2026-10-05T04:23:50.25Z");
    assert_eq!(at.instant(), "2026-10-05T04:23:50.25Z".parse().unwrap());
    assert!(!at.is_never());
    assert!(
        Timestamp::parse_iso("1601-01-01T00:00:00Z")
            .unwrap()
            .is_never()
    );
    let west = DateTime::parse("20261004230000.000000-330").unwrap();
    assert_eq!(west.to_dmtf(), "20261004230000.000000-330");
    let seven = Timestamp::parse_iso("2026-10-05T04:23:50.1234567Z").unwrap();
    assert_eq!(seven.to_iso(), "2026-10-05T04:23:50.123456Z");
}

#[test]
fn intervals_of_both_forms_are_the_same_span() {
    let five = Interval::from_micros(5 * 60 * 1_000_000);
    for text in [
        "P0DT0H5M0S",
        "PT5M",
        "PT300S",
        "PT300.000S",
        "00000000000500.000000:000",
    ] {
        assert_eq!(
            DateTime::parse(text),
            Ok(DateTime::Interval(five)),
            "{text}"
        );
    }
    assert_eq!(five.to_dmtf(), "00000000000500.000000:000");
    assert_eq!(five.to_iso(), "P0DT0H5M0S");
    let odd = Interval::parse_iso("P0DT0H0M0.014947S").unwrap();
    assert_eq!(odd.micros(), 14_947);
    assert_eq!(odd.to_iso(), "P0DT0H0M0.014947S");
    assert_eq!(
        Interval::from_micros(u64::MAX).to_dmtf(),
        "99999999235959.999999:000"
    );
}

#[test]
fn what_is_no_date_is_refused() {
    for bad in [
        "",
        "P",
        "PT",
        "P1Y",
        "P1M",
        "-P1D",
        "PT1S1M",
        "PT.5S",
        "P100000000D",
        "PT99999999999999999999S",
        "2026-10-05",
        "2026-10-05T04:23:50",
        "2026-13-05T04:23:50Z",
        "2026-10-05T04:23:50.Z",
        "2026-10-05T04:23:50+2:00",
        "2026-10-05T04:23:50+99:00",
        "20261005062350.250000",
        "20261005062350.250000?120",
        "20261305062350.250000+120",
        "00000000006000.000000:000",
        "00000000000500.000000:001",
        "2026100506235ä.250000+12",
        "**************.******+***x",
    ] {
        assert!(DateTime::parse(bad).is_err(), "{bad:?}");
    }
    let wild = "20261005******.******+***";
    assert_eq!(
        DateTime::parse(wild),
        Ok(DateTime::Wildcard(wild.to_owned()))
    );
}

#[test]
fn rust_types_read_what_the_wire_left_open() {
    let open = |text: &str| Scalar::Untyped(text.to_owned());
    assert_eq!(u16::from_scalar(&open("4096")), Ok(4096));
    assert_eq!(u16::from_scalar(&Scalar::Uint32(7)), Ok(7));
    assert_eq!(i64::from_scalar(&Scalar::Uint64(7)), Ok(7));
    assert!(u16::from_scalar(&Scalar::Uint32(70_000)).is_err());
    assert!(u16::from_scalar(&Scalar::String("7".into())).is_err());
    assert_eq!(String::from_scalar(&open("")), Ok(String::new()));
    let error = u32::from_scalar(&open("viele")).unwrap_err();
    assert_eq!(error.to_string(), "\"viele\" where uint32 was expected");
    let path = r#"\\HV01\root\virtualization\v2:Msvm_A.InstanceID="x""#;
    assert_eq!(
        ObjectPath::from_scalar(&open(path)).unwrap().class,
        "Msvm_A"
    );
    let embedded = "<INSTANCE CLASSNAME=\"Msvm_Error\"/>";
    assert_eq!(
        Instance::from_scalar(&open(embedded)).unwrap().class,
        "Msvm_Error"
    );
    assert!(Instance::from_scalar(&open("")).is_err());
}

proptest! {
    #[test]
    fn texts_lead_back(number: i64, big: u64, real: f64, micros in 0..8_640_000_000_000_000_000_u64) {
        for scalar in [Scalar::Sint64(number), Scalar::Uint64(big), Scalar::Real64(real)] {
            let text = scalar.to_text().unwrap();
            let again = Scalar::parse(scalar.cim_type().unwrap(), &text).unwrap();
            prop_assert!(again == scalar || real.is_nan());
        }
        let span = Interval::from_micros(micros);
        prop_assert_eq!(DateTime::parse(&span.to_dmtf()), Ok(DateTime::Interval(span)));
        prop_assert_eq!(Interval::parse_iso(&span.to_iso()), Ok(span));
    }

    #[test]
    fn timestamps_lead_back(micros in -11_644_473_600_000_000..4_000_000_000_000_000_i64, offset in -999..1000_i16) {
        let utc = Timestamp::utc(jiff::Timestamp::from_microsecond(micros).unwrap());
        prop_assert_eq!(Timestamp::parse_iso(&utc.to_iso()), Ok(utc));
        prop_assert_eq!(DateTime::parse(&utc.to_dmtf()), Ok(DateTime::Timestamp(utc)));
        let moved = format!("{}{offset:+04}", &utc.to_dmtf()[..21]);
        let Ok(DateTime::Timestamp(at)) = DateTime::parse(&moved) else {
            return Err(TestCaseError::fail(moved));
        };
        prop_assert_eq!(at.to_dmtf(), moved);
        let apart = utc.instant().as_microsecond() - at.instant().as_microsecond();
        prop_assert_eq!(apart, i64::from(offset) * 60_000_000);
    }

    #[test]
    fn no_text_is_too_odd(text: String) {
        for (cim_type, _) in CimType::NAMES {
            let _ = Scalar::parse(*cim_type, &text);
        }
    }
}
