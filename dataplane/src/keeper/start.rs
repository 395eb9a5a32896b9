//! A start, from a locked directory to shards that serve: read everything, change nothing until all is read, bring every
//! log that has not ended to its end, and replace the manifest once. A crash anywhere in it is harmless: the next start
//! finds either manifest and does the same again.

use crate::dedup::key::KeyHash;
use crate::io::{Errno, ShardId};
use crate::keeper::clock::{self, Reading};
use crate::keeper::config::KeeperConfig;
use crate::keeper::directory;
use crate::keeper::extract::{Dictionary, Extract};
use crate::keeper::files::{Files, READ};
use crate::keeper::halt::Halt;
use crate::keeper::load;
use crate::keeper::notice::{Before, Notice};
use crate::keeper::over_memory::OverMemory;
use crate::keeper::partition;
use crate::keeper::port::Port;
use crate::keeper::recover::{self, LogFound};
use crate::keeper::slice_memory::{self, Fitted};
use crate::keeper::slices::{self, Slice};
use crate::keeper::store::ManifestStore;
use crate::keeper::strays;
use crate::mesh::keeper::{Begin, ExpiryClock, ToShard};
use crate::planted::{Bug, planted};
use crate::wal::files::{MANIFEST, NumberedFile};
use crate::wal::manifest::{LogEntry, Manifest, ManifestFault};
use crate::wal::name::NamedSegment;
use crate::wal::name::{LogId, Sequence};
use crate::wal::secret::Secret;
use crate::wal::segment::START_LIMIT;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

/// What serving goes on with.
pub(crate) struct Started {
    pub(crate) store: ManifestStore,
    pub(crate) dictionary: Dictionary,
    pub(crate) hash: KeyHash,
    pub(crate) slices: Vec<Rc<Slice>>,
    /// What is still to be done where memory is short.
    pub(crate) over_memory: Option<OverMemory>,
    /// What is said once shards were told to serve.
    pub(crate) recovered: Option<Notice>,
}

/// A directory that was read and found whole; nothing in it was changed yet.
pub(crate) struct Opened {
    pub(crate) store: ManifestStore,
    pub(crate) secret: Secret,
    /// Files with our kind of name that the manifest does not name.
    pub(crate) orphans: Vec<String>,
}

/// What is to be done about segments that are not there or cannot be read at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// They are damage: nothing is opened.
    Refused,
    /// They are damage that somebody is about to give up.
    Segments,
}

/// Locks the directory, makes an installation where there is none, and checks that manifest, secret and files belong
/// together.
pub(crate) async fn open(
    port: &Port,
    config: KeeperConfig,
    missing: Missing,
) -> Result<Opened, Halt> {
    let files = Files::new(port.clone());
    directory::lock(&files, config.pid).await?;
    // A process that was killed may have renamed its manifest and not synced the directory. What we make or unlink by what
    // we read must not become durable before it.
    files.sync_dir().await?;
    let names = files.list().await?;
    if !names.iter().any(|name| name == MANIFEST) {
        install(port, &files, &config, &names).await?;
    }
    let manifest = read_manifest(&files).await?;
    let secret = directory::read_secret(&files, manifest.secret).await?;
    let named = named_files(&manifest);
    let there: BTreeSet<&String> = names.iter().collect();
    let tolerated = |name: &str| missing == Missing::Segments && NumberedFile::is_segment(name);
    let mut absent = named.iter().filter(|name| !there.contains(name));
    if let Some(absent) = absent.find(|name| !tolerated(name)) {
        return Err(Halt::Damage {
            file: absent.clone(),
            what: "the manifest names it, and it is not there".to_string(),
        });
    }
    let orphans: Vec<String> = names
        .into_iter()
        .filter(|name| NumberedFile::parse(name).is_some() && !named.contains(name))
        .collect();
    let store = ManifestStore::new(port.clone(), config, manifest);
    // Segments are used again in place: a later manifest may have given a preallocated segment, or a segment that this one knows as
    // closed, to another log.
    for name in orphans
        .iter()
        .chain(named.iter().filter(|name| NumberedFile::is_segment(name)))
    {
        match strays::refuse_newer(&store, name, named.contains(name)).await {
            Err(
                Halt::Io {
                    error: Errno::EIO | Errno::ENOENT,
                    ..
                }
                | Halt::Misplaced { .. },
            ) if tolerated(name) => {}
            looked => looked?,
        }
    }
    Ok(Opened {
        store,
        secret,
        orphans,
    })
}

/// Makes an empty installation: secret first, then the manifest that means it.
async fn install(
    port: &Port,
    files: &Files,
    config: &KeeperConfig,
    names: &[String],
) -> Result<(), Halt> {
    let left_over = names
        .iter()
        .find(|name| NumberedFile::parse(name).is_some());
    if let Some(file) = left_over {
        return Err(Halt::NoManifest { file: file.clone() });
    }
    let secret = directory::make_secret(files).await?;
    let manifest = Manifest {
        installation: files.random().await?,
        node: files.random().await?,
        incarnation: files.random().await?,
        secret: secret.id,
        ..Manifest::default()
    };
    let mut store = ManifestStore::new(port.clone(), config.clone(), manifest);
    let first = store.draft();
    store.replace(first).await?;
    port.say(Notice::Installed);
    Ok(())
}

async fn read_manifest(files: &Files) -> Result<Manifest, Halt> {
    let file = files.open(MANIFEST, READ).await?;
    let bytes = files.read_whole(&file).await?;
    files.close(&file).await;
    Manifest::decode(&bytes).map_err(|fault| match fault {
        ManifestFault::Newer { .. } => Halt::Refused(fault.to_string()),
        _ => Halt::Damage {
            file: MANIFEST.to_string(),
            what: fault.to_string(),
        },
    })
}

/// Names of all files that a manifest names.
fn named_files(manifest: &Manifest) -> BTreeSet<String> {
    let slices: BTreeSet<u64> = manifest.slices.iter().map(|slice| slice.file).collect();
    let name = |file: u64| match slices.contains(&file) {
        true => NumberedFile::Slice(file).to_string(),
        false => NumberedFile::Segment(file).to_string(),
    };
    manifest.files().into_iter().map(name).collect()
}

/// The whole start of a gateway.
pub(crate) async fn start(port: &Port, config: KeeperConfig) -> Result<Started, Halt> {
    let began_us = port.now().mono_us;
    let Opened {
        mut store,
        secret,
        orphans,
    } = open(port, config, Missing::Refused).await?;
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
    let mut extract = Extract::holding(KeyHash::new(secret.key), store.config.held_count_max());
    let found = recover::read_logs(&store, &mut extract, &mut dictionary).await?;
    for name in strays::removable(&mut store, &found, orphans).await? {
        store.files.unlink(&name).await?;
        port.say(Notice::OrphanRemoved(name));
    }
    resume_clock(&mut store, &extract);
    let previous_shards = shards_of(&store.manifest, store.manifest.start);
    let named = end_logs_and_begin(&mut store, found).await?;
    begin_shards(&store, &secret, &dictionary, &named, tables);
    let unanswered = extract.open.len() as u64;
    let owners = match planted(Bug::WrongOwnerAfterShardChange) && previous_shards > 0 {
        true => partition::owners(previous_shards)
            .map(|ShardId(shard)| ShardId(shard % store.config.shards)),
        false => partition::owners(store.config.shards),
    };
    let hash = KeyHash::new(secret.key);
    let left_out = extract.left_out;
    let mut loaded = load::load(&store, &slices, extract.decisions, &owners).await?;
    loaded.leave_out(left_out);
    let over_memory = loaded.short_of_bytes.map(OverMemory::of);
    if let Some(needed_bytes) = loaded.short_of_bytes {
        port.say(Notice::FoldTooLarge {
            needed_bytes,
            limit_bytes: store.config.dedup_memory_bytes_max,
        });
    }
    let recovered = Notice::Recovered {
        decisions: loaded.decisions,
        unanswered,
        took_us: port.now().mono_us - began_us,
        before,
    };
    Ok(Started {
        store,
        dictionary,
        hash,
        slices,
        over_memory,
        recovered: Some(recovered),
    })
}

/// How many logs a start began.
fn shards_of(manifest: &Manifest, start: u32) -> u16 {
    manifest
        .logs
        .iter()
        .filter(|log| log.id.start == start)
        .map(|log| log.id.number + 1)
        .max()
        .unwrap_or(0)
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
        0 => Reading {
            expiry_s: 0,
            wall_us: now.wall_us,
        },
        _ => in_manifest.later(extract.newest),
    };
    let resumed = clock::resume(newest, in_manifest, decided_at_max, now.wall_us);
    store.clock = ExpiryClock {
        base_s: resumed.expiry_s,
        base_mono_us: now.mono_us,
    };
    store.manifest.withheld_s += u64::from(resumed.withheld_s);
    if store.manifest.withheld_s > 0 {
        store.port.say(Notice::TimeWithheld {
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
    let ended = recover::write_last_segments(store, found).await?;
    let shards = store.config.shards;
    let wanted_count = usize::from(shards) + ended.unfit.len();
    let of = wanted_count.saturating_sub(store.preallocated_count() + ended.unused.len()) as u64;
    for done in 1..=of {
        store.preallocate().await?;
        store.port.say(Notice::Progress {
            what: "segments made ready",
            done,
            of,
        });
    }
    // Names of last segments and preallocated segments are durable before the manifest that holds them.
    store.files.sync_dir().await?;
    let mut next = store.draft();
    next.start = start;
    next.clean_stop = false;
    if planted(Bug::LastSegmentRewrittenAlways) {
        recover::rewrite_last_segments(store, &mut next).await?;
    }
    recover::mark_ended(&mut next, &ended);
    let mut begun = Vec::new();
    for number in 0..shards {
        let id = LogId { start, number };
        let Some(first) = store.name_next(&mut next, 0).await? else {
            return Err(Halt::Refused("no segment is ready for a log".to_string()));
        };
        begun.push((id, first));
        next.logs.push(LogEntry {
            id,
            incarnation: next.incarnation,
            ended_at: None,
            resolved_upto: Sequence::before_first(start),
            segments: vec![first],
        });
    }
    let before = store.manifest.clone();
    store.replace(next).await?;
    recover::clean_up(store, &before, &ended).await?;
    let mut named = Vec::new();
    for (log, first) in begun {
        named.push((log, store.open_for_shard(log, &first).await?));
    }
    Ok(named)
}

fn begin_shards(
    store: &ManifestStore,
    secret: &Secret,
    dictionary: &Dictionary,
    named: &[(LogId, NamedSegment)],
    tables: Fitted,
) {
    let owners = Arc::new(partition::owners(store.config.shards));
    let params: Arc<[_]> = dictionary.with_last(store.config.params).into();
    for (log, first) in named {
        let begin = Begin {
            installation: store.manifest.installation,
            incarnation: store.manifest.incarnation,
            secret: secret.key,
            log: *log,
            owners: owners.clone(),
            clock: store.clock,
            first: *first,
            sync: store.config.sync,
            params: params.clone(),
            dedup_bytes_max: tables.shard_bytes_max,
        };
        store
            .port
            .tell(ShardId(log.number), ToShard::Begin(Box::new(begin)));
    }
}
