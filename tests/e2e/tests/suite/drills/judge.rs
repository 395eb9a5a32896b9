//! Starts a gateway on a damaged copy and says what it did. Whatever the damage: a refused start changes nothing and names a
//! file, and an id that was accepted gets its outcome or 503.

use super::harm::{Harm, inflict};
use super::parts::Whole;
use super::stock::{Accepted, Stock};
use super::{Drill, Target};
use crate::damage::contents;
use flk_testkit::gateway::Gateway;
use flk_testkit::records::record;
use std::fmt;

/// Number of a record that no stock has.
const NEVER_SENT: u64 = 1_000_000;

/// What a start on a damaged directory does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It serves, and every id has its outcome.
    Whole,
    /// It serves; ids that may be in a block are answered 503.
    Around,
    /// It ends with this code and names the file.
    Refused(i32),
    /// It serves, and records are new that were accepted before.
    TakenAsNew,
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Whole => out.write_str("serves all ids"),
            Verdict::Around => out.write_str("serves; 503 for the ids of that block"),
            Verdict::Refused(code) => write!(out, "refused: {code}"),
            Verdict::TakenAsNew => out.write_str("**not recognised**"),
        }
    }
}

/// Damages a copy of a directory, starts a gateway on it, and asks for every record.
pub(crate) fn judge(stock: &Stock, drill: Drill) -> Verdict {
    let (copy, plan) = stock.copy();
    inflict(stock, drill, copy.path());
    let before = contents(copy.path());
    let gateway = match plan.try_start() {
        Ok(gateway) => gateway,
        Err(ended) => {
            let code = ended.code();
            assert!([65, 78].contains(&code), "{drill:?}: {ended}");
            assert!(
                contents(copy.path()) == before,
                "{drill:?}: the refused start changed a file"
            );
            let named = names(stock, drill);
            assert!(
                named.iter().any(|name| ended.said.contains(name)),
                "{drill:?}: none of {named:?} is named: {ended}"
            );
            return Verdict::Refused(code);
        }
    };
    let answers = Answers::of(&gateway, stock, drill);
    if !answers.unavailable.is_empty() {
        answers.assert_of_the_block(stock, drill);
        return Verdict::Around;
    }
    if !answers.new.is_empty() {
        let newest = stock.accepted.iter().filter(|it| it.is_newest);
        assert!(
            newest
                .map(|it| &it.pcs_id)
                .eq(answers.new.iter().map(|it| &it.pcs_id)),
            "{drill:?}: more is new than what the copy lacks"
        );
        return Verdict::TakenAsNew;
    }
    Verdict::Whole
}

/// What a refusal may name: the file; where files were mixed up the other one too; and the secret, which is not the one that
/// the manifest of another installation names.
fn names(stock: &Stock, drill: Drill) -> Vec<&str> {
    let whole = match drill.target {
        Target::Part(part) => part.file(),
        Target::Whole(whole) => whole,
    };
    let is_mixed_up = matches!(drill.harm, Harm::BytesOfAnother | Harm::AnotherFile);
    let other = match whole {
        Whole::Manifest => Some("secret"),
        _ => stock.twin(whole),
    };
    let other = other.filter(|_| is_mixed_up);
    [Some(stock.file(whole)), other]
        .into_iter()
        .flatten()
        .collect()
}

/// Records that did not get the outcome that they had.
struct Answers<'a> {
    unavailable: Vec<&'a Accepted>,
    new: Vec<&'a Accepted>,
}

impl<'a> Answers<'a> {
    fn of(gateway: &Gateway, stock: &'a Stock, drill: Drill) -> Answers<'a> {
        let mut answers = Answers {
            unavailable: Vec::new(),
            new: Vec::new(),
        };
        let mut connection = gateway.connect();
        for accepted in &stock.accepted {
            let answer = connection.post(&accepted.body).unwrap();
            match (answer.status, answer.dedup()) {
                (200, Some("hit")) => assert!(
                    answer.body == accepted.outcome,
                    "{drill:?}: another outcome: {answer:?}"
                ),
                (200, Some("miss")) => answers.new.push(accepted),
                (503, _) => {
                    assert_eq!(answer.problem_code(), "store_unavailable", "{drill:?}");
                    answers.unavailable.push(accepted);
                }
                _ => panic!("{drill:?}: {answer:?}"),
            }
        }
        if answers.unavailable.is_empty() {
            let answer = connection.post(&record(NEVER_SENT).body).unwrap();
            assert_eq!((answer.status, answer.dedup()), (200, Some("miss")));
        }
        answers
    }

    /// 503 is for all ids that are in the damaged block, and for none that sorts outside of it.
    fn assert_of_the_block(&self, stock: &Stock, drill: Drill) {
        assert!(self.new.is_empty(), "{drill:?}: an id of the block is new");
        let (keys, hash) = stock.first_block();
        let (first, last) = (keys[0], keys[keys.len() - 1]);
        let unavailable: Vec<_> = self
            .unavailable
            .iter()
            .map(|it| hash.key("default", &it.pcs_id))
            .collect();
        for key in &keys {
            assert!(unavailable.contains(key), "{drill:?}: a key is answered");
        }
        for key in unavailable {
            assert!((first..=last).contains(&key), "{drill:?}: too much is 503");
        }
    }
}
