//! A start, from a locked directory to shards that serve: [`open`](crate::keeper::open) the directory, [`Read`] of it what
//! shards must know and change nothing, bring every log that has not ended to its end and replace the manifest once, begin the
//! shards with the slices ([`Begun`]), and load into them what no slice has ([`Started`]). A crash anywhere in it is harmless:
//! the next start finds either manifest and does the same again.

use crate::dedup::PARTITIONS;
use crate::dedup::key::KeyHash;
use crate::io::ShardId;
use crate::keeper::clock::{self, Reading};
use crate::keeper::config::KeeperConfig;
use crate::keeper::end_logs;
use crate::keeper::extract::{Dictionary, Extract};
use crate::keeper::halt::Halt;
use crate::keeper::load;
#[cfg(feature = "planted-bugs")]
use crate::keeper::mistakes;
use crate::keeper::notice::{Before, Notice};
use crate::keeper::open::{Missing, Opened, open};
use crate::keeper::over_memory::OverMemory;
use crate::keeper::partition;
use crate::keeper::port::Port;
use crate::keeper::read_logs::{LogFound, read_logs};
use crate::keeper::slice_memory::{self, Fitted};
use crate::keeper::slices;
use crate::keeper::store::ManifestStore;
use crate::keeper::strays;
use crate::keeper::uncovered;
use crate::keeper::views::{self, FIRST_VERSION, InUse, set_of};
use crate::mesh::keeper::{Begin, ExpiryClock, ToShard};
use crate::wal::Epoch;
use crate::wal::manifest::{LogEntry, Manifest, SegmentEntry};
use crate::wal::name::NamedSegment;
use crate::wal::name::{LogId, Sequence};
use crate::wal::secret::Secret;
use crate::wal::segment::START_LIMIT;
use std::sync::Arc;

/// A directory of which all was read that a start needs: what slices are found by, and the logs behind them. Nothing in it was
/// changed yet.
struct Read {
    store: ManifestStore,
    secret: Secret,
    before: Before,
    /// Files that the manifest does not name.
    orphans: Vec<String>,
    dictionary: Dictionary,
    slices: Vec<InUse>,
    tables: Fitted,
    /// What was taken out of the logs; of its decisions those that stand and that no slice has.
    extract: Extract,
    /// The logs that have not ended.
    found: Vec<LogFound>,
}

/// A directory in which the logs of this start are begun, and all others have ended. Shards know their logs.
struct Begun {
    store: ManifestStore,
    secret: Secret,
    before: Before,
    dictionary: Dictionary,
    slices: Vec<InUse>,
    extract: Extract,
    owners: [ShardId; PARTITIONS as usize],
}

/// What serving goes on with.
pub(crate) struct Started {
    pub(crate) store: ManifestStore,
    pub(crate) dictionary: Dictionary,
    pub(crate) hash: KeyHash,
    pub(crate) slices: Vec<InUse>,
    /// What is still to be done where memory is short.
    pub(crate) over_memory: Option<OverMemory>,
    /// What was recovered, to be logged once shards serve.
    pub(crate) recovered: Option<Notice>,
}

/// The whole start of a gateway.
pub(crate) async fn start(port: &Port, config: KeeperConfig) -> Result<Started, Halt> {
    let began_us = port.now().mono_us;
    let opened = open(port, config, Missing::Refused).await?;
    let read = Read::all(opened).await?;
    let begun = read.begin().await?;
    Ok(begun.load(began_us))
}

impl Read {
    /// Reads slices and logs, and refuses what is damaged of what it reads.
    async fn all(opened: Opened) -> Result<Read, Halt> {
        let Opened {
            mut store,
            secret,
            orphans,
        } = opened;
        let before = match store.manifest {
            // A start that was cut short before it replaced the manifest left nothing behind.
            Manifest { start: 0, .. } => Before::Nothing,
            Manifest {
                clean_stop: true, ..
            } => Before::CleanStop,
            _ => Before::UncleanStop,
        };
        let mut dictionary = Dictionary::default();
        let slices = slices::open_all(&store, &mut dictionary).await?;
        let slices_bytes = slices.iter().map(|slice| slice.memory_bytes).sum();
        let tables = slice_memory::fit_tables(&mut store, slices_bytes)?;
        let slices = views::read_all(&store, slices).await?;
        let held_count_max = store.config.held_count_max();
        let mut extract = Extract::holding(KeyHash::new(secret.key), held_count_max);
        let found = read_logs(&store, &mut extract, &mut dictionary).await?;
        uncovered::replay(&store, &slices, &mut extract.decisions).await?;
        if !dictionary.know(&store.config.params) {
            unreachable!("a start has met fewer parameter sets than there are numbers");
        }
        Ok(Read {
            store,
            secret,
            before,
            orphans,
            dictionary,
            slices,
            tables,
            extract,
            found,
        })
    }

    /// Removes orphans, ends the old logs, begins new ones, and sends them to shards. The first changes of a start are here.
    async fn begin(mut self) -> Result<Begun, Halt> {
        let store = &mut self.store;
        for name in strays::removable(store, &self.found, self.orphans).await? {
            store.files.unlink(&name).await?;
            store.port.notify(Notice::OrphanRemoved(name));
        }
        resume_clock(store, &self.extract);
        let owners = owners(store);
        let was_of_format_1 = store.manifest.was_of_format_1();
        let named = end_logs_and_begin(store, self.found).await?;
        if was_of_format_1 {
            store.port.notify(Notice::FormatRaised);
        }
        begin_shards(
            store,
            &self.secret,
            &self.dictionary,
            &named,
            self.tables,
            &self.slices,
        );
        Ok(Begun {
            store: self.store,
            secret: self.secret,
            before: self.before,
            dictionary: self.dictionary,
            slices: self.slices,
            extract: self.extract,
            owners,
        })
    }
}

impl Begun {
    /// Sends the shards what they own and no slice has, if there is memory for it.
    fn load(self, began_us: u64) -> Started {
        let Begun { store, extract, .. } = self;
        let unanswered = extract.open.len() as u64;
        let loaded = load::load(&store, extract.decisions, extract.left_out, &self.owners);
        if let Some(needed_bytes) = loaded.short_of_bytes {
            store.port.notify(Notice::DecisionsOverMemory {
                needed_bytes,
                limit_bytes: store.config.dedup_memory_bytes_max,
            });
        }
        let entries = store.manifest.slices.iter().map(|slice| slice.entries);
        let recovered = Notice::Recovered {
            decisions: loaded.decisions,
            sealed: entries.sum(),
            unanswered,
            took_us: store.now().mono_us - began_us,
            before: self.before,
        };
        Started {
            store,
            dictionary: self.dictionary,
            hash: KeyHash::new(self.secret.key),
            slices: self.slices,
            over_memory: loaded.short_of_bytes.map(OverMemory::of),
            recovered: Some(recovered),
        }
    }
}

/// The owner of each partition in this run.
fn owners(store: &ManifestStore) -> [ShardId; PARTITIONS as usize] {
    #[cfg(feature = "planted-bugs")]
    if let Some(owners) = mistakes::owners_of_last_run_if_planted(store) {
        return owners;
    }
    partition::owners(store.config.shards)
}

/// Sets the clock of this run by what was found, and withholds what cannot be believed.
fn resume_clock(store: &mut ManifestStore, extract: &Extract) {
    let in_manifest = Reading::from(store.manifest.clock);
    let decided_at_max = store
        .manifest
        .slices
        .iter()
        .map(|slice| slice.decided_last)
        .fold(extract.decided_at_max, u32::max);
    let now = store.now();
    let newest = match store.manifest.start {
        // Nothing was ever decided: time begins now.
        0 => in_manifest.later(Reading::first(now.wall_us)),
        _ => in_manifest.later(extract.newest),
    };
    let resumed = clock::resume(newest, in_manifest, decided_at_max, now.wall_us);
    store.clock = ExpiryClock {
        base_s: resumed.expiry_s,
        base_mono_us: now.mono_us,
    };
    store.manifest.withheld_s += u64::from(resumed.withheld_s);
    if store.manifest.withheld_s > 0 {
        store.port.notify(Notice::TimeWithheld {
            withheld_s: store.manifest.withheld_s,
        });
    }
}

/// The one replacement of a start: ends all old logs, raises the start number, names the first segments of the new logs.
async fn end_logs_and_begin(
    store: &mut ManifestStore,
    found: Vec<LogFound>,
) -> Result<Vec<(LogId, NamedSegment)>, Halt> {
    let start = store.manifest.start + 1;
    if start >= START_LIMIT {
        return Err(Halt::StartsExhausted);
    }
    let ended = end_logs::write_last_segments(store, found).await?;
    let first_segments = usize::from(store.config.shards);
    let at_hand = (store.preallocated_count() + ended.unused.len()) - ended.unfit.len();
    preallocate(store, first_segments.saturating_sub(at_hand) as u64).await?;
    // Names of last segments and preallocated segments are durable before the manifest that holds them.
    store.files.sync_dir().await?;
    let mut next = store.draft();
    next.start = start;
    next.clean_stop = false;
    #[cfg(feature = "planted-bugs")]
    mistakes::rewrite_last_segments_if_planted(store, &mut next).await?;
    end_logs::mark_ended(&mut next, &ended);
    assert!(
        next.logs.iter().all(|log| log.ended_at.is_some()),
        "no log is continued by a later start"
    );
    let begun = name_first_segments(store, &mut next).await?;
    let before = store.manifest.clone();
    store.replace(next).await?;
    end_logs::clean_up(store, &before, &ended).await?;
    let mut named = Vec::new();
    for (log, first) in begun {
        let segment = store.open_for_shard(&first).await?;
        store.note_open(log, &segment);
        named.push((log, segment));
    }
    Ok(named)
}

/// Makes so many preallocated segments.
async fn preallocate(store: &mut ManifestStore, of: u64) -> Result<(), Halt> {
    for done in 1..=of {
        store.preallocate().await?;
        store.port.notify(Notice::Progress {
            what: "segments made ready",
            done,
            of,
        });
    }
    Ok(())
}

/// Adds the logs of this start to a drafted manifest, each with its first segment.
async fn name_first_segments(
    store: &mut ManifestStore,
    next: &mut Manifest,
) -> Result<Vec<(LogId, SegmentEntry)>, Halt> {
    let mut begun = Vec::new();
    for number in 0..store.config.shards {
        let id = LogId {
            start: next.start,
            number,
        };
        let Some(first) = store.name_next(next, 0).await? else {
            unreachable!("as many segments are ready as logs begin");
        };
        begun.push((id, first));
        next.logs.push(LogEntry {
            id,
            incarnation: next.incarnation,
            ended_at: None,
            resolved_upto: Sequence::before_first(next.start),
            segments: vec![first],
        });
    }
    Ok(begun)
}

fn begin_shards(
    store: &ManifestStore,
    secret: &Secret,
    dictionary: &Dictionary,
    named: &[(LogId, NamedSegment)],
    tables: Fitted,
    slices: &[InUse],
) {
    let owners = Arc::new(partition::owners(store.config.shards));
    let params: Arc<[_]> = dictionary.versions().into();
    for (log, first) in named {
        let shard = ShardId(log.number);
        let begin = Begin {
            installation: store.manifest.installation,
            incarnation: store.manifest.incarnation,
            labels: store.labels(),
            secret: secret.key,
            log: *log,
            owners: owners.clone(),
            clock: store.clock,
            first: *first,
            sync: store.config.sync,
            params: params.clone(),
            dedup_bytes_max: tables.shard_bytes_max,
            slices: set_of(slices, shard, FIRST_VERSION, Epoch::nothing_sealed()),
        };
        store.port.send(shard, ToShard::Begin(Box::new(begin)));
    }
}
