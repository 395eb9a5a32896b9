//! Tests of records.

use super::*;
use crate::message;

/// A key whose signatures are a digest, as long as those of HMAC or of Ed25519.
pub(crate) struct Plain(pub(crate) usize);

impl Sign for Plain {
    fn sign(&self, fields: Fields<'_>) -> String {
        let digest = Sha256::digest(format!("secret {}", fields.pcs_id));
        STANDARD.encode(&[digest, digest].concat()[..self.0])
    }
}

/// A recipe with two keys.
pub(crate) fn recipe(tenants: &[&str], body_bytes: usize) -> Recipe {
    let tenants: Vec<String> = tenants.iter().map(|it| (*it).to_owned()).collect();
    let shape = Shape {
        authority: "127.0.0.1:8080",
        path: "/v1/pcs/submit",
        carries: Carries::Record,
        tenants: &tenants,
        body_bytes,
        shard_id: "run-1",
        regime: Regime::Sticky,
    };
    Recipe::new(&shape, vec![vec![Arc::new(Plain(32)), Arc::new(Plain(64))]])
}

fn order(kind: Kind, tenant: u16, key: u8) -> Order {
    Order { kind, tenant, key }
}

fn written(recipe: &Recipe, order: Order, number: u64) -> (String, String) {
    let mut out = Vec::new();
    recipe.write(&Records::from(recipe.make(order, number)), &mut out);
    assert_eq!(message::end(&out), Some(out.len()));
    let text = String::from_utf8(out).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[test]
fn requests_are_whole_and_leave_no_mark_of_the_template() {
    let recipe = recipe(&["a", "b"], 0);
    for kind in Kind::ALL {
        for (tenant, key) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            let (head, body) = written(&recipe, order(kind, tenant, key), 7);
            assert!(!body.contains(['#', '$', '%', '&']), "{body}");
            let name = ["a", "b"][usize::from(tenant)];
            assert_eq!(head.matches(&format!("X-Tenant-Id: {name}")).count(), 1);
        }
    }
    assert!(
        !written(&super::tests::recipe(&[], 0), order(Kind::New, 0, 0), 1)
            .0
            .contains("Tenant")
    );
}

#[test]
fn a_batch_has_a_line_for_each_record_whatever_its_key_and_kind() {
    let mut recipe = recipe(&["a"], 0);
    let alone = |key, kind| written(&recipe, order(kind, 0, key), 5).1;
    let lines = [
        alone(0, Kind::New),
        alone(1, Kind::New),
        alone(1, Kind::Malformed),
    ];
    recipe.carries = Carries::Batch;
    let made = |key, kind| recipe.make(order(kind, 0, key), 5);
    let records = Records {
        first: made(0, Kind::New),
        rest: vec![made(1, Kind::New), made(1, Kind::Malformed)],
    };
    assert_eq!(records.count(), 3);
    let mut out = b"behind".to_vec();
    recipe.write(&records, &mut out);
    let request = &out[6..];
    assert_eq!(message::end(request), Some(request.len()));
    let text = String::from_utf8(request.to_vec()).unwrap();
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, lines.map(|it| it + "\n").concat());
}

#[test]
fn a_body_is_as_long_as_asked_for_and_never_shorter_than_it_has_to_be() {
    let least = recipe(&[], 0).body_bytes();
    for asked in [least + PADDING_BYTES_MIN, 4_096, 1 << 20] {
        let recipe = recipe(&[], asked);
        for key in [0, 1] {
            let body = written(&recipe, order(Kind::New, 0, key), 1).1;
            assert_eq!(body.len(), asked, "key {key}");
        }
    }
    for asked in [1, least] {
        assert!(recipe(&[], asked).body_bytes() >= least);
    }
}

#[test]
fn what_is_to_be_refused_differs_from_what_is_not() {
    let recipe = recipe(&[], 0);
    for number in [1, 2] {
        let [new, bad, malformed] = [Kind::New, Kind::BadSignature, Kind::Malformed]
            .map(|kind| written(&recipe, order(kind, 0, 0), number).1);
        assert!(new != bad && new.len() == bad.len());
        assert!(new.contains(r#""attempt":1,"#));
        let is_cut = !malformed.ends_with('}');
        assert_ne!(is_cut, malformed.contains(r#""attempt":0,"#), "{malformed}");
    }
}

#[test]
fn runs_and_numbers_share_no_id() {
    let first = recipe(&[], 0);
    let mut other = recipe(&[], 0);
    other.shard_id = "run-2".to_owned();
    let id = |recipe: &Recipe, number| recipe.make(order(Kind::New, 0, 0), number).pcs_id;
    assert_ne!(id(&first, 1), id(&first, 2));
    assert_ne!(id(&first, 1), id(&other, 1));
}

#[test]
fn pieces_and_parts_are_a_body() {
    let recipe = recipe(&[], 1_000);
    for kind in [Kind::New, Kind::BadSignature] {
        let signed = recipe.make(order(kind, 0, 0), 3);
        let mut joined = recipe.pieces()[0].to_vec();
        for (part, piece) in recipe.parts(&signed).iter().zip(&recipe.pieces()[1..]) {
            joined.extend_from_slice(part);
            joined.extend_from_slice(piece);
        }
        let mut body = b"before".to_vec();
        recipe.write_body(&signed, &mut body);
        assert_eq!(body, [b"before".as_slice(), &joined].concat());
    }
}

#[test]
fn a_regime_is_that_of_the_body() {
    for regime in Regime::ALL {
        let shape = Shape {
            carries: Carries::Record,
            authority: "h",
            path: "/",
            tenants: &[],
            body_bytes: 0,
            shard_id: "run-1",
            regime,
        };
        let recipe = Recipe::new(&shape, vec![vec![Arc::new(Plain(32))]]);
        let body = written(&recipe, order(Kind::New, 0, 0), 1).1;
        let name = regime.name();
        assert!(body.contains(&format!(r#""regime":"{name}""#)), "{body}");
    }
}
