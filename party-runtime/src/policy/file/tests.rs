use super::*;
use crate::policy::LivePolicy;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

const SAMPLE: &str = include_str!("../../../policy.sample.toml");

fn parse(text: &str) -> Result<Policy, PolicyError> {
    Policy::parse(text, Profile::Production)
}

/// The error's text for a policy that is wrong.
fn error(text: &str) -> String {
    parse(text).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn the_sample_is_a_policy_and_names_every_field() {
    let policy = parse(SAMPLE).unwrap();
    assert_eq!(policy.rules.requesters.len(), 2);
    assert_eq!(policy.rules.limits.len(), 2);
    assert!(!policy.signs_nothing());
    assert_eq!(policy.version().as_str().len(), 16);

    // Whatever field a policy has, the sample says what it is for.
    let whole = serde_json::to_value(&policy.rules).unwrap();
    let mut fields = Vec::new();
    collect(&whole, &mut fields);
    assert!(fields.contains(&"utc_offset".to_owned()) && fields.len() > 20, "{fields:?}");
    for field in fields {
        let is_named = SAMPLE.lines().any(|line| {
            let line = line.trim_start_matches("# ");
            line.starts_with(&format!("{field} ="))
                || line == format!("[{field}]")
                || line == format!("[[{field}]]")
        });
        assert!(is_named, "the sample does not name {field}");
    }
}

fn collect(value: &serde_json::Value, fields: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(members) => {
            for (name, value) in members {
                fields.push(name.clone());
                collect(value, fields);
            }
        }
        serde_json::Value::Array(values) => values.iter().for_each(|v| collect(v, fields)),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => {}
    }
}

#[test]
fn a_version_is_that_of_the_rules_not_of_the_text() {
    let version = |text| parse(text).unwrap().version().clone();
    let one = version(
        "payloads = [\"message\", \"bytes\", \"digest\"] # all\nmax_authorization_life = \"1h\"",
    );
    assert_eq!(one, version(""));
    assert_eq!(one, version("require_requester_signature = true"));
    assert_ne!(one, version("require_requester_signature = false"));
    assert_ne!(one, version("max_authorization_life = \"2h\""));
    assert_ne!(one, version(SAMPLE));
    let development = Policy::parse("", Profile::Development).unwrap();
    assert_eq!(*development.version(), version("require_requester_signature = false"));
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let key = "public_key = '''-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----'''";
    for (text, line, words) in [
        ("\n\nrequire_signature = true", 3, "unknown field, expected one of `require_"),
        ("\n[accounts]\nallow = [\"x\"]", 3, "UUID"),
        ("max_authorization_life = \"1 hour\"", 1, "length of time"),
        ("payloads = [\"canary\"]", 1, "unknown variant, expected"),
        (&format!("[[requester]]\nname = \"a b\"\n{key}"), 2, "requester's name"),
        (&format!("[[requester]]\nname = \"a\"\n{key}"), 3, "public key"),
        ("[[requester]]\nname = \"a\"", 1, "missing field `public_key`"),
        ("\n[[limit]]\nwindow = \"1h\"\nrequests = 0\nper = \"party\"", 2, "requests must be"),
        (
            "[[limit]]\nwindow = \"1h\"\nrequests = 1\nper = \"hour\"",
            4,
            "unknown variant, expected",
        ),
        (
            "[[limit]]\nwindow = \"1h\"\nrequests = 1\nper = \"account\"\nsessions = \"aux\"",
            1,
            "count per",
        ),
        ("[[hours]]\ndays = [\"mon\"]\nfrom = \"8:00\"", 3, "time of day"),
        ("[[hours]]\ndays = [\"mon\"]\nutc_offset = \"UTC\"", 3, "offset"),
        ("[peers]\nrefuse = [\"00\"]", 2, "PartyId"),
        ("[approval]\ndefault = \"sometimes\"", 2, "unknown variant, expected"),
    ] {
        let error = error(text);
        assert!(error.contains(&format!("line {line}, ")), "{text:?}: {error}");
        assert!(error.contains(words), "{text:?}: {error}");
    }
    let late = "[[requester]]\nname = \"a\"\nexpires_at = 2027-01-01T00:00:00";
    assert!(error(late).contains("point of time"), "{}", error(late));
}

#[test]
fn an_account_is_not_both_always_and_never_approved() {
    let account = "019a1d2e-5c70-7cc3-98c4-000000000001";
    let text = format!("[approval]\nalways = [\"{account}\"]\nnever = [\"{account}\"]");
    assert!(error(&text).contains(account));
}

#[test]
fn a_policy_is_bounded() {
    let limit = "[[limit]]\nwindow = \"1h\"\nrequests = 1\nper = \"party\"\n";
    assert!(parse(&limit.repeat(MAX_LIMITS)).is_ok());
    assert!(error(&limit.repeat(MAX_LIMITS + 1)).contains("[[limit]]"));
    let hours = "[[hours]]\ndays = []\n";
    assert!(error(&hours.repeat(MAX_HOURS + 1)).contains("[[hours]]"));
}

/// A key of small order takes one signature for many messages.
#[test]
fn weak_keys_are_refused() {
    // SubjectPublicKeyInfo of Ed25519, then the point of order 1 (RFC 8032 encoding of y = 1).
    let pem = "-----BEGIN PUBLIC KEY-----\n\
               MCowBQYDK2VwAyEAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\
               -----END PUBLIC KEY-----";
    let text = format!("[[requester]]\nname = \"a\"\npublic_key = '''{pem}'''");
    assert!(error(&text).contains("public key"), "{}", error(&text));
}

fn write(path: &Path, text: &str, mode: u32) {
    let mut file = std::fs::File::create(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn a_file_is_read_again_and_an_unusable_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.toml");
    assert!(matches!(LivePolicy::load(&path, Profile::Production), Err(LoadError::Read { .. })));
    write(&path, "payloads = [\"bytes\"]", 0o644);
    let live = LivePolicy::load(&path, Profile::Production).unwrap();
    let shared = live.clone();
    let first = live.current().version().clone();

    write(&path, "payloads = []", 0o600);
    let second = live.reload().unwrap().version().clone();
    assert_ne!(first, second);
    assert_eq!(*shared.current().version(), second);

    write(&path, "payloads = [", 0o600);
    let error = live.reload().unwrap_err().to_string();
    assert!(error.contains("policy.toml") && error.contains("line 1"), "{error}");
    write(&path, "payloads = [\"digest\"]", 0o620);
    assert!(live.reload().unwrap_err().to_string().contains("chmod go-w"));
    write(&path, &" ".repeat(MAX_POLICY_FILE + 1), 0o600);
    assert!(matches!(live.reload(), Err(LoadError::TooLong { .. })));
    assert_eq!(*shared.current().version(), second);

    // Another party of the process has a policy of its own.
    let apart = live.apart();
    assert_eq!(*apart.current().version(), second);
    write(&path, "payloads = [\"digest\"]", 0o600);
    let third = apart.reload().unwrap().version().clone();
    assert_ne!(second, third);
    assert_eq!(*live.current().version(), second);
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
        assert!(matches!(live.reload(), Err(LoadError::Foreign { owner: 65_534, .. })));
    }

    let fixed = LivePolicy::of_profile(Profile::Development).unwrap();
    assert!(matches!(fixed.reload(), Err(LoadError::NoFile)));
}

/// What stands where something else belongs may be a private key.
#[test]
fn no_refusal_quotes_what_stands_in_the_file() {
    let secret = "MC4CAQAwBQYDK2VwBCIEIJ";
    let refused = [
        (format!("requester = \"{secret}\""), "invalid type: string, expected a sequence"),
        (format!("require_requester_signature = \"{secret}\""), "expected a boolean"),
        (format!("max_authorization_life = \"{secret}\""), ""),
        (format!("{secret} = 1"), "unknown field, expected one of"),
        (secret.to_owned(), "expected"),
        (format!("[{secret}]"), "unknown field, expected one of"),
        (format!("payloads = [\"{secret}\"]"), "unknown variant, expected one of `digest`"),
        (format!("[[requester]]\nname = \"a\"\npublic_key = \"{secret}\""), "line "),
        (format!("[[requester]]\nname = \"a\"\nexpires_at = \"{secret}\""), "line "),
        (format!("[[limit]]\ncount = \"{secret}\""), "line "),
        (format!("[[hours]]\nfrom = \"{secret}\""), "line "),
        (format!("[accounts]\nallowed = [\"{secret}\"]"), "line "),
        (format!("[approval]\nalways = [\"{secret}\"]"), "line "),
        (format!("[peers]\nrefuse = [\"{secret}\"]"), "line "),
        ("[[requester]]".to_owned(), "missing field `"),
    ];
    for (text, expected) in refused {
        let said = PolicyFile::parse(&text).unwrap_err().to_string();
        assert!(!said.contains(&secret[..8]), "{text}: {said}");
        assert!(said.contains(expected), "{text}: {said}");
    }
}
