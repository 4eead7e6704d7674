//! API keys: their text, what they may do, and the keyed hash that is stored of them.

use crate::config::{CoordinatorSecret, keyed};
use crate::names::{Scope, UnknownName};
use hmac::Mac;
use mpc_wire::UnixMillis;
use serde::{Serialize, Serializer};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// What every key's text begins with: a key that lies around somewhere is known for one.
const PREFIX: &str = "mpc_";

/// Bytes of a key's id: enough for no two of a few thousand keys to meet.
const ID_BYTES: usize = 8;

/// Bytes of a key's secret: nobody guesses it.
const SECRET_BYTES: usize = 32;

/// The labels of the keys that come from the coordinator's secret for API keys.
const HASHING: &str = "mpc/api-key/hash/v1";
const NAMING: &str = "mpc/api-key/secret-id/v1";

/// A key's public name: 16 lowercase hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KeyId([u8; ID_BYTES]);

/// A text that is no id of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the id of an API key: give 16 lowercase hexadecimal digits")]
pub(crate) struct NotAKeyId;

/// The operating system gives no randomness.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the operating system gives no randomness")]
pub(crate) struct NoRandomness;

impl FromStr for KeyId {
    type Err = NotAKeyId;

    fn from_str(text: &str) -> Result<Self, NotAKeyId> {
        let mut id = [0; ID_BYTES];
        decode(text, &mut id).ok_or(NotAKeyId)?;
        Ok(Self(id))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A key as its holder has it: id and secret. Zeroizes on drop and is never formatted.
pub(crate) struct Key {
    pub(crate) id: KeyId,
    secret: Zeroizing<[u8; SECRET_BYTES]>,
}

impl Key {
    /// A new key.
    pub(crate) fn generate() -> Result<Self, NoRandomness> {
        let mut id = [0; ID_BYTES];
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        getrandom::fill(&mut id).map_err(|_| NoRandomness)?;
        getrandom::fill(secret.as_mut_slice()).map_err(|_| NoRandomness)?;
        Ok(Self { id: KeyId(id), secret })
    }

    /// Reads `mpc_<id>_<secret>`. A key has this one text: lowercase, nothing around it.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (id, digits) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        decode(digits, secret.as_mut_slice())?;
        Some(Self { id: id.parse().ok()?, secret })
    }

    /// The text that its holder shows.
    pub(crate) fn text(&self) -> Zeroizing<String> {
        let secret = Zeroizing::new(hex::encode(self.secret.as_slice()));
        Zeroizing::new(format!("{PREFIX}{}_{}", self.id, secret.as_str()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, secret redacted)", self.id)
    }
}

fn decode(digits: &str, into: &mut [u8]) -> Option<()> {
    if digits.bytes().any(|digit| digit.is_ascii_uppercase()) {
        return None;
    }
    hex::decode_to_slice(digits, into).ok()
}

/// What a key may do. None of the three implies another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Scopes(BTreeSet<Scope>);

impl Scopes {
    pub(crate) fn all() -> Self {
        Self([Scope::Read, Scope::Sign, Scope::Admin].into())
    }

    pub(crate) fn contains(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One bit a scope; as what a key's hash covers, it must never change.
    fn bits(&self) -> u8 {
        let bit = |scope: &Scope| match scope {
            Scope::Read => 1,
            Scope::Sign => 2,
            Scope::Admin => 4,
        };
        self.0.iter().map(bit).sum()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<T: IntoIterator<Item = Scope>>(scopes: T) -> Self {
        Self(scopes.into_iter().collect())
    }
}

/// As they are stored: `read,sign`.
impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|scope| scope.name()).collect();
        f.write_str(&names.join(","))
    }
}

impl FromStr for Scopes {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        text.split(',').filter(|name| !name.is_empty()).map(str::parse).collect()
    }
}

/// The keyed hash that is stored of a key.
pub(crate) type KeyHash = [u8; 32];

/// Hashes keys under the coordinator's secret.
pub(crate) struct KeyHasher {
    key: Zeroizing<[u8; 32]>,
    secret_id: String,
}

impl KeyHasher {
    pub(crate) fn new(secret: &CoordinatorSecret) -> Self {
        let secret_id = hex::encode(secret.subkey(NAMING).as_slice()).chars().take(16).collect();
        Self { key: secret.subkey(HASHING), secret_id }
    }

    /// Names the coordinator's secret without telling it: a hash that was made under another one
    /// can be told from a wrong key.
    pub(crate) fn secret_id(&self) -> &str {
        &self.secret_id
    }

    /// The hash of a key and of what it may do until when. So whoever can write the database, but
    /// has not the coordinator's secret, can neither make a key nor give one more than it had.
    ///
    /// HMAC-SHA256 of id ‖ scopes (1 byte) ‖ expiry in milliseconds (8 bytes, big-endian, all ones
    /// for none) ‖ secret.
    pub(crate) fn hash(
        &self,
        key: &Key,
        scopes: &Scopes,
        expires_at: Option<UnixMillis>,
    ) -> KeyHash {
        let mut mac = keyed(&self.key);
        mac.update(&key.id.0);
        mac.update(&[scopes.bits()]);
        mac.update(&expires_at.map_or(u64::MAX, |at| at.0).to_be_bytes());
        mac.update(key.secret.as_slice());
        mac.finalize().into_bytes().into()
    }

    /// Whether a key is the one that a hash was made of. Takes the same time for all.
    pub(crate) fn is_hash_of(
        &self,
        hash: &KeyHash,
        key: &Key,
        scopes: &Scopes,
        expires_at: Option<UnixMillis>,
    ) -> bool {
        self.hash(key, scopes, expires_at).ct_eq(hash).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hasher(digits: &str) -> KeyHasher {
        KeyHasher::new(&digits.repeat(32).parse().unwrap())
    }

    #[test]
    fn a_key_has_one_text() {
        let key = Key::generate().unwrap();
        let text = key.text();
        assert_eq!(text.len(), 4 + 16 + 1 + 64);
        let again = Key::parse(text.as_bytes()).unwrap();
        assert_eq!((again.id, &again.secret), (key.id, &key.secret));
        let short = &text[..text.len() - 1];
        let bare = &text[4..];
        let (long, loud, around) =
            (format!("{}0", text.as_str()), text.to_uppercase(), format!(" {}", text.as_str()));
        for other in ["", "mpc_", "mpc__", short, bare, &long, &loud, &around] {
            assert!(Key::parse(other.as_bytes()).is_none(), "{other}");
        }
        assert!(Key::parse(b"\xff").is_none());
    }

    #[test]
    fn no_key_is_formatted() {
        let key = Key::generate().unwrap();
        let shown = format!("{key:?}");
        assert!(shown.contains(&key.id.to_string()), "{shown}");
        assert!(!shown.contains(&hex::encode(key.secret.as_slice())), "{shown}");
    }

    #[test]
    fn a_hash_covers_the_key_and_what_it_may_do() {
        let (key, mut other) = (Key::generate().unwrap(), Key::generate().unwrap());
        let scopes: Scopes = "read".parse().unwrap();
        let hasher = hasher("01");
        let hash = hasher.hash(&key, &scopes, None);
        assert!(hasher.is_hash_of(&hash, &key, &scopes, None));
        assert!(!hasher.is_hash_of(&hash, &key, &Scopes::all(), None));
        assert!(!hasher.is_hash_of(&hash, &key, &scopes, Some(UnixMillis(5))));
        assert!(!hasher.is_hash_of(&hash, &other, &scopes, None));
        other.id = key.id;
        assert!(!hasher.is_hash_of(&hash, &other, &scopes, None));
        let elsewhere = self::hasher("02");
        assert!(!elsewhere.is_hash_of(&hash, &key, &scopes, None));
        assert_ne!(hasher.secret_id(), elsewhere.secret_id());
    }

    #[test]
    fn scopes_are_written_in_one_order() {
        let scopes: Scopes = "sign,read,sign".parse().unwrap();
        assert_eq!(scopes.to_string(), "read,sign");
        assert!(scopes.contains(Scope::Sign) && !scopes.contains(Scope::Admin));
        assert!("".parse::<Scopes>().unwrap().is_empty());
        assert!("read,write".parse::<Scopes>().is_err());
        let mut bits: Vec<_> =
            ["", "read", "sign", "admin", "read,sign", "read,admin", "sign,admin"]
                .map(|text| text.parse::<Scopes>().unwrap().bits())
                .into();
        bits.push(Scopes::all().bits());
        assert_eq!(bits, [0, 1, 2, 4, 3, 5, 6, 7]);
    }
}
