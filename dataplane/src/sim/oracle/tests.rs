//! The judge judged: each property can fail, and what is allowed passes.

use super::*;
use crate::sim::records::KEYS_COUNT;

fn outcome(key: u32, variant: u8, dedup: Dedup) -> SeenAnswer {
    outcome_by(key, variant, 0, dedup)
}

/// The outcome of another parameter set.
fn outcome_by(key: u32, variant: u8, params: u8, dedup: Dedup) -> SeenAnswer {
    let outcomes = &pool().id(key).variants[usize::from(variant)].outcomes;
    let (status, body) = outcomes[usize::from(params)].clone();
    SeenAnswer {
        status,
        dedup: Some(dedup),
        body,
    }
}

fn status(status: u16) -> SeenAnswer {
    SeenAnswer {
        status,
        dedup: None,
        body: String::new(),
    }
}

fn property(result: Result<Meaning, Broken>) -> Property {
    result.unwrap_err().property
}

const TTL_US: i64 = 100_000_000;
const RULES: Rules = Rules {
    ttl_us: TTL_US,
    params: 0,
    signers: [true, false],
    body_bytes_max: 4_096,
    flight_us_max: 60_000_000,
};

#[test]
fn a_first_outcome_is_followed_by_repetitions_only() {
    let mut oracle = Oracle::new(4, RULES);
    let first = oracle.sends(1, Kind::Valid(0), Shape::default());
    assert_eq!(
        oracle.answered(first, &outcome(1, 0, Dedup::Miss), 1),
        Ok(Meaning::First)
    );
    let again = oracle.sends(1, Kind::Valid(0), Shape::default());
    assert_eq!(
        oracle.answered(again, &outcome(1, 0, Dedup::Hit), 1),
        Ok(Meaning::Again)
    );
    let conflict = oracle.sends(1, Kind::Valid(1), Shape::default());
    assert_eq!(
        oracle.answered(conflict, &outcome(1, 0, Dedup::Conflict), 1),
        Ok(Meaning::Conflict)
    );
    let lost = oracle.sends(1, Kind::Valid(0), Shape::default());
    assert_eq!(
        property(oracle.answered(lost, &outcome(1, 0, Dedup::Miss), 1)),
        Property::AcknowledgedLost
    );
    let other = oracle.sends(1, Kind::Valid(1), Shape::default());
    assert_eq!(
        property(oracle.answered(other, &outcome(1, 1, Dedup::Hit), 1)),
        Property::OneOutcome
    );
}

#[test]
fn an_outcome_lives_as_long_as_the_fastest_clock_allows_and_dies_with_the_slowest() {
    let mut oracle = Oracle::new(4, RULES);
    let first = oracle.sends(1, Kind::Valid(0), Shape::default());
    oracle
        .answered(first, &outcome(1, 0, Dedup::Miss), 1)
        .unwrap();
    oracle.pass(TTL_US, 10_000_000);
    assert_eq!(oracle.surely(1), None, "it may have expired");
    let maybe = oracle.sends(1, Kind::Valid(0), Shape::default());
    let mut copy = oracle.clone();
    assert_eq!(
        copy.answered(maybe, &outcome(1, 0, Dedup::Miss), 1),
        Ok(Meaning::FirstAgain)
    );
    assert_eq!(
        oracle.answered(maybe, &outcome(1, 0, Dedup::Hit), 1),
        Ok(Meaning::Again)
    );
    oracle.pass(3 * TTL_US, 3 * TTL_US);
    let dead = oracle.sends(1, Kind::Valid(0), Shape::default());
    assert_eq!(
        property(oracle.answered(dead, &outcome(1, 0, Dedup::Hit), 1)),
        Property::OneOutcome
    );
}

#[test]
fn refused_records_leave_no_trace_and_get_no_outcome() {
    let mut oracle = Oracle::new(4, RULES);
    let bad = oracle.sends(2, Kind::BadSignature, Shape::default());
    assert_eq!(oracle.answered(bad, &status(401), 1), Ok(Meaning::Refused));
    let valid = oracle.sends(2, Kind::Valid(1), Shape::default());
    assert_eq!(
        property(oracle.answered(valid, &outcome(2, 1, Dedup::Hit), 1)),
        Property::SignatureFirst
    );
    let bad = oracle.sends(2, Kind::BadSignature, Shape::default());
    assert_eq!(
        property(oracle.answered(bad, &outcome(2, 1, Dedup::Hit), 1)),
        Property::NothingInvented
    );
}

#[test]
fn answers_of_other_requests_and_invented_ones_are_found() {
    let mut oracle = Oracle::new(4, RULES);
    let one = oracle.sends(1, Kind::Valid(0), Shape::default());
    assert_eq!(
        property(oracle.answered(one, &outcome(2, 0, Dedup::Miss), 1)),
        Property::ReplyOrder
    );
    let one = oracle.sends(1, Kind::Valid(0), Shape::default());
    assert_eq!(
        property(oracle.answered(one, &status(401), 1)),
        Property::ReplyOrder
    );
    let one = oracle.sends(1, Kind::Valid(0), Shape::default());
    assert_eq!(
        property(oracle.answered(one, &outcome(1, 1, Dedup::Conflict), 1)),
        Property::NothingInvented
    );
    let one = oracle.sends(1, Kind::Valid(0), Shape::default());
    assert_eq!(oracle.answered(one, &status(503), 1), Ok(Meaning::Retry));
}

#[test]
fn a_forgiven_record_may_be_new_again() {
    let mut oracle = Oracle::new(4, RULES);
    let first = oracle.sends(1, Kind::Valid(0), Shape::default());
    oracle
        .answered(first, &outcome(1, 0, Dedup::Miss), 1)
        .unwrap();
    let first = ReadOutcome {
        variant: 0,
        params: 0,
    };
    assert_eq!(oracle.alive(), [(1, first)]);
    assert!(oracle.forgive(1));
    assert!(!oracle.forgive(1));
    oracle.pass(1, 1);
    let again = oracle.sends(1, Kind::Valid(1), Shape::default());
    assert_eq!(
        oracle.answered(again, &outcome(1, 1, Dedup::Miss), 1),
        Ok(Meaning::First)
    );
}

#[test]
fn the_first_outcome_may_leave_behind_its_repetitions_but_only_once() {
    let mut oracle = Oracle::new(4, RULES);
    let first = oracle.sends(1, Kind::Valid(0), Shape::default());
    let again = oracle.sends(1, Kind::Valid(0), Shape::default());
    oracle.pass(10, 10);
    assert_eq!(
        oracle.answered(again, &outcome(1, 0, Dedup::Hit), 1),
        Ok(Meaning::Again)
    );
    assert_eq!(
        oracle.answered(first, &outcome(1, 0, Dedup::Miss), 1),
        Ok(Meaning::Again)
    );
    assert_eq!(
        property(oracle.answered(first, &outcome(1, 0, Dedup::Miss), 1)),
        Property::AcknowledgedLost
    );
    let mut oracle = Oracle::new(4, RULES);
    oracle.sends(1, Kind::Valid(0), Shape::default());
    let again = oracle.sends(1, Kind::Valid(0), Shape::default());
    oracle.pass(10, 10);
    oracle
        .answered(again, &outcome(1, 0, Dedup::Hit), 1)
        .unwrap();
    oracle.pass(10, 10);
    let later = oracle.sends(1, Kind::Valid(0), Shape::default());
    assert_eq!(
        property(oracle.answered(later, &outcome(1, 0, Dedup::Miss), 1)),
        Property::AcknowledgedLost
    );
}

#[test]
fn a_first_outcome_may_leave_behind_the_next_one_if_it_can_have_expired_by_then() {
    for (passed_us, allowed) in [(TTL_US, true), (TTL_US / 2, false)] {
        let mut oracle = Oracle::new(4, RULES);
        let held = oracle.sends(1, Kind::Valid(0), Shape::default());
        oracle.pass(passed_us, passed_us);
        let next = oracle.sends(1, Kind::Valid(1), Shape::default());
        assert_eq!(
            oracle.answered(next, &outcome(1, 1, Dedup::Miss), 1),
            Ok(Meaning::First)
        );
        let judged = oracle.answered(held, &outcome(1, 0, Dedup::Miss), 1);
        match allowed {
            true => assert_eq!(judged, Ok(Meaning::Again)),
            false => assert_eq!(property(judged), Property::AcknowledgedLost),
        }
        let stands = oracle.surely(1).map(|outcome| outcome.variant);
        assert_eq!(stands, Some(1), "the later one stands");
    }
}

#[test]
fn repetitions_do_not_prolong_what_they_repeat() {
    let mut oracle = Oracle::new(4, RULES);
    let first = oracle.sends(1, Kind::Valid(0), Shape::default());
    oracle
        .answered(first, &outcome(1, 0, Dedup::Miss), 1)
        .unwrap();
    for _ in 0..9 {
        oracle.pass(TTL_US / 10, TTL_US / 10);
        let again = oracle.sends(1, Kind::Valid(0), Shape::default());
        oracle
            .answered(again, &outcome(1, 0, Dedup::Hit), 1)
            .unwrap();
    }
    oracle.pass(TTL_US / 5, TTL_US / 5);
    let dead = oracle.sends(1, Kind::Valid(0), Shape::default());
    assert_eq!(
        property(oracle.answered(dead, &outcome(1, 0, Dedup::Hit), 1)),
        Property::OneOutcome
    );
}

#[test]
fn what_no_active_key_signs_is_401_and_what_is_too_large_is_413() {
    let mut oracle = Oracle::new(4, RULES);
    let other = Shape {
        signer: 1,
        bytes: 0,
    };
    let one = oracle.sends(1, Kind::Valid(0), other);
    assert_eq!(oracle.answered(one, &status(401), 1), Ok(Meaning::Refused));
    let one = oracle.sends(1, Kind::Valid(0), other);
    assert_eq!(
        property(oracle.answered(one, &outcome(1, 0, Dedup::Miss), 1)),
        Property::NothingInvented
    );
    let large = Shape {
        signer: 0,
        bytes: 4_097,
    };
    let one = oracle.sends(1, Kind::Valid(0), large);
    assert_eq!(oracle.answered(one, &status(413), 1), Ok(Meaning::TooLarge));
    let one = oracle.sends(1, Kind::Valid(0), large);
    assert!(
        oracle
            .answered(one, &outcome(1, 0, Dedup::Miss), 1)
            .is_err()
    );
    let fits = Shape {
        signer: 0,
        bytes: 4_096,
    };
    let one = oracle.sends(1, Kind::Valid(0), fits);
    assert!(oracle.answered(one, &status(413), 1).is_err());
}

#[test]
fn a_repetition_that_was_asked_for_in_time_may_leave_late_and_one_asked_for_later_not() {
    let mut oracle = Oracle::new(4, RULES);
    let first = oracle.sends(1, Kind::Valid(0), Shape::default());
    oracle
        .answered(first, &outcome(1, 0, Dedup::Miss), 1)
        .unwrap();
    oracle.pass(TTL_US, TTL_US);
    let in_time = oracle.sends(1, Kind::Valid(0), Shape::default());
    oracle.pass(5_000_000, 5_000_000);
    let late = oracle.sends(1, Kind::Valid(1), Shape::default());
    assert!(
        oracle
            .clone()
            .answered(in_time, &outcome(1, 0, Dedup::Hit), 1)
            .is_ok()
    );
    // The request in time may have been the first of a new life; once it is answered it was not.
    oracle
        .answered(in_time, &outcome(1, 0, Dedup::Hit), 1)
        .unwrap();
    assert_eq!(
        property(oracle.answered(late, &outcome(1, 0, Dedup::Conflict), 1)),
        Property::OneOutcome
    );
}

#[test]
fn what_is_decided_while_time_is_released_lives_from_the_released_clock_on() {
    let mut oracle = Oracle::new(4, RULES);
    oracle.may_release(10 * TTL_US);
    let first = oracle.sends(1, Kind::Valid(0), Shape::default());
    oracle
        .answered(first, &outcome(1, 0, Dedup::Miss), 1)
        .unwrap();
    oracle.released(10 * TTL_US);
    oracle.pass(TTL_US / 2, TTL_US / 2);
    let again = oracle.sends(1, Kind::Valid(0), Shape::default());
    assert!(
        oracle
            .answered(again, &outcome(1, 0, Dedup::Hit), 1)
            .is_ok()
    );
    oracle.pass(TTL_US, TTL_US);
    let late = oracle.sends(1, Kind::Valid(0), Shape::default());
    assert_eq!(
        property(oracle.answered(late, &outcome(1, 0, Dedup::Hit), 1)),
        Property::OneOutcome
    );
}

#[test]
fn a_request_is_judged_by_a_snapshot_that_was_in_force_after_it_was_sent_and_by_no_older_one() {
    let unknown = SeenAnswer {
        body: "{\"code\":\"unknown_tenant\"}".to_owned(),
        ..status(401)
    };
    let policy = |admits, signers| {
        let policy = Policy {
            admits,
            ..Policy::always(signers)
        };
        [policy; TENANTS.len()]
    };
    let mut oracle = Oracle::new(4, RULES);
    let before = oracle.sends(1, Kind::Valid(0), Shape::default());
    oracle.publishes(policy(true, [false, true]));
    let gone = oracle.publishes(policy(false, [false, true]));
    // All three may have judged it.
    for answer in [&status(401), &unknown, &outcome(1, 0, Dedup::Miss)] {
        let mut oracle = oracle.clone();
        assert!(oracle.answered(before, answer, 1).is_ok(), "{answer:?}");
    }
    oracle.settles(gone);
    let behind = oracle.sends(1, Kind::Valid(0), Shape::default());
    let mut judge = oracle.clone();
    assert_eq!(judge.answered(behind, &unknown, 1), Ok(Meaning::Refused));
    assert!(judge.requests[behind as usize].before_the_log);
    assert!(oracle.clone().answered(behind, &status(401), 1).is_err());
    let accepted = oracle.answered(behind, &outcome(1, 0, Dedup::Miss), 1);
    assert_eq!(property(accepted), Property::NothingInvented);
}

/// What this answer means for a request that was sent at 100 s of the wall clock and answered at 110 s.
fn meant(policy: Policy, signer: u8, answer: &SeenAnswer) -> Option<Meaning> {
    let mut oracle = Oracle::new(4, RULES);
    oracle.wall.shows(100);
    let number = oracle.publishes([policy; TENANTS.len()]);
    oracle.settles(number);
    let shape = Shape {
        signer,
        ..Shape::default()
    };
    let serial = oracle.sends(1, Kind::Valid(0), shape);
    oracle.wall.shows(110);
    oracle.answered(serial, answer, 1).ok()
}

#[test]
fn a_key_that_ends_may_verify_before_that_second_and_not_behind_it() {
    let turn = |turn_s| Policy {
        turn_s: Some(turn_s),
        ..Policy::always([true, true])
    };
    let accepted = outcome(1, 0, Dedup::Miss);
    for (turn_s, signer, may_accept, may_refuse) in [
        (100, 0, false, true),
        (101, 0, true, true),
        (110, 0, true, true),
        (111, 0, true, false),
        (100, 1, true, false),
        (101, 1, true, true),
        (111, 1, false, true),
    ] {
        let is_taken = meant(turn(turn_s), signer, &accepted).is_some();
        let is_refused = meant(turn(turn_s), signer, &status(401)).is_some();
        let expected = (may_accept, may_refuse);
        assert_eq!((is_taken, is_refused), expected, "{turn_s} {signer}");
    }
}

#[test]
fn the_seconds_that_a_clock_has_shown_reach_over_each_time_when_it_was_set() {
    let mut clock = WallClock::default();
    clock.shows(100);
    let then = clock.now();
    clock.jumps(105, 20);
    clock.shows(30);
    let since = clock.since(then);
    assert_eq!((since.least_s, since.most_s), (20, 105));
    let later = clock.now();
    clock.shows(40);
    let since = clock.since(later);
    assert_eq!((since.least_s, since.most_s), (30, 40));
    assert_eq!(clock.most_s(), 105);
}

#[test]
fn a_rate_refuses_only_requests_of_tenants_that_have_one() {
    let limited = SeenAnswer {
        body: "{\"code\":\"rate_limited\"}".to_owned(),
        ..status(429)
    };
    let policy = Policy::always([true, true]);
    assert_eq!(meant(policy, 0, &limited), None);
    let policy = Policy {
        limited: true,
        ..policy
    };
    assert_eq!(meant(policy, 0, &limited), Some(Meaning::Limited));
}

#[test]
fn a_parameter_set_judges_from_its_second_on() {
    let policy = |from_s| Policy {
        other_params_s: Some(from_s),
        ..Policy::always([true, true])
    };
    for (from_s, usual, other) in [(100, false, true), (105, true, true), (111, true, false)] {
        let of = |params| meant(policy(from_s), 0, &outcome_by(1, 0, params, Dedup::Miss));
        assert_eq!(of(RULES.params).is_some(), usual, "{from_s}");
        assert_eq!(of(1 - RULES.params).is_some(), other, "{from_s}");
    }
}

#[test]
fn the_same_id_of_two_tenants_is_two_records() {
    let mut oracle = Oracle::new(KEYS_COUNT + 4, RULES);
    for key in [1, KEYS_COUNT + 1] {
        let first = oracle.sends(key, Kind::Valid(0), Shape::default());
        let answer = outcome(key, 0, Dedup::Miss);
        assert_eq!(oracle.answered(first, &answer, 1), Ok(Meaning::First));
    }
}
