//! The search for bodies at the end of a seed: what was answered for good is in the log with its disposition. It reads segments with
//! the oracle's reader and excuses what [`super::truth`] has excused.

use super::disk::Inode;
use super::logbook::{self, Disposition, Item};
use super::oracle::Property;
use super::records::Kind;
use super::world::World;
use std::collections::{BTreeMap, BTreeSet};

impl World {
    /// At the very end: every body that was answered for good is in the log with its disposition, unless its file was given up.
    pub fn check_bodies(&mut self) {
        if self.truth.may_refuse() {
            return;
        }
        let mut bodies: BTreeSet<u64> = BTreeSet::new();
        let mut refused: BTreeMap<u64, u16> = BTreeMap::new();
        let mut places: BTreeMap<(u64, u32, u16), u64> = BTreeMap::new();
        let mut dispositions = Vec::new();
        let segments: Vec<Inode> = self
            .disk
            .names()
            .filter(|(name, _)| name.starts_with("segment-"))
            .map(|(_, inode)| inode)
            .collect();
        for inode in segments {
            let found = logbook::read(self.disk.seen(inode));
            // What lost its header belongs to no log: it was never confirmed, or its file is used for something else.
            let Some(number) = found.header.map(|header| header.log.1) else {
                continue;
            };
            for batch in found.batches {
                for item in batch.items {
                    match item {
                        Item::Body { index, bytes } => {
                            if let Some(serial) = logbook::serial_of(&bytes) {
                                bodies.insert(serial);
                                places.insert((batch.sequence, index, number), serial);
                            }
                        }
                        Item::Disposition {
                            sequence,
                            index,
                            disposition,
                        } => dispositions.push(((sequence, index, number), disposition)),
                    }
                }
            }
        }
        for (place, disposition) in dispositions {
            if let (Some(serial), Disposition::Refused(status)) = (places.get(&place), disposition)
            {
                refused.insert(*serial, status);
            }
        }
        for (serial, request) in self.oracle.requests.clone().iter().enumerate() {
            let serial = serial as u64;
            let Some(status) = request
                .status
                .filter(|status| [200, 202, 400, 401].contains(status))
            else {
                continue;
            };
            if self.truth.excused.contains(&serial) || request.kind == Kind::Empty {
                continue;
            }
            if !bodies.contains(&serial) {
                return self.fail(
                    Property::BodiesKept,
                    format!("the body of request {serial}, answered {status}, is in no log file"),
                );
            }
            if status >= 400 && refused.get(&serial) != Some(&status) {
                return self.fail(
                    Property::BodiesKept,
                    format!(
                        "the body of request {serial}, answered {status}, has no such disposition"
                    ),
                );
            }
        }
    }
}
