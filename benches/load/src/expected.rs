//! What a gateway has to answer to each kind of request, and what an answer is worth by that. It is a table without state.

use crate::answer::Dedup;
use crate::mix::Kind;

/// What an answer is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// What the contract says.
    AsExpected,
    /// The gateway did not judge: its rate or quota was exceeded, or something was unavailable. Allowed, and an error of the run.
    Unjudged,
    /// What the contract does not allow.
    Wrong,
}

/// The answer that a kind has to get, in words.
pub const fn wanted(kind: Kind) -> &'static str {
    match kind {
        Kind::New => "200 miss",
        Kind::Duplicate => "200 hit",
        Kind::BadSignature => "401",
        Kind::Malformed => "400",
    }
}

/// What an answer to a request of this kind is worth.
pub const fn worth(kind: Kind, status: u16, dedup: Dedup) -> Worth {
    match (kind, status, dedup) {
        (_, 408 | 429 | 500..=599, _) => Worth::Unjudged,
        (Kind::New, 200, Dedup::Miss)
        | (Kind::Duplicate, 200, Dedup::Hit)
        | (Kind::BadSignature, 401, _)
        | (Kind::Malformed, 400, _) => Worth::AsExpected,
        _ => Worth::Wrong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_one_right_answer() {
        let answers = [
            (200, Dedup::Miss),
            (200, Dedup::Hit),
            (401, Dedup::Absent),
            (400, Dedup::Absent),
            (200, Dedup::Conflict),
            (200, Dedup::Absent),
            (202, Dedup::Miss),
            (404, Dedup::Absent),
        ];
        for (at, kind) in Kind::ALL.into_iter().enumerate() {
            for (other, (status, dedup)) in answers.into_iter().enumerate() {
                let expect = match at == other {
                    true => Worth::AsExpected,
                    false => Worth::Wrong,
                };
                assert_eq!(
                    worth(kind, status, dedup),
                    expect,
                    "{kind:?} {status} {dedup:?}"
                );
            }
            for status in [429, 503, 500, 408] {
                assert_eq!(worth(kind, status, Dedup::Absent), Worth::Unjudged);
            }
        }
    }
}
