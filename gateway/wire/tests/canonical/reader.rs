//! Reads canonical bytes back. Production code never does; that it can be done shows that no two
//! values share their bytes.

use mpc_wire::{
    AccountId, Attempt, AttemptPlan, Authorization, AuxId, DerivationPath, Epoch, HashFunction,
    Intent, IntentHash, IntentKind, PartyId, Payload, PlanHash, PublicKey, RequestId, Scheme,
    SessionId, Threshold, UnixMillis,
};
use std::collections::BTreeSet;
use uuid::Uuid;

pub(crate) fn intent(bytes: &[u8]) -> Option<Intent> {
    let mut from = Reader::of_domain("mpc.v1/intent", bytes)?;
    let intent = Intent {
        session: SessionId::new(from.uuid()?),
        request: RequestId::new(from.uuid()?),
        eligible: from.parties()?,
        expires_at: UnixMillis(from.u64()?),
        kind: from.kind()?,
    };
    from.0.is_empty().then_some(intent)
}

pub(crate) fn plan(bytes: &[u8]) -> Option<AttemptPlan> {
    let mut from = Reader::of_domain("mpc.v1/plan", bytes)?;
    let plan = AttemptPlan {
        session: SessionId::new(from.uuid()?),
        intent_hash: IntentHash::new(from.array()?),
        attempt: Attempt(from.u32()?),
        quorum: from.parties()?,
        aux_id: from.aux_id()?,
    };
    from.0.is_empty().then_some(plan)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn of_domain(domain: &str, bytes: &'a [u8]) -> Option<Self> {
        let mut from = Self(bytes);
        let length = from.u8()?;
        (from.take(length.into())? == domain.as_bytes()).then_some(from)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn uuid(&mut self) -> Option<Uuid> {
        self.array().map(Uuid::from_bytes)
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        let length = self.u32()?;
        self.take(length as usize).map(<[u8]>::to_vec)
    }

    fn party(&mut self) -> Option<PartyId> {
        self.array().map(PartyId::new)
    }

    /// Refuses sets that are not sorted: these would be other bytes for the same value.
    fn parties(&mut self) -> Option<BTreeSet<PartyId>> {
        let count = self.u32()?;
        let items = (0..count).map(|_| self.party()).collect::<Option<Vec<_>>>()?;
        items.is_sorted_by(|one, two| one < two).then(|| items.into_iter().collect())
    }

    fn aux_id(&mut self) -> Option<Option<AuxId>> {
        match self.u8()? {
            0 => Some(None),
            1 => self.array().map(|bytes| Some(AuxId::new(bytes))),
            _ => None,
        }
    }

    fn scheme(&mut self) -> Option<Scheme> {
        match self.u8()? {
            1 => Some(Scheme::EcdsaCggmp24),
            3 => Some(Scheme::EddsaFrostEd25519),
            4 => Some(Scheme::SchnorrFrostSecp256k1Tr),
            _ => None,
        }
    }

    fn account(&mut self) -> Option<AccountId> {
        self.uuid().map(AccountId::new)
    }

    fn epoch(&mut self) -> Option<Epoch> {
        self.u32().map(Epoch)
    }

    fn threshold(&mut self) -> Option<Threshold> {
        self.u16().map(Threshold)
    }

    fn payload(&mut self) -> Option<Payload> {
        match self.u8()? {
            1 => self.array().map(Payload::Digest),
            2 => {
                let hash = match self.u8()? {
                    1 => HashFunction::Sha256,
                    2 => HashFunction::Keccak256,
                    _ => return None,
                };
                let bytes = self.bytes()?;
                Some(Payload::Bytes { bytes, hash })
            }
            3 => self.array().map(PlanHash::new).map(|plan| Payload::Canary { plan }),
            4 => self.bytes().map(Payload::Message),
            _ => None,
        }
    }

    fn path(&mut self) -> Option<DerivationPath> {
        let count = self.u32()?;
        let numbers = (0..count).map(|_| self.u32()).collect::<Option<Vec<_>>>()?;
        DerivationPath::try_from(numbers).ok()
    }

    fn authorization(&mut self) -> Option<Option<Authorization>> {
        match self.u8()? {
            0 => Some(None),
            1 => Some(Some(Authorization {
                requester: String::from_utf8(self.bytes()?).ok()?.parse().ok()?,
                expires_at: UnixMillis(self.u64()?),
                signature: self.array()?,
            })),
            _ => None,
        }
    }

    // Fields of a struct expression are evaluated in the order they are written in.
    fn kind(&mut self) -> Option<IntentKind> {
        Some(match self.u8()? {
            1 => IntentKind::Keygen {
                account: self.account()?,
                scheme: self.scheme()?,
                threshold: self.threshold()?,
            },
            2 => IntentKind::Aux { scheme: self.scheme()? },
            3 => IntentKind::Sign {
                account: self.account()?,
                epoch: self.epoch()?,
                scheme: self.scheme()?,
                threshold: self.threshold()?,
                public_key: PublicKey::new(self.bytes()?),
                path: self.path()?,
                payload: self.payload()?,
                authorization: self.authorization()?,
            },
            4 => IntentKind::Refresh {
                account: self.account()?,
                epoch: self.epoch()?,
                scheme: self.scheme()?,
                threshold: self.threshold()?,
                aux_id: self.aux_id()?,
            },
            5 => IntentKind::Reshare {
                account: self.account()?,
                epoch: self.epoch()?,
                scheme: self.scheme()?,
                old_threshold: self.threshold()?,
                new_threshold: self.threshold()?,
                new_holders: self.parties()?,
            },
            6 => IntentKind::Replace {
                account: self.account()?,
                epoch: self.epoch()?,
                scheme: self.scheme()?,
                threshold: self.threshold()?,
                lost: self.party()?,
            },
            _ => return None,
        })
    }
}
