//! Encrypted files as the real tools made them: what is in them is read, and what was done to them is seen.

use super::sops::{Format, SopsError};
use super::*;
use proptest::prelude::*;
use std::path::{Path, PathBuf};

const ACME: &str = "fixture-key-of-acme-0123456789abcdef";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sealed")
}

fn fixture(name: &str) -> String {
    std::fs::read_to_string(fixtures().join(name)).unwrap()
}

fn keys() -> AgeKeys {
    AgeKeys::of_file(fixtures().join("first.identity"))
}

fn read(text: &str, entry: Option<&str>) -> Result<String, SealedError> {
    let opened = open(Zeroizing::new(text.as_bytes().to_vec()), entry, &keys())?;
    Ok(std::str::from_utf8(&opened).unwrap().to_owned())
}

/// The error of a SOPS document.
fn refused(text: &str, entry: Option<&str>) -> SopsError {
    match read(text, entry) {
        Err(SealedError::Sops(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_place_that_sops_does_not_authenticate_gives_out_no_value() {
    let text = fixture("sops/keys.json");
    for entry in ["acme.list.0", "acme.list.1"] {
        let error = refused(&text, Some(entry));
        assert_eq!(error, SopsError::LoosePlace(entry.to_owned()));
    }
    // The same keys by another way: what is authenticated is `acme:current:` for both.
    let twice = text.replacen("\"z\":", "\"acme:current\":", 1);
    assert_ne!(twice, text);
    for entry in ["acme.current", "acme:current"] {
        let error = refused(&twice, Some(entry));
        assert_eq!(error, SopsError::LoosePlace(entry.to_owned()));
    }
}

#[test]
fn a_document_with_more_than_is_needed_is_refused_before_it_is_opened() {
    let of = |body: &str| {
        let sops = r#""sops":{"version":"3.1","mac":"x","lastmodified":"x","age":[{"enc":"x"}]}"#;
        refused(&format!("{{{body},{sops}}}"), Some("a"))
    };
    let value = "\"ENC[AES256_GCM,data:\"";
    let long = format!("\"{}\":{value}", "k".repeat(257));
    let many = format!("\"a\":[{}{value}]", format!("{value},").repeat(4096));
    let deep = format!("\"a\":{}{value}{}", "[".repeat(20), "]".repeat(20));
    for (body, said) in [
        (long, "longer than 256 bytes"),
        (many, "more than 4096 values"),
        (deep, "within more than 16 others"),
    ] {
        let error = of(&body).to_string();
        assert!(error.contains(said) && error.len() < 200, "{error}");
    }
    let named = of(&format!("\"x\\nflk: forged\\u001b[31m\":{value}")).to_string();
    assert!(!named.contains(['\n', '\u{1b}']), "{named:?}");
}

#[test]
fn a_value_is_read_from_a_document_of_each_format() {
    for (file, entry, expected) in [
        ("sops/keys.yaml", "acme.current", ACME),
        ("sops/keys.yaml", "many", "line one\nline two\n"),
        ("sops/keys.yaml", "count", "12"),
        ("sops/mac-only-encrypted.yaml", "acme.current", ACME),
        ("sops/keys.json", "acme.current", ACME),
        ("sops/keys.json", "a", "last, with \"quotes\" and Ümlaut\n"),
        ("sops/two-recipients.json", "acme.current", ACME),
        ("sops/keys.env", "ACME_KEY", ACME),
        ("sops/keys.env", "BETA_KEY", "one\ntwo"),
        ("sops/secret.yaml", "stringData.acme.key", ACME),
    ] {
        let found = read(&fixture(file), Some(entry)).unwrap_or_else(|it| panic!("{file}: {it}"));
        assert_eq!(found, expected, "{file} {entry}");
    }
    // The data key of the first recipient is not for this identity.
    let second = AgeKeys::of_file(fixtures().join("second.identity"));
    let text = Zeroizing::new(fixture("sops/two-recipients.json").into_bytes());
    let opened = open(text, Some("acme.current"), &second).unwrap();
    assert_eq!(**opened, *ACME.as_bytes());
}

#[test]
fn a_document_with_one_secret_value_needs_no_entry() {
    for file in [
        "sops/key.binary",
        "sops/secret.yaml",
        "sops/encrypted-suffix.yaml",
        "age/key.armored.age",
    ] {
        assert_eq!(
            read(&fixture(file), None).unwrap().trim_end(),
            ACME,
            "{file}"
        );
    }
    let SopsError::NeedsEntry(names) = refused(&fixture("sops/keys.env"), None) else {
        panic!("an entry is needed");
    };
    assert_eq!(names, ["ACME_KEY", "BETA_KEY"]);
}

#[test]
fn a_file_is_recognised_by_what_is_in_it() {
    for (file, expected) in [
        ("sops/keys.yaml", Format::Yaml),
        ("sops/keys.json", Format::Json),
        ("sops/key.binary", Format::Json),
        ("sops/keys.env", Format::Dotenv),
        ("sops/keys.ini", Format::Ini),
    ] {
        let form = Form::of(fixture(file).as_bytes());
        assert_eq!(form, Some(Form::Sops(expected)), "{file}");
    }
    assert_eq!(
        Form::of(fixture("age/key.armored.age").as_bytes()),
        Some(Form::Age)
    );
    assert_eq!(Form::of(b"age-encryption.org/v2\n"), Some(Form::Age));
    for plain in [
        ACME,
        "",
        "{\"sops\": 1}",
        "sops: ENC",
        "ENC[AES256_GCM",
        "age1abc",
        "# sops\n",
    ] {
        assert_eq!(Form::of(plain.as_bytes()), None, "{plain}");
        assert_eq!(read(plain, None).as_deref(), Ok(plain));
    }
    for damaged in [
        &fixture("age/key.armored.age")[1..],
        &fixture("sops/keys.env").replace("sops_mac", ""),
    ] {
        assert_eq!(read(damaged, None), Err(SealedError::Remains));
    }
    assert_eq!(read(ACME, Some("a")), Err(SealedError::NoEntries(None)));
    let age = fixture("age/key.armored.age");
    assert_eq!(
        read(&age, Some("a")),
        Err(SealedError::NoEntries(Some(Form::Age)))
    );
}

/// Every place where a value of a document could be changed.
#[test]
fn a_changed_byte_of_a_value_or_of_the_mac_is_refused() {
    for (file, entry) in [
        ("sops/keys.yaml", Some("acme.current")),
        ("sops/keys.json", Some("acme.current")),
        ("sops/keys.env", Some("ACME_KEY")),
        ("sops/key.binary", None),
        ("sops/mac-only-encrypted.yaml", Some("acme.current")),
    ] {
        let text = fixture(file);
        let values = text.match_indices("data:").map(|(at, _)| at + 5);
        let values: Vec<usize> = values.collect();
        assert!(values.len() >= 2, "{file}");
        for at in values {
            // Comments are no values: no MAC is of them.
            let line = text[..at].lines().last().unwrap_or_default().trim_start();
            if line.starts_with('#') {
                continue;
            }
            let mut changed = text.clone();
            let other = if &text[at..=at] == "A" { "B" } else { "A" };
            changed.replace_range(at..=at, other);
            let error = refused(&changed, entry);
            assert!(
                matches!(error, SopsError::Value(_) | SopsError::Mac),
                "{file}: {error}"
            );
        }
        let at = text.find("lastmodified").unwrap();
        let at = at + text[at..].find("T1").unwrap() + 1;
        let mut changed = text.clone();
        changed.replace_range(at..=at, "0");
        assert_eq!(refused(&changed, entry), SopsError::Mac, "{file}");
    }
}

#[test]
fn values_that_changed_places_are_refused_and_so_is_one_that_is_gone_or_added() {
    let text = fixture("sops/keys.env");
    let line = |name: &str| text.lines().find(|it| it.starts_with(name)).unwrap();
    let (acme, beta) = (line("ACME_KEY="), line("BETA_KEY="));
    let (of_acme, of_beta) = (&acme["ACME_KEY=".len()..], &beta["BETA_KEY=".len()..]);
    let swapped = text
        .replace(of_acme, "*")
        .replace(of_beta, of_acme)
        .replace('*', of_beta);
    let value = SopsError::Value("ACME_KEY".to_owned());
    assert_eq!(refused(&swapped, Some("ACME_KEY")), value);
    let reordered = text
        .replace(acme, "*")
        .replace(beta, acme)
        .replace('*', beta);
    let gone = text.replace(&format!("{beta}\n"), "");
    let added = format!("MORE_unencrypted=1\n{text}");
    let open = text.replace("NOTE_unencrypted=open", "NOTE_unencrypted=other");
    for changed in [reordered, gone, added, open] {
        assert_eq!(refused(&changed, Some("ACME_KEY")), SopsError::Mac);
    }
    let plain = text.replace(of_beta, "one");
    let left_open = SopsError::LeftOpen("BETA_KEY".to_owned());
    assert_eq!(refused(&plain, Some("ACME_KEY")), left_open);
}

#[test]
fn what_is_not_encrypted_is_never_given_out() {
    let text = fixture("sops/keys.env");
    let plain = SopsError::PlainEntry("NOTE_unencrypted".to_owned());
    assert_eq!(refused(&text, Some("NOTE_unencrypted")), plain);
    let SopsError::NoEntry(entry, names) = refused(&text, Some("GAMMA")) else {
        panic!("there is no such entry");
    };
    assert_eq!((entry.as_str(), names.len()), ("GAMMA", 2));
    let twice = fixture("sops/secret.yaml")
        .replace("    acme.key:", "    acme:\n        key: x\n    acme.key:");
    let error = refused(&twice, Some("stringData.acme.key"));
    assert!(matches!(error, SopsError::Ambiguous(_)), "{error}");
}

#[test]
fn a_document_for_others_says_for_whom_and_what_to_do() {
    let text = fixture("sops/keys.json");
    let without = |members: &str| text.replace("\"age\": [", &format!("{members} \"was\": ["));
    let words = |text: &str| refused(text, Some("acme.current")).to_string();
    let kms = "\"kms\": [{\"arn\": \"x\"}], \"pgp\": [{\"fp\": \"x\"}],";
    let only = words(&without(kms));
    assert!(
        only.contains("AWS KMS, PGP only") && only.contains("--add-age"),
        "{only}"
    );
    assert!(words(&without("")).contains("no recipient"));
    let groups = words(&without("\"key_groups\": [{\"age\": []}],"));
    assert!(groups.contains("key groups"), "{groups}");
    let version = words(&text.replace("\"version\": \"3.", "\"version\": \"4."));
    assert!(version.contains("SOPS \"4."), "{version}");
    let no_mac = words(&text.replace("\"mac\":", "\"mac_was\":"));
    assert!(no_mac.contains("no MAC"), "{no_mac}");
    let others = words(&fixture("sops/for-second.json"));
    assert!(
        others.contains("not encrypted to any of the identities"),
        "{others}"
    );
    assert_eq!(
        refused(&fixture("sops/keys.ini"), None),
        SopsError::Format(Format::Ini)
    );
    let cut = words(
        &text[..text.len() / 2]
            .to_owned()
            .replace("\"acme\"", "\"sops\""),
    );
    assert!(cut.contains("looks like a SOPS document in JSON"), "{cut}");
}

#[test]
fn an_identity_that_is_missing_or_none_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys.txt");
    let text = fixture("sops/key.binary");
    let told = |keys: &AgeKeys| {
        let bytes = Zeroizing::new(text.as_bytes().to_vec());
        open(bytes, None, keys).unwrap_err().to_string()
    };
    assert!(told(&AgeKeys::default()).contains("SOPS_AGE_KEY_FILE"));
    let of_file = AgeKeys::of_file(&path);
    assert!(told(&of_file).contains("cannot be read"));
    let sealed = fixture("age/key.armored.age");
    for (content, expected) in [
        ("sesame-7f3a\n", "line 1: not an age identity"),
        ("# only a comment\n", "not an age identity"),
        ("AGE-PLUGIN-YUBIKEY-1QQQ\n", "plugin"),
        (sealed.as_str(), "itself encrypted"),
    ] {
        std::fs::write(&path, content).unwrap();
        let told = told(&of_file);
        assert!(
            told.contains(expected) && told.contains("keys.txt"),
            "{told}"
        );
        assert!(!told.contains("sesame"), "{told}");
    }
    let several = format!(
        "{}{}",
        fixture("second.identity"),
        fixture("first.identity")
    );
    std::fs::write(&path, &several).unwrap();
    let bytes = || Zeroizing::new(text.as_bytes().to_vec());
    assert!(open(bytes(), None, &of_file).is_ok());
    let of_text = AgeKeys::of_text(&several);
    assert!(open(bytes(), None, &of_text).is_ok());
    assert!(!format!("{of_text:?} {of_file:?}").contains("AGE-SECRET"));
}

proptest! {
    #[test]
    fn whatever_is_done_to_a_document_it_is_refused_or_says_what_it_said(
        (file, entry) in prop::sample::select(vec![
            ("sops/keys.yaml", Some("acme.current")),
            ("sops/mac-only-encrypted.yaml", Some("acme.current")),
            ("sops/keys.json", Some("acme.current")),
            ("sops/keys.env", Some("ACME_KEY")),
            ("sops/key.binary", None),
        ]),
        at in any::<prop::sample::Index>(),
        length in 0_usize..40,
        insert in prop_oneof![
            Just(String::new()),
            "[ -~\n]{0,12}",
            Just("ENC[AES256_GCM,data:,iv:,tag:,type:str]".to_owned()),
            Just("sops_age__list_0__list_9__map_".to_owned()),
        ],
    ) {
        let text = fixture(file);
        let bounds: Vec<usize> = text.char_indices().map(|it| it.0).collect();
        let from = at.get(&bounds);
        let to = bounds[bounds.len().min(at.index(bounds.len()) + length + 1) - 1].max(*from);
        let mut changed = text.clone();
        changed.replace_range(*from..to, &insert);
        match Form::of(changed.as_bytes()) {
            // What is left of it is no plain key either.
            None => prop_assert_eq!(read(&changed, None), Err(SealedError::Remains)),
            Some(_) => if let Ok(found) = read(&changed, entry) {
                prop_assert_eq!(found.trim_end(), ACME);
            },
        }
    }
}

#[test]
fn variables_name_identities_the_text_before_the_file_and_an_empty_one_is_none() {
    let source = |text: Option<&str>, file: Option<&str>| {
        let env = |name: &str| match name {
            "SOPS_AGE_KEY" => text.map(str::to_owned),
            "SOPS_AGE_KEY_FILE" => file.map(str::to_owned),
            _ => None,
        };
        AgeKeys::of_environment(&env).source()
    };
    assert_eq!(source(None, None), "none");
    assert_eq!(source(Some(""), Some("")), "none");
    assert_eq!(source(Some(""), Some("keys.txt")), "keys.txt");
    assert_eq!(source(Some("a"), Some("keys.txt")), "SOPS_AGE_KEY");
}
