//! Shares and aux parts as they are stored: a format-version byte, then the library's value in
//! MessagePack with named fields. The library keeps its fields private, so what the checks need is
//! read back through mirrors of that form.

use super::polynomial::shares_belong_to;
use super::session::{AuxInfo, ThresholdKeyShare};
use crate::failure::EngineFailure;
use crate::secret::SecretBytes;
use crate::verify::verifying_key;
use k256::elliptic_curve::PrimeField;
use k256::{ProjectivePoint, Scalar};
use mpc_wire::canonical::{Canonical, CanonicalWriter};
use mpc_wire::{AuxId, PartyId, PublicKey};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;
use std::collections::{BTreeMap, BTreeSet};

/// Version of both stored forms.
const FORMAT_VERSION: u8 = 1;

/// Room for a member's part of a stored value (an aux set has four numbers of 256 bytes each), so
/// that writing does not move the buffer and leave a copy behind.
const ROOM_PER_MEMBER: usize = 2 << 10;

/// Writes a secret value.
pub(crate) fn store<T: Serialize>(value: &T, members: usize) -> Result<SecretBytes, EngineFailure> {
    // Allocated once and handed over as it is: no copy stays behind.
    let mut bytes = Vec::with_capacity((members + 2) * ROOM_PER_MEMBER);
    bytes.push(FORMAT_VERSION);
    let written = rmp_serde::encode::write_named(&mut bytes, value);
    let secret = SecretBytes::new(bytes);
    written.map_err(|_| EngineFailure::internal("a share cannot be written"))?;
    Ok(secret)
}

/// Reads a stored share.
pub(crate) fn load_share(stored: &SecretBytes) -> Result<ThresholdKeyShare, EngineFailure> {
    load(stored, "share")
}

/// Reads a stored aux part.
pub(crate) fn load_aux(stored: &SecretBytes) -> Result<AuxInfo, EngineFailure> {
    load(stored, "aux part")
}

fn load<T: DeserializeOwned>(stored: &SecretBytes, what: &str) -> Result<T, EngineFailure> {
    rmp_serde::from_slice(body(stored, what)?).map_err(|_| unreadable(what))
}

fn body<'a>(stored: &'a SecretBytes, what: &str) -> Result<&'a [u8], EngineFailure> {
    match stored.expose().split_first() {
        Some((&FORMAT_VERSION, body)) => Ok(body),
        Some(_) | None => Err(unreadable(what)),
    }
}

fn unreadable(what: &str) -> EngineFailure {
    EngineFailure::internal(format!("the stored {what} cannot be read"))
}

/// What the checks need of a share. The secret is borrowed, not copied.
#[derive(Deserialize)]
pub(crate) struct ShareView<'a> {
    pub(crate) owner: PartyId,
    pub(crate) threshold: u32,
    #[serde(borrow)]
    secret_share: &'a serde_bytes::Bytes,
    share_ids: Vec<(PartyId, ByteArray<32>)>,
    public_shares: Vec<(PartyId, ByteArray<33>)>,
}

impl<'a> ShareView<'a> {
    /// Reads a stored share.
    pub(crate) fn of(stored: &'a SecretBytes) -> Result<Self, EngineFailure> {
        rmp_serde::from_slice(body(stored, "share")?).map_err(|_| unreadable("share"))
    }

    /// The public shares by member.
    pub(crate) fn public_shares(&self) -> BTreeMap<PartyId, PublicKey> {
        self.public_shares
            .iter()
            .map(|(party, point)| (*party, PublicKey::new(point.as_slice())))
            .collect()
    }

    /// Checks that the share is `owner`'s, of `threshold` among `members`; that its public shares
    /// lie on one polynomial through `key`; and that the secret is that of the owner's public one.
    pub(crate) fn check(
        &self,
        owner: PartyId,
        threshold: usize,
        members: &BTreeSet<PartyId>,
        key: &PublicKey,
    ) -> Result<(), EngineFailure> {
        let invalid = |what: &str| Err(EngineFailure::invalid_result(what));
        if self.owner != owner || self.threshold as usize != threshold {
            return invalid("the share is not the one that was to be made");
        }
        let positions = members.iter().copied().zip((1_u64..).map(position));
        if !positions.eq(self.share_ids.iter().map(|(party, id)| (*party, **id))) {
            return invalid("the members' positions on the polynomial are not theirs");
        }
        let public_shares = self.public_shares();
        if !members_have_shares_of(members, &public_shares, threshold, key) {
            return invalid("the public shares do not belong to the key");
        }
        let public = self.public_of_secret().and_then(|point| encode_point(&point));
        if public.as_ref() != public_shares.get(&owner) {
            return invalid("the secret share is not that of the public share");
        }
        Ok(())
    }

    fn public_of_secret(&self) -> Option<ProjectivePoint> {
        let bytes: [u8; 32] = self.secret_share.as_ref().try_into().ok()?;
        let secret =
            zeroize::Zeroizing::new(Option::<Scalar>::from(Scalar::from_repr(bytes.into()))?);
        Some(ProjectivePoint::GENERATOR * *secret)
    }
}

fn position(index: u64) -> [u8; 32] {
    Scalar::from(index).to_bytes().into()
}

/// Whether `shares` are exactly those of `members`, on one polynomial of degree below `threshold`
/// through `key`.
pub(crate) fn members_have_shares_of(
    members: &BTreeSet<PartyId>,
    shares: &BTreeMap<PartyId, PublicKey>,
    threshold: usize,
    key: &PublicKey,
) -> bool {
    let points: Option<Vec<ProjectivePoint>> = shares.values().map(decode_point).collect();
    match (decode_point(key), points) {
        (Some(key), Some(points)) => {
            members.iter().eq(shares.keys()) && shares_belong_to(&key, &points, threshold)
        }
        (_, None) | (None, _) => false,
    }
}

fn decode_point(key: &PublicKey) -> Option<ProjectivePoint> {
    verifying_key(key).ok().map(|key| ProjectivePoint::from(*key.as_affine()))
}

fn encode_point(point: &ProjectivePoint) -> Option<PublicKey> {
    let key = k256::ecdsa::VerifyingKey::from_affine(point.to_affine()).ok()?;
    Some(encode_key(&key))
}

/// The one encoding of a key.
pub(crate) fn encode_key(key: &k256::ecdsa::VerifyingKey) -> PublicKey {
    PublicKey::new(key.to_sec1_bytes().into_vec())
}

/// What everybody may know of an aux set. Canonical domain `mpc.v1/aux-set`: a list of members,
/// sorted, each with its Paillier modulus, ring-Pedersen modulus, randomizer base and value base,
/// 256 bytes each in the library's order (limbs from the lowest, each little-endian).
#[derive(Deserialize)]
pub(crate) struct AuxView {
    owner: PartyId,
    // Named so that a change of the library's form is noticed, never read.
    #[serde(rename = "secret")]
    _secret: IgnoredAny,
    pub(crate) public: Vec<(PartyId, PublicAux)>,
}

/// What a member of an aux set has told of itself.
#[derive(Deserialize)]
pub(crate) struct PublicAux {
    pub(crate) paillier_pk: PaillierKey,
    pub(crate) rp_params: RingPedersen,
}

#[derive(Deserialize)]
pub(crate) struct PaillierKey {
    modulus: ByteArray<256>,
}

#[derive(Deserialize)]
pub(crate) struct RingPedersen {
    modulus: ByteArray<256>,
    base_randomizer: ByteArray<256>,
    base_value: ByteArray<256>,
}

impl AuxView {
    /// Reads a stored aux part.
    pub(crate) fn of(stored: &SecretBytes) -> Result<Self, EngineFailure> {
        rmp_serde::from_slice(body(stored, "aux part")?).map_err(|_| unreadable("aux part"))
    }
}

impl PublicAux {
    /// The Paillier modulus and the ring-Pedersen modulus, little-endian.
    pub(crate) fn moduli(&self) -> [&[u8]; 2] {
        [&*self.paillier_pk.modulus, &*self.rp_params.modulus]
    }

    /// The ring-Pedersen bases of the randomizer and of the value, little-endian.
    pub(crate) fn bases(&self) -> [&[u8]; 2] {
        [&*self.rp_params.base_randomizer, &*self.rp_params.base_value]
    }
}

impl Canonical for AuxView {
    const DOMAIN: &'static str = "mpc.v1/aux-set";

    fn write_fields(&self, out: &mut CanonicalWriter) {
        out.list(self.public.iter(), |out, (party, aux)| {
            out.fixed(party.as_bytes())
                .fixed(&*aux.paillier_pk.modulus)
                .fixed(&*aux.rp_params.modulus)
                .fixed(&*aux.rp_params.base_randomizer)
                .fixed(&*aux.rp_params.base_value);
        });
    }
}

/// The id of the aux set that a stored part belongs to, which must be `owner`'s part of a set of
/// exactly `members`.
pub(crate) fn aux_id(
    stored: &SecretBytes,
    owner: PartyId,
    members: &BTreeSet<PartyId>,
) -> Result<AuxId, EngineFailure> {
    let view = AuxView::of(stored)?;
    if view.owner != owner || !members.iter().eq(view.public.iter().map(|(party, _)| party)) {
        return Err(EngineFailure::invalid_result("the aux part is not the one to be made"));
    }
    Ok(AuxId::new(view.canonical_hash()))
}
