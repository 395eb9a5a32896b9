//! Any text as a signature, as a key and as a scheme: base64 must be canonical, padded and of the right length, compared
//! with a plain reading of the alphabet; nothing but the right signature verifies.
#![no_main]

use flk_contract::signature::{Algorithm, KeyError, Scratch, SigningKey, Unauthentic, sign};
use flk_contract::{KeySet, OwnedRecord, Scheme};
use flk_fuzz::base64_plainly;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

/// A record and, for each scheme, the keys that verify it and the one right signature.
struct Known {
    record: OwnedRecord,
    schemes: Vec<(Scheme, KeySet, String)>,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let record = flk_fuzz::record();
    let schemes = Scheme::ALL.map(|scheme| {
        let key = match scheme.algorithm {
            Algorithm::Ed25519 => SigningKey::from_seed(scheme.form, &[7; 32]),
            _ => SigningKey::from_text(scheme, "testsecret").expect("a key"),
        };
        let keys = KeySet::builder()
            .add_signing(&key)
            .and_then(|keys| keys.build())
            .expect("a key set");
        let right = sign(&key, &record.view());
        (scheme, keys, right)
    });
    Known {
        record,
        schemes: schemes.into(),
    }
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    check_signature(text);
    check_key(text);
    if let Ok(scheme) = text.parse::<Scheme>() {
        assert_eq!(scheme.to_string().parse(), Ok(scheme));
    }
});

fn check_signature(text: &str) {
    let plain = base64_plainly(text);
    let mut record = KNOWN.record.clone();
    text.clone_into(&mut record.sig);
    for (scheme, keys, right) in &KNOWN.schemes {
        let verdict = keys.verify(&record.view(), &mut Scratch::new());
        match (&verdict, plain.as_deref().map(<[u8]>::len)) {
            (Ok(_), _) => assert_eq!(text, right, "{scheme}: only the right signature verifies"),
            (Err(Unauthentic::Absent), _) => assert!(text.is_empty()),
            (Err(Unauthentic::NoKeyVerifies), Some(32 | 64)) => assert_ne!(text, right, "{scheme}"),
            (Err(Unauthentic::NotASignature), length) => {
                assert!(!matches!(length, Some(32 | 64)), "{scheme}")
            }
            other => panic!("{scheme}: {other:?}"),
        }
    }
}

fn check_key(text: &str) {
    let plain = base64_plainly(text).filter(|bytes| bytes.len() == 32);
    for scheme in Scheme::ALL {
        let verifying = KeySet::builder().add(scheme, text).map(|_| ());
        let signing = SigningKey::from_text(scheme, text);
        if scheme.algorithm == Algorithm::Ed25519 {
            assert_eq!(
                verifying == Err(KeyError::Ed25519NotBase64),
                plain.is_none(),
                "{scheme}: {verifying:?}"
            );
            assert_eq!(signing.is_ok(), plain.is_some());
        } else {
            assert_eq!(
                verifying,
                if text.is_empty() {
                    Err(KeyError::Empty)
                } else {
                    Ok(())
                }
            );
            assert_eq!(signing.is_ok(), !text.is_empty());
        }
        if let Ok(key) = signing {
            let keys = KeySet::builder()
                .add_signing(&key)
                .and_then(|keys| keys.build());
            // A seed may be any 32 bytes; its public key is never a weak one.
            assert!(keys.is_ok(), "{scheme}: {keys:?}");
        }
    }
    let line = format!("{text}\n");
    assert_eq!(flk_contract::signature::key_text_of_file(&line), text);
}
