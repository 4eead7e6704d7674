//! What follows from logs, and from the heads of them that others hold.

use super::chain::Fault;
use super::database::{LogKind, OwnWord, ReadLog};
use super::report::{Finding, LogReport, Problem, Report, Verdict};
use super::{Expected, LogSource, WitnessedHead, absent, keeper_name};
use mpc_wire::SignedHead;
use mpc_wire::audit::Head;
use std::collections::{BTreeMap, BTreeSet};

/// What a log holds that contradicts what its keeper showed before.
#[derive(Debug)]
pub(super) struct Evidence {
    pub(super) witness: String,
    pub(super) heads: Vec<SignedHead>,
    pub(super) unreadable: usize,
}

/// Judges every log, and tells of those that are lost.
pub(super) fn judge(
    logs: &[ReadLog],
    lost: &[&LogSource],
    witnessed: &[WitnessedHead],
    evidence: Vec<Evidence>,
) -> Report {
    let mut reports: Vec<_> =
        logs.iter().map(|log| LogJudge::new(log).against(logs, witnessed)).collect();
    for Evidence { witness, heads, unreadable } in evidence {
        for head in heads {
            // What a stranger has shown belongs to the log that kept it.
            let known = logs.iter().position(|log| log.keeper == Some(head.keeper));
            let own = logs.iter().position(|log| log.name == witness);
            if let Some(report) = known.or(own).and_then(|at| reports.get_mut(at)) {
                report.findings.push(contradiction(&witness, &head));
            }
        }
        if unreadable > 0
            && let Some(report) = reports.iter_mut().find(|report| report.log == witness)
        {
            report.findings.push(Finding {
                number: 0,
                problem: Problem::WitnessAltered,
                detail: format!("{unreadable} of the heads that it holds of others are not signed"),
            });
        }
    }
    reports.extend(lost.iter().map(|log| absent::of_lost(log, logs, witnessed)));
    for report in &mut reports {
        report.findings.sort_by_key(|finding| (finding.number, finding.problem));
        if !report.findings.is_empty() {
            report.verdict = Verdict::Damaged;
        }
    }
    Report { logs: reports, unchecked: absent::not_here(logs, lost, witnessed) }
}

/// Whether a head of another keeper is meant to be of this log: it was kept under its name, or by a
/// party, which knows one coordinator only.
pub(super) fn is_meant_for(log: &ReadLog, logs: &[ReadLog], held: &WitnessedHead) -> bool {
    if logs.iter().any(|log| log.keeper == Some(held.head.keeper)) {
        return false;
    }
    match &held.log {
        Some(name) => *name == log.name,
        None => {
            let witness = logs.iter().find(|log| log.name == held.witness);
            log.kind == LogKind::Coordinator
                && witness.is_some_and(|witness| witness.kind == LogKind::Party)
        }
    }
}

fn contradiction(witness: &str, head: &SignedHead) -> Finding {
    let (keeper, count) = (keeper_name(&head.keeper), head.head.count);
    Finding {
        number: count,
        problem: Problem::Contradiction,
        detail: format!(
            "{witness} was shown a head of {count} entries by {keeper} that cannot follow the one \
             before: the log was cut or rewritten, or restored from a backup"
        ),
    }
}

struct LogJudge<'a> {
    log: &'a ReadLog,
    report: LogReport,
    /// The heads that disagree, to be told once for all who hold them.
    disagreeing: Vec<(Head, String)>,
    /// Who holds heads that agree, and the most entries that one of them is of.
    agreeing: BTreeMap<String, u64>,
    /// The numbers of entries that heads agree with.
    proved: BTreeSet<u64>,
}

impl<'a> LogJudge<'a> {
    fn new(log: &'a ReadLog) -> Self {
        let report = LogReport {
            log: log.name.clone(),
            database: log.database.clone(),
            keeper: log.keeper,
            entries: log.rows,
            head: log.head,
            verdict: Verdict::Whole,
            findings: Vec::new(),
            agrees_with: Vec::new(),
            unchecked: Vec::new(),
        };
        Self {
            log,
            report,
            disagreeing: Vec::new(),
            agreeing: BTreeMap::new(),
            proved: BTreeSet::new(),
        }
    }

    fn against(mut self, logs: &[ReadLog], witnessed: &[WitnessedHead]) -> LogReport {
        self.chain();
        self.own_word();
        self.deeds();
        self.keeper();
        let mut is_held = false;
        for held in witnessed {
            let is_of_this = match self.log.keeper {
                Some(keeper) => keeper == held.head.keeper,
                None => false,
            };
            if is_of_this {
                is_held = true;
                self.compare(held.head.head, &held.witness);
            } else if is_meant_for(self.log, logs, held) {
                self.find(
                    1,
                    Problem::OtherKeeper,
                    format!(
                        "{} holds a head of this log that {} has signed, who is not its keeper here",
                        held.witness,
                        keeper_name(&held.head.keeper)
                    ),
                );
            }
        }
        if !is_held {
            self.report.unchecked.push(
                "nobody else here holds a head of it: a log that was cut and signed again would \
                 not show"
                    .to_owned(),
            );
        }
        self.conclude()
    }

    fn chain(&mut self) {
        let Some(fault) = self.log.fault else { return };
        let number = fault.number();
        let (problem, detail) = match fault {
            Fault::Altered(_) => {
                (Problem::Altered, "it does not follow from the entries before it".to_owned())
            }
            Fault::Missing(_) => (Problem::Missing, "it is gone, later ones are there".to_owned()),
            Fault::Moved { stands_at, .. } => {
                (Problem::Moved, format!("the entry that was written here stands at {stands_at}"))
            }
            Fault::BeforeFirst(at) => {
                (Problem::Altered, format!("there is a row of the number {at}"))
            }
        };
        self.find(number, problem, detail);
    }

    fn own_word(&mut self) {
        let what = match self.log.kind {
            LogKind::Coordinator => "its signed head",
            LogKind::Party => "its sealed head",
        };
        match self.log.own {
            OwnWord::Head(head) => {
                self.compare(head, what);
                if self.log.fault.is_none() && head.count < self.log.head.count {
                    self.find(
                        head.count.saturating_add(1),
                        Problem::Unsigned,
                        format!("{what} ends before it"),
                    );
                }
            }
            OwnWord::Nothing if self.log.rows > 0 => {
                self.find(1, Problem::HeadLost, format!("{what} is gone"));
            }
            OwnWord::Nothing => {}
            OwnWord::NotItsWord => {
                self.find(1, Problem::HeadLost, format!("{what} is not the keeper's"));
            }
            OwnWord::NotLookedAt => self.report.unchecked.push(format!(
                "{what}: give the party's master key (CRYPTO_MASTER_KEY, or master.key in its \
                 folder)"
            )),
        }
        if self.log.kind == LogKind::Coordinator && !self.log.is_keeper_sure {
            self.report.unchecked.push(
                "whether the head is signed by the coordinator's key: give its secret \
                 (MPC_COORDINATOR_KEY, or coordinator.key in the data folder)"
                    .to_owned(),
            );
        }
    }

    /// What was done must have been entered, and what was entered for good must still be so. Where the
    /// log holds together, what is missing stood at its end.
    fn deeds(&mut self) {
        let next = self.log.head.count.saturating_add(1);
        for told in &self.log.unentered {
            self.find(next, Problem::Unentered, told.clone());
        }
        for (number, told) in &self.log.undone {
            self.find(*number, Problem::Undone, told.clone());
        }
    }

    /// Whose log it is, and whether what its keeper was shown by others is still there.
    fn keeper(&mut self) {
        if let (Some(Expected::Party(party)), Some(keeper)) = (self.log.expected, self.log.keeper)
            && party != keeper
        {
            let detail = format!(
                "party {} lived here, and the database is of {}",
                keeper_name(&party),
                keeper_name(&keeper)
            );
            self.find(1, Problem::OtherKeeper, detail);
        }
        if self.log.has_lost_witnesses {
            let detail =
                "its entries tell of sessions in which it was shown heads of others' logs, \
                          and none of them is left"
                    .to_owned();
            self.find(0, Problem::WitnessLost, detail);
        }
    }

    fn compare(&mut self, head: Head, witness: &str) {
        if head.count > self.log.head.count {
            // What comes after a fault in the chain says nothing.
            if self.log.fault.is_none() {
                self.disagreeing.push((head, witness.to_owned()));
            }
        } else if self.log.hashes.get(&head.count) == Some(&head.hash) {
            self.proved.insert(head.count);
            let most = self.agreeing.entry(witness.to_owned()).or_default();
            *most = head.count.max(*most);
        } else {
            self.disagreeing.push((head, witness.to_owned()));
        }
    }

    /// Tells of the heads that disagree, and which entry is the first that can be wrong.
    fn conclude(mut self) -> LogReport {
        let end = self.log.head.count;
        let disagreeing = std::mem::take(&mut self.disagreeing);
        let (cut, rewritten): (Vec<_>, Vec<_>) =
            disagreeing.into_iter().partition(|(head, _)| head.count > end);
        // A witness holds many heads: the first that disagrees says most.
        let names = |heads: &[(Head, String)]| {
            let mut first = BTreeMap::<_, u64>::new();
            for (head, who) in heads {
                let least = first.entry(who.clone()).or_insert(head.count);
                *least = head.count.min(*least);
            }
            told(first).join(", ")
        };
        if let Some(until) = rewritten.iter().map(|(head, _)| head.count).min() {
            // A log that has grown again behind a cut agrees with later heads.
            let proved = self.proved.range(..until).next_back().copied().unwrap_or(0);
            let first = proved.saturating_add(1);
            let detail = format!(
                "what was written from here on, or at the latest at {until}, is not what {} holds",
                names(&rewritten)
            );
            self.find(first, Problem::Rewritten, detail);
        }
        // Either nothing has happened yet, or all that spoke of it was deleted.
        if cut.is_empty() && self.log.rows == 0 && self.log.unentered.is_empty() {
            self.report.unchecked.push(
                "whether there ever was an entry: there is none, and nothing that speaks of one"
                    .to_owned(),
            );
        }
        if !cut.is_empty() {
            let detail = format!("the log ends before it, but not by {}", names(&cut));
            self.find(end.saturating_add(1), Problem::Missing, detail);
        }
        self.report.agrees_with = told(self.agreeing);
        self.report
    }

    fn find(&mut self, number: u64, problem: Problem, detail: String) {
        self.report.findings.push(Finding { number, problem, detail });
    }
}

/// Witnesses, each with how many entries its head is of.
fn told(witnesses: BTreeMap<String, u64>) -> Vec<String> {
    witnesses.into_iter().map(|(who, count)| format!("{who} ({count} entries)")).collect()
}
