//! Look-ups of a key that several slices hold: which entry answers, until when, and what it costs.

use super::*;

/// Reads all that a claim at that time asks for; how many reads, and decided-at and expiry of the outcome if there is one.
fn looked_up(bench: &mut Bench, now_s: u32) -> (u32, Option<(u32, u32)>) {
    let mut said = bench.claim(0, &candidate(5, 1), now_s);
    let mut reads = 0;
    while said.is_empty() {
        said = bench.read(now_s);
        reads += 1;
    }
    let found = match said[..] {
        [ToReceiver::Existing { outcome, .. }] => Some((outcome.decided_at, outcome.expiry)),
        [ToReceiver::Won { .. }] => None,
        _ => panic!("{said:?}"),
    };
    if found.is_some() {
        assert_eq!(bench.owner.pending_count(), 0);
    }
    (reads, found)
}

#[test]
fn an_entry_that_expired_before_the_next_one_was_decided_answers_nothing() {
    let mut bench = Bench::with_slices(&[&[(5, 1, 50)], &[(5, 60, 800)]]);
    assert_eq!(looked_up(&mut bench, 100), (2, Some((60, 800))));
}

#[test]
fn of_live_entries_the_one_that_was_decided_first_answers_whichever_slice_is_older() {
    let mut bench = Bench::with_slices(&[&[(5, 30, 900)], &[(5, 20, 800)], &[(5, 40, 700)]]);
    // The last slice begins behind what was found: it cannot change the answer, and is not read.
    assert_eq!(looked_up(&mut bench, 100), (2, Some((20, 900))));
}

#[test]
fn an_entry_that_is_found_costs_no_read_of_slices_that_begin_behind_it() {
    let mut bench = Bench::with_slices(&[&[(5, 10, 900)], &[(5, 11, 900)], &[(5, 12, 900)]]);
    assert_eq!(looked_up(&mut bench, 100), (1, Some((10, 900))));
}

#[test]
fn a_slice_that_begins_in_the_second_of_what_was_found_may_change_the_answer() {
    let mut bench = Bench::with_slices(&[&[(5, 30, 900)], &[(5, 30, 950)]]);
    assert_eq!(looked_up(&mut bench, 100), (2, Some((30, 950))));
}

#[test]
fn an_outcome_ends_with_its_expiry_in_every_slice() {
    for at in 0..3 {
        let (one, none): (&[_], &[_]) = (&[(5, 10, 100)], &[(6, 10, 100)]);
        let slices: Vec<_> = (0..3).map(|it| if it == at { one } else { none }).collect();
        let mut bench = Bench::with_slices(&slices);
        assert_eq!(looked_up(&mut bench, 99).1, Some((10, 100)));
        assert_eq!(looked_up(&mut bench, 100).1, None, "slice {at}");
    }
}

/// A fault left two outcomes. The first one stands for as long as either lives, as it does for a start and a merge.
#[test]
fn a_first_outcome_stands_until_the_second_one_would_have_expired() {
    for slices in [[(5, 10, 100), (5, 20, 200)], [(5, 20, 200), (5, 10, 100)]] {
        let [one, two] = slices.map(|entry| [entry]);
        let mut bench = Bench::with_slices(&[&one, &two]);
        assert_eq!(looked_up(&mut bench, 150).1, Some((10, 200)));
        assert_eq!(looked_up(&mut bench, 199).1, Some((10, 200)));
        assert_eq!(looked_up(&mut bench, 200).1, None);
    }
}

#[test]
fn a_block_that_cannot_be_read_behind_a_live_entry_is_told_if_it_might_change_the_answer() {
    let mut bench = Bench::with_slices(&[&[(5, 30, 900)], &[(5, 20, 900)]]);
    bench.claim(0, &candidate(5, 1), 100);
    assert_eq!(
        bench.read(100),
        [],
        "an earlier one may be in the next slice"
    );
    assert_eq!(bench.read_fails(100), [unavailable(0)]);
    // Nothing is left of the look-up that failed.
    assert_eq!(looked_up(&mut bench, 100), (2, Some((20, 900))));
}

/// What two entries of a key mean at a second behind both, in plain words: the earlier one while either lives if they overlap,
/// else the one that lives.
fn plainly(mut entries: [(u32, u32); 2], now_s: u32) -> Option<(u32, u32)> {
    entries.sort_unstable();
    let [first, second] = entries;
    let stands = match first.1 <= second.0 {
        true => second,
        false => (first.0, first.1.max(second.1)),
    };
    (now_s < stands.1).then_some(stands)
}

proptest! {
    #[test]
    fn of_two_entries_the_same_answers_wherever_they_lie(
        entries in prop::array::uniform2((1..30u32, 1..20u32)),
        (at, other) in (0..3usize, 0..3usize),
        later_s in 0..40u32,
    ) {
        prop_assume!(at != other && entries[0].0 != entries[1].0);
        let entries = entries.map(|(decided_at, lives_s)| (decided_at, decided_at + lives_s));
        let mut slices = [[(6, 1, 900)]; 3];
        for (slice, (decided_at, expiry)) in [at, other].into_iter().zip(entries) {
            slices[slice] = [(5, decided_at, expiry)];
        }
        let slices: Vec<&[_]> = slices.iter().map(<[_; 1]>::as_slice).collect();
        let mut bench = Bench::with_slices(&slices);
        let now_s = entries[0].0.max(entries[1].0) + later_s;
        let wanted = plainly(entries, now_s);
        let (_, found) = looked_up(&mut bench, now_s);
        // A look-up that found a live one does not go on for the expiry of a later one.
        prop_assert_eq!(found.map(|it| it.0), wanted.map(|it| it.0));
    }
}
