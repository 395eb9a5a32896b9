//! What runs make of a log: interrupted, repeated, twice at once, between all that may become of the log.

use super::*;
use crate::archive::list::archived as listed;
use crate::archive::names;
use crate::backup::tests::Memory;
use crate::exit::Exit;
use flk_dataplane::wal::manifest::Manifest;

#[test]
fn an_archive_has_each_body_of_a_log_once_with_its_disposition_and_lineage() {
    let log = plain();
    let (dir, shelf) = (directory(&log), Shelf::default());
    let done = archived(dir.path(), &shelf).unwrap();
    assert_eq!(rows(&shelf), log.bodies());
    assert_eq!(done.made.rows, log.bodies().len() as u64);
    assert_eq!(sound(&shelf).rows, done.made.rows);
    let found = &all(&shelf)[0].lineage();
    for (name, value) in [
        ("installation", "01".repeat(16)),
        ("node", "02".repeat(16)),
        ("incarnation", "03".repeat(16)),
        ("log", "1.0".to_owned()),
        ("sequence", "1:1".to_owned()),
        ("received", "2026-11-29T23:00:01.000Z".to_owned()),
        ("key_id", "06".repeat(8)),
        ("params_version", "1".to_owned()),
    ] {
        assert_eq!(found[name], value, "{name}");
    }
    assert_eq!(
        (&found["snapshot"], &found["line"]),
        (&7.into(), &serde_json::Value::Null)
    );
}

#[test]
fn a_run_that_ends_at_any_operation_is_gone_on_with_and_no_body_is_there_twice() {
    let log = plain();
    let dir = directory(&log);
    let limits = Limits {
        object_bytes: 1,
        ..Limits::default()
    };
    let mut failed = 0;
    loop {
        let shelf = Shelf::default();
        shelf.fails_in.set(Some(failed));
        let Err(failure) = archived_within(dir.path(), &shelf, limits) else {
            break;
        };
        assert_eq!(failure.exit(), Exit::Unavailable, "{}", failure.text());
        let kept = shelf.objects.borrow().clone();
        shelf.fails_in.set(None);
        archived_within(dir.path(), &shelf, limits).unwrap();
        assert_eq!(rows(&shelf), log.bodies(), "operation {failed}");
        let objects = sound(&shelf).objects as usize;
        assert_eq!(objects, shelf.names("bodies/").len(), "operation {failed}");
        for (object, bytes) in kept {
            assert_eq!(shelf.objects.borrow()[&object], bytes);
        }
        failed += 1;
    }
    assert!(failed > 20, "{failed} operations");
}

#[test]
fn a_run_without_anything_new_adds_its_mark_only() {
    let log = plain();
    let (dir, shelf) = (directory(&log), Shelf::default());
    archived(dir.path(), &shelf).unwrap();
    let before = shelf.objects.borrow().clone();
    let done = archived(dir.path(), &shelf).unwrap();
    assert_eq!((done.made.objects, done.made.rows), (0, 0));
    let after = shelf.objects.borrow().clone();
    let new: Vec<&String> = after
        .keys()
        .filter(|it| !before.contains_key(*it))
        .collect();
    assert_eq!(new.len(), 1);
    assert!(new[0].starts_with("runs/"), "{new:?}");
    // Without marks, and with a damaged one, the ends of logs are looked for.
    for name in shelf.names("runs/") {
        shelf.change(&name, |bytes| bytes[3] ^= 1);
    }
    assert_eq!(archived(dir.path(), &shelf).unwrap().made.objects, 0);
    assert_eq!(rows(&shelf), log.bodies());
}

#[test]
fn of_two_runs_at_once_each_body_comes_from_one() {
    let log = plain();
    let shorter = {
        let mut log = plain();
        log.segments[2].truncate(2);
        log.segments[2].push(Turn::default());
        log
    };
    for first_limit in [4_000, 8_000, usize::MAX] {
        for other_limit in [3_000, 9_000, usize::MAX] {
            let (dir, other) = (directory(&log), directory(&shorter));
            let limits = |object_bytes| Limits {
                object_bytes,
                ..Limits::default()
            };
            let shelf = Shelf::default();
            let other_limits = limits(other_limit);
            *shelf.before_bodies.borrow_mut() = Some(Box::new(move |shelf| {
                // It sees less of the log, and cuts it otherwise.
                archived_within(other.path(), shelf, other_limits).unwrap();
            }));
            archived_within(dir.path(), &shelf, limits(first_limit)).unwrap();
            assert!(shelf.before_bodies.borrow().is_none());
            assert_eq!(rows(&shelf), log.bodies(), "{first_limit}, {other_limit}");
            sound(&shelf);
        }
    }
}

#[test]
fn a_store_that_loses_answers_or_overwrites_is_known() {
    let log = plain();
    let (dir, shelf) = (directory(&log), Shelf::default());
    shelf.loses_answers.set(true);
    archived(dir.path(), &shelf).unwrap();
    assert_eq!(rows(&shelf), log.bodies());
    let shelf = Shelf {
        memory: Memory {
            overwrites: true,
            ..Memory::default()
        },
        ..Shelf::default()
    };
    let refused = archived(dir.path(), &shelf).err().unwrap();
    assert_eq!(refused.exit(), Exit::Configuration, "{}", refused.text());
    assert_eq!(shelf.names(""), [names::OWNER]);
}

#[test]
fn a_place_holds_the_archive_of_one_directory() {
    let (dir, shelf) = (directory(&plain()), Shelf::default());
    archived(dir.path(), &shelf).unwrap();
    let path = dir.path().join("manifest");
    let mut manifest = Manifest::decode(&std::fs::read(&path).unwrap()).unwrap();
    manifest.node = [9; 16];
    std::fs::write(&path, manifest.encode()).unwrap();
    let before = shelf.objects.borrow().len();
    let refused = archived(dir.path(), &shelf).err().unwrap();
    assert_eq!(refused.exit(), Exit::Usage, "{}", refused.text());
    assert_eq!(shelf.objects.borrow().len(), before);
}

#[test]
fn bodies_are_archived_once_their_disposition_is_known() {
    let mut log = plain();
    // The body of batch 12 waits, and what is behind it waits with it.
    log.segments[2].truncate(4);
    log.segments[2].extend([
        Turn {
            wall_us: EVENING_US + 13 * SECOND_US,
            items: vec![Item::Body("acme", 130), Item::Refused(13, 0)],
        },
        Turn::default(),
    ]);
    let (dir, shelf) = (directory(&log), Shelf::default());
    archived(dir.path(), &shelf).unwrap();
    let now: Vec<Expected> = log.bodies();
    let done = |it: &&Expected| it.counter < 12;
    let expected: Vec<Expected> = now.iter().filter(done).cloned().collect();
    assert_eq!(rows(&shelf), expected);
    // Its disposition comes.
    log.segments[2].extend(ending(13).into_iter().map(|mut it| {
        it.wall_us += 9 * SECOND_US;
        it
    }));
    log.generation += 1;
    log.write(dir.path());
    archived(dir.path(), &shelf).unwrap();
    assert_eq!(rows(&shelf), log.bodies());
    sound(&shelf);
    // In a log that has ended nothing comes any more.
    let mut ended = plain();
    ended.segments[2].truncate(4);
    ended.has_ended = true;
    let (dir, shelf) = (directory(&ended), Shelf::default());
    archived(dir.path(), &shelf).unwrap();
    let rows = rows(&shelf);
    assert_eq!(rows.len(), ended.bodies().len());
    assert_eq!(rows.last().unwrap().disposition, "unanswered");
}

#[test]
fn dispositions_that_were_read_ahead_are_not_taken_for_late_decisions() {
    // Each batch decides a body of the one before, so that every cut has dispositions behind it.
    for cut in 2..12 {
        let whole = plain();
        let mut short = plain();
        let flat: Vec<Turn> = short.segments.concat();
        short.segments = vec![flat[..cut].to_vec()];
        short.segments[0].push(Turn::default());
        let mut rest = whole.clone();
        rest.segments = vec![flat[..cut].to_vec()];
        rest.segments[0].push(Turn::default());
        let behind = 2 + cut as u64;
        rest.segments[0].push(Turn {
            wall_us: EVENING_US + behind * SECOND_US,
            items: vec![Item::Accepted(cut as u64, 1)],
        });
        rest.segments[0].push(Turn::default());
        let (dir, shelf) = (directory(&short), Shelf::default());
        archived(dir.path(), &shelf).unwrap();
        rest.generation += 1;
        rest.write(dir.path());
        archived(dir.path(), &shelf).unwrap();
        assert_eq!(rows(&shelf), rest.bodies(), "{cut}");
        assert!(all(&shelf).iter().all(|it| it.lineage()["late"] == false));
    }
}

#[test]
fn a_decision_that_comes_after_a_body_was_archived_as_unanswered_is_a_row_of_its_own() {
    let turn = |counter: u64, items: Vec<Item>| Turn {
        wall_us: EVENING_US + counter * SECOND_US,
        items,
    };
    let mut log = Log {
        segments: vec![vec![
            turn(1, vec![Item::Body("acme", 10)]),
            turn(2, vec![Item::Unanswered(1, 0)]),
            turn(3, Vec::new()),
        ]],
        ..Log::default()
    };
    let (dir, shelf) = (directory(&log), Shelf::default());
    archived(dir.path(), &shelf).unwrap();
    assert_eq!(rows(&shelf)[0].disposition, "unanswered");
    log.segments[0].push(turn(4, vec![Item::Accepted(1, 0)]));
    log.segments[0].push(turn(5, Vec::new()));
    log.generation += 1;
    log.write(dir.path());
    archived(dir.path(), &shelf).unwrap();
    let late: Vec<Found> = all(&shelf);
    let late: Vec<&Found> = late
        .iter()
        .filter(|it| it.lineage()["late"] == true)
        .collect();
    assert_eq!(late.len(), 1);
    let lineage = &late[0].lineage();
    assert_eq!(
        (
            &lineage["sequence"],
            &lineage["disposition"],
            &lineage["pcs_id"]
        ),
        (&"1:1".into(), &"accepted".into(), &id(10).into())
    );
    assert_eq!((late[0].body.as_ref(), rows(&shelf).len()), (None, 1));
    sound(&shelf);
    // Where both are read at once there is one row.
    let shelf = Shelf::default();
    archived(dir.path(), &shelf).unwrap();
    assert_eq!(rows(&shelf), log.bodies());
    assert_eq!(all(&shelf).len(), 1);
}

#[test]
fn erased_bodies_are_archived_without_body_and_are_said_to_be_erased() {
    let mut log = plain();
    log.erased = [(2, 0), (6, 1)].into();
    let last = log.segments[2].len() - 2;
    log.segments[2][last]
        .items
        .extend([Item::Erasure(2, 0), Item::Erasure(6, 1)]);
    let (dir, shelf) = (directory(&log), Shelf::default());
    archived(dir.path(), &shelf).unwrap();
    assert_eq!(rows(&shelf), log.bodies());
    let erased: Vec<Expected> = rows(&shelf).into_iter().filter(|it| it.is_erased).collect();
    assert_eq!(erased.len(), 2);
    assert_eq!(erased[0].number, Some(20), "the decision has its id");
    sound(&shelf);
}

/// What an archive says to be lost: first and last counter, and why.
fn lost(shelf: &Shelf) -> Vec<(u64, u64, String)> {
    let (logs, damaged) = listed(shelf, &entries(shelf), None).unwrap();
    assert!(damaged.is_empty());
    let lost = logs.values().flat_map(|it| &it.lost);
    lost.map(|it| (it.from, it.to, it.why.clone())).collect()
}

#[test]
fn what_was_deleted_before_it_was_archived_is_stated_and_what_was_archived_before_is_not() {
    let mut log = plain();
    let whole = log.bodies();
    let mut short = plain();
    short.segments.truncate(2);
    short.segments[0] = short.segments.concat()[..2].to_vec();
    short.segments.truncate(1);
    short.segments[0].push(Turn::default());
    // Batches 1 and 2 are archived, but for the body that waits; all of the first two segments is deleted behind that.
    let (dir, shelf) = (directory(&short), Shelf::default());
    archived(dir.path(), &shelf).unwrap();
    let before = rows(&shelf);
    assert_eq!(before.len(), 2, "batch 1");
    log.deleted = 2;
    log.generation += 1;
    log.write(dir.path());
    archived(dir.path(), &shelf).unwrap();
    assert_eq!(lost(&shelf), [(2, 8, "deleted".to_owned())]);
    let expected = whole.iter().filter(|it| it.counter < 2 || it.counter > 8);
    let expected: Vec<Expected> = expected.cloned().collect();
    assert_eq!(rows(&shelf), expected);
    sound(&shelf);
    // What is deleted once it is archived is no loss.
    let (dir, shelf) = (directory(&plain()), Shelf::default());
    archived(dir.path(), &shelf).unwrap();
    log.write(dir.path());
    archived(dir.path(), &shelf).unwrap();
    assert_eq!((lost(&shelf), rows(&shelf)), (Vec::new(), whole));
}

#[test]
fn marks_at_the_end_of_a_closed_segment_are_no_loss_once_it_is_deleted() {
    let mut log = plain();
    let idle = || (0..3).map(|_| Turn::default());
    log.segments[2].extend(idle());
    let bodies = log.bodies();
    let (dir, shelf) = (directory(&log), Shelf::default());
    archived(dir.path(), &shelf).unwrap();
    let objects = shelf.names("bodies/").len();
    // More of them come, in use first: nothing is made for them.
    log.segments[2].extend(idle());
    log.generation += 1;
    log.write(dir.path());
    archived(dir.path(), &shelf).unwrap();
    assert_eq!(shelf.names("bodies/").len(), objects);
    // The segment is closed: an object without rows says that nothing was in them.
    log.segments.push(vec![Turn::default()]);
    log.generation += 1;
    log.write(dir.path());
    archived(dir.path(), &shelf).unwrap();
    assert_eq!(shelf.names("bodies/").len(), objects + 1);
    log.deleted = 3;
    log.generation += 1;
    log.write(dir.path());
    archived(dir.path(), &shelf).unwrap();
    assert_eq!((lost(&shelf), rows(&shelf)), (Vec::new(), bodies));
    sound(&shelf);
}

#[test]
fn a_log_of_which_nothing_is_left_is_stated_as_far_as_slices_know_it() {
    let mut log = plain();
    let bodies = log.bodies();
    log.segments[2].truncate(2);
    log.segments[2].push(Turn::default());
    let (dir, shelf) = (directory(&log), Shelf::default());
    archived(dir.path(), &shelf).unwrap();
    let upto = entries(&shelf).last().unwrap().last;
    assert_eq!(upto, 9);
    let mut gone = plain();
    (gone.gone_upto, gone.generation) = (Some(14), 2);
    gone.write(dir.path());
    archived(dir.path(), &shelf).unwrap();
    assert_eq!(lost(&shelf), [(10, 14, "deleted".to_owned())]);
    let there = bodies.into_iter().filter(|it| it.counter <= 9);
    assert_eq!(rows(&shelf), there.collect::<Vec<_>>());
    sound(&shelf);
    // It is stated once; and a log that began and ended between two runs is stated as well.
    gone.start = 2;
    gone.generation = 3;
    gone.write(dir.path());
    archived(dir.path(), &shelf).unwrap();
    archived(dir.path(), &shelf).unwrap();
    assert_eq!(lost(&shelf).len(), 2);
    assert_eq!(lost(&shelf)[1], (1, 14, "deleted".to_owned()));
}

#[test]
fn what_was_given_up_between_two_runs_is_stated() {
    let mut log = plain();
    let mut short = plain();
    short.segments[2].truncate(2);
    short.segments[2].push(Turn::default());
    let (dir, shelf) = (directory(&short), Shelf::default());
    archived(dir.path(), &shelf).unwrap();
    log.given_up = vec![(6, 7), (11, 11)];
    // That needs a gateway that is stopped, and its next start ends the log.
    log.has_ended = true;
    log.generation += 1;
    log.write(dir.path());
    archived(dir.path(), &shelf).unwrap();
    // The first range was archived before it was lost.
    let given_up = || "given_up".to_owned();
    assert_eq!(lost(&shelf), [(11, 11, given_up())]);
    assert_eq!(rows(&shelf).len(), plain().bodies().len() - 2);
    sound(&shelf);
    let shelf = Shelf::default();
    archived(dir.path(), &shelf).unwrap();
    assert_eq!(lost(&shelf), [(6, 7, given_up()), (11, 11, given_up())]);
    // What has its disposition in a range that was given up has none any more.
    let mut expected = log.bodies();
    for body in &mut expected {
        if body.disposition == "pending" {
            body.disposition = "unanswered";
        }
    }
    assert_eq!(rows(&shelf), expected);
    sound(&shelf);
}

#[test]
fn a_restored_directory_goes_on_in_the_same_archive() {
    let log = plain();
    let (dir, shelf) = (directory(&log), Shelf::default());
    archived(dir.path(), &shelf).unwrap();
    // A backup was older: the log ends earlier, and the archive has more of it.
    let mut restored = plain();
    restored.segments.truncate(2);
    (restored.has_ended, restored.generation) = (true, 9);
    restored.write(dir.path());
    archived(dir.path(), &shelf).unwrap();
    assert_eq!(rows(&shelf), log.bodies());
    // Its own log is one of another incarnation, with a number that the former life may have used as well.
    let mut own = plain();
    (own.incarnation, own.generation) = (4, 10);
    own.write(dir.path());
    archived(dir.path(), &shelf).unwrap();
    assert_eq!(rows(&shelf).len(), 2 * log.bodies().len());
    sound(&shelf);
}

#[test]
fn objects_end_where_a_day_begins_and_where_they_are_large_enough() {
    let mut log = plain();
    for (at, turn) in log.segments.iter_mut().flatten().enumerate() {
        turn.wall_us = EVENING_US + at as u64 * 600 * SECOND_US;
    }
    let (dir, shelf) = (directory(&log), Shelf::default());
    archived(dir.path(), &shelf).unwrap();
    let days: Vec<String> = entries(&shelf)
        .iter()
        .map(|it| names::day(it.from_us))
        .collect();
    assert_eq!(days, ["2026-11-29", "2026-11-30"]);
    assert_eq!(rows(&shelf), log.bodies());
    let shelf = Shelf::default();
    let limits = Limits {
        object_bytes: 1,
        ..Limits::default()
    };
    archived_within(dir.path(), &shelf, limits).unwrap();
    assert!(entries(&shelf).len() >= 12, "{}", entries(&shelf).len());
    assert_eq!(rows(&shelf), log.bodies());
    sound(&shelf);
}

#[test]
fn what_waits_for_a_disposition_takes_bounded_memory() {
    let mut log = plain();
    log.segments.truncate(1);
    log.segments[0][0].items.push(Item::Junk("waits"));
    let dir = directory(&log);
    let limits = Limits {
        object_bytes: 1,
        held_bytes: 3_000,
    };
    let refused = archived_within(dir.path(), &Shelf::default(), limits).err();
    let refused = refused.unwrap();
    assert_eq!(refused.exit(), Exit::Unavailable, "{}", refused.text());
    assert!(refused.text().contains("batch 1:1"), "{}", refused.text());
    assert!(!refused.text().contains("waits\""), "{}", refused.text());
}
