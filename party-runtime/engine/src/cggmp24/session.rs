//! What manul's sessions run with: the party's Ed25519 key, SHA-256, MessagePack.

use super::Params;
use crate::engine::RunContext;
use crate::failure::EngineFailure;
use manul::protocol::{LocalError, Protocol};
use manul::session::{RoundAccumulator, Session, SessionId, SessionParameters, WireFormat};
use manul::signature::{self, DigestVerifier, Keypair, RandomizedDigestSigner};
use mpc_wire::limits::MAX_DEPTH;
use mpc_wire::{Identity, PartyId, PartySignature, ProvenKey, Stage};
use rand_core_06::CryptoRngCore;
use rmp_serde::decode::ReadRefReader;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::ByteArray;
use serde_persistent_deserializer::{AsTransientDeserializer, PersistentDeserializer};
use sha2_010::{Digest, Sha256};
use std::collections::BTreeSet;

/// Domain of the signatures that manul puts under each part of a message, so that none of them
/// is a signature over anything else that the party's key signs.
const SIGNATURE_DOMAIN: &[u8] = b"mpc.v1/manul";

/// A protocol that the driver can run: its types may cross threads.
pub(crate) trait ProtocolOf:
    Protocol<Verifier, Result: Send, ProtocolError: Send + Sync>
{
}

impl<P: Protocol<Verifier, Result: Send, ProtocolError: Send + Sync>> ProtocolOf for P {}

/// A running protocol.
pub(crate) type Running<P> = Session<P, Parameters>;

/// What a round has collected.
pub(crate) type Accumulator<P> = RoundAccumulator<P, Parameters>;

/// manul's set of types.
#[derive(Debug)]
pub(crate) struct Parameters;

impl SessionParameters for Parameters {
    type Signer = Signer;
    type Digest = Sha256;
    type Verifier = Verifier;
    type Signature = PartSignature;
    type WireFormat = MessagePack;
}

/// The party's identity as manul's signer.
#[derive(Debug, Clone)]
pub(crate) struct Signer(Identity);

/// A party id as manul's verifier. It knows the party's name alone, and so accepts a signature by
/// each key that the party ever had: what manul gets to see was checked for the key of the member's
/// join before ([`super::peek`]). Always a byte string, whatever the format claims of itself:
/// manul's deserializers lose the note that MessagePack is a binary format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Verifier(pub(crate) PartyId);

/// The party's signature over one part of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct PartSignature(PartySignature);

impl PartSignature {
    /// Whether it is by this key of the party's, if it is a signature.
    pub(crate) fn is_by(&self, party: PartyId, key: ProvenKey) -> bool {
        self.0.is_by(party, key)
    }
}

fn signed_bytes(digest: Sha256) -> Vec<u8> {
    let digest: [u8; 32] = digest.finalize().into();
    [SIGNATURE_DOMAIN, &digest].concat()
}

impl RandomizedDigestSigner<Sha256, PartSignature> for Signer {
    fn try_sign_digest_with_rng(
        &self,
        _rng: &mut impl CryptoRngCore,
        digest: Sha256,
    ) -> Result<PartSignature, signature::Error> {
        // Ed25519 is deterministic (RFC 8032): the randomness is not needed.
        Ok(PartSignature(self.0.sign(&signed_bytes(digest))))
    }
}

impl Keypair for Signer {
    type VerifyingKey = Verifier;

    fn verifying_key(&self) -> Verifier {
        Verifier(self.0.party())
    }
}

impl DigestVerifier<Sha256, PartSignature> for Verifier {
    fn verify_digest(
        &self,
        digest: Sha256,
        signature: &PartSignature,
    ) -> Result<(), signature::Error> {
        self.0
            .verify(&signed_bytes(digest), &signature.0)
            .map(|_| ())
            .map_err(|_| signature::Error::new())
    }
}

impl Serialize for Verifier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0.as_bytes())
    }
}

impl<'de> Deserialize<'de> for Verifier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ByteArray::<32>::deserialize(deserializer)
            .map(|bytes| Self(PartyId::new(bytes.into_array())))
    }
}

/// MessagePack with named fields. What is read must be one value and nothing behind it.
#[derive(Debug)]
pub(crate) struct MessagePack;

/// rmp-serde's deserializer, owned.
pub(crate) struct Reader<'de>(rmp_serde::Deserializer<ReadRefReader<'de, [u8]>>);

impl<'de> AsTransientDeserializer<'de> for Reader<'de> {
    type Error = rmp_serde::decode::Error;

    fn as_transient_deserializer<'a>(&'a mut self) -> impl Deserializer<'de, Error = Self::Error> {
        &mut self.0
    }
}

impl WireFormat for MessagePack {
    fn serialize<T: Serialize>(value: T) -> Result<Box<[u8]>, LocalError> {
        rmp_serde::to_vec_named(&value)
            .map(Into::into)
            .map_err(|_| LocalError::new("a value cannot be written as MessagePack"))
    }

    type Deserializer<'de> = PersistentDeserializer<Reader<'de>>;

    fn deserializer(bytes: &[u8]) -> Self::Deserializer<'_> {
        // manul has no hook behind a value, so what is not exactly one value is never begun:
        // reading from nothing fails.
        let bytes = if is_one_value(bytes) { bytes } else { &[] };
        let mut reader = rmp_serde::Deserializer::from_read_ref(bytes);
        reader.set_max_depth(MAX_DEPTH);
        PersistentDeserializer::new(Reader(reader))
    }
}

fn is_one_value(mut bytes: &[u8]) -> bool {
    let mut reader = rmp_serde::Deserializer::new(&mut bytes);
    reader.set_max_depth(MAX_DEPTH);
    IgnoredAny::deserialize(&mut reader).is_ok() && bytes.is_empty()
}

/// This party's keys and name for the session of one stage.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    pub(crate) signer: Signer,
    pub(crate) session_id: SessionId,
}

impl Seat {
    pub(crate) fn new(context: &RunContext, stage: Stage) -> Self {
        Self {
            signer: Signer(context.identity.clone()),
            session_id: SessionId::from_seed::<Parameters>(context.session_id(stage).as_bytes()),
        }
    }

    /// Opens the session at a protocol's entry point. CPU-heavy: for jobs.
    pub(crate) fn open<E>(self, entry: E) -> Result<Running<E::Protocol>, EngineFailure>
    where
        E: manul::protocol::EntryPoint<Verifier, Protocol: ProtocolOf>,
    {
        let rng = &mut rand_core_06::OsRng;
        Session::new(rng, self.session_id, self.signer, entry).map_err(local_failure)
    }
}

/// Parties as manul's verifiers.
pub(crate) fn verifiers<'a>(parties: impl IntoIterator<Item = &'a PartyId>) -> BTreeSet<Verifier> {
    parties.into_iter().copied().map(Verifier).collect()
}

/// A library's complaint about ourselves. Its texts are constants and party ids: nothing secret.
pub(crate) fn local_failure(error: LocalError) -> EngineFailure {
    EngineFailure::internal(error.to_string())
}

pub(crate) type ThresholdKeyShare = synedrion::ThresholdKeyShare<Params, Verifier>;
pub(crate) type AuxInfo = synedrion::AuxInfo<Params, Verifier>;

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(seed: u8) -> Signer {
        Signer(Identity::from_seed(&[seed; 32]))
    }

    fn sign(signer: &Signer, bytes: &[u8]) -> PartSignature {
        signer
            .try_sign_digest_with_rng(&mut rand_core_06::OsRng, Sha256::new_with_prefix(bytes))
            .unwrap()
    }

    #[test]
    fn signature_holds_for_its_digest_and_signer_alone() {
        let alice = signer(1);
        let signature = sign(&alice, b"part");
        let verify = |by: &Signer, bytes: &[u8]| {
            by.verifying_key().verify_digest(Sha256::new_with_prefix(bytes), &signature)
        };
        assert!(verify(&alice, b"part").is_ok());
        assert!(verify(&alice, b"trap").is_err());
        assert!(verify(&signer(2), b"part").is_err());
        let bare = Sha256::digest(b"part");
        let party = alice.verifying_key().0;
        assert!(party.verify(&bare, &signature.0).is_err(), "the domain is part of what is signed");
    }

    #[test]
    fn format_reads_what_it_wrote() {
        let bytes = MessagePack::serialize(signer(1).verifying_key()).unwrap();
        assert_eq!(bytes.len(), 34);
        let back: Verifier = MessagePack::deserialize(&bytes).unwrap();
        assert_eq!(back, signer(1).verifying_key());
        let signature = sign(&signer(1), b"part");
        let bytes = MessagePack::serialize(signature.clone()).unwrap();
        assert_eq!(MessagePack::deserialize::<PartSignature>(&bytes).unwrap(), signature);
    }

    #[test]
    fn bytes_behind_a_value_are_refused() {
        let mut bytes = MessagePack::serialize(7_u8).unwrap().into_vec();
        assert_eq!(MessagePack::deserialize::<u8>(&bytes).unwrap(), 7);
        bytes.push(7);
        assert!(MessagePack::deserialize::<u8>(&bytes).is_err());
        assert!(MessagePack::deserialize::<u8>(&[]).is_err());
    }

    #[test]
    fn deep_nesting_is_refused_without_overflow() {
        let deep = vec![0x91; 1 << 20];
        assert!(MessagePack::deserialize::<IgnoredAny>(&deep).is_err());
    }
}
