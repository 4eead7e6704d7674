//! What can happen to a session.

use crate::harness::PARTIES;
use mpc_wire::{DeclineReason, Objection};
use proptest::prelude::*;
use std::ops::Range;

/// Something happens. Parties are numbers; `stale` names another attempt than the newest.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Online(usize),
    Offline(usize),
    Join {
        from: usize,
        stale: bool,
        plan: Joined,
    },
    /// Every member of the newest attempt joins it.
    JoinAll,
    Decline {
        from: usize,
        reason: DeclineReason,
        stale: bool,
    },
    /// A person is to approve.
    AwaitApproval {
        from: usize,
        stale: bool,
    },
    Object {
        from: usize,
        objection: Objection,
        stale: bool,
    },
    Round {
        from: usize,
        to: usize,
        stale: bool,
    },
    RoundRefused {
        from: usize,
        to: usize,
        stale: bool,
    },
    Acknowledge {
        from: usize,
        to: usize,
        stale: bool,
    },
    Progress {
        from: usize,
        lacks: usize,
        stale: bool,
    },
    /// A product of the session's kind; one that is not valid differs from the others'.
    Product {
        from: usize,
        valid: bool,
        stale: bool,
    },
    /// A product of another kind of session.
    WrongProduct {
        from: usize,
    },
    Fail {
        from: usize,
        guilty: Option<usize>,
    },
    Cancel,
    Tick(u64),
    /// The next op's effects end after so many, as if the process had died there; then the
    /// session is restored from what was durable.
    CrashAfter(usize),
}

/// Which plan a join is to, whatever attempt its message names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Joined {
    /// The plan of the attempt that is named.
    Named,
    /// The plan of the attempt before.
    Earlier,
    /// A plan that the coordinator never made.
    Strange,
    /// The plan of the attempt that is named, with a signature that somebody broke.
    Broken,
}

impl Op {
    /// Whether it can make the session impossible to complete.
    pub(crate) fn ends_or_declines(&self) -> bool {
        match self {
            Self::Decline { reason, .. } => {
                !matches!(reason, DeclineReason::Overloaded | DeclineReason::AttemptOver)
            }
            Self::Product { .. } | Self::WrongProduct { .. } | Self::Cancel => true,
            Self::Tick(_) => true,
            Self::Online(_)
            | Self::Offline(_)
            | Self::Join { .. }
            | Self::JoinAll
            | Self::AwaitApproval { .. }
            | Self::Object { .. }
            | Self::Round { .. }
            | Self::RoundRefused { .. }
            | Self::Acknowledge { .. }
            | Self::Progress { .. }
            | Self::Fail { .. }
            | Self::CrashAfter(_) => false,
        }
    }
}

/// Sequences of ops, the productive ones more often than the rest.
pub(crate) fn ops(length: Range<usize>) -> impl Strategy<Value = Vec<Op>> {
    let party = || 0..PARTIES;
    let stale = || prop::bool::weighted(0.15);
    let reason = prop_oneof![
        Just(DeclineReason::Overloaded),
        Just(DeclineReason::AttemptOver),
        Just(DeclineReason::Banned),
        Just(DeclineReason::Refused),
        Just(DeclineReason::NoShare),
    ];
    let op = prop_oneof![
        4 => party().prop_map(Op::Online),
        2 => party().prop_map(Op::Offline),
        4 => (party(), stale(), joined())
            .prop_map(|(from, stale, plan)| Op::Join { from, stale, plan }),
        6 => Just(Op::JoinAll),
        1 => (party(), reason, stale())
            .prop_map(|(from, reason, stale)| Op::Decline { from, reason, stale }),
        3 => (party(), stale()).prop_map(|(from, stale)| Op::AwaitApproval { from, stale }),
        2 => (party(), objection(), stale())
            .prop_map(|(from, objection, stale)| Op::Object { from, objection, stale }),
        4 => (party(), party(), stale())
            .prop_map(|(from, to, stale)| Op::Round { from, to, stale }),
        1 => (party(), party(), stale())
            .prop_map(|(from, to, stale)| Op::RoundRefused { from, to, stale }),
        1 => (party(), party(), stale())
            .prop_map(|(from, to, stale)| Op::Acknowledge { from, to, stale }),
        2 => (party(), party(), stale())
            .prop_map(|(from, lacks, stale)| Op::Progress { from, lacks, stale }),
        3 => (party(), prop::bool::weighted(0.6), stale())
            .prop_map(|(from, valid, stale)| Op::Product { from, valid, stale }),
        1 => party().prop_map(|from| Op::WrongProduct { from }),
        3 => (party(), prop::option::of(party()))
            .prop_map(|(from, guilty)| Op::Fail { from, guilty }),
        1 => Just(Op::Cancel),
        3 => (0_u64..12_000).prop_map(Op::Tick),
        2 => (0_usize..8).prop_map(Op::CrashAfter),
    ];
    prop::collection::vec(op, length)
}

fn joined() -> impl Strategy<Value = Joined> {
    prop_oneof![
        8 => Just(Joined::Named),
        1 => Just(Joined::Earlier),
        1 => Just(Joined::Strange),
        1 => Just(Joined::Broken),
    ]
}

pub(crate) fn objection() -> impl Strategy<Value = Objection> {
    prop::sample::select(vec![
        Objection::ForgedJoin,
        Objection::SupersededKey,
        Objection::WrongJoins,
        Objection::Misrouted,
    ])
}
