//! No secret type is left out: whatever in the sources looks like one is in this table.
//!
//! The scan is simple and says so: it reads the text of each `struct` and `enum` outside of tests
//! and takes it for a secret type if it names a type of [`HOLDERS`], or has a name with a word of
//! [`NAMES`] or a field with a word of [`FIELDS`] and holds bare bytes or text. It does not see
//! what a type alias, a macro or a local variable hides.

use crate::shown::Case;
use crate::{command, engine, office, party, wire};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Types that hold secrets, or print them.
const HOLDERS: &[&str] = &[
    "Zeroizing<",
    "SecretBytes",
    "ShareRecord",
    "SecretString",
    "SigningKey",
    "KemPrivate",
    "x25519::Identity",
    "ThresholdKeyShare",
    "AuxInfo",
    "EncodingKey",
    "DecodingKey",
    "PrivateKeyDer",
    "CertifiedKey",
    "Aes256Gcm",
    "Scalar",
];

/// Words in names of types.
const NAMES: &[&str] = &["Secret", "Key", "Token", "Passphrase", "Password", "Seed", "Identity"];

/// Words in names of fields.
const FIELDS: &[&str] = &["secret", "seed", "token", "password", "passphrase", "private", "key"];

/// Bytes and text that nothing redacts.
const BARE: &[&str] = &["String", "[u8", "Vec<u8>", "&str", "&'a str", "Bytes"];

/// How a type keeps its secret.
#[derive(Clone, Copy)]
enum Fate {
    /// It is formatted around a canary, under this name.
    Case(&'static str),
    /// It has no `Debug`, so that nobody can format it.
    Unformatted,
    /// It is private and has a `Debug` of its own, which says `redacted`.
    Redacts,
    /// It is private; its `Debug` is derived from types of this table and shows nothing bare.
    Wraps,
    /// What it holds is no secret, because of this.
    Public(&'static str),
}

use Fate::{Case as InCase, Public, Redacts, Unformatted, Wraps};

const NAMES_A_KEY: &str = "it names a key and says nothing about it";
const SEALED: &str = "as a database has it: sealed, hashed or public";
const ASKS_FOR_IT: &str = "it asks for a secret that is made later";

/// Every type that the scan finds, by file and name, in the scan's order.
const TABLE: &[(&str, &str, Fate)] = &[
    ("coordinator/src/api_key.rs", "KeyId", Public(NAMES_A_KEY)),
    ("coordinator/src/api_key.rs", "Key", Redacts),
    ("coordinator/src/api_key.rs", "KeyHasher", Unformatted),
    ("coordinator/src/config.rs", "ApiKey", InCase("coordinator::ApiKey")),
    ("coordinator/src/config/secret.rs", "CoordinatorSecret", InCase("CoordinatorSecret")),
    ("coordinator/src/enrolment/secret.rs", "EnrolmentSecret", InCase("EnrolmentSecret")),
    ("coordinator/src/http/api_keys.rs", "NewKeyBody", Public(ASKS_FOR_IT)),
    ("coordinator/src/http/parties.rs", "NewTokenBody", Public(ASKS_FOR_IT)),
    ("coordinator/src/http/views.rs", "ApiKeyView", Unformatted),
    ("coordinator/src/http/views.rs", "KeyText", Unformatted),
    ("coordinator/src/http/views.rs", "EnrolmentTokenView", Unformatted),
    ("coordinator/src/store/account.rs", "Model", Public(SEALED)),
    ("coordinator/src/store/api_key.rs", "Model", Public(SEALED)),
    ("coordinator/src/store/api_key.rs", "StoredKey", Public(SEALED)),
    ("coordinator/src/store/enrolment.rs", "Model", Public(SEALED)),
    ("coordinator/src/store/idempotency.rs", "Model", Public(SEALED)),
    (
        "coordinator/src/store/idempotency.rs",
        "Claim",
        Public("its key is the caller's Idempotency-Key"),
    ),
    ("coordinator/src/store/party.rs", "Model", Public(SEALED)),
    ("gateway/wire/src/handshake.rs", "EnrolmentToken", InCase("EnrolmentToken")),
    ("gateway/wire/src/identity.rs", "Identity", InCase("Identity")),
    ("gateway/wire/src/outcome.rs", "PublicKey", Public("a public key")),
    ("gateway/wire/src/plan.rs", "SignedJoin", Public("its key is a public one")),
    ("mpc/src/api/keys.rs", "NewApiKey", Public(ASKS_FOR_IT)),
    ("mpc/src/api/keys.rs", "ApiKeyId", InCase("ApiKeyId")),
    ("mpc/src/api/keys.rs", "ApiKey", InCase("api::ApiKey")),
    ("mpc/src/api/keys.rs", "ApiKeyText", InCase("ApiKeyText")),
    ("mpc/src/api/parties.rs", "NewEnrolmentToken", Public(ASKS_FOR_IT)),
    ("mpc/src/api/parties.rs", "EnrolmentToken", InCase("api::EnrolmentToken")),
    ("mpc/src/keys.rs", "KeysCommand", Wraps),
    ("mpc/src/keys.rs", "NewKeyArgs", Wraps),
    ("mpc/src/master_key.rs", "MasterKeyArgs", Wraps),
    ("mpc/src/node/data_folder.rs", "MasterKey", InCase("MasterKey")),
    ("mpc/src/requester.rs", "Inner", Unformatted),
    ("mpc/src/secret.rs", "Secret", Redacts),
    ("mpc/src/tls/listener.rs", "Shown", InCase("ListenerTls")),
    ("mpc/src/tls/pem.rs", "Key", Unformatted),
    ("party-runtime/engine/src/cggmp24/dealer.rs", "Dealt", Wraps),
    ("party-runtime/engine/src/cggmp24/keygen.rs", "Founded", Unformatted),
    ("party-runtime/engine/src/cggmp24/raw.rs", "RawParty", Unformatted),
    ("party-runtime/engine/src/cggmp24/rounds.rs", "Rounds", Unformatted),
    ("party-runtime/engine/src/cggmp24/sign.rs", "Signing", Unformatted),
    ("party-runtime/engine/src/cggmp24/stored.rs", "ShareView", Unformatted),
    ("party-runtime/engine/src/engine.rs", "Task", InCase("Task")),
    ("party-runtime/engine/src/engine.rs", "Product", InCase("Product")),
    ("party-runtime/engine/src/frost/share.rs", "Stored", Unformatted),
    ("party-runtime/engine/src/frost/sign.rs", "Phase", Unformatted),
    ("party-runtime/engine/src/lockstep.rs", "Lockstep", Unformatted),
    ("party-runtime/engine/src/lockstep.rs", "Said", Unformatted),
    ("party-runtime/engine/src/secret.rs", "SecretBytes", InCase("SecretBytes")),
    ("party-runtime/pending/src/join.rs", "AttemptSecret", InCase("AttemptSecret")),
    ("party-runtime/src/backup.rs", "Identities", Unformatted),
    ("party-runtime/src/backup.rs", "SecretHex", Unformatted),
    ("party-runtime/src/backup.rs", "HeldShare", Unformatted),
    ("party-runtime/src/epochs.rs", "Standing", Wraps),
    ("party-runtime/src/policy/ledger/tally.rs", "Tally", Unformatted),
    ("party-runtime/src/seal.rs", "Channels", InCase("Channels")),
    ("party-runtime/src/vault/copy.rs", "PlainRecord", Redacts),
    ("party-runtime/src/vault/kek.rs", "KeyId", Public(NAMES_A_KEY)),
    ("party-runtime/src/vault/kek.rs", "Kek", InCase("Kek")),
    ("party-runtime/src/vault/kek.rs", "KeyName", Unformatted),
    ("party-runtime/src/vault/passphrase.rs", "Passphrase", InCase("Passphrase")),
    ("party-runtime/src/vault/provider.rs", "KeySource", InCase("KeySource")),
    ("party-runtime/src/vault/records.rs", "ShareRecord", InCase("ShareRecord")),
    ("party-runtime/src/vault/records.rs", "AuxRecord", InCase("AuxRecord")),
    ("party-runtime/src/vault/records.rs", "IdentityRecord", Wraps),
    ("party-runtime/src/vault/rows.rs", "Model", Public(SEALED)),
    ("party-runtime/src/vault/sealed.rs", "DataKeyId", Public(NAMES_A_KEY)),
    ("party-runtime/src/vault/sealed.rs", "Sealer", Unformatted),
    ("party-runtime/src/vault/tpm.rs", "TpmKey", Public("the address of a TPM and a path")),
    ("party-runtime/src/vault/tpm.rs", "Blob", Public("encrypted by the TPM")),
];

/// How an item comes by its `Debug`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Debugged {
    Derived,
    ByHand,
    No,
}

/// A `struct` or `enum` of the sources.
struct Item {
    file: String,
    name: String,
    body: String,
    debug: Debugged,
}

impl Item {
    fn looks_secret(&self) -> bool {
        self.holds(HOLDERS)
            || (NAMES.iter().any(|word| self.name.contains(word)) && self.holds(BARE))
            || self.has_bare_secret_field()
    }

    fn holds(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.body.contains(word))
    }

    fn has_bare_secret_field(&self) -> bool {
        let fields = self.body.split([',', '{', '\n']).filter_map(|field| field.split_once(": "));
        fields.into_iter().any(|(name, kind)| {
            let name = name.rsplit(char::is_whitespace).next().unwrap_or_default();
            name.split('_').any(|word| FIELDS.contains(&word))
                && BARE.iter().any(|bare| kind.contains(bare))
        })
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Every source file of a crate but those of tests.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() && !["target", "tests"].contains(&name.as_str()) && !name.starts_with('.')
        {
            sources(&path, found);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            let is_source = path.components().any(|part| part.as_os_str() == "src");
            found.extend(is_source.then_some(path));
        }
    }
}

fn items(file: &Path) -> Vec<Item> {
    let text = fs::read_to_string(file).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let text = lines.collect::<Vec<_>>().join("\n");
    let mut items = Vec::new();
    let mut attributes = String::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let rest = &text[at..];
        at += line.len();
        let line = line.trim();
        let Some((name, head)) = head(line) else {
            if line.starts_with('#') || line.ends_with(")]") {
                attributes += line;
            } else if !line.is_empty() {
                attributes.clear();
            }
            continue;
        };
        let debug = if attributes.contains("Debug") {
            Debugged::Derived
        } else if text.contains(&format!("Debug for {name} "))
            || text.contains(&format!("Debug for {name}<"))
        {
            Debugged::ByHand
        } else {
            Debugged::No
        };
        attributes.clear();
        let start = rest.find(head).unwrap_or_default() + head.len();
        let body = body(&rest[start..]).to_owned();
        let file = file.strip_prefix(root()).unwrap_or(file).to_str().unwrap().to_owned();
        items.push(Item { file, name: name.to_owned(), body, debug });
    }
    items
}

/// The name that a line declares, and all up to it.
fn head(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split_inclusive(' ');
    let mut word = words.next()?.trim_end();
    if word.starts_with("pub") {
        word = words.next()?.trim_end();
    }
    if !["struct", "enum"].contains(&word) {
        return None;
    }
    let is_of_name = |c: char| c.is_alphanumeric() || c == '_';
    let name = words.next()?.split(|c| !is_of_name(c)).next()?;
    let end = line.find(name)? + name.len();
    Some((name, &line[..end]))
}

/// From a name to the end of its item.
fn body(text: &str) -> &str {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' | '(' => depth += 1,
            '}' | ')' => depth -= 1,
            ';' if depth == 0 => return &text[..at],
            _ => continue,
        }
        if c == '}' && depth == 0 {
            return &text[..=at];
        }
    }
    text
}

fn secret_items() -> Vec<Item> {
    let mut files = Vec::new();
    for folder in ["coordinator", "gateway", "migrations", "mpc", "party-runtime"] {
        sources(&root().join(folder), &mut files);
    }
    assert!(files.len() > 150, "{}", files.len());
    files.iter().flat_map(|file| items(file)).filter(Item::looks_secret).collect()
}

fn cases() -> BTreeSet<&'static str> {
    let all: [&[Case]; 5] =
        [wire::CASES, engine::CASES, party::CASES, office::CASES, command::CASES];
    all.concat().into_iter().map(|(name, _)| name).collect()
}

#[test]
fn every_type_that_looks_like_a_secret_is_in_the_table() {
    let found: BTreeSet<_> = secret_items().into_iter().map(|it| (it.file, it.name)).collect();
    let known: BTreeSet<_> =
        TABLE.iter().map(|(file, name, _)| ((*file).to_owned(), (*name).to_owned())).collect();
    let new: Vec<_> = found.difference(&known).collect();
    assert!(new.is_empty(), "say in the table how these keep their secrets: {new:#?}");
    let gone: Vec<_> = known.difference(&found).collect();
    assert!(gone.is_empty(), "these are in the table and look like no secret: {gone:#?}");
}

#[test]
fn each_type_keeps_its_secret_as_the_table_says() {
    let cases = cases();
    for item in secret_items() {
        let fates = TABLE.iter().filter(|(file, name, _)| *file == item.file && *name == item.name);
        for (file, name, fate) in fates {
            let is_so = match fate {
                InCase(case) => cases.contains(case),
                Unformatted => item.debug == Debugged::No,
                Redacts => {
                    let source = fs::read_to_string(root().join(file)).unwrap();
                    let own = source.split_once(&format!("Debug for {name} ")).unwrap().1;
                    let own = own.split("\n}").next().unwrap();
                    item.debug == Debugged::ByHand && own.contains("redacted")
                }
                // A wrapper of Zeroizing has its Debug, which prints what is in it.
                Wraps => {
                    item.debug == Debugged::Derived
                        && !item.holds(&["Zeroizing<", "SigningKey", "[u8"])
                }
                Public(reason) => !reason.is_empty(),
            };
            assert!(is_so, "{file}: {name} has its Debug {:?}", item.debug);
        }
    }
}

/// Whatever the table says: what prints its content has no place under a derived `Debug`.
#[test]
fn no_debug_is_derived_around_a_bare_secret() {
    for item in secret_items().iter().filter(|item| item.debug == Debugged::Derived) {
        let bare = item.holds(&["Zeroizing<", "x25519::Identity", "ThresholdKeyShare", "Scalar"]);
        assert!(!bare, "{}: {}", item.file, item.name);
    }
}

#[test]
fn the_scan_sees_secrets_in_whatever_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scanned.rs");
    for (text, name, debug) in [
        ("#[derive(Clone, Debug)]\npub struct A(Zeroizing<String>);", "A", Debugged::Derived),
        ("pub(crate) struct B<'a> {\n    pub(crate) x: &'a SecretBytes,\n}", "B", Debugged::No),
        ("struct C { api_token: String }\nimpl Debug for C {}", "C", Debugged::ByHand),
        ("enum D {\n    One,\n    Two { master_key: [u8; 32] },\n}", "D", Debugged::No),
        ("pub struct EKey([u8; 32]);", "EKey", Debugged::No),
    ] {
        fs::write(&file, format!("struct Before;\n{text}\nstruct Behind {{ x: u8 }}\n")).unwrap();
        let found: Vec<_> = items(&file).into_iter().filter(Item::looks_secret).collect();
        let found: Vec<_> = found.iter().map(|it| (it.name.as_str(), it.debug)).collect();
        assert_eq!(found, [(name, debug)], "{text}");
    }
}
