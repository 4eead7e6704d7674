//! Rows made of values, and values of rows.

use super::VaultError;
use super::kek::{Kek, KeyId, Keyring};
use super::records::Place;
use super::rows::record;
use super::sealed::{DataKeyAad, DataKeyId, FORMAT_VERSION, RecordAad, Sealer};
use mpc_wire::canonical::Canonical;
use mpc_wire::{Epoch, PartyId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, Write};
use zeroize::Zeroizing;

/// The place that a row claims. An epoch that is none stands for a row that was altered.
pub(super) fn place_of(row: &record::Model) -> Result<Place, VaultError> {
    let place = |epoch| Place::new(&row.kind, &row.name, Epoch(epoch));
    u32::try_from(row.epoch).map(place).map_err(|_| VaultError::Altered(place(u32::MAX)))
}

/// Seals a value under a fresh data key.
pub(super) fn seal_row<T: Serialize>(
    keys: &Keyring,
    party: PartyId,
    place: &Place,
    value: &T,
) -> Result<(record::Model, DataKeyId), VaultError> {
    let plaintext = encode(value).ok_or_else(|| VaultError::Encode(place.clone()))?;
    seal_bytes(keys, party, place, &plaintext)
}

/// A value in MessagePack, in a buffer that is made at its full length: one that grew would leave
/// what it held before in freed memory.
fn encode<T: Serialize>(value: &T) -> Option<Zeroizing<Vec<u8>>> {
    let mut length = Length(0);
    rmp_serde::encode::write_named(&mut length, value).ok()?;
    let mut bytes = Zeroizing::new(vec![0; length.0]);
    let mut room = bytes.as_mut_slice();
    rmp_serde::encode::write_named(&mut room, value).ok()?;
    room.is_empty().then_some(bytes)
}

/// Counts what is written, and keeps nothing of it.
struct Length(usize);

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Seals a value that is encoded already.
pub(super) fn seal_bytes(
    keys: &Keyring,
    party: PartyId,
    place: &Place,
    plaintext: &[u8],
) -> Result<(record::Model, DataKeyId), VaultError> {
    let mut key = Zeroizing::new([0; 32]);
    getrandom::fill(key.as_mut_slice()).map_err(|_| VaultError::NoRandomness)?;
    let data_key = DataKeyId::generate()?;
    let aad = RecordAad { party, place, data_key };
    let row = record::Model {
        kind: place.kind().to_owned(),
        name: place.name().to_owned(),
        epoch: place.epoch().0.into(),
        format: FORMAT_VERSION.into(),
        key_id: keys.current.id().to_string(),
        data_key_id: Some(data_key.as_bytes().to_vec()),
        sealed: Sealer::new(&key).seal(&aad.canonical_bytes(), plaintext)?,
        wrapped_key: wrap(&keys.current, aad, &key)?,
    };
    Ok((row, data_key))
}

/// Opens a row at the place that it claims.
pub(super) fn open_row<T: DeserializeOwned>(
    keys: &Keyring,
    party: PartyId,
    row: &record::Model,
) -> Result<T, VaultError> {
    let plaintext = open_bytes(keys, party, row)?;
    let form = |_| place_of(row).map_or_else(|error| error, VaultError::Form);
    rmp_serde::from_slice(&plaintext).map_err(form)
}

/// Opens a row at the place that it claims, and leaves its content encoded.
pub(super) fn open_bytes(
    keys: &Keyring,
    party: PartyId,
    row: &record::Model,
) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let place = place_of(row)?;
    let (data_key, key) = unwrap(keys, party, &place, row)?;
    let aad = RecordAad { party, place: &place, data_key }.canonical_bytes();
    Sealer::new(&key).open(&aad, &row.sealed).ok_or(VaultError::Altered(place))
}

/// The row's data key, wrapped anew by the current master key. The record stays as it is.
pub(super) fn rewrap(
    keys: &Keyring,
    party: PartyId,
    row: &record::Model,
) -> Result<Vec<u8>, VaultError> {
    let place = place_of(row)?;
    let (data_key, key) = unwrap(keys, party, &place, row)?;
    wrap(&keys.current, RecordAad { party, place: &place, data_key }, &key)
}

fn wrap(kek: &Kek, record: RecordAad<'_>, key: &[u8; 32]) -> Result<Vec<u8>, VaultError> {
    kek.sealer().seal(&DataKeyAad { record, key_id: kek.id() }.canonical_bytes(), key)
}

fn unwrap(
    keys: &Keyring,
    party: PartyId,
    place: &Place,
    row: &record::Model,
) -> Result<(DataKeyId, Zeroizing<[u8; 32]>), VaultError> {
    if row.format != i32::from(FORMAT_VERSION) {
        return Err(VaultError::OldFormat { found: row.format, expected: FORMAT_VERSION });
    }
    let altered = || VaultError::Altered(place.clone());
    let data_key = DataKeyId::from_row(row.data_key_id.as_deref()).ok_or_else(altered)?;
    let kek = keys.named(&row.key_id).ok_or_else(altered)?;
    let key_id = &KeyId::stored(&row.key_id);
    let record = RecordAad { party, place, data_key };
    let aad = DataKeyAad { record, key_id }.canonical_bytes();
    let key = kek.sealer().open_key(&aad, &row.wrapped_key).ok_or_else(altered)?;
    Ok((data_key, key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpc_engine::SecretBytes;
    use serde::Serializer;
    use std::cell::Cell;

    #[test]
    fn what_is_encoded_never_moves() {
        for length in [0, 1, 31, 32, 255, 256, 4096, 65_536, 1 << 20] {
            let value = crate::vault::AuxRecord {
                scheme: mpc_wire::Scheme::EcdsaCggmp24,
                parties: std::collections::BTreeSet::new(),
                secret: SecretBytes::new(vec![0xa5; length]),
            };
            let bytes = encode(&value).unwrap();
            assert_eq!(*bytes, rmp_serde::to_vec_named(&value).unwrap());
            // A vector that had grown would have room to spare, or have been moved to be shrunk.
            assert_eq!(bytes.capacity(), bytes.len());
        }
    }

    /// Longer each time that it is written.
    #[derive(Default)]
    struct Growing(Cell<usize>);

    impl Serialize for Growing {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.set(self.0.get() + 1);
            serializer.serialize_bytes(&vec![0xa5; self.0.get()])
        }
    }

    #[test]
    fn what_finds_no_room_is_refused_and_moves_nothing() {
        assert!(encode(&Growing::default()).is_none());
    }
}
