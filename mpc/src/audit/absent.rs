//! Logs that are not here: those that must be, and those that others merely hold heads of.

use super::database::ReadLog;
use super::judge::is_meant_for;
use super::report::{Finding, LogReport, Problem, Verdict};
use super::{Expected, LogSource, WitnessedHead, keeper_name};
use mpc_wire::PartyId;
use mpc_wire::audit::Head;
use std::collections::BTreeMap;

/// A log that must be there and is not.
pub(super) fn of_lost(log: &LogSource, logs: &[ReadLog], witnessed: &[WitnessedHead]) -> LogReport {
    let held = witnessed.iter().filter(|held| is_of_lost(log, logs, held));
    let held: Vec<_> =
        held.map(|held| format!("{} ({} entries)", held.witness, held.head.head.count)).collect();
    let held = if held.is_empty() {
        String::new()
    } else {
        format!("; heads of it are held by {}", held.join(", "))
    };
    let detail = format!("its database is gone, and whatever else it held{held}");
    LogReport {
        log: log.name.clone(),
        database: log.database.clone(),
        keeper: keeper_of_lost(log),
        entries: 0,
        head: Head::EMPTY,
        verdict: Verdict::Damaged,
        findings: vec![Finding { number: 1, problem: Problem::LogLost, detail }],
        agrees_with: Vec::new(),
        unchecked: Vec::new(),
    }
}

fn keeper_of_lost(log: &LogSource) -> Option<PartyId> {
    match log.expected {
        Some(Expected::Party(party)) => Some(party),
        Some(Expected::Coordinator) | None => None,
    }
}

/// Whether a head is of a log that is lost. Of a lost coordinator only this is known: that it is
/// nobody else here.
fn is_of_lost(lost: &LogSource, logs: &[ReadLog], held: &WitnessedHead) -> bool {
    match (keeper_of_lost(lost), &held.log) {
        (Some(keeper), _) => held.head.keeper == keeper,
        (None, Some(name)) => *name == lost.name,
        (None, None) => !logs.iter().any(|log| log.keeper == Some(held.head.keeper)),
    }
}

/// Logs of which somebody holds a head, and which are not here: of parties elsewhere, or of some that
/// were here once.
pub(super) fn not_here(
    logs: &[ReadLog],
    lost: &[&LogSource],
    witnessed: &[WitnessedHead],
) -> Vec<String> {
    let is_told = |held: &WitnessedHead| {
        let mut there = logs.iter();
        there.any(|log| log.keeper == Some(held.head.keeper) || is_meant_for(log, logs, held))
            || lost.iter().any(|lost| is_of_lost(lost, logs, held))
    };
    let mut newest: BTreeMap<PartyId, &WitnessedHead> = BTreeMap::new();
    for held in witnessed.iter().filter(|held| !is_told(held)) {
        let kept = newest.entry(held.head.keeper).or_insert(held);
        if kept.head.head.count < held.head.head.count {
            *kept = held;
        }
    }
    let line = |held: &WitnessedHead| {
        let (keeper, count) = (keeper_name(&held.head.keeper), held.head.head.count);
        let name = held.log.as_ref().map_or(String::new(), |name| format!(" ({name})"));
        format!(
            "the log of {keeper}{name}, which is not here; {} holds a head of it with {count} entries",
            held.witness
        )
    };
    newest.into_values().map(line).collect()
}
