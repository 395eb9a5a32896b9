//! The end of a log: what a run may not claim to have, and what an archive has lost of it.

use super::*;
use crate::archive::list::archived as listed;
use crate::archive::runs;
use crate::exit::Exit;

#[test]
fn what_nothing_confirms_without_a_gateway_is_named_and_comes_after_a_start() {
    let mut log = plain();
    // As kill -9 leaves it: no mark is behind the last batch.
    log.segments[2].pop();
    let (dir, shelf) = (directory(&log), Shelf::default());
    let done = archived(dir.path(), &shelf).unwrap();
    let refusal = done.refusal().unwrap();
    assert_eq!(refusal.exit(), Exit::Unavailable, "{}", refusal.text());
    for said in ["log 1.0: batches 1:13 to 1:13: nothing says", "start one"] {
        assert!(refusal.text().contains(said), "{}", refusal.text());
    }
    assert_eq!(shelf.names("runs/"), [""; 0], "no run claims it");
    // A start keeps the batch and ends the log.
    (log.has_ended, log.generation) = (true, 2);
    log.write(dir.path());
    let done = archived(dir.path(), &shelf).unwrap();
    assert!(done.refusal().is_none());
    assert_eq!(rows(&shelf), log.bodies());
    assert_eq!(shelf.names("runs/").len(), 1);
    sound(&shelf);
}

#[test]
fn what_waits_without_a_gateway_is_claimed_only_where_nothing_behind_it_was_decided() {
    let body = |counter: u64, items: &[Item]| Turn {
        wall_us: EVENING_US + counter * SECOND_US,
        items: [&[Item::Body("acme", counter)], items].concat(),
    };
    for (items, is_refused) in [(vec![], false), (vec![Item::Accepted(2, 0)], true)] {
        let log = Log {
            segments: vec![vec![body(1, &[]), body(2, &items), Turn::default()]],
            ..Log::default()
        };
        let (dir, shelf) = (directory(&log), Shelf::default());
        let refusal = archived(dir.path(), &shelf).unwrap().refusal();
        assert_eq!(refusal.is_some(), is_refused, "{items:?}");
        assert_eq!(shelf.names("runs/").is_empty(), is_refused);
        let text = refusal.map_or(String::new(), |it| it.text().to_owned());
        assert_eq!(text.contains("batch 1:1"), is_refused, "{text}");
    }
}

/// The gaps that a list shows.
fn gaps(shelf: &Shelf) -> Vec<(u64, u64)> {
    let newest = runs::newest(shelf).unwrap();
    let (logs, damaged) = listed(shelf, &entries(shelf), newest.as_ref()).unwrap();
    assert!(damaged.is_empty());
    logs.values().flat_map(|it| it.gaps.clone()).collect()
}

fn faults(shelf: &Shelf) -> String {
    verify(shelf).unwrap().faults.join("\n")
}

#[test]
fn entries_that_are_lost_at_the_end_of_a_log_are_a_gap_as_the_newest_run_knows() {
    let log = plain();
    let (dir, shelf) = (directory(&log), Shelf::default());
    let limits = Limits {
        object_bytes: 1,
        ..Limits::default()
    };
    archived_within(dir.path(), &shelf, limits).unwrap();
    sound(&shelf);
    let mut all = entries(&shelf);
    let upto = all.last().unwrap().last;
    assert_eq!((gaps(&shelf), upto), (vec![], 13));
    let lose = |entry: &Entry| shelf.objects.borrow_mut().remove(&entry.name());
    // With its object or without: nothing finds the bodies any more.
    let last = all.pop().unwrap();
    lose(&last);
    let told = format!("batches 1:{} to 1:{upto} are in no object", last.first);
    for _ in 0..2 {
        assert_eq!(gaps(&shelf), [(last.first, upto)]);
        assert!(faults(&shelf).contains(&told), "{}", faults(&shelf));
        shelf.objects.borrow_mut().remove(&last.object());
    }
    // No run makes it again.
    archived_within(dir.path(), &shelf, limits).unwrap();
    assert_eq!(gaps(&shelf), [(last.first, upto)]);
    for entry in &all {
        lose(entry);
    }
    assert_eq!(gaps(&shelf), [(1, upto)]);
    assert!(faults(&shelf).contains("batches 1:1 to 1:13 are in no"));
}

#[test]
fn what_was_removed_from_the_beginning_of_a_log_is_no_gap() {
    let (dir, shelf) = (directory(&plain()), Shelf::default());
    let limits = Limits {
        object_bytes: 1,
        ..Limits::default()
    };
    archived_within(dir.path(), &shelf, limits).unwrap();
    let first = &entries(&shelf)[0];
    for name in [first.name(), first.object()] {
        shelf.objects.borrow_mut().remove(&name);
    }
    assert_eq!(gaps(&shelf), []);
    sound(&shelf);
}

#[test]
fn an_object_that_is_gone_or_damaged_is_not_made_again() {
    let (dir, shelf) = (directory(&plain()), Shelf::default());
    archived(dir.path(), &shelf).unwrap();
    let object = entries(&shelf)[0].object();
    shelf.objects.borrow_mut().remove(&object);
    archived(dir.path(), &shelf).unwrap();
    assert_eq!(shelf.names("bodies/"), [""; 0]);
    assert!(faults(&shelf).contains(&object), "{}", faults(&shelf));
}
