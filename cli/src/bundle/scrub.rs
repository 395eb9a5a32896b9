//! Takes secrets and records out of a text. Secrets that are known here are found in every form that they may have; others by the shape of
//! what stands around them. It never says what it took out.

use super::shapes::{REDACTED, Shapes};
use crate::wal::show::hex;
use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{
    GeneralPurpose, NO_PAD, STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD,
};
use flk_dataplane::logs::redact::without_identities;
use std::collections::BTreeSet;
use zeroize::Zeroizing;

/// What stands for a line with a record in it.
const LEFT_OUT: &str = "[a line with a record was left out]";
/// A shorter text is everywhere, and no secret.
const SECRET_BYTES_LEAST: usize = 4;
/// A shorter piece of base64 is everywhere.
const PIECE_BYTES_LEAST: usize = 6;
/// A member of records that nothing else has.
const OF_RECORDS: &str = "merkle_root";

/// A secret that was found on this machine.
pub(super) type Secret = Zeroizing<Vec<u8>>;

/// Knows the secrets of a machine.
pub(super) struct Scrubber {
    known: AhoCorasick,
    shapes: Shapes,
    pub(super) secrets_count: usize,
}

/// A text without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scrubbed {
    pub(super) text: String,
    /// How many places were changed.
    pub(super) redactions: usize,
}

impl Scrubber {
    /// For these secrets; an error, in words, if there are too many of them.
    pub(super) fn new(secrets: &[Secret]) -> Result<Self, String> {
        let long: Vec<&Secret> = secrets
            .iter()
            .filter(|it| it.len() >= SECRET_BYTES_LEAST)
            .collect();
        let mut forms = BTreeSet::new();
        for secret in &long {
            add_forms(secret, &mut forms);
        }
        let known = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(forms.iter().map(|it| it.as_slice()));
        Ok(Self {
            known: known.map_err(|error| format!("the secrets cannot be looked for: {error}"))?,
            shapes: Shapes::new()?,
            secrets_count: long.len(),
        })
    }

    /// The text without them.
    pub(super) fn scrub(&self, text: &str) -> Scrubbed {
        let mut redactions = 0;
        let text = without_identities(text);
        redactions += text.matches("[age identity]").count();
        let mut clean = String::with_capacity(text.len());
        let mut begin = 0;
        for found in self.known.find_iter(text.as_bytes()) {
            // Every form is of whole characters, so these are their borders.
            clean.push_str(text.get(begin..found.start()).unwrap_or_default());
            clean.push_str(REDACTED);
            begin = found.end();
            redactions += 1;
        }
        clean.push_str(text.get(begin..).unwrap_or_default());
        let (text, shaped) = self.by_shape(&clean);
        Scrubbed {
            text,
            redactions: redactions + shaped,
        }
    }

    /// Lines with records, private keys in PEM, and what [`Shapes`] tells, whoever's they are.
    fn by_shape(&self, text: &str) -> (String, usize) {
        let (mut clean, mut count) = (String::with_capacity(text.len()), 0);
        let mut is_in_pem = false;
        for line in text.split_inclusive('\n') {
            let end = match line.ends_with('\n') {
                true => "\n",
                false => "",
            };
            let is_private = line.contains("-----BEGIN") && line.contains("PRIVATE KEY");
            if line.contains(OF_RECORDS) {
                clean.push_str(LEFT_OUT);
                clean.push_str(end);
                count += 1;
            } else if is_in_pem || is_private {
                if !is_in_pem {
                    clean.push_str(REDACTED);
                    clean.push_str(end);
                    count += 1;
                }
                is_in_pem = !line.contains("-----END");
            } else {
                let (line, found) = self.shapes.clean(line);
                clean.push_str(&line);
                count += found;
            }
        }
        (clean, count)
    }
}

/// Adds the text of a secret as it is, as JSON and debug output have it, in hex and in base64; and the same of the bytes that it may stand for.
fn add_forms(secret: &[u8], forms: &mut BTreeSet<Vec<u8>>) {
    add_encodings(secret, forms);
    let Ok(text) = std::str::from_utf8(secret) else {
        return;
    };
    for quoted in [serde_json::json!(text).to_string(), format!("{text:?}")] {
        let inner = quoted.get(1..quoted.len() - 1).unwrap_or_default();
        forms.insert(inner.as_bytes().to_vec());
    }
    let bare = text.trim_end_matches('=');
    let decoded = [
        STANDARD_NO_PAD.decode(bare).ok(),
        URL_SAFE_NO_PAD.decode(bare).ok(),
        bytes_of_hex(text),
    ];
    // A word of few letters is base64, too, but not of a key.
    for bytes in decoded.into_iter().flatten().filter(|it| it.len() >= 16) {
        add_encodings(&bytes, forms);
    }
}

fn add_encodings(bytes: &[u8], forms: &mut BTreeSet<Vec<u8>>) {
    if std::str::from_utf8(bytes).is_ok() {
        forms.insert(bytes.to_vec());
    }
    let digits = hex(bytes);
    forms.insert(digits.to_uppercase().into_bytes());
    forms.insert(digits.into_bytes());
    let url_safe = GeneralPurpose::new(&alphabet::URL_SAFE, NO_PAD);
    for alone in [STANDARD_NO_PAD.encode(bytes), url_safe.encode(bytes)] {
        if alone.len() >= PIECE_BYTES_LEAST {
            forms.insert(alone.into_bytes());
        }
    }
    for before in 0..3 {
        // Within a longer text it may begin at any of three places of a group. What its neighbours do not change is looked for.
        let shifted = [&[0; 2][..before], bytes].concat();
        let first = (before * 8).div_ceil(6);
        let last = shifted.len() * 8 / 6;
        for encoded in [STANDARD.encode(&shifted), url_safe.encode(&shifted)] {
            let piece = encoded.get(first..last).unwrap_or_default();
            if piece.len() >= PIECE_BYTES_LEAST {
                forms.insert(piece.as_bytes().to_vec());
            }
        }
    }
}

fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let is_hex = digits.len().is_multiple_of(2) && digits.iter().all(u8::is_ascii_hexdigit);
    let pairs = is_hex.then(|| digits.chunks_exact(2))?;
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrubber(secrets: &[&str]) -> Scrubber {
        let secrets: Vec<Secret> = secrets
            .iter()
            .map(|it| Zeroizing::new(it.as_bytes().to_vec()))
            .collect();
        Scrubber::new(&secrets).unwrap()
    }

    #[test]
    fn a_known_secret_is_found_in_every_form_and_the_rest_stays() {
        let secret = "p\"länted/secret+1";
        let scrubber = scrubber(&[secret, "abc"]);
        assert_eq!(scrubber.secrets_count, 1);
        let digits = hex(secret.as_bytes());
        let within = |before: &str| STANDARD.encode(format!("{before}{secret}behind"));
        for form in [
            secret.to_owned(),
            serde_json::json!(secret).to_string(),
            digits.to_uppercase(),
            digits,
            STANDARD.encode(secret),
            URL_SAFE_NO_PAD.encode(secret),
        ] {
            let clean = scrubber.scrub(&format!("abc {form} ü\n"));
            assert!(clean.text.starts_with("abc "), "{clean:?}");
            assert!(clean.text.ends_with(" ü\n"), "{clean:?}");
            assert!(
                clean.text.contains(REDACTED) && clean.redactions == 1,
                "{form}: {clean:?}"
            );
            assert!(!clean.text.contains("nted/secret"), "{clean:?}");
        }
        for before in ["", "a", "ab"] {
            let clean = scrubber.scrub(&within(before));
            assert_eq!(clean.redactions, 1, "{before}: {clean:?}");
        }
    }

    #[test]
    fn a_key_that_is_written_as_base64_or_hex_is_found_in_the_other_form() {
        let bytes: Vec<u8> = (7..39).collect();
        let digits = hex(&bytes);
        let base64 = STANDARD.encode(&bytes);
        assert_eq!(scrubber(&[&base64]).scrub(&digits).text, REDACTED);
        let clean = scrubber(&[&digits]).scrub(&base64);
        assert_eq!(clean.text, format!("{REDACTED}="));
    }

    #[test]
    fn what_is_shaped_as_a_secret_or_a_record_is_taken_out_although_nothing_is_known() {
        let scrubber = scrubber(&[]);
        let text = "one\n{\"merkle_root\":\"ab\"}\n-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\n\
            env PCS_HMAC_KEY=something PORT=8080\nAuthorization: Basic dXNlcjpwYXNz\nMETRICS_PASS=(set, not shown)\n\
            AGE-SECRET-KEY-1QQPQQQQQQQQQQQQQQQQ\npassword: hunter2 at http://me:hunter2@host/\nlast";
        let clean = scrubber.scrub(text);
        assert_eq!(
            clean.text,
            "one\n[a line with a record was left out]\n[redacted]\nenv PCS_HMAC_KEY=[redacted] PORT=8080\n\
            Authorization: Basic [redacted]\nMETRICS_PASS=(set, not shown)\n[age identity]\n\
            password: [redacted] at http://me:[redacted]@host/\nlast"
        );
        assert_eq!(clean.redactions, 7);
    }
}
