//! MessagePack as a tree, so that a test can change any field of any message by its path.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code fails by panicking"
)]
// Each test binary uses its part of the harness.
#![allow(dead_code, unreachable_pub)]

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// One value. Writing what was read gives the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Bool(bool),
    Number(u32),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    /// Named fields, in the order of the wire.
    Fields(Vec<(String, Value)>),
}

impl Value {
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Bytes(bytes.into())
    }

    pub fn fields<const N: usize>(fields: [(&str, Value); N]) -> Self {
        Self::Fields(fields.map(|(name, value)| (name.to_owned(), value)).into())
    }

    /// What the library calls a vector of bits.
    pub fn bits(bytes: Vec<u8>) -> Self {
        let bits = 8 * bytes.len() as u32;
        Self::fields([("bits", Self::Number(bits)), ("byte_vec", Self::Bytes(bytes))])
    }

    /// The value behind names of fields and places of lists, with dots between them.
    pub fn at(&mut self, path: &str) -> &mut Self {
        path.split('.').filter(|step| !step.is_empty()).fold(self, |value, step| match value {
            Self::Fields(fields) => {
                let field = fields.iter_mut().find(|(name, _)| name == step);
                &mut field.unwrap_or_else(|| panic!("no field {step} of {path}")).1
            }
            Self::List(items) => &mut items[step.parse::<usize>().unwrap()],
            Self::Bool(_) | Self::Number(_) | Self::Bytes(_) => panic!("no {step} of {path}"),
        })
    }

    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        let Self::Bytes(bytes) = self else { panic!("no bytes: {self:?}") };
        bytes
    }

    pub fn list_mut(&mut self) -> &mut Vec<Value> {
        let Self::List(items) = self else { panic!("no list: {self:?}") };
        items
    }

    /// The paths to everything in which nothing else is.
    pub fn leaves(&self) -> Vec<String> {
        let within = |step: &str, value: &Self| -> Vec<String> {
            let below = value.leaves().into_iter();
            below.map(|rest| format!("{step}.{rest}").trim_end_matches('.').to_owned()).collect()
        };
        match self {
            Self::Bool(_) | Self::Number(_) | Self::Bytes(_) => vec![String::new()],
            Self::List(items) => {
                let places = items.iter().enumerate();
                places.flat_map(|(place, item)| within(&place.to_string(), item)).collect()
            }
            Self::Fields(fields) => {
                fields.iter().flat_map(|(name, value)| within(name, value)).collect()
            }
        }
    }

    /// Makes a leaf a little different: a number one more, a point its negative (its first byte
    /// holds the sign), any other bytes different in their first bit.
    pub fn spoil(&mut self) {
        match self {
            Self::Bool(flag) => *flag = !*flag,
            Self::Number(number) => *number += 1,
            Self::Bytes(bytes) => match bytes.first_mut() {
                Some(first) => *first ^= 1,
                None => bytes.push(0),
            },
            Self::List(_) | Self::Fields(_) => panic!("no leaf: {self:?}"),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(flag) => serializer.serialize_bool(*flag),
            Self::Number(number) => serializer.serialize_u32(*number),
            Self::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Self::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| list.serialize_element(item))?;
                list.end()
            }
            Self::Fields(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                fields.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what the library's messages are made of")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Value, E> {
        u32::try_from(number).map(Value::Number).map_err(E::custom)
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Value, E> {
        Ok(Value::bytes(bytes))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(entry) = map.next_entry()? {
            fields.push(entry);
        }
        Ok(Value::Fields(fields))
    }
}
