//! Every smallest change of a value, by way of its JSON form, so that a field that is added later
//! is covered without anybody thinking of it.

use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Each copy of `value` with one part changed, and where that is.
pub(crate) fn changed_leaves(value: &Value) -> Vec<(String, Value)> {
    match value {
        Value::Object(map) => map.iter().flat_map(|(name, _)| in_field(map, name)).collect(),
        Value::Array(items) => in_list(items),
        // What could be there is for the field to say.
        Value::Null => Vec::new(),
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
    let other = match name {
        "aux_id" | "authorization" if !map[name].is_null() => vec![Value::Null],
        "aux_id" => vec![Value::from("77".repeat(32))],
        "authorization" => {
            vec![json!({"requester": "r", "expires_at": 1, "signature": vec![7; 64]})]
        }
        // Keys are values there.
        "floors" => in_keys(&map[name]),
        _ => Vec::new(),
    };
    for other in other {
        let mut map = map.clone();
        map.insert(name.to_owned(), other);
        changes.push((format!("/{name}"), Value::Object(map)));
    }
    changes
}

/// Each key of a map by ids changed, and each removed.
fn in_keys(map: &Value) -> Vec<Value> {
    let map = map.as_object().unwrap();
    let without = |name: &String| {
        let mut less = map.clone();
        less.remove(name).map(|value| (less, value)).unwrap()
    };
    let removed = map.keys().map(|name| Value::Object(without(name).0));
    let renamed = map.keys().flat_map(|name| {
        let (mut other, value) = without(name);
        other.insert(other_text(name)?, value);
        Some(Value::Object(other))
    });
    removed.chain(renamed).collect()
}

/// One item changed, and (where an item more or less makes another value) one fewer and one more.
fn in_list(items: &[Value]) -> Vec<(String, Value)> {
    let mut changes = Vec::new();
    for (at, item) in items.iter().enumerate() {
        for (deeper, changed) in changed_leaves(item) {
            let mut items = items.to_vec();
            items[at] = changed;
            changes.push((format!("/{at}{deeper}"), Value::Array(items)));
        }
        // Byte strings are lists of numbers, mostly of one length.
        if !item.is_number() {
            let mut items = items.to_vec();
            items.remove(at);
            changes.push((format!("/{at}"), Value::Array(items)));
        }
    }
    if let Some(Value::String(first)) = items.first() {
        let is_uuid = first.contains('-');
        let more = if is_uuid { Uuid::from_u128(7).to_string() } else { "77".repeat(32) };
        let more = [items, &[Value::from(more)]].concat();
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
        "refused" => None,
        "ecdsa-cggmp24" => Some("eddsa-frost-ed25519".to_owned()),
        "eddsa-frost-ed25519" => Some("schnorr-frost-secp256k1-tr".to_owned()),
        "schnorr-frost-secp256k1-tr" => Some("ecdsa-cggmp24".to_owned()),
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
