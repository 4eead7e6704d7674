//! End-to-end sealing of round payloads: HPKE in Auth mode (RFC 9180, 5.1.3) with
//! DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and AES-256-GCM.
//!
//! Both keys of a channel are the members' per-attempt keys out of their signed joins, so recorded
//! traffic stays closed once an attempt's secrets are gone, even to who has the identity keys.
//!
//! A payload that is too long for a frame goes in parts, each sealed as a message of its own: what is
//! sealed is one byte, [`LAST`] or [`MORE`], and the part. The parts of a payload follow each other
//! and have its stage and round.

use hpke::aead::{AeadCtxR, AeadCtxS, AesGcm256};
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use mpc_pending::{AttemptSecret, Joiner, PreparedJoin};
use mpc_wire::canonical::CanonicalWriter;
use mpc_wire::plan::protocol_session_id;
use mpc_wire::{
    AttemptPlan, Canonical, Identity, Nonce, PartyId, PlanHash, ProtocolSessionId, Round,
    RoundEnvelope, RoundHeader, Seq, SignedJoin, Stage, VerifiedJoin,
};
use std::collections::BTreeMap;
use std::fmt;
use zeroize::Zeroizing;

/// Length of an X25519 public key, and so of an encapsulated key.
const ENCAPPED_LEN: usize = 32;

/// Longest part, in bytes: every message of the usual rounds is one, and what is sealed of it fits
/// a frame with all that is around it.
const MAX_PART: usize = 512 << 10;

/// Longest payload, in bytes. The longest honest ones are those of the error rounds of a CGGMP'24
/// signing, some 700 kB for each other signer.
pub const MAX_PAYLOAD: usize = 16 << 20;

/// Before the last part of a payload, or the only one.
const LAST: u8 = 0;

/// Before every other part.
const MORE: u8 = 1;

/// A payload that could not be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The peer is no member of the attempt.
    #[error("no channel to or from that party")]
    NoChannel,
    /// The peer's key is no usable X25519 key.
    #[error("the peer's key is not usable")]
    BadKey,
    /// The message is not what its sender sealed, or not the next in order.
    #[error("the message does not open")]
    DoesNotOpen,
    /// The payload is longer than [`MAX_PAYLOAD`].
    #[error("a payload of {0} bytes; at most {MAX_PAYLOAD} are sent")]
    TooLong(usize),
    /// What the sender has sealed, and nobody altered, is no part that belongs here.
    #[error("the message is no part of a payload that belongs here")]
    BadPart,
}

/// The sealed channels of one member to all others of its attempt.
pub struct Channels {
    me: PartyId,
    own: (KemPrivate, KemPublic),
    run: ProtocolSessionId,
    peers: BTreeMap<PartyId, Peer>,
}

type KemPrivate = <X25519HkdfSha256 as Kem>::PrivateKey;
type KemPublic = <X25519HkdfSha256 as Kem>::PublicKey;
type KemEncapped = <X25519HkdfSha256 as Kem>::EncappedKey;

struct Peer {
    key: KemPublic,
    next_seq: Seq,
    outgoing: Option<AeadCtxS<AesGcm256, HkdfSha256, X25519HkdfSha256>>,
    incoming: Option<AeadCtxR<AesGcm256, HkdfSha256, X25519HkdfSha256>>,
    /// The parts of a payload whose last one has not come.
    gathered: Option<Gathered>,
}

struct Gathered {
    stage: Stage,
    round: Round,
    payload: Vec<u8>,
}

impl Peer {
    fn new(key: KemPublic) -> Self {
        Self { key, next_seq: Seq::default(), outgoing: None, incoming: None, gathered: None }
    }

    /// Takes a part that was opened; gives the payload with its last one.
    fn gather(
        &mut self,
        header: &RoundHeader,
        opened: &[u8],
    ) -> Result<Option<Vec<u8>>, SealError> {
        let (kind, part) = opened.split_first().ok_or(SealError::BadPart)?;
        let (stage, round) = (header.stage, header.round);
        let mut gathered =
            self.gathered.take().unwrap_or(Gathered { stage, round, payload: Vec::new() });
        let belongs_here = (gathered.stage, gathered.round) == (stage, round)
            && gathered.payload.len().saturating_add(part.len()) <= MAX_PAYLOAD;
        if !belongs_here {
            return Err(SealError::BadPart);
        }
        gathered.payload.extend_from_slice(part);
        match *kind {
            LAST => Ok(Some(gathered.payload)),
            MORE => {
                self.gathered = Some(gathered);
                Ok(None)
            }
            _other => Err(SealError::BadPart),
        }
    }
}

/// What binds a channel to its attempt and direction: the HPKE `info`. Canonical domain
/// `mpc.v1/channel`: the attempt's protocol session id under [`CHANNELS`], sender, recipient.
///
/// The id is a hash over the plan and every member's join. Members who were started with different
/// joins, as a lying coordinator and one member who signs two can do, have no channel: what one
/// seals does not open at the other. If it did, their protocols would run under different ids, and
/// each would take the other, who is honest, for a cheat.
struct ChannelInfo {
    run: ProtocolSessionId,
    from: PartyId,
    to: PartyId,
}

/// In the place of a stage: channels serve all stages of an attempt, which are numbered from 1.
const CHANNELS: Stage = Stage(0);

impl Canonical for ChannelInfo {
    const DOMAIN: &'static str = "mpc.v1/channel";

    fn write_fields(&self, out: &mut CanonicalWriter) {
        out.fixed(self.run.as_bytes()).fixed(self.from.as_bytes()).fixed(self.to.as_bytes());
    }
}

impl Channels {
    /// The channels of `me`, whose join in `joins` has the secret half `secret`.
    ///
    /// # Errors
    /// [`SealError::BadKey`] if a member's key is not usable.
    pub fn new(
        me: PartyId,
        secret: &AttemptSecret,
        plan_hash: PlanHash,
        joins: &BTreeMap<PartyId, VerifiedJoin>,
    ) -> Result<Self, SealError> {
        let private = KemPrivate::from_bytes(secret.expose()).map_err(|_| SealError::BadKey)?;
        let public = X25519HkdfSha256::sk_to_pk(&private);
        let peers = joins
            .iter()
            .filter(|(party, _)| **party != me)
            .map(|(party, join)| {
                let key = KemPublic::from_bytes(join.hpke_key()).map_err(|_| SealError::BadKey)?;
                Ok((*party, Peer::new(key)))
            })
            .collect::<Result<_, _>>()?;
        let run = protocol_session_id(CHANNELS, plan_hash, joins);
        Ok(Self { me, own: (private, public), run, peers })
    }

    /// Seals a payload to the header's recipient, in as many messages as it takes. Sequence numbers
    /// are set here; headers and ciphertexts must be sent, and sent again, exactly as they are
    /// returned.
    ///
    /// # Errors
    /// [`SealError`] if there is no channel to the recipient, or the payload is too long.
    pub fn seal(
        &mut self,
        header: RoundHeader,
        payload: &[u8],
    ) -> Result<Vec<RoundEnvelope>, SealError> {
        if payload.len() > MAX_PAYLOAD {
            return Err(SealError::TooLong(payload.len()));
        }
        let mut parts: Vec<_> = payload.chunks(MAX_PART).map(|part| (MORE, part)).collect();
        // Nothing at all is a part, too.
        let (_, last) = parts.pop().unwrap_or_default();
        parts.push((LAST, last));
        parts.into_iter().map(|(kind, part)| self.seal_part(header, kind, part)).collect()
    }

    fn seal_part(
        &mut self,
        mut header: RoundHeader,
        kind: u8,
        part: &[u8],
    ) -> Result<RoundEnvelope, SealError> {
        let info = self.info(self.me, header.to);
        let peer = self.peers.get_mut(&header.to).ok_or(SealError::NoChannel)?;
        header.seq = peer.next_seq;
        peer.next_seq = peer.next_seq.next();
        let mut sealed = Vec::with_capacity(ENCAPPED_LEN + part.len() + 17);
        let context = match &mut peer.outgoing {
            Some(context) => context,
            none => {
                let mode = OpModeS::Auth(self.own.clone());
                let (encapped, context) =
                    hpke::setup_sender::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
                        &mode, &peer.key, &info,
                    )
                    .map_err(|_| SealError::BadKey)?;
                sealed.extend_from_slice(&encapped.to_bytes());
                none.insert(context)
            }
        };
        let plain = Zeroizing::new([&[kind], part].concat());
        let ciphertext =
            context.seal(&plain, &header.canonical_bytes()).map_err(|_| SealError::NoChannel)?;
        sealed.extend_from_slice(&ciphertext);
        Ok(RoundEnvelope { header, sealed })
    }

    /// Opens a message, and gives the payload that it is, or is the last part of. Messages of one
    /// sender must come in their order; one that does not open changes nothing.
    ///
    /// # Errors
    /// [`SealError::DoesNotOpen`] if it was altered, misrouted, replayed or is out of order;
    /// [`SealError::BadPart`] if its sender has sealed what has no place here.
    pub fn open(&mut self, envelope: &RoundEnvelope) -> Result<Option<Vec<u8>>, SealError> {
        let header = &envelope.header;
        let info = self.info(header.from, self.me);
        let peer = self.peers.get_mut(&header.from).ok_or(SealError::NoChannel)?;
        let opened = Zeroizing::new(open_part(&self.own.0, peer, envelope, &info)?);
        peer.gather(header, &opened)
    }

    fn info(&self, from: PartyId, to: PartyId) -> Vec<u8> {
        ChannelInfo { run: self.run, from, to }.canonical_bytes()
    }
}

fn open_part(
    own: &KemPrivate,
    peer: &mut Peer,
    envelope: &RoundEnvelope,
    info: &[u8],
) -> Result<Vec<u8>, SealError> {
    let aad = envelope.header.canonical_bytes();
    if let Some(context) = &mut peer.incoming {
        return context.open(&envelope.sealed, &aad).map_err(|_| SealError::DoesNotOpen);
    }
    let (encapped, ciphertext) =
        envelope.sealed.split_at_checked(ENCAPPED_LEN).ok_or(SealError::DoesNotOpen)?;
    let encapped = KemEncapped::from_bytes(encapped).map_err(|_| SealError::DoesNotOpen)?;
    let mode = OpModeR::Auth(peer.key.clone());
    let mut context = hpke::setup_receiver::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
        &mode, own, &encapped, info,
    )
    .map_err(|_| SealError::DoesNotOpen)?;
    let opened = context.open(ciphertext, &aad).map_err(|_| SealError::DoesNotOpen)?;
    peer.incoming = Some(context);
    Ok(opened)
}

impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Channels({} peers, keys redacted)", self.peers.len())
    }
}

/// Makes joins with fresh nonces and X25519 keys from the operating system's randomness.
#[derive(Debug)]
pub struct FreshJoiner {
    identity: Identity,
}

impl FreshJoiner {
    /// Joins in the name of `identity`.
    pub fn new(identity: Identity) -> Self {
        Self { identity }
    }

    /// Joins the plan, with a secret half of its own.
    pub fn prepare(&self, plan: &AttemptPlan) -> PreparedJoin {
        let (private, public) = X25519HkdfSha256::gen_keypair();
        let join = SignedJoin::sign(
            &self.identity,
            plan.hash(),
            Nonce::generate(),
            public.to_bytes().into(),
        );
        PreparedJoin { join, secret: AttemptSecret::new(private.to_bytes().into()) }
    }
}

impl Joiner for FreshJoiner {
    fn join(&mut self, plan: &AttemptPlan) -> PreparedJoin {
        self.prepare(plan)
    }
}

#[cfg(test)]
mod tests;
