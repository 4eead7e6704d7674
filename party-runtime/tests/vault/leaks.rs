//! Nothing secret in files, logs, errors or debug texts.

use super::*;
use base64ct::{Base64Unpadded, Base64UrlUnpadded, Encoding};
use party_runtime::vault::Passphrase;
use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock};
use tracing_subscriber::filter::LevelFilter;

/// What every thread of this test program logs, at the finest level.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn paper() -> Paper {
    static PAPER: OnceLock<Paper> = OnceLock::new();
    PAPER
        .get_or_init(|| {
            let paper = Paper::default();
            let writer = paper.clone();
            tracing_subscriber::fmt()
                .with_max_level(LevelFilter::TRACE)
                .with_ansi(false)
                .with_writer(move || writer.clone())
                .init();
            paper
        })
        .clone()
}

/// The forms in which bytes could leak into a text: raw, hexadecimal, as a list of numbers, and
/// base64, wherever in a longer text they would begin.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![
        secret.to_vec(),
        hex::encode(secret).into_bytes(),
        hex::encode_upper(secret).into_bytes(),
        format!("{secret:?}").trim_matches(['[', ']']).as_bytes().to_vec(),
    ];
    for shift in 0..3 {
        let shifted = [&[0; 3][..shift], secret].concat();
        for text in
            [Base64Unpadded::encode_string(&shifted), Base64UrlUnpadded::encode_string(&shifted)]
        {
            // Without the characters that depend on what stands before and behind.
            let inner = &text[if shift == 0 { 0 } else { 4 }..text.len() - 4];
            forms.push(inner.as_bytes().to_vec());
        }
    }
    forms
}

fn contains(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn the_search_finds_what_is_there() {
    let secret = b"0123456789abcdef";
    let list = format!("{secret:?}");
    let base64 = Base64Unpadded::encode_string(b"xx0123456789abcdefyyy");
    for text in [hex::encode(secret), list, base64, "..0123456789abcdef..".to_owned()] {
        assert!(forms(secret).iter().any(|form| contains(text.as_bytes(), form)), "{text}");
    }
}

#[tokio::test]
async fn nothing_secret_lies_open_in_the_file() {
    let folder = Folder::new();
    let vault = folder.create('a').await;
    fill(&vault).await;
    let seed = vault.identity().seed();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!contains(&bytes, SECRET) && !contains(&bytes, seed.as_slice()));
    }
}

#[tokio::test]
async fn row_20_a_wrong_master_key_is_refused_and_nothing_secret_is_logged() {
    let paper = paper();
    tracing::trace!("the paper is written on");
    let (right, wrong) = ("a1".repeat(32), "b2".repeat(32));
    let source = |text: &str| KeySource::Hex(Zeroizing::new(text.to_owned()));
    let words = "a canary passphrase of many words";
    let passphrase = KeySource::Passphrase(Passphrase::new(Zeroizing::new(words.to_owned())));
    let mut texts = Vec::new();

    let folder = Folder::new();
    let vault = Vault::create(&folder.vault(), &source(&right)).await.unwrap();
    let names = fill(&vault).await;
    read_all(&vault, &names).await.unwrap();
    let seed = vault.identity().seed();
    let key_id = vault.key_id().await;
    vault.close().await.unwrap();

    // The refusal names both keys by their ids.
    let refused = Vault::open(&folder.vault(), &source(&wrong)).await.unwrap_err();
    let VaultError::WrongKey { expected, given } = &refused else { panic!("{refused:?}") };
    assert!(*expected == key_id && expected != given);
    let text = refused.to_string();
    assert!(text.contains(expected.as_str()) && text.contains(given.as_str()), "{text}");
    texts.push(text);
    for other in [&passphrase, &source(&wrong[..62]), &source(&format!("{}zz", &right[..62]))] {
        let refused = Vault::open(&folder.vault(), other).await.unwrap_err();
        texts.extend([refused.to_string(), format!("{refused:?} {other:?}")]);
    }

    // The same while rotating, and with rows that are refused.
    let vault = Vault::open(&folder.vault(), &source(&right)).await.unwrap();
    vault.rotate(Arc::new(passphrase.clone())).await.unwrap();
    texts.push(format!("{vault:?} {:?} {:?}", vault.status().await, share(&vault)));
    vault.close().await.unwrap();
    let refused = Vault::open(&folder.vault(), &source(&right)).await.unwrap_err();
    texts.push(refused.to_string());
    let account = names.accounts[0];
    let sql = format!(
        "update sealed_records set sealed = x'00' where kind = 'share' and name = '{account}'"
    );
    tamper(&folder.vault(), &sql).await;
    let vault = Vault::open(&folder.vault(), &passphrase).await.unwrap();
    let refused = vault.share(account, Epoch(1)).await.unwrap_err();
    assert!(matches!(refused, VaultError::Altered(_)));
    texts.extend([refused.to_string(), format!("{refused:?}")]);

    let log = paper.0.lock().unwrap().clone();
    assert!(contains(&log, b"the paper is written on"));
    assert!(contains(&log, b"sealed with a new master key"));
    let hay = [log, texts.join("\n").into_bytes()].concat();
    let keys = [&right, &wrong].map(|key| hex::decode(key).unwrap());
    for secret in [SECRET, words.as_bytes(), seed.as_slice(), &keys[0], &keys[1]] {
        for form in forms(secret) {
            assert!(
                !contains(&hay, &form),
                "a secret leaked as {}",
                String::from_utf8_lossy(&form)
            );
        }
    }
}

#[tokio::test]
async fn debug_shows_no_secret() {
    let folder = Folder::new();
    let vault = folder.create('a').await;
    let passphrase = Passphrase::new(Zeroizing::new("aaaa bbbb cccc".to_owned()));
    let texts = [
        format!("{:?}", share(&vault)),
        format!("{vault:?}"),
        format!("{:?}", key('a')),
        format!("{passphrase:?}"),
        format!("{:?}", KeySource::Passphrase(passphrase.clone())),
        format!("{:?}", vault.begin().await.unwrap()),
    ];
    let secret = String::from_utf8_lossy(SECRET);
    for text in texts {
        assert!(!text.contains(&*secret) && !text.contains("aaaa"), "{text}");
    }
}
