//! Any bytes as a submitted body, from JSON to outcome: what is JSON must be JSON for an independent reader and the
//! reverse, a record survives being written and read again, and every stage gives the same answer twice.
#![no_main]

use flk_contract::signals::theil_sen::d_hat_naive;
use flk_contract::signature::{Scratch, SigningKey, authenticate_unsigned, sign};
use flk_contract::{
    KeySet, MalformedCode, NumberForm, OwnedRecord, Params, Parser, PayloadBuf, Record, SlopeCache,
    canonical, check_identity, judge, outcome, record,
};
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;

struct Kept {
    parser: Parser,
    slopes: SlopeCache,
    scratch: Scratch,
    key: SigningKey,
    keys: KeySet,
}

thread_local! {
    /// Kept from body to body, as a shard does: what one body leaves behind must not reach the next.
    static KEPT: RefCell<Kept> = RefCell::new({
        let key = SigningKey::from_text(flk_contract::Scheme::default(), "testsecret").expect("a key");
        let keys = KeySet::builder().add_signing(&key).and_then(|keys| keys.build()).expect("a key set");
        Kept { parser: Parser::new(), slopes: SlopeCache::new(), scratch: Scratch::new(), key, keys }
    });
}

fuzz_target!(|body: &[u8]| KEPT.with_borrow_mut(|kept| check(body, kept)));

fn check(body: &[u8], kept: &mut Kept) {
    compare_json(body);
    let mut fresh = Parser::new();
    let first = fresh.parse(body);
    let again = kept.parser.parse(body);
    assert_eq!(again, first, "a used parser reads like a new one");
    let Ok(record) = again else { return };
    compare_numbers(body, &record);
    read_back(&record);
    check_stages(
        &record,
        &mut kept.slopes,
        &mut kept.scratch,
        &kept.key,
        &kept.keys,
    );
}

/// Ours refuses more (depth, members, keys twice); where it says "not JSON" or "JSON", the other reader agrees.
fn compare_json(body: &[u8]) {
    let other = serde_json::from_slice::<serde_json::Value>(body);
    match flk_contract::parse::check_json(body) {
        Ok(()) => assert!(other.is_ok(), "accepted here, elsewhere: {other:?}"),
        Err(error) if error.code == MalformedCode::NotJson => {
            assert!(other.is_err(), "not JSON here, elsewhere it is");
        }
        Err(_) => {}
    }
}

fn compare_numbers(body: &[u8], record: &Record<'_>) {
    let other: serde_json::Value = serde_json::from_slice(body).expect("compared before");
    let numbers = [
        ("D_hat", record.d_hat),
        ("r", record.r),
        ("budget", record.budget),
        ("coh_star", record.coh_star),
    ];
    for (name, ours) in numbers {
        let theirs = other[name].as_f64().expect("a number");
        // An integer zero has no sign elsewhere.
        assert!(
            theirs.to_bits() == ours.to_bits() || theirs == 0.0 && ours == 0.0,
            "{name}: {ours:?}, {theirs:?}"
        );
    }
    // The other reader takes the integer -0 for a double; to CPython, and so to the agents, it is the integer 0.
    let is_minus_zero = |name: &str| other[name].as_f64() == Some(0.0);
    assert!(
        other["epoch"].as_u64() == Some(record.epoch)
            || record.epoch == 0 && is_minus_zero("epoch")
    );
    assert!(
        other["seed"].as_i64() == Some(record.seed) || record.seed == 0 && is_minus_zero("seed")
    );
    assert_eq!(other["shard_id"].as_str(), Some(record.shard_id));
    assert_eq!(other["pcs_id"].as_str(), Some(record.pcs_id));
}

fn read_back(record: &Record<'_>) {
    let mut text = Vec::new();
    record::write_json(record, &mut text);
    let mut parser = Parser::new();
    let back = parser.parse(&text).expect("what was written can be read");
    assert_eq!(&back, record, "{}", String::from_utf8_lossy(&text));
}

fn check_stages(
    record: &Record<'_>,
    slopes: &mut SlopeCache,
    scratch: &mut Scratch,
    key: &SigningKey,
    keys: &KeySet,
) {
    let unsigned = authenticate_unsigned(record, scratch);
    for form in [NumberForm::Repr, NumberForm::Fixed9] {
        let mut payload = PayloadBuf::new();
        let digest = canonical::digest(record, form, &mut payload);
        let members: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(payload.bytes()).expect("a payload is JSON");
        assert_eq!(members.len(), 8);
        if let (NumberForm::Repr, Ok(verified)) = (form, unsigned) {
            assert_eq!(verified.signing_digest, digest);
        }
    }
    let mut signed = OwnedRecord::from(record);
    signed.sig = sign(key, record);
    let verified = keys.verify(&signed.view(), scratch);
    assert_eq!(
        verified.is_ok(),
        unsigned.is_ok(),
        "our own signature holds: {verified:?}"
    );

    let identity =
        flk_contract::identity::pcs_id(record.merkle_root, record.epoch, record.shard_id);
    let spelled: String = identity.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(check_identity(record).is_err() || spelled == record.pcs_id);

    let params = Params::default();
    let verdict = judge(record, &params, slopes);
    assert_eq!(
        verdict,
        judge(record, &params, &mut SlopeCache::new()),
        "a used cache judges like a new one"
    );
    let naive = d_hat_naive(record.scales, record.n_j);
    assert_eq!(verdict.recomputed_d_hat.to_bits(), naive.to_bits());
    let mut text = Vec::new();
    outcome::write_outcome(outcome::ENCODING, &verdict, record.pcs_id, &mut text)
        .expect("the newest encoding is known");
    let answer: serde_json::Value = serde_json::from_slice(&text).expect("an outcome is JSON");
    assert_eq!(answer["pcs_id"].as_str(), Some(record.pcs_id));
    assert_eq!(
        answer["accepted"].as_bool(),
        Some(verdict.escalated.is_none())
    );
}
