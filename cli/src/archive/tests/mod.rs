//! Archives of directories that are written from a list of what is in them, in a store in memory that fails where it is told to:
//! whatever happens between runs, an archive has each body once.

mod ends;
mod finds;
mod hostile;
mod log;
mod runs;
mod shelf;

use super::collect::Limits;
use super::find::{Found, Shows, Wanted, search};
use super::names::Entry;
use super::run::{Done, archive};
use super::verify::{Verified, verify};
use crate::backup::directory::Source;
use crate::exit::Failure;
use log::{EVENING_US, Expected, Item, Log, Turn, body, id};
use shelf::Shelf;
use std::path::Path;
use tempfile::TempDir;

const SECOND_US: u64 = 1_000_000;

/// A run with objects of any size.
fn archived(dir: &Path, shelf: &Shelf) -> Result<Done, Failure> {
    archived_within(dir, shelf, Limits::default())
}

fn archived_within(dir: &Path, shelf: &Shelf, limits: Limits) -> Result<Done, Failure> {
    archive(&Source::open(dir)?, dir, shelf, limits)
}

/// A directory with this log.
fn directory(log: &Log) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    log.write(dir.path());
    dir
}

/// Batches, a second apart from each other; each decides what the one before has.
fn story(from: u64, count: u64) -> Vec<Turn> {
    let turn = |counter: u64| {
        let mut items = vec![
            Item::Body("acme", counter * 10),
            Item::Body("default", counter * 10 + 1),
            Item::Accepted(counter, 0),
        ];
        if counter > 1 && counter > from {
            items.push(Item::Accepted(counter - 1, 1));
        }
        Turn {
            wall_us: EVENING_US + counter * SECOND_US,
            items,
        }
    };
    (from..from + count).map(turn).collect()
}

/// A batch that decides the last body of a story, and a mark behind it.
fn ending(counter: u64) -> Vec<Turn> {
    let wall_us = EVENING_US + counter * SECOND_US;
    let items = vec![Item::Accepted(counter - 1, 1)];
    let mark = Turn {
        wall_us,
        items: Vec::new(),
    };
    vec![Turn { wall_us, items }, mark]
}

/// Two closed segments and one in use, all of which is decided.
fn plain() -> Log {
    let mut open = story(9, 4);
    open[0].items.push(Item::Accepted(8, 1));
    open.extend(ending(13));
    let mut second = story(5, 4);
    second[0].items.push(Item::Accepted(4, 1));
    Log {
        segments: vec![story(1, 4), second, open],
        ..Log::default()
    }
}

/// All rows that are no late decision.
fn all(shelf: &Shelf) -> Vec<Found> {
    let mut all = Vec::new();
    let wanted = Wanted {
        shows: Shows::Bodies,
        ..Wanted::default()
    };
    let searched = search(shelf, &wanted, |found| {
        all.push(found);
        Ok(())
    });
    let searched = searched.unwrap();
    let damaged: Vec<&str> = searched.damaged.iter().map(Failure::text).collect();
    assert_eq!(damaged, [""; 0]);
    all
}

fn counter(found: &Found) -> u64 {
    let lineage = found.lineage();
    let text = lineage["sequence"].as_str().unwrap();
    text.split_once(':').unwrap().1.parse().unwrap()
}

/// What an archive has, in the words of what is expected.
fn rows(shelf: &Shelf) -> Vec<Expected> {
    let of = |found: &Found| {
        let lineage = &found.lineage();
        let text = |name: &str| lineage[name].as_str();
        let number = text("pcs_id").map(|it| u64::from_str_radix(&it[48..], 16).unwrap());
        let is_erased = lineage["erased"] == true;
        match (&found.body, number) {
            (Some(bytes), Some(number)) => assert_eq!(*bytes, body(number)),
            (Some(_), None) => {}
            (None, _) => assert!(is_erased, "{lineage}"),
        }
        let received = humantime::parse_rfc3339(text("received").unwrap()).unwrap();
        let received = received.duration_since(std::time::UNIX_EPOCH).unwrap();
        Expected {
            counter: counter(found),
            index: lineage["index"].as_u64().unwrap() as u32,
            tenant: match text("tenant").unwrap() {
                "acme" => "acme",
                _ => "default",
            },
            number,
            wall_us: received.as_micros() as u64,
            disposition: ["accepted", "refused", "duplicate", "unanswered", "pending"]
                .into_iter()
                .find(|it| Some(*it) == text("disposition"))
                .unwrap(),
            is_erased,
        }
    };
    let found = all(shelf);
    let bodies = found.iter().filter(|it| it.lineage()["late"] == false);
    let mut rows: Vec<Expected> = bodies.map(of).collect();
    rows.sort();
    rows
}

/// All of an archive is sound.
fn sound(shelf: &Shelf) -> Verified {
    let verified = verify(shelf).unwrap();
    assert_eq!(verified.faults, [""; 0]);
    verified
}

fn entries(shelf: &Shelf) -> Vec<Entry> {
    let names = shelf.names("entries/");
    let mut entries: Vec<Entry> = names.iter().map(|it| Entry::read(it).unwrap()).collect();
    entries.sort_by_key(|it| (it.log, it.first));
    entries
}
