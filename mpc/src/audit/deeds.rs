//! Deeds: what is stored in one commit with an entry that tells of it. A deed without its entry shows
//! that the log was cut or rewritten, also where nobody has witnessed the entry; an entry whose deed
//! is for good and not there any more, that somebody has undone it past the coordinator.

use super::database::LogKind;
use Told::{Decision, Detail, Subject};

/// Most deeds of one kind that are named: the first few say what to look for.
const MAX_NAMED: usize = 3;

/// Most characters of a name: ids have 64 at most, and who writes the database can write anything.
const MAX_NAME: usize = 80;

/// A kind of deed, and what is entered with it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deed {
    /// What it is, for people.
    what: &'static str,
    /// Its rows, with a name first and then what the entry must say besides.
    rows: &'static str,
    /// Where the entry says each of that.
    told: &'static [Told],
    /// The events of such entries.
    events: &'static [&'static str],
}

/// A part of an entry.
#[derive(Debug, Clone, Copy)]
enum Told {
    Subject,
    Decision,
    /// A field of the details.
    Detail(&'static str),
}

impl Told {
    fn sql(self) -> String {
        match self {
            Self::Subject => "subject".to_owned(),
            Self::Decision => "decision".to_owned(),
            // Details that were altered into no JSON tell of nothing.
            Self::Detail(field) => {
                format!("CASE WHEN json_valid(detail) THEN json_extract(detail, '$.{field}') END")
            }
        }
    }
}

impl Deed {
    /// The kinds of deed in a database of this kind.
    pub(super) const fn of(kind: LogKind) -> &'static [Self] {
        match kind {
            LogKind::Coordinator => OF_COORDINATOR,
            LogKind::Party => OF_PARTY,
        }
    }

    /// Asks for the deeds without their entry, for one more than are named.
    pub(super) fn sql(&self) -> String {
        let told: Vec<_> = self.told.iter().map(|told| told.sql()).collect();
        let events: Vec<_> = self.events.iter().map(|event| format!("'{event}'")).collect();
        format!(
            "SELECT {} EXCEPT SELECT {} FROM audit_log WHERE event IN ({}) LIMIT {}",
            self.rows,
            told.join(", "),
            events.join(", "),
            MAX_NAMED + 1
        )
    }

    /// Says that these have no entry.
    pub(super) fn without_entry(&self, names: Vec<String>) -> String {
        let more = if names.len() > MAX_NAMED { " and others" } else { "" };
        let names: Vec<_> = names.iter().take(MAX_NAMED).map(|name| printable(name)).collect();
        let (events, names) = (self.events.join(" or "), names.join(", "));
        format!("no entry {events} tells of {} that is stored: {names}{more}", self.what)
    }
}

/// Something that an entry tells of and that is for good.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lasting {
    /// What it is, for people.
    what: &'static str,
    /// The event of its entries.
    event: &'static str,
    /// Finds what an `entry` tells of where it is still so.
    still: &'static str,
}

impl Lasting {
    /// What lasts in a database of this kind.
    pub(super) const fn of(kind: LogKind) -> &'static [Self] {
        match kind {
            LogKind::Coordinator => LASTING_OF_COORDINATOR,
            LogKind::Party => &[],
        }
    }

    /// Asks for the names of what was undone, each with its newest entry, for one more than are named.
    pub(super) fn sql(&self) -> String {
        format!(
            "SELECT subject, MAX(number) FROM audit_log AS entry WHERE event = '{}' \
             AND NOT EXISTS (SELECT 1 FROM {}) GROUP BY subject ORDER BY 2 LIMIT {}",
            self.event,
            self.still,
            MAX_NAMED + 1
        )
    }

    /// Says that these were undone.
    pub(super) fn undone(&self, names: Vec<String>) -> String {
        let more = if names.len() > MAX_NAMED { " and others" } else { "" };
        let names: Vec<_> = names.iter().take(MAX_NAMED).map(|name| printable(name)).collect();
        let (event, names) = (self.event, names.join(", "));
        format!("{} is not stored any more, of which {event} tells: {names}{more}", self.what)
    }
}

const LASTING_OF_COORDINATOR: &[Lasting] = &[
    Lasting {
        what: "a session",
        event: "session_opened",
        still: "sessions WHERE session_id = entry.subject",
    },
    Lasting {
        what: "a session's end",
        event: "session_ended",
        still: "sessions WHERE session_id = entry.subject AND state = entry.decision",
    },
    Lasting {
        what: "an account",
        event: "account_created",
        still: "accounts WHERE account_id = entry.subject",
    },
    Lasting {
        what: "an API key",
        event: "api_key_created",
        still: "api_keys WHERE key_id = entry.subject",
    },
    Lasting {
        what: "an API key's revocation",
        event: "api_key_revoked",
        still: "api_keys WHERE key_id = entry.subject AND revoked_at IS NOT NULL",
    },
    Lasting {
        what: "a party",
        event: "party_registered",
        still: "parties WHERE party_id = entry.subject",
    },
    Lasting {
        what: "an enrolled party",
        event: "party_enrolled",
        still: "parties WHERE party_id = entry.subject",
    },
    Lasting {
        what: "a party's revocation",
        event: "party_revoked",
        still: "parties WHERE party_id = entry.subject AND revoked_at IS NOT NULL",
    },
    Lasting {
        what: "a party's newer key",
        event: "party_key_rotated",
        still: "parties WHERE party_id = entry.subject AND (NOT json_valid(entry.detail) \
                OR key_number >= json_extract(entry.detail, '$.number'))",
    },
    // Tokens are deleted once they have expired; one that is there was used or not.
    Lasting {
        what: "the use of an enrolment token",
        event: "party_enrolled",
        still: "parties WHERE NOT json_valid(entry.detail) OR NOT EXISTS (SELECT 1 \
                FROM enrolment_tokens WHERE token_id = json_extract(entry.detail, '$.token') \
                AND used_by IS NOT entry.subject)",
    },
    Lasting {
        what: "the cancellation of an enrolment token",
        event: "enrolment_token_cancelled",
        still: "audit_log WHERE NOT EXISTS (SELECT 1 FROM enrolment_tokens \
                WHERE token_id = entry.subject)",
    },
];

/// A name that cannot write on the terminal, nor fill it.
fn printable(name: &str) -> String {
    name.chars().take(MAX_NAME).flat_map(char::escape_default).collect()
}

const OF_COORDINATOR: &[Deed] = &[
    Deed {
        what: "a session",
        rows: "session_id FROM sessions",
        told: &[Subject],
        events: &["session_opened"],
    },
    Deed {
        what: "a session's end",
        rows: "session_id, state FROM sessions WHERE state <> 'running'",
        told: &[Subject, Decision],
        events: &["session_ended"],
    },
    Deed {
        what: "an aux set",
        rows: "session_id, aux_id FROM aux_sets WHERE aux_id IS NOT NULL",
        told: &[Subject, Detail("aux")],
        events: &["session_ended"],
    },
    Deed {
        what: "an account",
        rows: "account_id FROM accounts",
        told: &[Subject],
        events: &["account_created"],
    },
    Deed {
        what: "an account's key",
        rows: "account_id, public_key FROM accounts WHERE public_key IS NOT NULL",
        told: &[Subject, Detail("public_key")],
        events: &["account_key_generated"],
    },
    Deed {
        what: "an account's failure",
        rows: "account_id FROM accounts WHERE state = 'failed'",
        told: &[Subject],
        events: &["account_failed"],
    },
    Deed {
        what: "an account's activation",
        rows: "account_id FROM accounts WHERE state = 'active'",
        told: &[Subject],
        events: &["account_activated"],
    },
    Deed {
        what: "an API key",
        rows: "key_id FROM api_keys",
        told: &[Subject],
        events: &["api_key_created"],
    },
    Deed {
        what: "an API key's revocation",
        rows: "key_id FROM api_keys WHERE revoked_at IS NOT NULL",
        told: &[Subject],
        events: &["api_key_revoked"],
    },
    Deed {
        what: "a party in its role",
        rows: "party_id, role FROM parties",
        told: &[Subject, Detail("role")],
        events: &["party_registered", "party_enrolled"],
    },
    Deed {
        what: "a party's newest key",
        rows: "party_id, key_number, party_key FROM parties WHERE key_number > 0",
        told: &[Subject, Detail("number"), Detail("key")],
        events: &["party_key_rotated", "party_enrolled"],
    },
    Deed {
        what: "a party's revocation",
        rows: "party_id FROM parties WHERE revoked_at IS NOT NULL",
        told: &[Subject],
        events: &["party_revoked"],
    },
    Deed {
        what: "an enrolment token",
        rows: "token_id FROM enrolment_tokens",
        told: &[Subject],
        events: &["enrolment_token_created"],
    },
    Deed {
        what: "the use of an enrolment token",
        rows: "token_id, used_by FROM enrolment_tokens WHERE used_by IS NOT NULL",
        told: &[Detail("token"), Subject],
        events: &["party_enrolled"],
    },
    CONTRADICTION,
];

/// What a restored vault holds from its backup was entered in another log: nothing of it is asked
/// where an entry tells of the restoration.
const OF_PARTY: &[Deed] = &[
    Deed {
        what: "an account's share of an epoch",
        rows: "name, epoch FROM sealed_records WHERE kind = 'share' \
               AND NOT EXISTS (SELECT 1 FROM audit_log WHERE event = 'restored')",
        told: &[Subject, Detail("epoch")],
        events: &["share_activated", "share_stored"],
    },
    Deed {
        what: "what is prepared of an account's epoch",
        rows: "name, epoch FROM sealed_records WHERE kind = 'prepared' \
               AND NOT EXISTS (SELECT 1 FROM audit_log WHERE event = 'restored')",
        told: &[Subject, Detail("epoch")],
        events: &["share_prepared", "share_refused"],
    },
    Deed {
        what: "a part of an aux set",
        rows: "name FROM sealed_records WHERE kind = 'aux' \
               AND NOT EXISTS (SELECT 1 FROM audit_log WHERE event = 'restored')",
        told: &[Subject],
        events: &["aux_stored"],
    },
    CONTRADICTION,
];

/// What coordinator and parties keep of logs that contradict themselves, by the hash of the head.
const CONTRADICTION: Deed = Deed {
    what: "a head that is evidence",
    rows: "CAST(hash AS TEXT) FROM witnessed_heads WHERE place > 0",
    told: &[Detail("hash")],
    events: &["audit_head_contradicts", "audit_log_in_doubt"],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_few_short_and_write_nothing_on_a_terminal() {
        let deed = Deed::of(LogKind::Coordinator)[0];
        let told = deed.without_entry(vec!["\u{1b}[2J\u{202e}".to_owned(), "x".repeat(1000)]);
        assert!(told.is_ascii() && !told.contains('\u{1b}') && told.len() < 200, "{told}");
        assert!(!told.contains("others"), "{told}");
        let told = deed.without_entry(["a1", "a2", "a3", "a4"].map(str::to_owned).to_vec());
        assert!(told.ends_with("a1, a2, a3 and others"), "{told}");
    }
}
