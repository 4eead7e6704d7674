//! What a value and its errors say, and that no canary is in it.

use mpc_tests::canary::Canaries;
use std::error::Error;
use std::fmt::{Debug, Display};

/// The canary of secrets that are bytes.
pub(crate) const BYTES: [u8; 32] = [
    0xc5, 0x0f, 0x8a, 0x3d, 0x52, 0xe1, 0xfb, 0x69, 0xb4, 0x1c, 0x7b, 0x02, 0x9f, 0xe6, 0x33, 0xa8,
    0x47, 0xd0, 0x6e, 0x95, 0x21, 0xbc, 0x58, 0xf3, 0x0a, 0x84, 0x7f, 0xc9, 0x36, 0xdd, 0x10, 0x6b,
];

/// The canary of secrets that are texts. It has what API keys, passphrases and JWT secrets need.
pub(crate) const TEXT: &str = "canary-Quetzal-7731-Lantern-Obsidian-0925-Thimble";

/// Everything that was said of the values of one type.
pub(crate) struct Shown {
    secrets: Vec<(String, Vec<u8>)>,
    texts: Vec<String>,
}

impl Shown {
    pub(crate) fn new() -> Self {
        let secrets = vec![("bytes".to_owned(), BYTES.to_vec()), ("text".to_owned(), TEXT.into())];
        Self { secrets, texts: Vec::new() }
    }

    /// Looks for this secret too: one that cannot be chosen.
    pub(crate) fn look_for(&mut self, secret: &[u8]) {
        self.secrets.push(("drawn".to_owned(), secret.to_vec()));
    }

    pub(crate) fn debug(&mut self, value: &dyn Debug) {
        self.texts.extend([
            format!("{value:?}"),
            format!("{value:#?}"),
            format!("{value:x?}"),
            format!("{value:#X?}"),
        ]);
    }

    pub(crate) fn display(&mut self, value: &dyn Display) {
        self.texts.extend([format!("{value}"), format!("{value:#}")]);
    }

    /// An error with all that is behind it.
    pub(crate) fn error(&mut self, error: &dyn Error) {
        let mut next = Some(error);
        while let Some(error) = next {
            self.debug(&error);
            self.display(&error);
            next = error.source();
        }
    }

    /// The error of something that must be refused.
    pub(crate) fn refused<T, E: Error>(&mut self, result: Result<T, E>) {
        self.error(&result.err().unwrap());
    }

    /// # Panics
    /// If one of the texts holds a secret, or there is none.
    pub(crate) fn check(self, of: &str) {
        assert!(!self.texts.is_empty(), "nothing was shown of {of}");
        let canaries = Canaries::new(self.secrets);
        for text in &self.texts {
            let found = canaries.find(text.as_bytes());
            assert!(found.is_empty(), "{of} tells {found:?}: {text}");
        }
    }
}

/// A type's name, and what shows its values.
pub(crate) type Case = (&'static str, fn(&mut Shown));

pub(crate) fn check_all(cases: &[Case]) {
    for (name, show) in cases {
        let mut shown = Shown::new();
        show(&mut shown);
        shown.check(name);
    }
}

#[test]
fn a_type_that_tells_its_secret_is_seen() {
    #[derive(Debug)]
    #[allow(dead_code, reason = "it is there to be formatted")]
    struct Careless(&'static str, [u8; 32]);

    for careless in [Careless(TEXT, [0; 32]), Careless("", BYTES)] {
        let told = std::panic::catch_unwind(|| {
            let mut shown = Shown::new();
            shown.debug(&careless);
            shown.check("a careless type");
        });
        assert!(told.is_err());
    }
}
