//! Broadcasts over channels between two: who tells others something else is found out, and named.
//!
//! Each broadcast is signed for its step with the key that its speaker joined the attempt with. In the
//! step behind it every member tells every other one the hashes and signatures that it heard. Two
//! hashes that one member has signed for one step are its own doing; a hash that it has not signed is
//! the doing of who tells of it.

use crate::engine::{Keys, RunContext};
use crate::failure::EngineFailure;
use crate::lockstep::Heard;
use mpc_wire::canonical::CanonicalWriter;
use mpc_wire::codec::{decode, encode};
use mpc_wire::{Canonical, Identity, PartyId, PartySignature, ProtocolSessionId, Round, Stage};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use sha2_010::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use zeroize::Zeroizing;

/// This member among the others.
pub(super) struct Voice {
    identity: Identity,
    keys: Keys,
    run: ProtocolSessionId,
}

/// What is signed of a broadcast. Canonical domain `mpc.v1/broadcast`: the protocol's session id, the
/// round, the SHA-256 hash of what is said.
struct Broadcast {
    run: ProtocolSessionId,
    round: Round,
    hash: [u8; 32],
}

impl Canonical for Broadcast {
    const DOMAIN: &'static str = "mpc.v1/broadcast";

    fn write_fields(&self, out: &mut CanonicalWriter) {
        out.fixed(self.run.as_bytes()).u16(self.round.0).fixed(&self.hash);
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spoken {
    words: ByteBuf,
    signature: PartySignature,
}

/// What a member heard of another one.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Echo {
    #[serde(with = "serde_bytes")]
    hash: [u8; 32],
    signature: PartySignature,
}

/// What was heard in a step and is being compared.
pub(super) struct Echoing {
    round: Round,
    /// What each peer said.
    words: Heard,
    /// The hash of what each member said, this one included.
    hashes: BTreeMap<PartyId, [u8; 32]>,
}

impl Voice {
    pub(super) fn new(context: &RunContext, stage: Stage) -> Self {
        let run = context.session_id(stage);
        Self { identity: context.identity.clone(), keys: context.keys(), run }
    }

    pub(super) fn peers(&self) -> BTreeSet<PartyId> {
        let me = self.identity.party();
        self.keys.keys().copied().filter(|member| *member != me).collect()
    }

    /// A broadcast as it goes to every peer.
    pub(super) fn sign(&self, words: &[u8], round: Round) -> Result<Vec<u8>, EngineFailure> {
        let signature = self.identity.sign(&self.signed_bytes(hash(words), round));
        let spoken = Spoken { words: ByteBuf::from(words), signature };
        encode(&spoken).map_err(|error| EngineFailure::internal(error.to_string()))
    }

    /// Takes the broadcasts of a step, and says what every peer is told of the others'.
    pub(super) fn echo(
        &self,
        own: Vec<u8>,
        heard: Heard,
        round: Round,
    ) -> Result<(BTreeMap<PartyId, Vec<u8>>, Echoing), EngineFailure> {
        let me = self.identity.party();
        let (mut words, mut echoes) = (Heard::new(), BTreeMap::new());
        let mut hashes = BTreeMap::from([(me, hash(&own))]);
        for (from, payload) in heard {
            let spoken: Spoken = read(from, &payload)?;
            let hash = hash(&spoken.words);
            if !self.is_signed(from, hash, round, &spoken.signature) {
                return Err(EngineFailure::misbehaved(
                    from,
                    "a broadcast is not signed by its key",
                ));
            }
            words.insert(from, Zeroizing::new(spoken.words.into_vec()));
            hashes.insert(from, hash);
            echoes.insert(from, Echo { hash, signature: spoken.signature });
        }
        let echo = encode(&echoes).map_err(|error| EngineFailure::internal(error.to_string()))?;
        let echoes = self.peers().into_iter().map(|peer| (peer, echo.clone())).collect();
        Ok((echoes, Echoing { round, words, hashes }))
    }

    /// Compares what all members heard. Returns what each peer said to all alike.
    pub(super) fn compare(&self, echoing: Echoing, heard: &Heard) -> Result<Heard, EngineFailure> {
        let Echoing { round, words, hashes } = echoing;
        for (teller, payload) in heard {
            let echoes: BTreeMap<PartyId, Echo> = read(*teller, payload)?;
            let others = hashes.keys().filter(|member| *member != teller);
            if !others.eq(echoes.keys()) {
                return Err(EngineFailure::misbehaved(*teller, "an echo of other members"));
            }
            for (member, Echo { hash, signature }) in echoes {
                if hashes.get(&member) == Some(&hash) {
                    continue;
                }
                return Err(if self.is_signed(member, hash, round, &signature) {
                    EngineFailure::misbehaved(member, "a broadcast that was another one to others")
                } else {
                    EngineFailure::misbehaved(*teller, "an echo of what its member has not signed")
                });
            }
        }
        Ok(words)
    }

    fn is_signed(
        &self,
        member: PartyId,
        hash: [u8; 32],
        round: Round,
        signature: &PartySignature,
    ) -> bool {
        self.keys.get(&member).is_some_and(|key| signature.is_by(member, *key))
            && member.verify(&self.signed_bytes(hash, round), signature).is_ok()
    }

    fn signed_bytes(&self, hash: [u8; 32], round: Round) -> Vec<u8> {
        Broadcast { run: self.run, round, hash }.canonical_bytes()
    }
}

fn hash(words: &[u8]) -> [u8; 32] {
    Sha256::digest(words).into()
}

/// Reads what a member said.
pub(super) fn read<T: DeserializeOwned>(from: PartyId, payload: &[u8]) -> Result<T, EngineFailure> {
    decode(payload).map_err(|_| EngineFailure::misbehaved(from, "a message could not be decoded"))
}
