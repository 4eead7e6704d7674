//! What a message of the library's looks like on the wire, and a reader that takes nothing else:
//! every field by its name and in its place, every list and byte string of its exact length, nothing
//! left over. It reads generically and makes nothing of the library's types.

use mpc_wire::PartyId;
use mpc_wire::limits::MAX_DEPTH;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_bytes::ByteBuf;
use std::collections::BTreeSet;
use std::fmt;
use zeroize::Zeroizing;

/// Bytes of a Paillier modulus, and of what is taken modulo it.
pub(super) const MODULUS_BYTES: usize = 256;

/// The form of a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// So many bytes.
    Bytes(usize),
    /// An element of a ring: so many bytes, little-endian, to be a unit.
    Unit(usize),
    /// So many bits, `{bits, byte_vec}`, those of the last byte that do not count zero.
    Bits(u32),
    /// A signed integer below 2 to so many bits in size: `{bound, is_negative, abs_bytes}`.
    Signed(u32),
    /// A truth value.
    Bool,
    /// The library's placeholder for a type, `[]`.
    Nothing,
    /// So many values of one shape.
    List(usize, &'static Shape),
    /// As many values of one shape as the key's threshold.
    Coefficients(&'static Shape),
    /// A value of one shape for each party but the sender, `[[party, value], …]`, in order.
    ByParty(&'static Shape),
    /// Values by name.
    Fields(&'static [(&'static str, Shape)]),
}

/// What shapes depend on.
#[derive(Debug)]
pub(super) struct Setting<'a> {
    /// The threshold of the key.
    pub(super) threshold: usize,
    /// The parties but the sender.
    pub(super) others: &'a BTreeSet<PartyId>,
}

/// An element of a ring, and where it was found.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) path: String,
    pub(super) bytes: Vec<u8>,
}

/// Reads one value of a shape and nothing behind it. Returns its ring elements.
///
/// # Errors
/// Where it differs, and how: the path of a field and numbers, never content.
pub(super) fn read(
    shape: &Shape,
    setting: &Setting<'_>,
    mut bytes: &[u8],
) -> Result<Vec<Element>, String> {
    let mut reader = Reader { setting, path: Vec::new(), elements: Vec::new(), fault: None };
    let mut deserializer = rmp_serde::Deserializer::new(&mut bytes);
    deserializer.set_max_depth(MAX_DEPTH);
    let is_read = Seed { shape, reader: &mut reader }.deserialize(&mut deserializer).is_ok();
    let Reader { elements, fault, .. } = reader;
    match fault {
        None if is_read && bytes.is_empty() => Ok(elements),
        None if is_read => Err("bytes behind its end".to_owned()),
        None => Err("it could not be decoded".to_owned()),
        Some(fault) => Err(fault),
    }
}

struct Reader<'a> {
    setting: &'a Setting<'a>,
    path: Vec<Step>,
    elements: Vec<Element>,
    /// What was found wrong first.
    fault: Option<String>,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Field(&'static str),
    Entry(usize),
}

impl Reader<'_> {
    fn path(&self) -> String {
        let steps = self.path.iter().map(|step| match step {
            Step::Field(name) => (*name).to_owned(),
            Step::Entry(at) => at.to_string(),
        });
        steps.collect::<Vec<_>>().join(".")
    }

    fn refuse<E: Error>(&mut self, what: impl fmt::Display) -> E {
        if self.fault.is_none() {
            let path = self.path();
            self.fault =
                Some(if path.is_empty() { what.to_string() } else { format!("{path}: {what}") });
        }
        E::custom("refused")
    }
}

/// A shape to be read next.
struct Seed<'r, 'a> {
    shape: &'r Shape,
    reader: &'r mut Reader<'a>,
}

impl<'de> DeserializeSeed<'de> for Seed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.shape)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        if matches!(self.shape, Shape::Bool) {
            Ok(())
        } else {
            Err(self.reader.refuse("a truth value"))
        }
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<(), E> {
        let (Shape::Bytes(length) | Shape::Unit(length)) = self.shape else {
            return Err(self.reader.refuse("a byte string"));
        };
        if bytes.len() != *length {
            let found = bytes.len();
            return Err(self.reader.refuse(format_args!("{found} bytes instead of {length}")));
        }
        if matches!(self.shape, Shape::Unit(_)) {
            let path = self.reader.path();
            self.reader.elements.push(Element { path, bytes: bytes.to_vec() });
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self { shape, reader } = self;
        let (length, inner) = match shape {
            Shape::Nothing => (0, &Shape::Nothing),
            Shape::List(length, inner) => (*length, *inner),
            Shape::Coefficients(inner) => (reader.setting.threshold, *inner),
            Shape::ByParty(inner) => return by_party(inner, reader, list),
            Shape::Bytes(_)
            | Shape::Unit(_)
            | Shape::Bits(_)
            | Shape::Signed(_)
            | Shape::Bool
            | Shape::Fields(_) => return Err(reader.refuse("a list")),
        };
        let mut found = 0;
        loop {
            reader.path.push(Step::Entry(found));
            let read = if found < length {
                list.next_element_seed(Seed { shape: inner, reader })?
            } else {
                list.next_element::<IgnoredAny>()?.map(|_| ())
            };
            reader.path.pop();
            if read.is_none() {
                break;
            }
            found += 1;
        }
        if found == length {
            Ok(())
        } else {
            Err(reader.refuse(format_args!("{found} entries instead of {length}")))
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { shape, reader } = self;
        match shape {
            Shape::Fields(fields) => {
                for (name, inner) in *fields {
                    next_name(reader, &mut map, name)?;
                    reader.path.push(Step::Field(name));
                    map.next_value_seed(Seed { shape: inner, reader })?;
                    reader.path.pop();
                }
            }
            Shape::Bits(bits) => {
                next_name(reader, &mut map, "bits")?;
                let declared: u32 = map.next_value()?;
                next_name(reader, &mut map, "byte_vec")?;
                let bytes: ByteBuf = map.next_value()?;
                if declared != *bits || bytes.len() != bits.div_ceil(8) as usize {
                    let found = bytes.len();
                    let what = format_args!("{declared} bits in {found} bytes instead of {bits}");
                    return Err(reader.refuse(what));
                }
            }
            Shape::Signed(size) => {
                next_name(reader, &mut map, "bound")?;
                let bound: u32 = map.next_value()?;
                next_name(reader, &mut map, "is_negative")?;
                let _sign: bool = map.next_value()?;
                next_name(reader, &mut map, "abs_bytes")?;
                let bytes = Zeroizing::new(map.next_value::<ByteBuf>()?.into_vec());
                if bound > *size || bytes.len() != bound.div_ceil(8) as usize {
                    let found = bytes.len();
                    let what = format_args!("{found} bytes for a bound of {bound} bits");
                    return Err(reader.refuse(what));
                }
            }
            Shape::Bytes(_)
            | Shape::Unit(_)
            | Shape::Bool
            | Shape::Nothing
            | Shape::List(..)
            | Shape::Coefficients(_)
            | Shape::ByParty(_) => return Err(reader.refuse("a map")),
        }
        match map.next_key::<IgnoredAny>()? {
            None => Ok(()),
            Some(_) => Err(reader.refuse("a field that is not of it")),
        }
    }
}

fn next_name<'de, A: MapAccess<'de>>(
    reader: &mut Reader<'_>,
    map: &mut A,
    name: &'static str,
) -> Result<(), A::Error> {
    match map.next_key::<String>()? {
        Some(found) if found == name => Ok(()),
        Some(_) | None => Err(reader.refuse(format_args!("no {name} in its place"))),
    }
}

fn by_party<'de, A: SeqAccess<'de>>(
    inner: &'static Shape,
    reader: &mut Reader<'_>,
    mut list: A,
) -> Result<(), A::Error> {
    let others = reader.setting.others;
    for (at, party) in others.iter().enumerate() {
        reader.path.push(Step::Entry(at));
        if list.next_element_seed(Entry { party: *party, inner, reader })?.is_none() {
            return Err(reader.refuse("an entry is missing"));
        }
        reader.path.pop();
    }
    match list.next_element::<IgnoredAny>()? {
        None => Ok(()),
        Some(_) => Err(reader.refuse("more entries than parties")),
    }
}

/// The entry of one party, `[party, value]`.
struct Entry<'r, 'a> {
    party: PartyId,
    inner: &'static Shape,
    reader: &'r mut Reader<'a>,
}

impl<'de> DeserializeSeed<'de> for Entry<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Entry<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a party and its value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<(), A::Error> {
        let Self { party, inner, reader } = self;
        let named: Option<ByteBuf> = pair.next_element()?;
        if named.is_none_or(|named| named[..] != party.as_bytes()[..]) {
            return Err(reader.refuse("the entry of another party"));
        }
        match pair.next_element_seed(Seed { shape: inner, reader })? {
            Some(()) if pair.next_element::<IgnoredAny>()?.is_none() => Ok(()),
            Some(()) | None => Err(reader.refuse("not a party and its value")),
        }
    }
}
