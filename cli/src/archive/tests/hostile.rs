//! What is in a place is not trusted: names of others, damaged objects, and objects that something else made.

use super::*;
use crate::archive::names::LogName;
use crate::archive::stated::{Bad, Footer};
use crate::exit::Exit;

fn small() -> (Log, Shelf) {
    let mut log = plain();
    log.segments.truncate(1);
    log.segments[0].truncate(2);
    log.segments[0].extend(ending(3));
    let (dir, shelf) = (directory(&log), Shelf::default());
    archived(dir.path(), &shelf).unwrap();
    (log, shelf)
}

#[test]
fn names_of_others_are_passed_over_and_counted() {
    let (log, shelf) = small();
    let entry = shelf.names("entries/")[0].clone();
    for name in [
        "entries/2026-11-29/x".to_owned(),
        "entries/2026-11-29/../../../etc/passwd".to_owned(),
        "entries/../x".to_owned(),
        format!("{entry}0"),
        entry.replace("2026-11-29", "2026-11-28"),
        entry.replace("-1.0-", "-1.99999-"),
        "bodies/x/y/z".to_owned(),
        "bodies/x".to_owned(),
        "runs/today/9.json".to_owned(),
        "runs/x".to_owned(),
    ] {
        shelf.objects.borrow_mut().insert(name, b"else".to_vec());
    }
    assert_eq!(rows(&shelf), log.bodies());
    let searched = search(&shelf, &Wanted::default(), |_| Ok(())).unwrap();
    assert!(searched.others >= 4, "{}", searched.others);
    sound(&shelf);
}

/// A search for everything, and a check: each ends with a typed fault or finds what there is.
fn harmless(log: &Log, shelf: &Shelf, what: &str) {
    let mut found = 0;
    let wanted = Wanted {
        shows: Shows::Bodies,
        ..Wanted::default()
    };
    let searched = search(shelf, &wanted, |_| {
        found += 1;
        Ok(())
    });
    match searched {
        Ok(searched) if searched.damaged.is_empty() => {
            assert_eq!(found, log.bodies().len(), "{what}");
        }
        Ok(searched) => {
            let exits = searched.damaged.iter().map(Failure::exit);
            assert!(exits.into_iter().all(|it| it == Exit::Damage), "{what}");
        }
        Err(failure) => panic!("{what}: {}", failure.text()),
    }
}

#[test]
fn an_object_with_any_flipped_bit_is_told_and_never_believed() {
    let (log, shelf) = small();
    let name = shelf.names("bodies/")[0].clone();
    let bytes = shelf.objects.borrow()[&name].clone();
    for at in (4..bytes.len())
        .step_by(11)
        .chain(bytes.len() - 40..bytes.len())
    {
        shelf.change(&name, |it| it[at] ^= 1 << (at % 8));
        let verified = verify(&shelf).unwrap();
        assert_eq!(verified.faults.len(), 1, "byte {at}");
        harmless(&log, &shelf, &format!("byte {at}"));
        shelf.change(&name, |it| it.clone_from(&bytes));
    }
    for length in [0, 3, 4, 11, 12, bytes.len() / 2, bytes.len() - 1] {
        shelf.change(&name, |it| it.truncate(length));
        assert_eq!(verify(&shelf).unwrap().faults.len(), 1, "cut at {length}");
        harmless(&log, &shelf, &format!("cut at {length}"));
        shelf.change(&name, |it| it.clone_from(&bytes));
    }
    shelf.objects.borrow_mut().remove(&name);
    let verified = verify(&shelf).unwrap();
    assert!(verified.faults[0].contains("is not there"), "{verified:?}");
    harmless(&log, &shelf, "removed");
}

/// The entry is made anew, as something that writes the place can do: every digest of the footer fits.
#[test]
fn an_object_whose_footer_something_else_wrote_is_refused_or_read_without_a_panic() {
    let (_, shelf) = small();
    let name = shelf.names("bodies/")[0].clone();
    let bytes = shelf.objects.borrow()[&name].clone();
    let entry = entries(&shelf)[0].clone();
    let tail = bytes.len() - entry.tail as usize;
    shelf.objects.borrow_mut().remove(&entry.name());
    let mut refused = 0;
    for at in tail..bytes.len() {
        for flip in [1, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] ^= flip;
            let length = changed.len() as u64;
            let again = Footer::decode(&changed, length).and_then(|it| it.entry(&changed));
            match again {
                Err(Bad::NotAll(needed)) => panic!("all is at hand, not {needed}"),
                Err(_) => refused += 1,
                Ok(other) => {
                    shelf.change(&name, |it| it.clone_from(&changed));
                    let made = other.name();
                    shelf.objects.borrow_mut().insert(made.clone(), Vec::new());
                    let wanted = Wanted {
                        pcs_id: Some(id(10)),
                        shows: Shows::Bodies,
                        ..Wanted::default()
                    };
                    let _ = search(&shelf, &wanted, |_| Ok(()));
                    let _ = search(&shelf, &Wanted::default(), |_| Ok(()));
                    let _ = verify(&shelf);
                    shelf.objects.borrow_mut().remove(&made);
                }
            }
        }
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn a_file_that_is_no_object_of_an_archive_stops_the_next_run_and_says_which() {
    let (log, shelf) = small();
    let next = LogName {
        incarnation: [3; 16],
        id: flk_dataplane::wal::name::LogId {
            start: 1,
            number: 0,
        },
    };
    let upto = entries(&shelf)[0].last;
    let name = next.object(upto + 1);
    let dir = directory(&log);
    for bytes in [&b""[..], b"PAR1", b"PAR1PAR1PAR1PAR1", &[0xff; 70_000]] {
        shelf
            .objects
            .borrow_mut()
            .insert(name.clone(), bytes.to_vec());
        let refused = archived(dir.path(), &shelf).err().unwrap();
        assert_eq!(refused.exit(), Exit::Damage, "{}", refused.text());
        assert!(refused.text().contains(&name), "{}", refused.text());
    }
    // A copy of an object under the name of another one.
    let other = shelf.objects.borrow()[&shelf.names("bodies/")[0]].clone();
    shelf.objects.borrow_mut().insert(name, other);
    let refused = archived(dir.path(), &shelf).err().unwrap();
    assert_eq!(refused.exit(), Exit::Damage, "{}", refused.text());
}

#[test]
fn a_gap_between_objects_and_a_range_in_two_are_faults() {
    let log = plain();
    let (dir, shelf) = (directory(&log), Shelf::default());
    let limits = Limits {
        object_bytes: 4_000,
        ..Limits::default()
    };
    archived_within(dir.path(), &shelf, limits).unwrap();
    let entries = entries(&shelf);
    let (name, object) = (entries[1].name(), entries[1].object());
    let kept = shelf.objects.borrow()[&object].clone();
    shelf.objects.borrow_mut().remove(&name);
    shelf.objects.borrow_mut().remove(&object);
    let verified = verify(&shelf).unwrap();
    assert!(verified.faults[0].contains("in no object"), "{verified:?}");
    // An entry of the same object that says another range.
    let mut doubled = entries[1].clone();
    doubled.last += 1;
    shelf.objects.borrow_mut().insert(object, kept);
    shelf
        .objects
        .borrow_mut()
        .insert(doubled.name(), Vec::new());
    let verified = verify(&shelf).unwrap();
    let told = verified.faults.join("\n");
    assert!(told.contains("in two objects"), "{told}");
    assert!(told.contains("not the object of its entry"), "{told}");
}
