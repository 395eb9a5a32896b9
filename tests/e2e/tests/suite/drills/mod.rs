//! Drills: every part of every file of a log directory is damaged in every way, and a gateway is started on it. Each start
//! is refused and names the file, or every id has its first outcome or none. `docs/testing.md` has the table of results,
//! which this test compares; `FLK_DRILLS=write` writes it.

mod harm;
mod judge;
mod parts;
mod stock;
mod table;

use flk_testkit::side_by_side;
use harm::Harm;
use judge::{Verdict, judge};
use parts::{Part, Whole};
use std::collections::BTreeMap;
use std::sync::Mutex;
use stock::{End, Stock};

/// One start on a damaged directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Drill {
    /// What is damaged.
    target: Target,
    /// How.
    harm: Harm,
}

/// What is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// A part of a file.
    Part(Part),
    /// A file as a whole.
    Whole(Whole),
}

impl Drill {
    /// How the gateway of the directory had ended.
    fn end(self) -> End {
        match self.target {
            Target::Part(Part::LastBatch) | Target::Whole(Whole::LastSegment) => End::Stopped,
            _ => End::Killed,
        }
    }
}

/// All drills, in the order of the table. What cannot be is left out: a slice and a secret are written once, so there is no
/// older copy of one.
fn drills() -> Vec<Drill> {
    let parts = Part::ALL.iter().flat_map(|&part| {
        let harms = Harm::OF_PARTS
            .iter()
            .filter(move |&&harm| harm != Harm::BytesOfAnother || part.has_a_twin());
        harms.map(move |&harm| Drill {
            target: Target::Part(part),
            harm,
        })
    });
    let wholes = Whole::ALL.iter().flat_map(|&whole| {
        let harms = Harm::OF_FILES
            .iter()
            .filter(move |&&harm| harm != Harm::OlderCopy || whole.grows());
        harms.map(move |&harm| Drill {
            target: Target::Whole(whole),
            harm,
        })
    });
    parts.chain(wholes).collect()
}

#[test]
fn no_damage_gives_an_id_a_second_outcome_and_the_table_says_what_each_does() {
    let made = Mutex::new(Vec::new());
    side_by_side([End::Killed, End::Stopped], |end| {
        let stock = Stock::make(end);
        made.lock().unwrap().push((end, stock));
    });
    let stocks: BTreeMap<End, Stock> = made.into_inner().unwrap().into_iter().collect();
    let verdicts = Mutex::new(BTreeMap::<Drill, Verdict>::new());
    side_by_side(drills(), |drill| {
        let stock = &stocks[&drill.end()];
        let verdict = judge(stock, drill);
        verdicts.lock().unwrap().insert(drill, verdict);
    });
    let verdicts = verdicts.into_inner().unwrap();
    // What no start can tell from the truth is one thing only, and stays one.
    let second: Vec<&Drill> = verdicts
        .iter()
        .filter(|(_, verdict)| **verdict == Verdict::TakenAsNew)
        .map(|(drill, _)| drill)
        .collect();
    let unknowable = Drill {
        target: Target::Whole(Whole::OpenSegment),
        harm: Harm::OlderCopy,
    };
    assert_eq!(second, [&unknowable]);
    table::compare(&table::render(&verdicts));
}
