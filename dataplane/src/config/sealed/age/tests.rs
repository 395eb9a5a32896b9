//! The format by the vectors of its authors, by files of the real program, and by what this program itself makes.

use super::*;
use flate2::read::ZlibDecoder;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sealed")
}

fn identities(name: &str) -> Vec<Identity> {
    let text = std::fs::read_to_string(fixtures().join(name)).unwrap();
    crate::config::sealed::age_keys::parse(&text).unwrap()
}

/// What each kind of failure of a vector is called here.
fn kind(error: &AgeError) -> &'static str {
    match error {
        AgeError::Version(_) | AgeError::Header(_) => "header failure",
        AgeError::Armor(_) => "armor failure",
        AgeError::NoMatch(_) => "no match",
        AgeError::HeaderChanged => "HMAC failure",
        AgeError::Payload(_) => "payload failure",
        AgeError::NotARecipient | AgeError::NotAnIdentity | AgeError::NoRandomBytes => "none",
    }
}

/// Reads a vector: its fields and its file. Nothing: it needs what is not read here.
fn vector(bytes: &[u8]) -> Option<(BTreeMap<String, String>, Vec<u8>)> {
    let end = bytes.windows(2).position(|it| it == b"\n\n").unwrap();
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let fields = head.lines().map(|line| line.split_once(": ").unwrap());
    let fields: BTreeMap<String, String> = fields
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    if fields.contains_key("passphrase") {
        return None;
    }
    let mut file = bytes[end + 2..].to_vec();
    if fields.contains_key("compressed") {
        let packed = std::mem::take(&mut file);
        ZlibDecoder::new(&packed[..])
            .read_to_end(&mut file)
            .unwrap();
    }
    Some((fields, file))
}

#[test]
fn every_vector_of_the_format_ends_as_its_authors_say() {
    let Some(directory) = std::env::var_os("FLK_AGE_VECTORS") else {
        flk_testkit::skipped(
            "vectors of the age format: FLK_AGE_VECTORS names no directory of them",
        );
        return;
    };
    let (mut seen, mut wrong) = (0, Vec::new());
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        // Post-quantum identities are refused by name, and 16 MiB are more than is read.
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.contains("hybrid") || name.starts_with("stream_25") {
            continue;
        }
        let Some((fields, file)) = vector(&std::fs::read(&path).unwrap()) else {
            continue;
        };
        seen += 1;
        let identity = fields
            .get("identity")
            .map(|text| Identity::parse(text).unwrap());
        let identities: Vec<Identity> = identity.into_iter().collect();
        let found = match open(&file, &identities) {
            Ok(plain) => {
                let digest = Sha256::digest(&plain[..]);
                let digest: String = digest.iter().map(|it| format!("{it:02x}")).collect();
                assert_eq!(fields.get("payload"), Some(&digest), "{}", path.display());
                "success"
            }
            // What has no armor is not even recognised.
            Err(_) if fields.contains_key("armored") && !is_age(&file) => "armor failure",
            Err(error) => kind(&error),
        };
        if found != fields["expect"] {
            wrong.push(format!(
                "{}: {found}, not {}",
                path.display(),
                fields["expect"]
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen > 70, "{seen} vectors");
}

#[test]
fn files_of_the_real_program_are_opened_by_the_identities_that_they_are_for() {
    let read = |name: &str| std::fs::read(fixtures().join("age").join(name)).unwrap();
    let (first, second) = (identities("first.identity"), identities("second.identity"));
    let key = b"fixture-key-of-acme-0123456789abcdef\n";
    assert_eq!(**open(&read("key.age"), &first).unwrap(), *key);
    for identities in [&first, &second] {
        assert_eq!(**open(&read("key.armored.age"), identities).unwrap(), *key);
    }
    assert!(open(&read("empty.age"), &first).unwrap().is_empty());
    assert_eq!(**open(&read("long.age"), &first).unwrap(), [b'k'; 150_000]);
    let error = open(&read("key.for-second.age"), &first).unwrap_err();
    assert_eq!(error, AgeError::NoMatch(vec!["X25519".to_owned()]));
    assert!(error.to_string().contains("X25519"));
}

#[test]
fn what_is_made_here_is_opened_by_every_recipient_and_by_no_other() {
    let (first, second) = (identities("first.identity"), identities("second.identity"));
    let recipient = |identities: &[Identity]| identities[0].recipient();
    for length in [0, 1, 65_535, 65_536, 65_537, 140_000] {
        let plain = vec![7; length];
        let both = seal(&plain, &[recipient(&first), recipient(&second)]).unwrap();
        for identities in [&first, &second] {
            assert_eq!(
                **open(both.as_bytes(), identities).unwrap(),
                plain,
                "{length}"
            );
        }
        let one = seal(&plain, &[recipient(&first)]).unwrap();
        assert!(matches!(
            open(one.as_bytes(), &second),
            Err(AgeError::NoMatch(_))
        ));
        assert_ne!(one, seal(&plain, &[recipient(&first)]).unwrap());
    }
}

#[test]
fn no_changed_byte_of_a_file_goes_unseen() {
    let first = identities("first.identity");
    let file = std::fs::read(fixtures().join("age/key.age")).unwrap();
    for at in 0..file.len() {
        for bit in [0x01, 0x80] {
            let mut changed = file.clone();
            changed[at] ^= bit;
            assert!(open(&changed, &first).is_err(), "byte {at}");
        }
        assert!(open(&file[..at], &first).is_err(), "cut at {at}");
    }
}

#[test]
fn a_text_that_is_no_key_is_refused() {
    let text = std::fs::read_to_string(fixtures().join("first.identity")).unwrap();
    let secret = text.lines().last().unwrap();
    let public = text
        .lines()
        .find_map(|it| it.strip_prefix("# public key: "));
    let public = public.unwrap();
    let identity = Identity::parse(secret).unwrap();
    assert_eq!(public.parse(), Ok(identity.recipient()));
    assert!(!format!("{identity:?}").contains(&secret[20..30]));
    let mut changed = secret.to_owned();
    changed.replace_range(30..31, if &secret[30..31] == "Q" { "P" } else { "Q" });
    for wrong in [
        "",
        "AGE-SECRET-KEY-1",
        public,
        &changed,
        &secret.to_lowercase(),
    ] {
        assert_eq!(Identity::parse(wrong).unwrap_err(), AgeError::NotAnIdentity);
    }
    for wrong in ["", "age1", secret, &public[..public.len() - 1]] {
        assert_eq!(wrong.parse::<Recipient>(), Err(AgeError::NotARecipient));
    }
}

#[test]
fn a_share_of_low_order_is_refused_and_not_taken_for_one_of_others() {
    let first = identities("first.identity");
    let mut file = std::fs::read(fixtures().join("age/key.age")).unwrap();
    let begin = b"-> X25519 ";
    let at = file
        .windows(begin.len())
        .position(|it| it == begin)
        .unwrap()
        + begin.len();
    file[at..at + 43].fill(b'A');
    let problem = "a recipient has a share of low order";
    assert_eq!(open(&file, &first).unwrap_err(), AgeError::Header(problem));
}

#[test]
fn only_the_last_line_of_an_armor_may_be_short() {
    let first = identities("first.identity");
    let text = std::fs::read_to_string(fixtures().join("age/key.armored.age")).unwrap();
    assert!(open(text.as_bytes(), &first).is_ok());
    let at = text.find('\n').unwrap() + 1;
    let mut broken = text;
    broken.insert(at + 60, '\n');
    let AgeError::Armor(problem) = open(broken.as_bytes(), &first).unwrap_err() else {
        panic!("its armor is damaged");
    };
    assert!(problem.contains("64 characters"), "{problem}");
}
