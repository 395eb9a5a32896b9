//! Documents and what they resolve to: their bytes and digests, what is refused and where it says so, and what shards run.

use super::*;
use crate::dedup::context::TenantId;
use flk_contract::signature::VerifyingKey;
use flk_contract::{NumberForm, Params, Scheme, SigningKey};
use zeroize::Zeroizing;

fn key(id: &str, text: &str) -> KeyDocument {
    let scheme: Scheme = "hmac-sha256".parse().unwrap();
    KeyDocument {
        id: id.to_owned(),
        scheme: scheme.to_string(),
        source: Source::file(format!("/keys/{text}")),
        fingerprint: VerifyingKey::from_text(scheme, text)
            .unwrap()
            .id()
            .to_string(),
        not_before: None,
        not_after: None,
        revoked_at: None,
    }
}

fn tenant(name: &str) -> TenantDocument {
    TenantDocument {
        name: name.to_owned(),
        enabled: true,
        unsigned: false,
        keys: vec![key("a", "secret-a")],
        limits: LimitsDocument::default(),
        wal_share: None,
        params: vec![ParamsDocument::of(&Params::default())],
        home: None,
    }
}

fn document(names: &[&str]) -> Document {
    Document {
        format: FORMAT,
        number: 3,
        limits: LimitsDocument::default(),
        tenants: names.iter().map(|name| tenant(name)).collect(),
    }
}

/// The text of `/keys/TEXT` is TEXT.
fn load(source: &Source) -> Result<Zeroizing<String>, SourceFault> {
    match source {
        Source::File { path, .. } => {
            let text = path.strip_prefix("/keys/").map(str::to_owned);
            text.map(Zeroizing::new)
                .ok_or_else(|| SourceFault::Unreadable("no such file".to_owned()))
        }
        Source::Environment { .. } | Source::Public { .. } => {
            Err(SourceFault::Unreadable("not set".to_owned()))
        }
    }
}

fn resolve(document: &Document) -> Result<Snapshot, Fault> {
    let resolved = Resolver::default().resolve(document, &load, MissingKeys::Refuse);
    resolved.map(|(snapshot, _)| snapshot)
}

#[test]
fn a_document_reads_back_from_its_canonical_bytes_and_has_one_digest() {
    let document = document(&["acme", "default"]);
    let bytes = document.bytes();
    let read = Document::read(&bytes).unwrap();
    assert_eq!(read, document);
    assert_eq!(read.digest(), document.digest());
    let text = String::from_utf8(bytes).unwrap();
    assert!(
        text.starts_with(r#"{"format":1,"limits":{"burst":0,"#),
        "members are sorted: {text}"
    );
    let digest = document.digest();
    assert_eq!(Digest::from_hex(&digest.to_string()), Some(digest));
    let other = Document {
        number: 4,
        ..document.clone()
    };
    assert_ne!(other.digest(), document.digest());
    assert_eq!(other.content_digest(), document.content_digest());
}

#[test]
fn the_form_that_is_kept_for_ever_names_no_source() {
    let kept = document(&["acme"]).without_sources().to_string();
    assert!(
        !kept.contains("/keys/") && kept.contains("fingerprint"),
        "{kept}"
    );
}

#[test]
fn a_tenant_is_found_by_its_name_and_keeps_its_number_from_snapshot_to_snapshot() {
    let mut resolver = Resolver::default();
    let mut of = |names: &[&str]| {
        let resolved = resolver.resolve(&document(names), &load, MissingKeys::Refuse);
        resolved.unwrap().0
    };
    let first = of(&["acme", "default"]);
    let acme = first.named(b"acme").unwrap();
    assert_eq!(
        first.named(b"default"),
        Some(crate::dedup::context::TenantId::DEFAULT)
    );
    for name in [&b""[..], b"Acme", b"acme ", b"zulu"] {
        assert_eq!(first.named(name), None);
    }
    let second = of(&["beta"]);
    assert_eq!(second.named(b"acme"), None);
    assert!(
        !second.tenant(acme).is_enabled,
        "its name is known, and it is gone"
    );
    assert_eq!(&*second.tenant(acme).name, "acme");
    let third = of(&["acme", "beta"]);
    assert_eq!(third.named(b"acme"), Some(acme));
    assert_eq!(third.named(b"beta"), second.named(b"beta"));
}

type Change = fn(&mut Document);

/// What breaks a rule, and what the refusal says of it.
fn broken() -> [(&'static str, Change); 15] {
    [
        ("format 2", |it| it.format = 2),
        ("tenant acme: it is there twice", |it| it.tenants.swap(0, 1)),
        ("tenant ac me: a name is", |it| {
            it.tenants[0].name = "ac me".into()
        }),
        ("tenant acme: it has no key", |it| {
            it.tenants[0].keys.clear()
        }),
        ("it is unsigned and has keys", |it| {
            it.tenants[0].unsigned = true
        }),
        ("tenant acme, key a: another key has this id", |it| {
            it.tenants[0].keys.push(key("a", "secret-b"));
        }),
        ("tenant acme, key b: another key has the same bytes", |it| {
            it.tenants[0].keys.push(key("b", "secret-a"));
        }),
        ("tenant acme, key a: md5 is no signature scheme", |it| {
            it.tenants[0].keys[0].scheme = "md5".into();
        }),
        (
            "key a: only an Ed25519 public key may stand in the configuration",
            |it| {
                it.tenants[0].keys[0].source = Source::Public {
                    base64: "c2VjcmV0".into(),
                };
            },
        ),
        (
            "key a: its fingerprint is not 16 hexadecimal digits",
            |it| {
                it.tenants[0].keys[0].fingerprint = "0123".into();
            },
        ),
        ("key a: it ends before it begins", |it| {
            it.tenants[0].keys[0].not_before = Some(5);
            it.tenants[0].keys[0].not_after = Some(5);
        }),
        ("5 keys are active at second 7; at most 4", |it| {
            for id in ["b", "c", "d", "e"] {
                let mut key = key(id, id);
                key.not_before = Some(7);
                it.tenants[0].keys.push(key);
            }
        }),
        (
            "the shares of its parameter sets that judge at the same time do not come to 1000",
            |it| {
                it.tenants[0].params[0].share = 999;
            },
        ),
        ("tol_coh is 1.5; 0 to 1 is allowed", |it| {
            it.tenants[0].params[0].tol_coh = 1.5;
        }),
        (
            "tenant default, parameters 1: another tenant has other numbers",
            |it| {
                it.tenants[1].params[0].tol_d = 0.2;
            },
        ),
    ]
}

fn broken_attributes() -> [(&'static str, Change); 5] {
    [
        (
            "its parameter sets are not ascending by effective_from",
            |it| {
                let next = it.tenants[0].params[0].clone();
                it.tenants[0].params[0].effective_from = Some(7);
                it.tenants[0].params.push(next);
            },
        ),
        ("parameters 1: its effective_from is out of bounds", |it| {
            it.tenants[0].params[0].effective_from = Some(1 << 53);
        }),
        ("its wal_share is 0; 1 to 100 percent is allowed", |it| {
            it.tenants[0].wal_share = Some(0);
        }),
        ("its wal_share is 101; 1 to 100 percent is allowed", |it| {
            it.tenants[0].wal_share = Some(101);
        }),
        ("tenant acme, home: a name is 1 to 64 characters", |it| {
            it.tenants[0].home = Some("eu 1".into())
        }),
    ]
}

#[test]
fn a_document_that_breaks_a_rule_is_refused_with_its_place() {
    assert!(document(&["acme", "default"]).check().is_ok());
    for (expected, change) in broken().into_iter().chain(broken_attributes()) {
        let mut document = document(&["acme", "default"]);
        change(&mut document);
        let told = document.check().unwrap_err().to_string();
        assert!(told.contains(expected), "{expected}: {told}");
    }
}

#[test]
fn a_document_all_of_whose_sets_begin_later_is_told_from_one_that_judges() {
    let mut document = document(&["acme", "default"]);
    assert!(document.judges_at(0).is_ok());
    document.tenants[1].params[0].effective_from = Some(100);
    let told = document.judges_at(99).unwrap_err().to_string();
    assert!(
        told.starts_with("tenant default, parameters 1: they are effective later only"),
        "{told}"
    );
    assert!(document.judges_at(100).is_ok());
    assert!(
        document.check().is_ok(),
        "a start goes on with it all the same"
    );
}

#[test]
fn what_is_reserved_or_has_its_default_changes_no_digest() {
    let usual = document(&["acme"]);
    let text = String::from_utf8(usual.bytes()).unwrap();
    for name in ["wal_share", "home", "effective_from"] {
        assert!(!text.contains(name), "{text}");
    }
    let mut other = usual.clone();
    other.tenants[0].home = Some("eu-1".into());
    assert_ne!(other.digest(), usual.digest());
    assert_eq!(Document::read(&other.bytes()).unwrap(), other, "it is kept");
}

#[test]
fn keys_that_follow_each_other_are_not_active_together() {
    let mut document = document(&["acme"]);
    document.tenants[0].keys = (0..6)
        .map(|at| KeyDocument {
            not_before: Some(at * 10),
            not_after: Some(at * 10 + 20),
            ..key(&format!("k{at}"), &format!("secret-{at}"))
        })
        .collect();
    let snapshot = resolve(&document).unwrap();
    let acme = snapshot.named(b"acme").unwrap();
    let TenantKeys::Scheduled(keys) = &snapshot.tenant(acme).keys else {
        panic!("it has keys");
    };
    let count = |at: u64| keys.active(at).unwrap().map_or(0, |set| set.ids().count());
    assert_eq!([0, 9, 10, 19, 20, 69, 70].map(count), [1, 1, 2, 2, 2, 1, 0]);
    assert_eq!(snapshot.changes_behind(0), Some(10));
    assert_eq!(snapshot.changes_behind(65), Some(70));
    assert_eq!(snapshot.changes_behind(70), None);
}

/// A tenant with an Ed25519 key that stands in the document itself.
fn tenant_with_public(number: usize) -> TenantDocument {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    let signing = SigningKey::from_seed(NumberForm::Repr, &seed);
    let base64 = signing.public_key_base64().unwrap();
    let key = KeyDocument {
        scheme: signing.scheme().to_string(),
        fingerprint: signing.id().to_string(),
        source: Source::Public { base64 },
        ..key("a", "any")
    };
    TenantDocument {
        keys: vec![key],
        ..tenant(&format!("tenant-{number:04}"))
    }
}

#[test]
fn so_many_ed25519_keys_have_tables_and_those_that_end_have_them_last() {
    let mut document = document(&[]);
    let names = 0..KEY_TABLES_COUNT_MAX + 2;
    document.tenants = names.map(tenant_with_public).collect();
    document.tenants[0].keys[0].not_after = Some(100);
    let snapshot = resolve(&document).unwrap();
    let without_table = |id: &TenantId| match &snapshot.tenant(*id).keys {
        TenantKeys::Scheduled(schedule) => schedule.keys[0].key.wants_table(),
        other => panic!("{other:?}"),
    };
    let names = snapshot.ids().filter(without_table);
    let names: Vec<&str> = names.map(|id| &*snapshot.tenant(id).name).collect();
    let last = format!("tenant-{:04}", KEY_TABLES_COUNT_MAX + 1);
    assert_eq!(names, ["tenant-0000", &last]);
}

#[test]
fn a_revoked_key_verifies_nothing_from_that_second_on() {
    let mut document = document(&["acme"]);
    document.tenants[0].keys[0].revoked_at = Some(100);
    let snapshot = resolve(&document).unwrap();
    let acme = snapshot.named(b"acme").unwrap();
    let TenantKeys::Scheduled(keys) = &snapshot.tenant(acme).keys else {
        panic!("it has keys");
    };
    assert!(keys.active(99).unwrap().is_some());
    assert!(keys.active(100).unwrap().is_none());
}

#[test]
fn one_of_several_keys_of_a_text_is_taken_by_its_place_and_a_whole_text_may_have_commas() {
    let mut document = document(&["acme"]);
    let source = |index| Source::File {
        entry: None,
        path: "/keys/one,two".into(),
        index,
    };
    document.tenants[0].keys = vec![
        KeyDocument {
            source: source(Some(0)),
            ..key("1", "one")
        },
        KeyDocument {
            source: source(Some(1)),
            ..key("2", "two")
        },
        KeyDocument {
            source: source(None),
            ..key("3", "one,two")
        },
    ];
    assert!(resolve(&document).is_ok());
    document.tenants[0].keys[0].source = source(Some(2));
    let told = resolve(&document).unwrap_err().to_string();
    assert!(
        told.contains("key 1: /keys/one,two (key 3 of it): it holds fewer keys"),
        "{told}"
    );
}

#[test]
fn a_source_that_holds_another_key_is_refused_or_closes_its_tenant() {
    let mut document = document(&["acme", "default"]);
    document.tenants[0].keys[0].source = Source::file("/keys/secret-b");
    let told = resolve(&document).unwrap_err().to_string();
    assert!(
        told.contains("tenant acme, key a: /keys/secret-b: it holds another key now"),
        "{told}"
    );
    assert!(!told.contains("secret-a"));
    let resolved = Resolver::default().resolve(&document, &load, MissingKeys::CloseTenant);
    let (snapshot, missing) = resolved.unwrap();
    assert_eq!(missing.len(), 1);
    let keys = |name: &[u8]| &snapshot.tenant(snapshot.named(name).unwrap()).keys;
    assert!(matches!(keys(b"acme"), TenantKeys::Unavailable));
    assert!(matches!(keys(b"default"), TenantKeys::Scheduled(_)));
}

#[test]
fn each_limit_has_a_word_of_its_own() {
    let mut document = document(&["acme", "default"]);
    document.limits.rate = 10;
    for tenant in &mut document.tenants {
        tenant.limits = LimitsDocument {
            rate: 5,
            burst: 7,
            bytes_per_s: 100,
            unauthenticated_bytes_per_s: 50,
        };
    }
    let snapshot = resolve(&document).unwrap();
    let mut words = vec![snapshot.rate.word];
    for id in snapshot.ids() {
        let Tenant {
            rate,
            bytes,
            unauthenticated,
            ..
        } = snapshot.tenant(id);
        assert_eq!((rate.per_s, rate.burst, bytes.burst), (5, 7, 200));
        words.extend([rate.word, bytes.word, unauthenticated.word]);
    }
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), 7);
    assert_eq!(snapshot.rate.burst, 20);
}

#[test]
fn the_versions_of_a_snapshot_are_those_of_its_tenants_each_once() {
    let mut document = document(&["acme", "default"]);
    let two = ParamsDocument {
        version: "2".into(),
        share: 400,
        ..document.tenants[0].params[0].clone()
    };
    document.tenants[0].params[0].share = 600;
    document.tenants[0].params.insert(0, two);
    let versions = resolve(&document).unwrap().versions();
    let names: Vec<&str> = versions.iter().map(|it| it.as_str()).collect();
    assert_eq!(names, ["2", "1"]);
}

#[test]
fn an_address_has_a_quarter_of_a_limit_in_a_word_of_its_own() {
    let limit = Limit {
        word: 3,
        per_s: 1_001,
        burst: 2_002,
    };
    let words = [0, 1, u16::MAX].map(|hash| limit.of_address(hash).word);
    assert!(
        words[0] > 3 * TENANTS_COUNT_MAX as u32,
        "behind those of tenants"
    );
    assert_eq!(words[1], words[0] + 1);
    assert_eq!(words[2], Limit::WORDS_COUNT - 1);
    let of_address = limit.of_address(7);
    assert_eq!((of_address.per_s, of_address.burst), (251, 501));
}
