//! Trees of every shape that the container can hold.

use hyperkeep_vmconfig::{Entry, Tree, Value};
use proptest::collection::vec;
use proptest::prelude::*;

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zA-Z_][a-zA-Z0-9_-]{0,20}",
        // Few names, so that siblings repeat.
        3 => prop::sample::select(vec!["metric", "node", "Node"]).prop_map(String::from),
        1 => "[äöü中💻 &\"'<>/\\\\]{1,30}",
        1 => Just("n".repeat(254)),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[ -~]{0,40}",
        2 => "[äöü中💻&\"'<>\r\n\t]{0,40}",
        1 => Just(String::new()),
        // Around the size at which a value becomes a blob: 1024 UTF-16 units.
        1 => (1020usize..1030).prop_map(|len| "x".repeat(len)),
        1 => (2000usize..9000).prop_map(|len| "長".repeat(len)),
    ]
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(Value::Int),
        any::<u64>().prop_map(Value::UInt),
        any::<f64>()
            .prop_filter("equal to itself", |n| !n.is_nan())
            .prop_map(Value::Double),
        text().prop_map(Value::String),
        vec(any::<u8>(), 0..60).prop_map(Value::Bytes),
        (2040usize..2060, any::<u8>()).prop_map(|(len, byte)| Value::Bytes(vec![byte; len])),
        any::<bool>().prop_map(Value::Bool),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    let leaf = (name(), leaf()).prop_map(|(name, value)| Entry::new(name, value));
    leaf.prop_recursive(6, 120, 12, |inner| {
        (name(), vec(inner, 0..12)).prop_map(|(name, children)| Entry::node(name, children))
    })
}

/// Any tree.
pub(crate) fn any_tree() -> impl Strategy<Value = Tree> {
    vec(entry(), 0..12).prop_map(|entries| Tree { entries })
}

/// Trees that random ones seldom are: empty, filling tables to the byte, needing several object
/// tables.
pub(crate) fn handmade() -> Vec<Tree> {
    let flat = |entries: Vec<Entry>| Tree { entries };
    let mut trees = vec![
        Tree::default(),
        flat(vec![Entry::node("empty", vec![])]),
        // More than two object tables' worth of blobs, more than one of key tables.
        flat(
            (0..500)
                .map(|n| Entry::new("blob", Value::Bytes(vec![n as u8; 2048])))
                .collect(),
        ),
        flat(
            (0..30_000)
                .map(|n| Entry::new("n", Value::Int(n)))
                .collect(),
        ),
    ];
    // One key that leaves a gap of 0 to 40 bytes at the end of its table, and one in the next.
    // A key with this name takes 21 + 2 + 4 bytes and its value.
    for gap in 0..=40 {
        let first = Entry::new("a", Value::Bytes(vec![1; 2000]));
        let fill = 4096 - 10 - (27 + 2000) - 27 - gap;
        let second = Entry::new("b", Value::Bytes(vec![2; fill.min(2047)]));
        let rest = fill.saturating_sub(2047);
        let third = Entry::new("c", Value::Bytes(vec![3; rest]));
        let last = Entry::new("d", Value::Bytes(vec![4; 1500]));
        trees.push(flat(vec![first, second, third, last]));
    }
    trees
}
