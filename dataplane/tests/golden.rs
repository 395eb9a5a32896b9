//! The data plane against the golden vectors: the keyed hash, and the heads of all HTTP conversations. What needs a
//! running gateway (outcomes, dedup, time) is played by the end-to-end suite; this file reads bytes only.
#![allow(missing_docs, clippy::unwrap_used)] // helpers of tests may unwrap as tests do

use flk_dataplane::{
    dedup::key::KeyHash,
    http::{
        Decoded, Decoder, LookUps, Route, TenantHeader, connection_survives,
        head::{Head, HeadStatus, HttpLimits as Limits, read_head},
        route,
    },
};
use flk_testkit::golden;
use flk_testkit::hex::{hex, unhex_array};
use serde_json::Value;

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn keys_are_those_of_the_vectors() {
    let all = golden::vectors("keyhash");
    for row in list(&all["keyed"]) {
        let hash = KeyHash::new(unhex_array(text(&row["secret"])));
        let key = hash.key(text(&row["tenant"]), text(&row["pcs_id"]));
        assert_eq!(hex(&key.to_bytes()), text(&row["hash"]), "{row}");
    }
    assert!(list(&all["keyed"]).len() >= 40);
}

/// The bytes of one burst; pauses and FIN have none.
fn burst(send: &[Value]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in send {
        if let Some(characters) = part["text"].as_str() {
            bytes.extend(characters.chars().map(|c| u8::try_from(c).unwrap()));
        } else if let Some(path) = part["file"].as_str() {
            let body = golden::bytes(path);
            let at = |name: &str, otherwise: usize| match part[name].as_u64() {
                Some(offset) => usize::try_from(offset).unwrap(),
                None => otherwise,
            };
            bytes.extend(&body[at("from", 0)..at("to", body.len())]);
        } else if let Some(again) = part["repeat"].as_str() {
            let times = usize::try_from(part["times"].as_u64().unwrap()).unwrap();
            bytes.extend(again.repeat(times).bytes());
        }
    }
    bytes
}

/// What a head alone says about the answer: the status where it is refused, and whether the connection goes on.
enum Disposition {
    Refused { status: u16, goes_on: bool },
    Options,
    ForTheBody,
}

fn disposition(bytes: &[u8], head: &Head, look_ups: LookUps) -> Disposition {
    let left = head.body_len - head.body_len.min((bytes.len() - head.head_len) as u64);
    match route::route(head, look_ups) {
        Err(problem) => Disposition::Refused {
            status: problem.status(),
            goes_on: !head.chunked && connection_survives(problem, left, head.body_rest()),
        },
        Ok(Route::Options(_)) => Disposition::Options,
        Ok(_) => match head.tenant {
            TenantHeader::Named(name) if name.of(bytes) != b"default" => Disposition::Refused {
                status: 401,
                goes_on: true,
            },
            _ => Disposition::ForTheBody,
        },
    }
}

/// Walks the requests of one burst beside the responses that the vectors expect.
fn disagreement(step: &Value, look_ups: LookUps) -> Option<String> {
    let bytes = burst(list(&step["send"]));
    let responses = list(&step["responses"]);
    let after = text(&step["after"]);
    let mut rest = &bytes[..];
    for (at, response) in responses.iter().enumerate() {
        let want = response["status"].as_u64().unwrap();
        match read_head(rest, &Limits::default()) {
            HeadStatus::Partial => return (want != 408).then(|| format!("{want}: partial")),
            HeadStatus::Refused(problem) => {
                let same = u64::from(problem.status()) == want
                    && after == "closed"
                    && at + 1 == responses.len();
                return (!same).then(|| format!("{want} {after}: refused {problem:?}"));
            }
            HeadStatus::Complete(head) => {
                let mut whole = head.head_len + usize::try_from(head.body_len).unwrap();
                if head.chunked {
                    let mut body = rest[head.head_len..].to_vec();
                    match Decoder::default().decode(&mut body, &Limits::default()) {
                        Decoded::Whole { end, .. } => whole = head.head_len + end,
                        Decoded::Partial { .. } => whole = rest.len(),
                        Decoded::Refused(problem) => {
                            let code = &response["problem"]["code"];
                            let same = u64::from(problem.status()) == want
                                && after == "closed"
                                && (code.is_null() || code == problem.code());
                            return (!same).then(|| format!("{want} {after}: {problem:?}"));
                        }
                    }
                }
                match disposition(rest, &head, look_ups) {
                    Disposition::Refused { status, goes_on } => {
                        let kept = after == "any" || goes_on == (after == "open");
                        if u64::from(status) != want || !kept {
                            return Some(format!("{want} {after}: {status}, goes on: {goes_on}"));
                        }
                    }
                    Disposition::Options => {
                        if want != 200 {
                            return Some(format!("{want}: OPTIONS"));
                        }
                    }
                    Disposition::ForTheBody => {
                        // a 400 or 401 for what a body says names its code; one for the head does not
                        let for_the_body = match want {
                            400 | 401 => response["problem"]["code"].is_string(),
                            404 => response["problem"]["code"] == "outcome_not_found",
                            _ => [100, 200, 202, 408, 429, 503].contains(&want),
                        };
                        if !for_the_body {
                            return Some(format!("{want}: head passed"));
                        }
                    }
                }
                rest = rest.get(whole..).unwrap_or_default();
            }
        }
    }
    (!rest.is_empty() && !responses.is_empty()).then(|| format!("{} bytes unanswered", rest.len()))
}

#[test]
fn heads_of_all_conversations_are_routed_or_refused_as_expected() {
    let mut wrong = Vec::new();
    let mut played = 0;
    for conversation in golden::conversations() {
        let name = text(&conversation["name"]);
        let look_ups = match conversation["gateway"]["env"]["FLK_LOOK_UPS"].as_str() {
            Some("on") => LookUps::On,
            _ => LookUps::Off,
        };
        for (at, step) in list(&conversation["steps"]).iter().enumerate() {
            if at > 0 && name.ends_with("expect_continue") {
                continue; // the body alone: its head came with the step before
            }
            played += 1;
            wrong
                .extend(disagreement(step, look_ups).map(|why| format!("{name} step {at}: {why}")));
        }
    }
    assert!(played >= 100, "only {played} bursts");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
