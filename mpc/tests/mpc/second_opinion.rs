//! Checks of signatures by implementations that have nothing to do with this project's.

use std::path::Path;
use std::process::{Command, Output};

/// The exit code of the Python checks for what they need and do not find.
const NOT_HERE: i32 = 3;

/// DER of a SubjectPublicKeyInfo up to the compressed point: id-ecPublicKey over secp256k1
/// (RFC 5480).
const SPKI: [u8; 23] = [
    0x30, 0x36, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
    0x81, 0x04, 0x00, 0x0a, 0x03, 0x22, 0x00,
];

/// That somebody signed a digest with ECDSA over secp256k1.
#[derive(Clone)]
pub(crate) struct Claim {
    public_key: Vec<u8>,
    digest: Vec<u8>,
    r: Vec<u8>,
    s: Vec<u8>,
}

impl Claim {
    pub(crate) fn from_hex(public_key: &str, digest: &str, r: &str, s: &str) -> Self {
        let bytes = |text| hex::decode(text).unwrap();
        Self { public_key: bytes(public_key), digest: bytes(digest), r: bytes(r), s: bytes(s) }
    }
}

type Opinion = fn(&Claim) -> Option<bool>;

/// Asks every implementation that this machine has: all must believe the claim, and none may
/// believe it for another digest. There must be at least one.
pub(crate) fn second_opinions(claim: &Claim) {
    let mut wrong = claim.clone();
    wrong.digest[31] ^= 1;
    let opinions: [(&str, Opinion); 3] = [
        ("openssl", openssl),
        ("python's cryptography", |claim| python("cryptography_ecdsa.py", claim)),
        ("plain python", |claim| python("plain_ecdsa.py", claim)),
    ];
    let mut asked = Vec::new();
    for (name, opinion) in opinions {
        if let Some(believed) = opinion(claim) {
            assert!(believed, "{name} does not believe the signature");
            assert_eq!(opinion(&wrong), Some(false), "{name} believes anything");
            asked.push(name);
        }
    }
    if asked.is_empty() {
        println!("SKIPPED: no second opinion, neither `openssl` nor `python3` is here");
    }
    println!("second opinions: {asked:?}");
    // A machine with nothing but a Rust toolchain has none; where CI runs there must be one.
    assert!(
        !asked.is_empty() || std::env::var_os("CI").is_none(),
        "no second implementation of ECDSA here: install the command `openssl`, or `python3`"
    );
}

fn openssl(claim: &Claim) -> Option<bool> {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let key = file("key", &[&SPKI[..], &claim.public_key].concat());
    let (digest, signature) = (file("digest", &claim.digest), file("signature", &der(claim)));
    let mut command = Command::new("openssl");
    command.args(["pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey"]).arg(key);
    command.arg("-in").arg(digest).arg("-sigfile").arg(signature);
    run(&mut command).map(|output| output.status.success())
}

fn python(script: &str, claim: &Claim) -> Option<bool> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mpc").join(script);
    let mut command = Command::new("python3");
    command.arg(script);
    for value in [&claim.public_key, &claim.digest, &claim.r, &claim.s] {
        command.arg(hex::encode(value));
    }
    let output = run(&mut command)?;
    match (output.status.code(), output.stdout.trim_ascii()) {
        (Some(0), b"valid") => Some(true),
        (Some(0), b"invalid") => Some(false),
        (Some(NOT_HERE), _) => None,
        _ => panic!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)),
    }
}

/// Runs a command; none if there is no such command.
fn run(command: &mut Command) -> Option<Output> {
    match command.output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => panic!("{command:?}: {error}"),
    }
}

/// DER of an ECDSA signature (RFC 3279, 2.2.3).
fn der(claim: &Claim) -> Vec<u8> {
    let body = [integer(&claim.r), integer(&claim.s)].concat();
    [&[0x30, u8::try_from(body.len()).unwrap()], &body[..]].concat()
}

fn integer(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let mut digits = bytes[zeros..].to_vec();
    if digits.first().is_none_or(|first| *first >= 0x80) {
        digits.insert(0, 0);
    }
    [&[0x02, u8::try_from(digits.len()).unwrap()], &digits[..]].concat()
}
