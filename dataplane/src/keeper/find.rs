//! Finds the outcome of one id in a directory, wherever it lies: in the logs that are left, and in slices. It reads what it is
//! given, beside a gateway too, and changes nothing; which decision stands is the rule of [`order`](crate::dedup::order).

use crate::dedup::key::KeyHash;
use crate::dedup::order::order;
use crate::dedup::slice::{Candidate, Found, part};
use crate::dedup::{Decided, Key};
use crate::io::FileId;
use crate::keeper::clock::{Reading, resume};
use crate::keeper::replay::Replay;
use crate::keeper::slice_file::{SliceFile, SliceRefused};
use crate::wal::batch::Batch;
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::manifest::{CLOCK_BEGIN_US, Manifest, SliceEntry};
use crate::wal::name::{LogId, Place, Sequence};
use crate::wal::record::{Content, Entry};
use crate::wal::scan::ReadAt;
use flk_contract::hash::hex32;
use flk_contract::params::ParamsVersion;

/// Where a decision was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In a log that is left.
    Log {
        /// The log.
        log: LogId,
        /// The body that was decided.
        body: Place,
    },
    /// In the slice with this file number.
    Slice(u64),
}

/// A decision of the id.
#[derive(Clone, Copy, Debug)]
pub struct Decision {
    /// What was decided.
    pub decided: Decided,
    /// The parameter set that judged.
    pub params: ParamsVersion,
    /// Where it was found; a log counts before a slice.
    pub origin: Origin,
    /// The wall clock of its turn, in microseconds since the Unix epoch. A slice does not have it: there it is what the expiry
    /// clock showed, which is behind by the time that was withheld until then.
    pub decided_us: u64,
    /// Id of the key that verified its record; a slice does not have it.
    pub key_id: Option<[u8; 8]>,
}

/// The outcome of an id.
#[derive(Clone, Copy, Debug)]
pub struct StoredOutcome {
    /// The decision that stands.
    pub decision: Decision,
    /// The slice that has it too, if it was found in a log.
    pub slice: Option<u64>,
    /// When its time is over, or was, in microseconds since the Unix epoch: as if no more time were withheld from now on.
    pub expires_us: u64,
    /// Whether duplicates are answered with it.
    pub is_alive: bool,
}

/// What was found so far.
#[derive(Debug)]
pub struct Find {
    key: Key,
    tenant: String,
    pcs_id: [u8; 32],
    found: Vec<Decision>,
    /// Something that was found may not be durable yet.
    is_early: bool,
    mark: Reading,
    newest: Reading,
}

/// What one log has of it. What a gateway writes counts once it is durable.
#[derive(Debug)]
pub struct InLog {
    log: LogId,
    found: Vec<(Sequence, Decision)>,
    durable_upto: Sequence,
    newest: Reading,
    /// What is added to its times.
    clock_base_s: u32,
}

/// Whether a gateway writes a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// Its last batch may not be durable yet.
    Goes,
    /// A start would keep every whole batch.
    Ended,
}

impl Find {
    /// Nothing was read but the manifest and the secret.
    pub fn new(manifest: &Manifest, secret: [u8; 16], tenant: &str, pcs_id: [u8; 32]) -> Find {
        let hex = hex32(&pcs_id);
        let key = KeyHash::new(secret).key(tenant, std::str::from_utf8(&hex).unwrap_or_default());
        let mark = Reading::from(manifest.clock);
        Find {
            key,
            tenant: tenant.to_owned(),
            pcs_id,
            found: Vec::new(),
            is_early: false,
            mark,
            newest: mark,
        }
    }

    /// A log is about to be read.
    pub fn in_log(&self, manifest: &Manifest, log: LogId) -> InLog {
        InLog {
            log,
            found: Vec::new(),
            durable_upto: Sequence::default(),
            newest: Reading::default(),
            clock_base_s: manifest.clock_base_s(log),
        }
    }

    /// Takes what there is in a batch of it.
    pub fn take(&self, batch: &Batch<'_>, log: &mut InLog) {
        let fields = &batch.header.fields;
        log.durable_upto = log.durable_upto.max(fields.durable_upto);
        log.newest = log.newest.later(Reading {
            expiry_s: fields.expiry_clock_s.saturating_add(log.clock_base_s),
            wall_us: fields.wall_us,
        });
        for record in batch.records().flatten() {
            let Content::Entry(Entry::Decision(it)) = record.content else {
                continue;
            };
            let is_it = it.pcs_id == self.pcs_id && it.tenant == self.tenant;
            let Some(params) = ParamsVersion::new(it.params).ok().filter(|_| is_it) else {
                continue;
            };
            let decision = Decision {
                decided: Decided::of_record(self.key, &it, 0).on_clock(log.clock_base_s),
                params,
                origin: Origin::Log {
                    log: log.log,
                    body: it.body,
                },
                decided_us: fields.wall_us,
                key_id: Some(it.key_id),
            };
            log.found.push((fields.sequence, decision));
        }
    }

    /// A log was read to its end.
    pub fn end_log(&mut self, log: InLog, writing: Writing) {
        self.newest = self.newest.later(log.newest);
        for (sequence, decision) in log.found {
            match writing == Writing::Ended || sequence <= log.durable_upto {
                true => self.found.push(decision),
                false => self.is_early = true,
            }
        }
    }

    /// Whether a decision was met that counts as soon as something behind it says that it was durable: within some milliseconds.
    pub fn is_early(&self) -> bool {
        self.is_early
    }

    /// Looks into a slice that the manifest names.
    ///
    /// # Errors
    /// It cannot be looked into: whether it has the id is not known.
    pub async fn look_into(
        &mut self,
        manifest: &Manifest,
        entry: &SliceEntry,
        file: &impl ReadAt,
    ) -> Result<(), SliceRefused> {
        let SliceFile {
            reader,
            directory,
            versions,
        } = SliceFile::read(file, manifest, entry).await?;
        let partition = self.key.partition();
        let partitions = partition..partition + 1;
        let parts = reader.view_parts(&directory, partitions.clone())?;
        let index = part(file, parts.index).await?;
        let filters = part(file, parts.filters).await?;
        let numbers = (0..).take(versions.len()).collect();
        let view = reader.view(FileId(0), &directory, partitions, &index, &filters, numbers)?;
        let Candidate::Block(mut block) = view.candidate(self.key) else {
            return Ok(());
        };
        loop {
            let at = u64::from(block) * BLOCK_BYTES as u64;
            let bytes = part(file, at..at + BLOCK_BYTES as u64).await?;
            match view.search_block(block, &bytes, self.key)? {
                Found::Before => block -= 1,
                Found::Absent => return Ok(()),
                Found::Entry(decided) => {
                    // The dictionary of the view is that of the slice: the number is one of its own.
                    let params = versions.get(usize::from(decided.params)).copied();
                    self.found.push(Decision {
                        decided,
                        params: params.unwrap_or_default(),
                        origin: Origin::Slice(entry.file),
                        decided_us: CLOCK_BEGIN_US + u64::from(decided.decided_at) * 1_000_000,
                        key_id: None,
                    });
                    return Ok(());
                }
            }
        }
    }

    /// The outcome at this time of the wall clock, alive or not.
    pub fn outcome(mut self, wall_now_us: u64, writing: Writing) -> Option<StoredOutcome> {
        // Of a decision that was met twice the one in the log comes first.
        let is_slice = |it: &Decision| matches!(it.origin, Origin::Slice(_));
        self.found
            .sort_by_key(|it| (order(&it.decided), is_slice(it)));
        let mut replay = Replay::default();
        for found in &self.found {
            replay.push(found.decided);
        }
        let standing = replay.finish()?;
        let stands = order(&standing);
        let mut same = self.found.iter().filter(|it| order(&it.decided) == stands);
        let mut decision = *same.next()?;
        decision.decided.expiry = standing.expiry;
        let slice = same.find_map(|it| match it.origin {
            Origin::Slice(number) => Some(number),
            Origin::Log { .. } => None,
        });
        let Decided {
            decided_at, expiry, ..
        } = decision.decided;
        let now_s = match writing {
            Writing::Ended => resume(self.newest, self.mark, decided_at, wall_now_us).expiry_s,
            Writing::Goes => {
                let passed_us = wall_now_us.saturating_sub(self.newest.wall_us);
                let passed_s = u32::try_from(passed_us / 1_000_000).unwrap_or(u32::MAX);
                self.newest.expiry_s.saturating_add(passed_s)
            }
        };
        Some(StoredOutcome {
            decision,
            slice,
            expires_us: wall_now_us
                .saturating_add_signed((i64::from(expiry) - i64::from(now_s)) * 1_000_000),
            is_alive: decision.decided.live_at(now_s),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dedup::slice::{SliceMeta, SliceWriter};
    use crate::io::Errno;
    use crate::wal::scan::run_ready;

    struct Bytes(Vec<u8>);

    impl ReadAt for Bytes {
        fn read_at(
            &self,
            offset: u64,
            bytes: usize,
        ) -> impl Future<Output = Result<Vec<u8>, Errno>> {
            let start = (offset as usize).min(self.0.len());
            let end = (start + bytes).min(self.0.len());
            std::future::ready(Ok(self.0[start..end].to_vec()))
        }

        fn bytes(&self) -> u64 {
            self.0.len() as u64
        }
    }

    fn find(key: Key) -> Find {
        let manifest = Manifest::default();
        Find {
            key,
            ..Find::new(&manifest, [0; 16], "default", [0; 32])
        }
    }

    fn decided(low: u64) -> Decided {
        Decided {
            key: Key { high: 1 << 40, low },
            decided_at: 10,
            expiry: 100,
            regime: 1,
            encoding: 1,
            ..Decided::default()
        }
    }

    /// The index of a slice names blocks by the upper halves of keys alone.
    #[test]
    fn ids_that_share_the_upper_half_of_their_keys_are_found_in_whichever_block_they_lie() {
        let mut writer = SliceWriter::new(SliceMeta::default(), &[ParamsVersion::ONE]);
        for low in 0..200 {
            writer.push(&decided(low)).unwrap();
        }
        let sealed = writer.finish(&[]).unwrap();
        let entry = sealed.summary.entry(3, 0, Vec::new());
        let file = Bytes(sealed.bytes);
        for low in 0..200 {
            let mut find = find(decided(low).key);
            run_ready(find.look_into(&Manifest::default(), &entry, &file))
                .unwrap()
                .unwrap();
            let found: Vec<Key> = find.found.iter().map(|it| it.decided.key).collect();
            assert_eq!(found, [decided(low).key]);
        }
    }

    #[test]
    fn a_slice_that_is_not_the_one_of_the_manifest_is_not_looked_into() {
        let mut writer = SliceWriter::new(SliceMeta::default(), &[ParamsVersion::ONE]);
        writer.push(&decided(7)).unwrap();
        let sealed = writer.finish(&[]).unwrap();
        let entry = sealed.summary.entry(3, 0, Vec::new());
        let file = Bytes(sealed.bytes);
        let manifest = Manifest::default();
        let look = |manifest: &Manifest, entry: &SliceEntry| {
            let mut find = find(decided(7).key);
            run_ready(find.look_into(manifest, entry, &file)).unwrap()
        };
        assert_eq!(look(&manifest, &entry), Ok(()));
        let installation = Manifest {
            installation: [1; 16],
            ..manifest.clone()
        };
        let secret = Manifest {
            secret: [1; 16],
            ..manifest.clone()
        };
        let id = SliceEntry {
            id: !entry.id,
            ..entry.clone()
        };
        let checksum = SliceEntry {
            checksum: entry.checksum ^ 1,
            ..entry.clone()
        };
        for (manifest, entry) in [
            (&installation, &entry),
            (&secret, &entry),
            (&manifest, &id),
            (&manifest, &checksum),
        ] {
            assert_eq!(look(manifest, entry), Err(SliceRefused::NotAsNamed));
        }
    }

    #[test]
    fn an_outcome_found_in_a_log_lives_as_long_as_the_slice_says() {
        let log = LogId {
            start: 1,
            number: 0,
        };
        let body = Place {
            sequence: Sequence(4),
            index: 1,
        };
        let mut find = find(decided(7).key);
        for (origin, expiry) in [(Origin::Log { log, body }, 100), (Origin::Slice(3), 200)] {
            find.found.push(Decision {
                decided: Decided {
                    expiry,
                    ..decided(7)
                },
                params: ParamsVersion::ONE,
                origin,
                decided_us: 0,
                key_id: None,
            });
        }
        let outcome = find.outcome(0, Writing::Goes).unwrap();
        assert_eq!(outcome.decision.origin, Origin::Log { log, body });
        assert_eq!(outcome.decision.decided.expiry, 200);
        assert_eq!(outcome.slice, Some(3));
    }
}
