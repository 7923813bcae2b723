//! Each rule fails on a bad input and leaves a good one alone.

use super::*;

fn lines(path: &str, text: &str) -> Vec<usize> {
    check(path, text).iter().map(|f| f.line).collect()
}

#[test]
fn code_stays_and_literals_go() {
    let text = r##"let a = "unsafe"; // unsafe
let b = 'u'; let c: &'static str = r#"un"safe"#; /* unsafe /* nested */ unsafe */ code();
let d = b"un\"safe"; let e = '\''; let f = br"unsafe"; more();"##;
    let code = blank_comments_and_strings(text);
    assert!(!code.contains("safe"), "{code}");
    for kept in ["let a =", "&'static str", "code();", "let e =", "more();"] {
        assert!(code.contains(kept), "{kept} in {code}");
    }
    assert_eq!(code.lines().count(), text.lines().count());
}

#[test]
fn unterminated_literals_end_with_the_file() {
    for text in ["\"open", "/* open", "r#\"open", "'\\", "'", "r"] {
        blank_comments_and_strings(text);
    }
}

#[test]
fn unsafe_is_found_and_only_as_code() {
    let bad = "fn f() {\n    unsafe { g() }\n}\n";
    assert_eq!(lines("crates/disk/src/x.rs", bad), [2]);
    let good = "#![forbid(unsafe_code)]\n// unsafe\nfn f() { g(\"unsafe\") }\n";
    assert!(lines("crates/disk/src/x.rs", good).is_empty());
}

#[test]
fn unfinished_code_and_ignored_tests_are_found() {
    let text = "fn f() {\n    todo!()\n}\nfn g() {\n    unimplemented!(\"later\")\n}\n#[ignore = \"slow\"]\nfn t() {}\n";
    assert_eq!(lines("crates/store/src/x.rs", text), [2, 5, 7]);
}

#[test]
fn pure_crates_touch_no_file_system_outside_the_named_files_and_tests() {
    let text = "use std::fs;\nfn f() {}\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n";
    assert_eq!(lines("crates/disk/src/vhd.rs", text), [1]);
    assert_eq!(lines("crates/vault-format/src/pack.rs", text), [1]);
    assert!(lines("crates/disk/src/file.rs", text).is_empty());
    assert!(lines("crates/disk/src/vhd/tests.rs", text).is_empty());
    assert!(lines("crates/disk/tests/vhd.rs", text).is_empty());
    assert!(lines("crates/store/src/local.rs", text).is_empty());
}

#[test]
fn pure_crates_have_no_clock() {
    let text = "let now = std::time::SystemTime::now();\n";
    assert_eq!(lines("crates/vmconfig/src/x.rs", text), [1]);
    assert!(lines("crates/engine/src/x.rs", text).is_empty());
}

#[test]
fn a_long_file_is_found() {
    let text = "\n".repeat(MOST_LINES);
    assert!(lines("crates/engine/src/x.rs", &text).is_empty());
    assert_eq!(lines("crates/engine/src/x.rs", &(text + "\n")), [0]);
}
