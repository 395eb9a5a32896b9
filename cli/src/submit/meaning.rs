//! What a response means for the record that was sent. It accepts an outcome only if every part of it is valid and it names
//! that record; any other final answer did not come from a gateway.

use crate::members::Members;
use crate::submit::client::Reply;
use crate::submit::retry::Retry;
use serde_json::Value;

/// The meaning of one response for its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// 200 with an outcome of this record.
    Accepted,
    /// 202 with an outcome of this record.
    Escalated,
    /// A problem document that is final.
    Refused,
    /// 429: over the rate; the record was not stored.
    Limited,
    /// 408 or 5xx: the state of the record is unknown.
    Unknown,
    /// No gateway answers like this, for the reason given.
    NotAGateway(String),
}

impl Meaning {
    /// What `reply` means for the body `sent`.
    pub(crate) fn of(reply: &Reply, sent: &[u8]) -> Self {
        match reply.status {
            200 | 202 => match fault_of_outcome(reply, sent) {
                Some(why) => Self::NotAGateway(why),
                None if reply.status == 200 => Self::Accepted,
                None => Self::Escalated,
            },
            429 => Self::Limited,
            // also the answer of a proxy that cannot reach its gateway
            status if Retry::may_change(status) => Self::Unknown,
            500..=599 if fault_of_problem(reply).is_none() => Self::Unknown,
            400..=599 => match fault_of_problem(reply) {
                Some(why) => Self::NotAGateway(why),
                None => Self::Refused,
            },
            300..=399 => Self::NotAGateway(format!("{} sends elsewhere", reply.status)),
            status => Self::NotAGateway(format!("no gateway answers {status}")),
        }
    }
}

/// Members that every outcome has, besides those that are compared.
const ALSO: [&str; 6] = [
    "D_hat",
    "recomputed_D_hat",
    "budget",
    "recomputed_budget",
    "regime",
    "params_version",
];

fn fault_of_outcome(reply: &Reply, sent: &[u8]) -> Option<String> {
    let status = reply.status;
    if let Some(why) = other_type(reply, "application/json") {
        return Some(why);
    }
    let Ok(Value::Object(outcome)) = serde_json::from_slice(&reply.body) else {
        return Some(format!("the body of the {status} is not a JSON object"));
    };
    let absent = ALSO.iter().find(|&&name| !outcome.contains_key(name));
    if let Some(name) = absent {
        return Some(format!("the {status} is no outcome: it has no `{name}`"));
    }
    let is = |name: &str, wanted: bool| outcome.get(name) == Some(&Value::Bool(wanted));
    if !is("accepted", status == 200) || !is("escalated", status == 202) {
        return Some(format!(
            "`accepted` and `escalated` in the body do not fit the status {status}"
        ));
    }
    let named = outcome.get("pcs_id").and_then(Value::as_str);
    match (named, Members::text_in(sent, "pcs_id")) {
        (Some(named), Some(sent)) if *named == *sent => None,
        (None, _) => Some(format!("the {status} is no outcome: it has no `pcs_id`")),
        (_, None) => Some("it has an outcome for a body without a pcs_id".to_owned()),
        _ => Some("the outcome is of another record: its pcs_id is not the one sent".to_owned()),
    }
}

fn fault_of_problem(reply: &Reply) -> Option<String> {
    if let Some(why) = other_type(reply, "application/problem+json") {
        return Some(why);
    }
    let problem: Option<Value> = serde_json::from_slice(&reply.body).ok();
    let code = problem.as_ref().and_then(|it| it.get("code"));
    match code {
        Some(Value::String(_)) => None,
        _ => Some(format!(
            "the {} is no problem document: it has no `code`",
            reply.status
        )),
    }
}

fn other_type(reply: &Reply, wanted: &str) -> Option<String> {
    let (status, found) = (reply.status, &reply.content_type);
    match found.as_str() {
        found if found == wanted => None,
        "" => Some(format!("the {status} has no content type, not {wanted}")),
        found => Some(format!("the {status} is {found}, not {wanted}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: &[u8] = br#"{"pcs_id":"a\u0062"}"#;
    const OUTCOME: &str = r#"{"pcs_id":"ab","accepted":true,"escalated":false,"D_hat":1.0,"recomputed_D_hat":1.0,"budget":0.1,"recomputed_budget":0.1,"regime":"mixed","params_version":"1"}"#;

    fn reply(status: u16, content_type: &str, body: &str) -> Reply {
        Reply {
            status,
            content_type: content_type.to_owned(),
            body: body.as_bytes().to_vec(),
            ..Reply::default()
        }
    }

    fn not_a_gateway(reply: &Reply, sent: &[u8], part: &str) {
        match Meaning::of(reply, sent) {
            Meaning::NotAGateway(why) => assert!(why.contains(part), "{part}: {why}"),
            other => panic!("{part}: {other:?}"),
        }
    }

    #[test]
    fn an_outcome_is_believed_only_if_every_part_of_it_fits() {
        let good = reply(200, "application/json", OUTCOME);
        assert_eq!(Meaning::of(&good, SENT), Meaning::Accepted);
        let escalated = OUTCOME
            .replace("true", "\"x\"")
            .replace("false", "true")
            .replace("\"x\"", "false");
        let second = reply(202, "application/json", &escalated);
        assert_eq!(Meaning::of(&second, SENT), Meaning::Escalated);

        not_a_gateway(&good, br#"{"pcs_id":"ac"}"#, "another record");
        not_a_gateway(&good, br#"{"x":1}"#, "without a pcs_id");
        not_a_gateway(&good, b"nonsense", "without a pcs_id");
        not_a_gateway(&good, br#"{"pcs_id":"ab","pcs_id":"ab"}"#, "without");
        not_a_gateway(&reply(202, "application/json", OUTCOME), SENT, "do not fit");
        not_a_gateway(&reply(200, "application/json", &escalated), SENT, "do not");
        not_a_gateway(&reply(200, "text/html", OUTCOME), SENT, "text/html");
        not_a_gateway(&reply(200, "", OUTCOME), SENT, "no content type");
        for body in ["", "null", "[]", "OK", "{\"pcs_id\":\"ab\""] {
            not_a_gateway(&reply(200, "application/json", body), SENT, "JSON object");
        }
        let names = ["pcs_id", "accepted", "escalated"].into_iter().chain(ALSO);
        for name in names {
            let without = OUTCOME.replace(&format!("\"{name}\":"), "\"other\":");
            let answered = reply(200, "application/json", &without);
            assert!(
                matches!(Meaning::of(&answered, SENT), Meaning::NotAGateway(_)),
                "{name}"
            );
        }
    }

    #[test]
    fn a_refusal_is_believed_only_as_a_problem_document() {
        let problem = "application/problem+json";
        let code = r#"{"code":"signature_invalid"}"#;
        assert_eq!(
            Meaning::of(&reply(401, problem, code), SENT),
            Meaning::Refused
        );
        assert_eq!(
            Meaning::of(&reply(500, problem, code), SENT),
            Meaning::Unknown
        );
        not_a_gateway(&reply(501, "text/html", "<p>"), SENT, "text/html");
        not_a_gateway(&reply(404, "text/html", "<p>"), SENT, "text/html");
        not_a_gateway(&reply(403, "application/json", code), SENT, "problem+json");
        not_a_gateway(&reply(400, problem, "{\"code\":1}"), SENT, "`code`");
        not_a_gateway(&reply(400, problem, "oh"), SENT, "`code`");
    }

    #[test]
    fn every_other_status_has_one_meaning() {
        for status in 100..600 {
            let meaning = Meaning::of(&reply(status, "text/plain", "x"), SENT);
            let expect = match status {
                429 => Meaning::Limited,
                408 | 502..=504 => Meaning::Unknown,
                _ => {
                    assert!(matches!(meaning, Meaning::NotAGateway(_)), "{status}");
                    continue;
                }
            };
            assert_eq!(meaning, expect, "{status}");
        }
    }
}
