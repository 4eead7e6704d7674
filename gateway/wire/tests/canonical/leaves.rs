//! Every smallest change of a value, by way of its JSON form, so that a field that is added later
//! is covered without anybody thinking of it.

use serde_json::{Map, Value};

/// Each copy of `value` with one part changed, and where that is.
pub(crate) fn changed_leaves(value: &Value) -> Vec<(String, Value)> {
    match value {
        Value::Object(map) => map.iter().flat_map(|(name, _)| in_field(map, name)).collect(),
        Value::Array(items) => in_list(items),
        Value::Null => vec![(String::new(), Value::from("77".repeat(32)))],
        Value::Number(number) => vec![(String::new(), other_number(number.as_u64().unwrap()))],
        Value::String(text) => {
            other_text(text).into_iter().map(|text| (String::new(), Value::from(text))).collect()
        }
        Value::Bool(_) => panic!("no wire type has a bool"),
    }
}

fn in_field(map: &Map<String, Value>, name: &str) -> Vec<(String, Value)> {
    let mut changes: Vec<_> = changed_leaves(&map[name])
        .into_iter()
        .map(|(at, changed)| {
            let mut map = map.clone();
            map.insert(name.to_owned(), changed);
            (format!("/{name}{at}"), Value::Object(map))
        })
        .collect();
    if name == "aux_id" && !map[name].is_null() {
        let mut map = map.clone();
        map.insert(name.to_owned(), Value::Null);
        changes.push((format!("/{name}"), Value::Object(map)));
    }
    changes
}

/// One item changed, and (for sets, whose items are texts) one fewer and one more.
fn in_list(items: &[Value]) -> Vec<(String, Value)> {
    let mut changes = Vec::new();
    for (at, item) in items.iter().enumerate() {
        for (deeper, changed) in changed_leaves(item) {
            let mut items = items.to_vec();
            items[at] = changed;
            changes.push((format!("/{at}{deeper}"), Value::Array(items)));
        }
        if item.is_string() {
            let mut items = items.to_vec();
            items.remove(at);
            changes.push((format!("/{at}"), Value::Array(items)));
        }
    }
    if items.iter().all(Value::is_string) && !items.is_empty() {
        let more = [items, &[Value::from("77".repeat(32))]].concat();
        changes.push((String::from("/more"), Value::Array(more)));
    }
    changes
}

/// The lowest bit flips: the result is in the range of every integer type.
fn other_number(number: u64) -> Value {
    Value::from(number ^ 1)
}

fn other_text(text: &str) -> Option<String> {
    match text {
        "sha256" => Some("keccak256".to_owned()),
        "keccak256" => Some("sha256".to_owned()),
        "canary" => None,
        // There is one scheme so far: nothing to change it into.
        "ecdsa-cggmp24" => None,
        "" => Some("77".to_owned()),
        hex => {
            let last = if hex.ends_with('0') { '1' } else { '0' };
            let mut hex = hex.to_owned();
            hex.pop();
            hex.push(last);
            Some(hex)
        }
    }
}
