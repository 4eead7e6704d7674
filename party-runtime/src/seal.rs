//! End-to-end sealing of round payloads: HPKE in Auth mode (RFC 9180, 5.1.3) with
//! DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and AES-256-GCM.
//!
//! Both keys of a channel are the members' per-attempt keys out of their signed joins, so recorded
//! traffic stays closed once an attempt's secrets are gone, even to who has the identity keys.

use hpke::aead::{AeadCtxR, AeadCtxS, AesGcm256};
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use mpc_pending::{AttemptSecret, Joiner, PreparedJoin};
use mpc_wire::canonical::CanonicalWriter;
use mpc_wire::plan::protocol_session_id;
use mpc_wire::{
    AttemptPlan, Canonical, Identity, Nonce, PartyId, PlanHash, ProtocolSessionId, RoundEnvelope,
    RoundHeader, Seq, SignedJoin, Stage, VerifiedJoin,
};
use std::collections::BTreeMap;
use std::fmt;

/// Length of an X25519 public key, and so of an encapsulated key.
const ENCAPPED_LEN: usize = 32;

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
                let next_seq = Seq::default();
                Ok((*party, Peer { key, next_seq, outgoing: None, incoming: None }))
            })
            .collect::<Result<_, _>>()?;
        let run = protocol_session_id(CHANNELS, plan_hash, joins);
        Ok(Self { me, own: (private, public), run, peers })
    }

    /// Seals a payload to `to`. The header's sequence number is set here; header and ciphertext
    /// must be sent, and sent again, exactly as they are returned.
    ///
    /// # Errors
    /// [`SealError`] if there is no channel to the recipient.
    pub fn seal(
        &mut self,
        mut header: RoundHeader,
        payload: &[u8],
    ) -> Result<RoundEnvelope, SealError> {
        let info = self.info(self.me, header.to);
        let peer = self.peers.get_mut(&header.to).ok_or(SealError::NoChannel)?;
        header.seq = peer.next_seq;
        peer.next_seq = peer.next_seq.next();
        let mut sealed = Vec::with_capacity(ENCAPPED_LEN + payload.len() + 16);
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
        let ciphertext =
            context.seal(payload, &header.canonical_bytes()).map_err(|_| SealError::NoChannel)?;
        sealed.extend_from_slice(&ciphertext);
        Ok(RoundEnvelope { header, sealed })
    }

    /// Opens a message. Messages of one sender must come in their order; one that does not open
    /// changes nothing.
    ///
    /// # Errors
    /// [`SealError::DoesNotOpen`] if it was altered, misrouted, replayed or is out of order.
    pub fn open(&mut self, envelope: &RoundEnvelope) -> Result<Vec<u8>, SealError> {
        let header = &envelope.header;
        let info = self.info(header.from, self.me);
        let peer = self.peers.get_mut(&header.from).ok_or(SealError::NoChannel)?;
        let aad = header.canonical_bytes();
        if let Some(context) = &mut peer.incoming {
            return context.open(&envelope.sealed, &aad).map_err(|_| SealError::DoesNotOpen);
        }
        let (encapped, ciphertext) =
            envelope.sealed.split_at_checked(ENCAPPED_LEN).ok_or(SealError::DoesNotOpen)?;
        let encapped = KemEncapped::from_bytes(encapped).map_err(|_| SealError::DoesNotOpen)?;
        let mode = OpModeR::Auth(peer.key.clone());
        let mut context = hpke::setup_receiver::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
            &mode,
            &self.own.0,
            &encapped,
            &info,
        )
        .map_err(|_| SealError::DoesNotOpen)?;
        let payload = context.open(ciphertext, &aad).map_err(|_| SealError::DoesNotOpen)?;
        peer.incoming = Some(context);
        Ok(payload)
    }

    fn info(&self, from: PartyId, to: PartyId) -> Vec<u8> {
        ChannelInfo { run: self.run, from, to }.canonical_bytes()
    }
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
mod tests {
    use super::*;
    use mpc_wire::{Attempt, IntentHash, Round, SessionId, Stage};

    struct Member {
        id: PartyId,
        channels: Channels,
    }

    fn members() -> [Member; 3] {
        let identities = [1, 2, 3].map(|seed| Identity::from_seed(&[seed; 32]));
        let plan = AttemptPlan {
            session: SessionId::generate(),
            intent_hash: IntentHash::new([7; 32]),
            attempt: Attempt::FIRST,
            quorum: identities.iter().map(Identity::party).collect(),
            aux_id: None,
        };
        let prepared: Vec<_> =
            identities.iter().map(|i| FreshJoiner::new(i.clone()).join(&plan)).collect();
        let joins: BTreeMap<_, _> = prepared
            .iter()
            .map(|p| (p.join.member, p.join.verify().expect("own signature")))
            .collect();
        [0, 1, 2].map(|at| Member {
            id: identities[at].party(),
            channels: Channels::new(
                identities[at].party(),
                &prepared[at].secret,
                plan.hash(),
                &joins,
            )
            .expect("usable keys"),
        })
    }

    fn header(from: PartyId, to: PartyId) -> RoundHeader {
        RoundHeader {
            session: SessionId::generate(),
            attempt: Attempt::FIRST,
            from,
            to,
            stage: Stage(1),
            round: Round(1),
            seq: Seq(0),
        }
    }

    #[test]
    fn messages_open_in_order_and_nowhere_else() {
        let [mut a, mut b, mut c] = members();
        let first = a.channels.seal(header(a.id, b.id), b"first").unwrap();
        let second = a.channels.seal(header(a.id, b.id), b"second").unwrap();
        assert_eq!((first.header.seq, second.header.seq), (Seq(0), Seq(1)));

        assert_eq!(b.channels.open(&second), Err(SealError::DoesNotOpen));
        assert_eq!(c.channels.open(&first), Err(SealError::DoesNotOpen));
        assert_eq!(b.channels.open(&first).unwrap(), b"first");
        assert_eq!(b.channels.open(&first), Err(SealError::DoesNotOpen), "a replay");
        assert_eq!(b.channels.open(&second).unwrap(), b"second");
    }

    #[test]
    fn every_header_field_and_byte_is_bound() {
        let [mut a, mut b, c] = members();
        let sealed = a.channels.seal(header(a.id, b.id), b"payload").unwrap();
        let mut altered: Vec<RoundEnvelope> = vec![sealed.clone(); 6];
        altered[0].header.session = SessionId::generate();
        altered[1].header.attempt = Attempt(2);
        altered[2].header.from = c.id;
        altered[3].header.stage = Stage(2);
        altered[4].header.round = Round(2);
        altered[5].header.seq = Seq(1);
        for at in 0..sealed.sealed.len() {
            let mut flipped = sealed.clone();
            flipped.sealed[at] ^= 1;
            altered.push(flipped);
        }
        for envelope in &altered {
            assert_eq!(b.channels.open(envelope), Err(SealError::DoesNotOpen), "{envelope:?}");
        }
        assert_eq!(b.channels.open(&sealed).unwrap(), b"payload", "refusals change nothing");
    }

    #[test]
    fn members_who_hold_different_joins_have_no_channel() {
        let identities = [1, 2, 3].map(|seed| Identity::from_seed(&[seed; 32]));
        let plan = AttemptPlan {
            session: SessionId::generate(),
            intent_hash: IntentHash::new([7; 32]),
            attempt: Attempt::FIRST,
            quorum: identities.iter().map(Identity::party).collect(),
            aux_id: None,
        };
        let [a, b, cheat] = identities.map(FreshJoiner::new);
        let (own, peer) = (a.prepare(&plan), b.prepare(&plan));
        let channels = |me: &PreparedJoin, cheats: &PreparedJoin| {
            let joins = [&own, &peer, cheats].map(|prepared| prepared.join.verify().unwrap());
            let joins = joins.into_iter().map(|join| (join.member(), join)).collect();
            Channels::new(me.join.member, &me.secret, plan.hash(), &joins).unwrap()
        };
        let (one, other) = (cheat.prepare(&plan), cheat.prepare(&plan));
        let (from, to) = (own.join.member, peer.join.member);
        let sealed = channels(&own, &one).seal(header(from, to), b"payload").unwrap();
        let opened = channels(&peer, &other).open(&sealed);
        assert_eq!(opened, Err(SealError::DoesNotOpen));
        assert_eq!(channels(&peer, &one).open(&sealed).unwrap(), b"payload");
    }

    #[test]
    fn debug_shows_no_key() {
        let [a, ..] = members();
        assert_eq!(format!("{:?}", a.channels), "Channels(2 peers, keys redacted)");
    }
}
