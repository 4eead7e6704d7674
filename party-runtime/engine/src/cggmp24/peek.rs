//! What is looked at in a manul message before manul sees it.
//!
//! manul keeps the fields of its messages private, so they are read through mirrors of its wire
//! form. Who changes that form notices: no message can be read any more.

use super::guard::Contents;
use super::session::{MessagePack, PartSignature, Verifier};
use crate::engine::Keys;
use crate::failure::EngineFailure;
use manul::protocol::RoundId;
use manul::session::WireFormat;
use mpc_wire::PartyId;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_bytes::{ByteBuf, Bytes};

/// The parts of a message. Of what may be secret no copy is made.
#[derive(Deserialize)]
pub(crate) struct Peek<'a> {
    #[serde(borrow)]
    direct_message: Part<'a, RoundId>,
    #[serde(borrow)]
    echo_broadcast: Part<'a, IgnoredAny>,
    #[serde(borrow)]
    normal_broadcast: Part<'a, Echoing>,
}

#[derive(Deserialize)]
struct Part<'a, R> {
    signature: Signature,
    #[serde(borrow)]
    message_with_metadata: Body<'a, R>,
}

#[derive(Deserialize)]
struct Body<'a, R> {
    metadata: Metadata<R>,
    #[serde(borrow)]
    message: Option<&'a Bytes>,
}

#[derive(Deserialize)]
struct Metadata<R> {
    round_id: R,
}

/// The half of a round's id that tells an echo round from the round before it. manul refuses a
/// message whose parts do not name the same round, so it is enough to ask one of them.
#[derive(Deserialize)]
struct Echoing {
    is_echo: bool,
}

/// What a member says in an echo round: the signatures that all others sent it in the round before.
#[derive(Deserialize)]
struct EchoPack {
    message_hashes: Vec<(Verifier, Echo)>,
}

#[derive(Deserialize)]
struct Echo {
    signature: Signature,
}

/// A signature as it lies in a message, in MessagePack once more.
#[derive(Deserialize)]
#[serde(transparent)]
struct Signature(ByteBuf);

impl<'a> Peek<'a> {
    /// Reads `from`'s message.
    pub(crate) fn at(from: PartyId, payload: &'a [u8]) -> Result<Self, EngineFailure> {
        rmp_serde::from_slice(payload)
            .map_err(|_| EngineFailure::misbehaved(from, "a message could not be decoded"))
    }

    /// What it says.
    pub(crate) fn contents(&self) -> Contents<'a> {
        let Self { direct_message, echo_broadcast, normal_broadcast } = self;
        Contents {
            echo: echo_broadcast.message_with_metadata.message.map(|bytes| &**bytes),
            normal: normal_broadcast.message_with_metadata.message.map(|bytes| &**bytes),
            direct: direct_message.message_with_metadata.message.map(|bytes| &**bytes),
        }
    }

    /// The round that the message was made in.
    pub(crate) fn round_id(&self) -> &RoundId {
        &self.direct_message.message_with_metadata.metadata.round_id
    }

    /// Refuses a message with a signature by another key than the one that its member joined the
    /// attempt with. Else whoever has stolen a key that a member has rotated away since could sign
    /// in its name, and make it the guilty one by echoing what it has never said.
    ///
    /// The sender is to blame, also for what it echoes: the channel is bound to the joins, so it
    /// knows the same keys.
    pub(crate) fn check_keys(&self, from: PartyId, keys: &Keys) -> Result<(), EngineFailure> {
        let Self { direct_message, echo_broadcast, normal_broadcast } = self;
        let own =
            [&direct_message.signature, &echo_broadcast.signature, &normal_broadcast.signature];
        own.into_iter().try_for_each(|signature| signature.check_key(from, from, keys))?;
        self.echoes(from)?
            .iter()
            .try_for_each(|(signer, echo)| echo.signature.check_key(signer.0, from, keys))
    }

    fn echoes(&self, from: PartyId) -> Result<Vec<(Verifier, Echo)>, EngineFailure> {
        let Body { metadata, message } = &self.normal_broadcast.message_with_metadata;
        match message {
            Some(pack) if metadata.round_id.is_echo => {
                let pack: EchoPack = MessagePack::deserialize(pack).map_err(|_| {
                    EngineFailure::misbehaved(from, "what a member echoes could not be decoded")
                })?;
                Ok(pack.message_hashes)
            }
            // In an echo round manul refuses a message without a pack.
            Some(_) | None => Ok(Vec::new()),
        }
    }
}

impl Signature {
    fn check_key(&self, signer: PartyId, from: PartyId, keys: &Keys) -> Result<(), EngineFailure> {
        let signature: PartSignature = MessagePack::deserialize(&self.0)
            .map_err(|_| EngineFailure::misbehaved(from, "a signature could not be decoded"))?;
        if keys.get(&signer).is_some_and(|key| signature.is_by(signer, *key)) {
            Ok(())
        } else {
            Err(EngineFailure::misbehaved(
                from,
                "a signature is not by the key that its member joined with",
            ))
        }
    }
}
