//! The stored outcome of an id: in slices, and in the part of the logs that no slice has. It reads beside the gateway, some blocks
//! of each slice and what was written since the last seal; what it cannot read it says. It changes nothing.

use super::wal_dir::{FileAt, WalDir};
use flk_contract::outcome::write_outcome;
use flk_dataplane::io::Errno;
use flk_dataplane::keeper::find::{Find, Origin, StoredOutcome, Writing};
use flk_dataplane::keeper::slice_file::SliceRefused;
use flk_dataplane::wal::files::NumberedFile;
use flk_dataplane::wal::manifest::{LogEntry, Manifest, SliceEntry};
use flk_dataplane::wal::packed::SegmentFile;
use flk_dataplane::wal::scan::{LogSource, read_log, run_ready};
use serde::Serialize;
use std::time::Duration;

/// How often a gateway may change its files while they are read.
const ATTEMPTS_MAX: u32 = 20;
/// A decision that was answered a moment ago counts once the log says that it was durable: within some 10 ms.
const EARLY_WAIT: Duration = Duration::from_millis(20);

/// An outcome, as a page shows it.
#[derive(Debug, PartialEq, Serialize)]
pub struct Shown {
    tenant: String,
    pcs_id: String,
    found: bool,
    status: u16,
    /// The text that a duplicate gets.
    outcome: String,
    decided_ms: u64,
    expires_ms: u64,
    /// Id of the key, or its name where the snapshot in force has it.
    pub key_id: Option<String>,
    params: Option<String>,
    /// Where it lies.
    origin: String,
    slice: Option<String>,
}

/// Why there is none.
#[derive(Debug, PartialEq, Eq)]
pub enum NotFound {
    /// None is stored.
    Unknown,
    /// Its time was over then, in milliseconds since 1970.
    Expired(u64),
    /// Something cannot be read, in words.
    Unreadable(String),
}

/// Looks for the outcome of an id of a tenant; the wall clock says what has expired.
///
/// # Errors
/// There is none, or it is not known whether there is one.
pub fn look_up(
    directory: &WalDir,
    tenant: &str,
    pcs_id: [u8; 32],
    now_us: u64,
) -> Result<Shown, NotFound> {
    for _ in 0..ATTEMPTS_MAX {
        let manifest = directory.manifest().map_err(NotFound::Unreadable)?;
        let secret = directory.secret().map_err(NotFound::Unreadable)?;
        if secret.id != manifest.secret {
            let why = "the secret is not the one that the manifest names";
            return Err(NotFound::Unreadable(why.to_owned()));
        }
        let mut find = Find::new(&manifest, secret.key, tenant, pcs_id);
        let looked = look(directory, &manifest, &mut find);
        let again = directory.manifest().map_err(NotFound::Unreadable)?;
        match looked {
            // What was read is of one manifest only if that is still in force.
            _ if again.generation != manifest.generation => {}
            Err(why) => return Err(NotFound::Unreadable(why)),
            Ok(()) if find.is_early() => std::thread::sleep(EARLY_WAIT),
            Ok(()) => {
                let writing = match manifest.clean_stop {
                    true => Writing::Ended,
                    false => Writing::Goes,
                };
                let outcome = find.outcome(now_us, writing).ok_or(NotFound::Unknown)?;
                return show(&outcome, tenant, pcs_id);
            }
        }
    }
    let why = "the gateway changes its files faster than they can be read; try again";
    Err(NotFound::Unreadable(why.to_owned()))
}

fn look(directory: &WalDir, manifest: &Manifest, find: &mut Find) -> Result<(), String> {
    for log in &manifest.logs {
        read_unsealed(directory, manifest, log, find)?;
    }
    for entry in &manifest.slices {
        look_into(directory, manifest, entry, find).map_err(|refused| {
            let name = NumberedFile::Slice(entry.file);
            match refused {
                SliceRefused::Unreadable(Errno(number)) => format!("{name}: error {number}"),
                SliceRefused::Wrong(error) => format!("{name}: {error}"),
                SliceRefused::Short => format!("{name} is shorter than a block"),
                SliceRefused::NotAsNamed => format!("{name} is not what the manifest names"),
            }
        })?;
    }
    Ok(())
}

fn look_into(
    directory: &WalDir,
    manifest: &Manifest,
    entry: &SliceEntry,
    find: &mut Find,
) -> Result<(), SliceRefused> {
    let file = directory.open(NumberedFile::Slice(entry.file));
    let file = file.map_err(SliceRefused::Unreadable)?;
    let looked = run_ready(find.look_into(manifest, entry, &file));
    looked.unwrap_or(Err(SliceRefused::Unreadable(Errno::EIO)))
}

/// Reads the segments of a log that have decisions in no slice.
fn read_unsealed(
    directory: &WalDir,
    manifest: &Manifest,
    log: &LogEntry,
    find: &mut Find,
) -> Result<(), String> {
    let covers = manifest.slices.iter().flat_map(|it| &it.covers);
    let sealed = covers.filter(|it| it.log == log.id).map(|it| it.upto).max();
    let is_sealed = |at: usize| {
        let extent = log.segments[at].state.extent();
        extent.is_some_and(|it| sealed.is_some_and(|upto| it.last <= upto))
    };
    let from = (0..log.segments.len())
        .take_while(|&at| is_sealed(at))
        .count();
    let mut files: Vec<SegmentFile<FileAt>> = Vec::new();
    for entry in &log.segments[from..] {
        let name = NumberedFile::Segment(entry.file);
        let file = directory.open(name);
        let file = file.map_err(|Errno(number)| format!("{name}: error {number}"))?;
        files.push(SegmentFile::new(file, entry));
    }
    if files.is_empty() {
        return Ok(());
    }
    let source = LogSource {
        manifest,
        log,
        from,
        files: &files,
        erased: &|_, _| false,
    };
    let mut found = find.in_log(manifest, log.id);
    let end = run_ready(read_log(&source, |_, batch| find.take(batch, &mut found)));
    match end {
        Some(end) if end.verdict.is_sound() => {
            let writing = match log.ended_at {
                Some(_) => Writing::Ended,
                None => Writing::Goes,
            };
            find.end_log(found, writing);
            Ok(())
        }
        Some(end) => Err(format!(
            "log {}: {}; flk wal verify says more",
            log.id, end.verdict
        )),
        None => Err(format!("log {} cannot be read", log.id)),
    }
}

fn show(it: &StoredOutcome, tenant: &str, pcs_id: [u8; 32]) -> Result<Shown, NotFound> {
    let expires_ms = it.expires_us / 1000;
    if !it.is_alive {
        return Err(NotFound::Expired(expires_ms));
    }
    let decision = &it.decision;
    let pcs_id = crate::tokens::hex(&pcs_id);
    let mut text = Vec::new();
    let stored = decision.decided.outcome(decision.params);
    let written = write_outcome(decision.decided.encoding, &stored, &pcs_id, &mut text);
    let (origin, slice) = match decision.origin {
        Origin::Log { log, body } => {
            let place = format!("log {log}, record {}.{}", body.sequence, body.index);
            (place, it.slice.map(name_of))
        }
        Origin::Slice(number) => (name_of(number), Some(name_of(number))),
    };
    Ok(Shown {
        tenant: tenant.to_owned(),
        found: true,
        status: if decision.decided.reason == 0 {
            200
        } else {
            202
        },
        outcome: match written {
            Ok(()) => String::from_utf8_lossy(&text).into_owned(),
            Err(unknown) => format!("({unknown})"),
        },
        pcs_id,
        decided_ms: decision.decided_us / 1000,
        expires_ms,
        key_id: decision.key_id.map(|it| crate::tokens::hex(&it)),
        params: Some(decision.params.as_str().to_owned()),
        origin,
        slice,
    })
}

fn name_of(slice: u64) -> String {
    NumberedFile::Slice(slice).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flk_contract::ParamsVersion;
    use flk_dataplane::dedup::Decided;
    use flk_dataplane::keeper::find::Decision;
    use flk_dataplane::wal::files::{MANIFEST, SECRET};
    use flk_dataplane::wal::secret::Secret;

    #[test]
    fn ids_that_were_hashed_under_another_secret_are_not_said_to_be_unknown() {
        let directory = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: Vec<u8>| {
            std::fs::write(directory.path().join(name), bytes).unwrap();
        };
        let (id, key) = ([1; 16], [2; 16]);
        let manifest = Manifest {
            secret: id,
            ..Manifest::default()
        };
        put(MANIFEST, manifest.encode());
        put(SECRET, Secret { id, key }.encode());
        let found = || look_up(&WalDir::at(directory.path()), "default", [7; 32], 7);
        assert_eq!(found(), Err(NotFound::Unknown));
        put(SECRET, Secret { id: [3; 16], key }.encode());
        let Err(NotFound::Unreadable(why)) = found() else {
            panic!("another secret finds nothing");
        };
        assert!(why.contains("secret"), "{why}");
    }

    #[test]
    fn times_of_an_outcome_are_milliseconds_and_one_that_is_over_says_when_it_was() {
        let mut stored = StoredOutcome {
            decision: Decision {
                decided: Decided {
                    reason: 1,
                    ..Decided::default()
                },
                params: ParamsVersion::default(),
                origin: Origin::Slice(8),
                decided_us: 1_800_000_000_123_456,
                key_id: Some([0xab; 8]),
            },
            slice: None,
            expires_us: 1_800_000_900_654_321,
            is_alive: true,
        };
        let shown = show(&stored, "acme", [7; 32]).unwrap();
        let json = serde_json::to_value(&shown).unwrap();
        for (name, value) in [
            ("tenant", "acme".into()),
            ("pcs_id", "07".repeat(32).into()),
            ("status", 202.into()),
            ("decided_ms", 1_800_000_000_123_u64.into()),
            ("expires_ms", 1_800_000_900_654_u64.into()),
            ("key_id", "ab".repeat(8).into()),
            ("origin", "slice-0000000000000008.flk".into()),
            ("slice", "slice-0000000000000008.flk".into()),
        ] {
            let value: serde_json::Value = value;
            assert_eq!(json[name], value, "{name}");
        }
        stored.is_alive = false;
        let over = NotFound::Expired(1_800_000_900_654);
        assert_eq!(show(&stored, "acme", [7; 32]), Err(over));
    }
}
