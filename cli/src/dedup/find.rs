//! Reads a directory for the decisions of one id: all logs that are left, then the slices. What cannot be read is reported, and
//! the rest is read all the same.

use crate::exit::{Exit, Failure};
use crate::fault;
use crate::wal::directory::{Directory, Snapshot};
use crate::wal::survey::{LIVE_ATTEMPTS_MAX, Survey};
use flk_dataplane::io::Errno;
use flk_dataplane::keeper::find::{Find, StoredOutcome, Writing};
use flk_dataplane::keeper::slice_file::SliceRefused;
use flk_dataplane::wal::files::{NumberedFile, SECRET};
use flk_dataplane::wal::manifest::SliceEntry;
use flk_dataplane::wal::scan::run_ready;
use flk_dataplane::wal::secret::Secret;
use std::time::{Duration, SystemTime};

/// How often a gateway may remove a slice that is about to be read.
const ATTEMPTS_MAX: u32 = 20;

/// A decision that was answered a moment ago counts once the log says that it was durable. An idle log does so within 10 ms: it is
/// read again so often ...
const EARLY_MAX: u32 = 50;
/// ... and after this time.
const EARLY_WAIT: Duration = Duration::from_millis(20);

/// What was found, and the first thing that could not be read.
pub(super) struct Searched {
    pub(super) outcome: Option<StoredOutcome>,
    pub(super) unread: Option<Failure>,
}

/// Looks for an id of a tenant.
pub(super) fn search(
    directory: &Directory,
    tenant: &str,
    pcs_id: [u8; 32],
) -> Result<Searched, Failure> {
    let mut early = 0;
    for _ in 0..ATTEMPTS_MAX + EARLY_MAX {
        let snapshot = directory.snapshot()?;
        let manifest = &snapshot.manifest;
        let secret = secret(directory, manifest.secret)?;
        let mut search = Search {
            directory,
            snapshot: &snapshot,
            find: Find::new(manifest, secret.key, tenant, pcs_id),
            unread: missing(&snapshot),
        };
        search.logs();
        if search.slices() == Slices::Replaced {
            continue;
        }
        if search.find.is_early() && early < EARLY_MAX {
            early += 1;
            std::thread::sleep(EARLY_WAIT);
            continue;
        }
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let now_us = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        return Ok(Searched {
            outcome: search
                .find
                .outcome(now_us, writing(directory.holder.is_some())),
            unread: search.unread,
        });
    }
    Err(Failure::unavailable(
        "the gateway changes its directory faster than it can be read; try again",
    ))
}

/// Whether all slices that the manifest names were there.
#[derive(PartialEq, Eq)]
enum Slices {
    Read,
    Replaced,
}

struct Search<'a> {
    directory: &'a Directory,
    snapshot: &'a Snapshot<'a>,
    find: Find,
    unread: Option<Failure>,
}

impl Search<'_> {
    fn logs(&mut self) {
        for (log, from, files) in self.snapshot.logs() {
            let survey = Survey {
                directory: self.directory,
                manifest: &self.snapshot.manifest,
                log,
                from,
                files,
            };
            let mut found = self.find.in_log(&self.snapshot.manifest, log.id);
            let mut end = survey.read(|batch| self.find.take(batch, &mut found));
            // Between two reads a batch may become whole and the next one may state that it was durable. Real damage stays.
            for _ in 1..LIVE_ATTEMPTS_MAX {
                if end.verdict.is_sound() || !survey.is_live() {
                    break;
                }
                found = self.find.in_log(&self.snapshot.manifest, log.id);
                end = survey.read(|batch| self.find.take(batch, &mut found));
            }
            if !end.verdict.is_sound() {
                let exit = Exit::of_unsound(&end.verdict);
                let text = format!("log {}: {}; flk wal verify says more", log.id, end.verdict);
                self.unread.get_or_insert(Failure::with(exit, text));
            }
            self.find.end_log(found, writing(survey.is_live()));
        }
    }

    fn slices(&mut self) -> Slices {
        for entry in &self.snapshot.manifest.slices {
            let name = NumberedFile::Slice(entry.file).to_string();
            match self.slice(entry, &name) {
                Ok(()) => {}
                Err(SliceRefused::Unreadable(Errno::ENOENT)) if self.is_replaced() => {
                    return Slices::Replaced;
                }
                Err(refused) => {
                    self.unread.get_or_insert(failure(&name, &refused));
                }
            }
        }
        Slices::Read
    }

    fn slice(&mut self, entry: &SliceEntry, name: &str) -> Result<(), SliceRefused> {
        let file = self.directory.open_file(name);
        let file = file.map_err(SliceRefused::Unreadable)?;
        let looked = run_ready(self.find.look_into(&self.snapshot.manifest, entry, &&file));
        looked.unwrap_or(Err(SliceRefused::Unreadable(Errno::EIO)))
    }

    /// Whether the gateway has another manifest by now.
    fn is_replaced(&self) -> bool {
        let again = self.directory.snapshot();
        again.is_ok_and(|it| it.manifest.generation != self.snapshot.manifest.generation)
    }
}

fn writing(is_written: bool) -> Writing {
    match is_written {
        true => Writing::Goes,
        false => Writing::Ended,
    }
}

fn secret(directory: &Directory, id: [u8; 16]) -> Result<Secret, Failure> {
    let bytes = directory.read_whole(SECRET).map_err(|error| {
        let (path, why) = (directory.path.display(), fault::why_number(error));
        let who = match error.is_refusal() {
            true => ": only the user of the gateway may read it, also with WAL_DIR_GROUP",
            false => "",
        };
        Failure::with(
            Exit::File,
            format!("cannot read {path}/{SECRET}: {why}; slices name ids by a hash under it{who}"),
        )
    })?;
    match Secret::decode(&bytes) {
        Ok(secret) if secret.id == id => Ok(secret),
        Ok(_) => Err(Failure::with(
            Exit::Damage,
            "the secret is not the one that the manifest names: restore both from one backup",
        )),
        Err(fault) => Err(Failure::with(Exit::Damage, fault.to_string())),
    }
}

fn missing(snapshot: &Snapshot<'_>) -> Option<Failure> {
    let missing = snapshot.missing().into_iter().next()?;
    let text = format!("{missing} is missing; flk wal verify says more");
    Some(Failure::with(Exit::Damage, text))
}

fn failure(name: &str, refused: &SliceRefused) -> Failure {
    use flk_dataplane::dedup::slice::SliceError;
    match refused {
        SliceRefused::Unreadable(Errno::ENOENT) => {
            Failure::with(Exit::Damage, format!("{name} is missing"))
        }
        SliceRefused::Unreadable(error) => {
            let why = fault::why_number(*error);
            Failure::with(Exit::File, format!("cannot read {name}: {why}"))
        }
        SliceRefused::Wrong(error @ SliceError::UnknownPart { .. }) => {
            Failure::with(Exit::Configuration, format!("{name}: {error}"))
        }
        SliceRefused::Short => {
            Failure::with(Exit::Damage, format!("{name} is shorter than a block"))
        }
        SliceRefused::Wrong(error) => Failure::with(Exit::Damage, format!("{name}: {error}")),
        SliceRefused::NotAsNamed => Failure::with(
            Exit::Damage,
            format!("{name} is not the slice that the manifest names"),
        ),
    }
}
