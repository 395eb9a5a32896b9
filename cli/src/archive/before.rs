//! What the archive has of bodies of a log already: a decision is a late one only where it has the body as unanswered.

use super::names::LogName;
use super::object::{Object, entry_of, firsts};
use crate::backup::store::Searched;
use crate::exit::Failure;
use flk_dataplane::wal::name::{Place, Sequence};
use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet};

/// See the module.
#[derive(Default)]
pub(super) struct Before {
    /// The first batches of the objects of the log, once they were asked for.
    firsts: Option<BTreeSet<u64>>,
    /// Of the objects that were read: the bodies without an answer.
    unanswered: BTreeMap<u64, BTreeSet<Place>>,
}

impl Before {
    /// Whether the archive has this body as unanswered.
    pub(super) fn has_unanswered(
        &mut self,
        objects: &dyn Searched,
        log: &LogName,
        body: Place,
    ) -> Result<bool, Failure> {
        let firsts = match &mut self.firsts {
            Some(firsts) => firsts,
            none => none.insert(firsts(objects, log)?),
        };
        let Some(&first) = firsts.range(..=body.sequence.counter()).next_back() else {
            return Ok(false);
        };
        let read = match self.unanswered.entry(first) {
            Slot::Occupied(read) => read.into_mut(),
            Slot::Vacant(slot) => slot.insert(unanswered(objects, log, first)?),
        };
        Ok(read.contains(&body))
    }
}

fn unanswered(
    objects: &dyn Searched,
    log: &LogName,
    first: u64,
) -> Result<BTreeSet<Place>, Failure> {
    let mut places = BTreeSet::new();
    let Some(entry) = entry_of(objects, log, first)? else {
        return Ok(places);
    };
    for object in Object::open_all(objects, &[entry]) {
        let object = object?;
        for group in 0..object.groups() {
            let names = ["sequence", "index", "disposition"];
            let columns = object.columns(objects, group, &names)?;
            let [sequence, index, disposition] = &columns[..] else {
                continue;
            };
            for row in 0..object.rows(group) {
                let place = sequence.number(row).zip(index.number(row));
                let place = place.map(|(sequence, index)| Place {
                    sequence: Sequence(sequence),
                    index: index as u32,
                });
                let is_unanswered = disposition.text(row) == Some("unanswered");
                places.extend(place.filter(|_| is_unanswered));
            }
        }
    }
    Ok(places)
}
