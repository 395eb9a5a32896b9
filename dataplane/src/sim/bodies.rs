//! The search for bodies at the end of a seed: what was answered for good is in the log with its disposition. It reads segments with
//! the oracle's reader and excuses what [`super::truth`] has excused.

use super::logbook::{self, Disposition, Item};
use super::oracle::Property;
use super::records::{Kind, TENANTS, tenant_of};
use super::world::World;
use std::collections::{BTreeMap, BTreeSet};

/// What is expected of the bodies in a file that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoneBodies {
    /// They may be gone with it.
    Excused,
    /// They lie somewhere else.
    Elsewhere,
}

/// What segments hold, all together.
#[derive(Default)]
struct Found {
    /// Requests whose body is there.
    bodies: BTreeSet<u64>,
    /// Requests whose body is there with the disposition of a refusal, and its status.
    refused: BTreeMap<u64, u16>,
    /// Tenant and snapshot of bodies, by request.
    contexts: BTreeMap<u64, (String, u32)>,
    /// Requests whose body is there with an outcome, first or repeated.
    accepted: BTreeSet<u64>,
}

impl World {
    /// At the very end: every body that was answered for good is in the log with its disposition, unless its file was given up.
    pub fn check_bodies(&mut self) {
        if self.truth.is_in_doubt() {
            return;
        }
        let found = self.read_segments();
        let requests = (0..).zip(&self.oracle.requests);
        let mut missing = requests.filter_map(|(serial, request)| {
            let for_good = |status: &u16| [200, 202, 400, 401].contains(status);
            if request.before_the_log {
                let how = format!("request {serial}, refused before the log, is in it");
                return found.bodies.contains(&serial).then_some(how);
            }
            let status = request.status.filter(for_good)?;
            if self.truth.excused.contains(&serial) || request.kind == Kind::Empty {
                return None;
            }
            let what = if !found.bodies.contains(&serial) {
                "is in no log file"
            } else if status >= 400 && found.refused.get(&serial) != Some(&status) {
                "has no such disposition"
            } else {
                return None;
            };
            Some(format!(
                "the body of request {serial}, answered {status}, {what}"
            ))
        });
        if let Some(how) = missing.next() {
            self.fail(Property::BodiesKept, how);
        }
        let judged = |(serial, context): (&u64, &(String, u32))| {
            self.judged_otherwise(&found, *serial, &context.0, context.1)
        };
        if let Some(how) = found.contexts.iter().find_map(judged) {
            self.fail(Property::JudgedAsInForce, how);
        }
    }

    /// How a body was judged otherwise than the snapshot says that its record names.
    fn judged_otherwise(
        &self,
        found: &Found,
        serial: u64,
        tenant: &str,
        snapshot: u32,
    ) -> Option<String> {
        let request = self.oracle.requests.get(serial as usize)?;
        let number = tenant_of(request.key);
        let policy = self
            .oracle
            .policies
            .get(snapshot as usize)
            .map(|it| it[number]);
        // The log does not say at which second a body was judged, and what the answer may be is checked when it leaves.
        let steady = policy.filter(|it| it.turn_s.is_none());
        let verifies = steady.map(|it| it.signers[usize::from(request.shape.signer)]);
        let is_signed = matches!(request.kind, Kind::Valid(_) | Kind::WrongId);
        let what = if tenant != TENANTS[number] {
            "it is another tenant's"
        } else if snapshot < request.since_snapshot as u32 {
            "that was in force nowhere any more when it was sent"
        } else if !policy.is_some_and(|it| it.admits) {
            "that does not admit its tenant"
        } else if found.accepted.contains(&serial) && verifies == Some(false) {
            "it was accepted, and no key that is active verifies it"
        } else if is_signed && found.refused.get(&serial) == Some(&401) && verifies == Some(true) {
            "it was refused, and a key that is active verifies it"
        } else {
            return None;
        };
        Some(format!(
            "the body of request {serial}, {:?} of tenant {tenant}, was judged under snapshot {snapshot}: {what}",
            request.kind
        ))
    }

    fn read_segments(&self) -> Found {
        let mut found = Found::default();
        let mut places: BTreeMap<(u64, u32, u16), u64> = BTreeMap::new();
        let mut dispositions = Vec::new();
        let names = self.disk.names();
        let segments = names.filter(|(name, _)| name.starts_with("segment-"));
        for (_, inode) in segments {
            let log = logbook::read(self.disk.seen(inode));
            // What lost its header belongs to no log: it was never confirmed, or its file is used for something else.
            let Some(number) = log.header.map(|header| header.log.1) else {
                continue;
            };
            let batches = log.batches.into_iter();
            let items =
                batches.flat_map(|it| it.items.into_iter().map(move |item| (it.sequence, item)));
            for (of, item) in items {
                match item {
                    Item::Body {
                        index,
                        bytes,
                        tenant,
                        snapshot,
                    } => {
                        if let Some(serial) = logbook::serial_of(&bytes) {
                            found.bodies.insert(serial);
                            found.contexts.insert(serial, (tenant, snapshot));
                            places.insert((of, index, number), serial);
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
        for (place, disposition) in dispositions {
            let Some(&serial) = places.get(&place) else {
                continue;
            };
            match disposition {
                Disposition::Refused(status) => {
                    found.refused.insert(serial, status);
                }
                Disposition::Decision | Disposition::Duplicate | Disposition::Conflict => {
                    found.accepted.insert(serial);
                }
                Disposition::Unanswered => {}
            }
        }
        found
    }
}
