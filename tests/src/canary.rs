//! Finds secrets in what was written, in whatever form they were written.

use std::collections::HashMap;

/// Bytes of a secret that are looked for together: a piece of this length has leaked as well, and
/// no other bytes are the same by chance.
const PIECE: usize = 16;

/// From one piece of a secret to the next.
const STEP: usize = 8;

/// Bytes by which the beginning of a trace is found. Every form of every piece has as many.
const HEAD: usize = 8;

/// Bits of the filter's index: a few thousand traces fill it to less than a hundredth.
const FILTER_BITS: u32 = 20;

/// The digits of base64 (RFC 4648, 4) but for the last two, which differ.
const BASE64: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// A form that a secret may be written in, and a piece of it in that form.
pub type Trace = (&'static str, Vec<u8>);

/// A place where a secret, or a piece of one, was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The secret's name.
    pub secret: String,
    /// The form that it has there.
    pub form: &'static str,
    /// The text just before it, to find who wrote it.
    pub before: String,
}

/// The secrets that are looked for, prepared for one walk through a text.
pub struct Canaries {
    names: Vec<String>,
    /// By its first bytes: whose it is, its form, all of it.
    traces: HashMap<u64, Vec<(usize, Trace)>>,
    filter: Vec<bool>,
}

impl Canaries {
    /// Secrets with their names, for reports.
    ///
    /// # Panics
    /// If a secret has less than 8 bytes: others would be taken for it.
    pub fn new<N: Into<String>>(secrets: impl IntoIterator<Item = (N, Vec<u8>)>) -> Self {
        let mut canaries = Self {
            names: Vec::new(),
            traces: HashMap::new(),
            filter: vec![false; 1 << FILTER_BITS],
        };
        for (name, secret) in secrets {
            let name = name.into();
            assert!(secret.len() >= HEAD, "{name} is too short to be looked for");
            let owner = canaries.names.len();
            canaries.names.push(name);
            for piece in pieces(&secret) {
                for trace in forms(piece) {
                    canaries.add(owner, trace);
                }
            }
        }
        canaries
    }

    fn add(&mut self, owner: usize, trace: Trace) {
        let head =
            trace.1.iter().take(HEAD).rev().fold(0, |head, byte| head << 8 | u64::from(*byte));
        if let Some(slot) = self.filter.get_mut(slot(head)) {
            *slot = true;
        }
        self.traces.entry(head).or_default().push((owner, trace));
    }

    /// Where the text holds one of them; each secret and form once.
    pub fn find(&self, text: &[u8]) -> Vec<Found> {
        // Arrays and base64 may be broken into lines.
        let dense: Vec<u8> =
            text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let mut found = Vec::new();
        self.walk(text, &mut found);
        self.walk(&dense, &mut found);
        found
    }

    fn walk(&self, text: &[u8], found: &mut Vec<Found>) {
        let mut head = 0_u64;
        for (index, byte) in text.iter().enumerate() {
            head = head >> 8 | u64::from(*byte) << 56;
            if index + 1 < HEAD || self.filter.get(slot(head)) != Some(&true) {
                continue;
            }
            let at = index + 1 - HEAD;
            let rest = text.get(at..).unwrap_or_default();
            for (owner, (form, trace)) in self.traces.get(&head).into_iter().flatten() {
                let secret = self.names.get(*owner).cloned().unwrap_or_default();
                let is_new = || !found.iter().any(|it| it.secret == secret && it.form == *form);
                if rest.starts_with(trace) && is_new() {
                    let before = text.get(at.saturating_sub(160)..at).unwrap_or_default();
                    let before = String::from_utf8_lossy(before).into_owned();
                    found.push(Found { secret, form, before });
                }
            }
        }
    }
}

/// A secret's pieces; all of it if it is shorter than one.
fn pieces(secret: &[u8]) -> impl Iterator<Item = &[u8]> {
    let last = secret.len().saturating_sub(PIECE);
    let starts = (0..last).step_by(STEP).chain([last]);
    starts.filter_map(move |at| secret.get(at..secret.len().min(at + PIECE)))
}

/// Everything that a piece looks like where it was written.
pub fn forms(piece: &[u8]) -> Vec<Trace> {
    let reversed: Vec<u8> = piece.iter().rev().copied().collect();
    let mut forms = Vec::new();
    for (bytes, names) in [
        (piece, ["raw", "hexadecimal", "HEXADECIMAL", "base64", "base64url"]),
        (
            reversed.as_slice(),
            [
                "raw, reversed",
                "hexadecimal, reversed",
                "HEXADECIMAL, reversed",
                "base64, reversed",
                "base64url, reversed",
            ],
        ),
    ] {
        let [raw, lower, upper, standard, url] = names;
        forms.push((raw, bytes.to_vec()));
        let digits = |byte: &u8| format!("{byte:02x}");
        let hex: String = bytes.iter().map(digits).collect();
        forms.push((upper, hex.to_uppercase().into_bytes()));
        forms.push((lower, hex.into_bytes()));
        for before in 0..3 {
            forms.push((standard, base64(bytes, before, *b"+/")));
            forms.push((url, base64(bytes, before, *b"-_")));
        }
    }
    let list = |one: fn(&u8) -> String| -> Vec<u8> {
        piece.iter().map(one).collect::<Vec<_>>().join(",").into_bytes()
    };
    forms.push(("array", list(|byte| byte.to_string())));
    forms.push(("array of {:x?}", list(|byte| format!("{byte:x}"))));
    forms.push(("array of {:02x?}", list(|byte| format!("{byte:02x}"))));
    forms.push(("array of {:#x?}", list(|byte| format!("{byte:#x}"))));
    forms.push(("array of {:#04x?}", list(|byte| format!("{byte:#04x}"))));
    forms.push(("escaped", piece.escape_ascii().to_string().into_bytes()));
    forms
}

/// What base64 makes of the bytes when `before` others stand before them (modulo 3): only the
/// digits that the bytes alone decide.
fn base64(bytes: &[u8], before: usize, last_two: [u8; 2]) -> Vec<u8> {
    let bits: Vec<bool> = std::iter::repeat_n(0, before)
        .chain(bytes.iter().copied())
        .flat_map(|byte: u8| (0..8).rev().map(move |bit| byte >> bit & 1 == 1))
        .collect();
    let digit = |bits: &[bool]| {
        let value = bits.iter().fold(0, |value, bit| value << 1 | usize::from(*bit));
        BASE64.iter().chain(&last_two).nth(value).copied().unwrap_or_default()
    };
    // Digits of which a part belongs to the bytes before are left out.
    bits.chunks_exact(6).skip((before * 8).div_ceil(6)).map(digit).collect()
}

fn slot(head: u64) -> usize {
    // Fibonacci hashing: the highest bits depend on all others.
    (head.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - FILTER_BITS)) as usize
}
