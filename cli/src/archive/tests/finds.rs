//! Searches against a plain list, and what they read.

use super::*;
use crate::backup::store::{Place, Store};

fn find(shelf: &Shelf, wanted: &Wanted) -> Vec<(u64, u64)> {
    let mut found = Vec::new();
    search(shelf, wanted, |it: Found| {
        found.push((counter(&it), it.lineage()["index"].as_u64().unwrap()));
        Ok(())
    })
    .unwrap();
    found
}

fn expected(log: &Log, is: impl Fn(&Expected) -> bool) -> Vec<(u64, u64)> {
    let bodies = log.bodies().into_iter().filter(|it| is(it));
    bodies.map(|it| (it.counter, u64::from(it.index))).collect()
}

/// Objects of a few batches each, over three days.
fn long() -> (Log, Shelf) {
    let mut log = plain();
    for (at, turn) in log.segments.iter_mut().flatten().enumerate() {
        turn.wall_us = EVENING_US + at as u64 * 4 * 3600 * SECOND_US;
    }
    log.segments[1][0].items.push(Item::Body("acme", 10));
    let duplicate = log.segments[1][0].items.len() as u32 - 1;
    log.segments[1][0].items.push(Item::Duplicate(5, duplicate));
    let (dir, shelf) = (directory(&log), Shelf::default());
    let limits = Limits {
        object_bytes: 6_000,
        ..Limits::default()
    };
    archived_within(dir.path(), &shelf, limits).unwrap();
    assert!(entries(&shelf).len() > 4);
    (log, shelf)
}

#[test]
fn an_id_is_found_wherever_it_is_and_another_one_is_not() {
    let (log, shelf) = long();
    for body in log.bodies() {
        let number = body.number.unwrap();
        let wanted = Wanted {
            pcs_id: Some(id(number)),
            ..Wanted::default()
        };
        let expected = expected(&log, |it| it.number == Some(number));
        assert_eq!(find(&shelf, &wanted), expected, "{number}");
    }
    let wanted = Wanted {
        pcs_id: Some(id(77_777)),
        ..Wanted::default()
    };
    assert_eq!(find(&shelf, &wanted), []);
}

#[test]
fn tenant_and_time_choose_as_a_plain_list_does() {
    let (log, shelf) = long();
    let times: Vec<u64> = log.bodies().iter().map(|it| it.wall_us).collect();
    let moments = times.iter().flat_map(|it| [it - 1, *it, it + 1]);
    let moments: Vec<Option<u64>> = moments.map(Some).chain([None]).step_by(5).collect();
    for tenant in [None, Some("acme"), Some("default"), Some("nobody")] {
        for &since in &moments {
            for &until in &moments {
                let wanted = Wanted {
                    tenant: tenant.map(str::to_owned),
                    since,
                    until,
                    ..Wanted::default()
                };
                let is = |it: &Expected| {
                    tenant.is_none_or(|wanted| wanted == it.tenant)
                        && since.is_none_or(|since| since <= it.wall_us)
                        && until.is_none_or(|until| it.wall_us < until)
                };
                let expected = expected(&log, is);
                assert_eq!(find(&shelf, &wanted), expected, "{wanted:?}");
            }
        }
    }
}

#[test]
fn a_limit_ends_a_search_and_says_so() {
    let (log, shelf) = long();
    let wanted = Wanted {
        tenant: Some("acme".to_owned()),
        limit: Some(3),
        ..Wanted::default()
    };
    let acme = expected(&log, |it| it.tenant == "acme");
    assert_eq!(find(&shelf, &wanted), acme[..3]);
    let searched = search(&shelf, &wanted, |_| Ok(())).unwrap();
    assert!(searched.is_cut_off);
}

#[test]
fn a_search_by_time_reads_only_objects_of_that_time_and_one_by_id_mostly_ends_of_objects() {
    let (log, shelf) = long();
    let one = &log.bodies()[9];
    shelf.read.borrow_mut().clear();
    let wanted = Wanted {
        tenant: Some("acme".to_owned()),
        since: Some(one.wall_us),
        until: Some(one.wall_us + 1),
        ..Wanted::default()
    };
    find(&shelf, &wanted);
    let mut read = shelf.read.borrow().clone();
    read.sort();
    read.dedup();
    let holds = |it: &&Entry| it.from_us <= one.wall_us && one.wall_us <= it.to_us;
    let holding: Vec<String> = entries(&shelf)
        .iter()
        .filter(holds)
        .map(Entry::object)
        .collect();
    assert_eq!(read, holding);
    assert!(read.len() < entries(&shelf).len());
    // An id that is nowhere: one read for each object.
    shelf.read.borrow_mut().clear();
    let wanted = Wanted {
        pcs_id: Some(id(77_777)),
        ..Wanted::default()
    };
    find(&shelf, &wanted);
    let read = shelf.read.borrow().len();
    assert!(read <= entries(&shelf).len() + 3, "{read}");
}

#[test]
fn no_payload_is_in_the_ends_of_objects_or_in_names() {
    let (_, shelf) = long();
    let text = b"c0fd08ac93542a563a3407bed11c927f1a7c603d352a3c7a0f9d32062cfbe19d";
    let has = |bytes: &[u8]| bytes.windows(text.len()).any(|it| it == text);
    for entry in entries(&shelf) {
        let objects = shelf.objects.borrow();
        let bytes = &objects[&entry.object()];
        assert!(has(bytes), "the body is in the object");
        assert!(!has(&bytes[bytes.len() - entry.tail as usize..]));
    }
    let found = &all(&shelf)[0];
    assert!(!has(found.lineage().to_string().as_bytes()));
}

#[test]
fn a_thousand_objects_in_a_directory_are_searched_by_their_names_first() {
    const BATCHES: u64 = 1_000;
    let turn = |counter: u64| Turn {
        wall_us: EVENING_US + counter * 60 * SECOND_US,
        items: vec![Item::Body("acme", counter), Item::Accepted(counter, 0)],
    };
    let mut batches: Vec<Turn> = (1..=BATCHES).map(turn).collect();
    batches.push(Turn::default());
    let log = Log {
        segments: vec![batches],
        has_ended: true,
        ..Log::default()
    };
    let (dir, place) = (directory(&log), tempfile::tempdir().unwrap());
    let store = Place::Directory(place.path().to_owned());
    let store = Store::open(&store, None).unwrap();
    let limits = Limits {
        object_bytes: 1,
        ..Limits::default()
    };
    let source = Source::open(dir.path()).unwrap();
    let done = archive(&source, dir.path(), &store, limits).unwrap();
    // One for each batch, and one for the mark at the end.
    assert_eq!(done.made.objects, BATCHES + 1);
    for number in [1, BATCHES / 2, BATCHES] {
        let at = EVENING_US + number * 60 * SECOND_US;
        for (since, until) in [(None, None), (Some(at), Some(at + SECOND_US))] {
            let wanted = Wanted {
                pcs_id: Some(id(number)),
                since,
                until,
                ..Wanted::default()
            };
            let mut found = Vec::new();
            search(&store, &wanted, |it| {
                found.push(counter(&it));
                Ok(())
            })
            .unwrap();
            assert_eq!(found, [number]);
        }
    }
}
