//! The task that writes the journal: it looks at the news of each second, at the manifest where that is another one, and at the
//! audit log where that has grown. Nothing waits for it.

use super::changes::changes;
use super::journal::{Event, Journal, What};
use super::record::now_ms;
use super::shown::Shown;
use super::source::Source;
use super::threads::Threads;
use super::wal_dir::WalDir;
use crate::audit::Line;
use flk_dataplane::wal::files::MANIFEST;
use flk_dataplane::wal::manifest::Manifest;
use std::fs::{File, Metadata};
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Bytes of the audit log that are read at a start: some 200 lines.
const AUDIT_BYTES_MAX: u64 = 128 << 10;

/// What the task knows.
#[derive(Debug)]
pub struct Chronicle {
    journal: Arc<Journal>,
    source: Source,
    threads: Threads,
    files: Files,
    is_away: Option<bool>,
    /// When the data plane that was seen last began, in microseconds since 1970.
    started_us: u64,
}

/// Files as they were looked at last.
#[derive(Debug)]
struct Files {
    directory: WalDir,
    audit: PathBuf,
    /// Up to where the audit log was read; none: not at all.
    read_upto: Option<u64>,
    manifest: Option<(Manifest, Option<SystemTime>)>,
}

impl Chronicle {
    /// One that has seen nothing.
    pub fn of(
        journal: Arc<Journal>,
        source: Source,
        threads: Threads,
        audit: PathBuf,
    ) -> Chronicle {
        let directory = WalDir::at(source.wal_dir());
        Chronicle {
            journal,
            source,
            threads,
            files: Files {
                directory,
                audit,
                read_upto: None,
                manifest: None,
            },
            is_away: None,
            started_us: 0,
        }
    }

    /// Works for as long as the process.
    pub async fn run(mut self, shown: Arc<Shown>) {
        let words = format!("flk-control {} started", env!("CARGO_PKG_VERSION"));
        self.note(What::Start, now_ms(), words);
        let mut ticks = shown.ticks();
        let mut looked: Option<Instant> = None;
        while ticks.changed().await.is_ok() {
            let away = ticks.borrow_and_update().away.clone();
            self.dataplane(away.as_deref());
            if looked.is_none_or(|it| it.elapsed() >= LOOK_EVERY) {
                looked = Some(Instant::now());
                self = self.look().await;
            }
        }
    }

    fn note(&self, kind: What, t_ms: u64, words: String) {
        self.journal.note(Event {
            t_ms,
            kind,
            words,
            actor: None,
        });
    }

    /// The data plane went, came, or is another process.
    fn dataplane(&mut self, away: Option<&str>) {
        match (self.is_away.replace(away.is_some()), away) {
            (Some(false), Some(why)) => {
                let words = format!("The data plane does not answer: {why}");
                self.note(What::Away, now_ms(), words);
            }
            (Some(true), None) => {
                self.note(
                    What::Back,
                    now_ms(),
                    "The data plane answers again".to_owned(),
                );
            }
            _ => {}
        }
        let Some(reader) = self.source.reader() else {
            return;
        };
        if std::mem::replace(&mut self.started_us, reader.started_wall_us())
            != reader.started_wall_us()
        {
            let [version, ..] = reader.origin();
            let shards = reader.shards_count();
            let words = format!("flk-dataplane {version} started with {shards} shards");
            self.note(What::Start, reader.started_wall_us() / 1000, words);
        }
    }

    /// Looks at the files, on a thread that may wait.
    async fn look(mut self) -> Chronicle {
        let journal = Arc::clone(&self.journal);
        let mut files = self.files;
        let thread = self.threads.place().await;
        let looked = thread.run(move || {
            files.read_audit(&journal);
            files.compare_manifests(&journal);
            files
        });
        match looked.await {
            Ok(files) => self.files = files,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
        self
    }
}

impl Files {
    /// Notes the lines that came since the last time; at a start those at the end of the log.
    fn read_audit(&mut self, journal: &Journal) {
        let Ok(mut file) = File::open(&self.audit) else {
            return;
        };
        let length = file.metadata().map_or(0, |it| it.len());
        if self.read_upto.is_some_and(|it| it > length) {
            // A line whose sync failed was cut off. The lines before it were noted.
            self.read_upto = Some(length);
        }
        let from = self
            .read_upto
            .unwrap_or(length.saturating_sub(AUDIT_BYTES_MAX));
        let mut text = Vec::new();
        let read = file
            .seek(SeekFrom::Start(from))
            .and_then(|_| file.take(length - from).read_to_end(&mut text));
        if read.is_err() {
            return;
        }
        // A line that is being written is read when it is whole. What a start begins with may be half a line, which is none.
        let whole = text
            .iter()
            .rposition(|&it| it == b'\n')
            .map_or(0, |at| at + 1);
        self.read_upto = Some(from + whole as u64);
        let lines = text[..whole].split(|&it| it == b'\n');
        lines.filter_map(event).for_each(|it| journal.note(it));
    }

    /// Notes what became of the files of the log.
    fn compare_manifests(&mut self, journal: &Journal) {
        let path = self.directory.path().join(MANIFEST);
        let changed = std::fs::metadata(path)
            .and_then(|it: Metadata| it.modified())
            .ok();
        if self
            .manifest
            .as_ref()
            .is_some_and(|(_, known)| *known == changed)
        {
            return;
        }
        // What cannot be read now is read the next time.
        let Ok(manifest) = self.directory.manifest() else {
            return;
        };
        if let Some((before, _)) = &self.manifest
            && before.generation != manifest.generation
        {
            for (kind, words) in changes(before, &manifest) {
                journal.note(Event {
                    t_ms: now_ms(),
                    kind,
                    words,
                    actor: None,
                });
            }
        }
        self.manifest = Some((manifest, changed));
    }
}

/// The event of a line of the audit log.
fn event(line: &[u8]) -> Option<Event> {
    let line: Line = serde_json::from_slice(line).ok()?;
    let time = humantime::parse_rfc3339(&line.time).ok()?;
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let number = |name: &str| line.object[name].as_u64().unwrap_or_default();
    let snapshot = number("snapshot");
    let (kind, words) = match line.action.as_str() {
        "publish" => (What::Reload, format!("Snapshot {snapshot} was published")),
        "rollback" => {
            let of = number("rollback_of");
            (
                What::Rollback,
                format!("Snapshot {snapshot} was published, a rollback of {of}"),
            )
        }
        "refused" => {
            let reason = line.object["reason"].as_str().unwrap_or_default();
            (
                What::Refused,
                format!("Snapshot {snapshot} was refused: {reason}"),
            )
        }
        other => (What::Audit, format!("{other} {}", line.object)),
    };
    Some(Event {
        t_ms: since.as_millis() as u64,
        kind,
        words,
        actor: Some(line.actor),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: u64, action: &str) -> String {
        format!(
            r#"{{"action":"{action}","actor":"anna","after":"a","before":"b","number":{number},"object":{{"snapshot":{number},"rollback_of":1,"reason":"no key"}},"previous":"c","role":"operator","time":"2026-12-01T12:00:0{number}.000Z"}}"#
        )
    }

    fn files(directory: &std::path::Path) -> Files {
        Files {
            directory: WalDir::at(directory),
            audit: directory.join("audit.jsonl"),
            read_upto: None,
            manifest: None,
        }
    }

    #[test]
    fn lines_of_the_audit_log_are_events_each_once_and_when_they_are_whole() {
        let directory = tempfile::tempdir().unwrap();
        let mut files = files(directory.path());
        let journal = Journal::default();
        let mut read = |text: &str| {
            std::fs::write(directory.path().join("audit.jsonl"), text).unwrap();
            files.read_audit(&journal);
            let newest = journal.newest().into_iter();
            newest
                .map(|it| (it.kind, it.words, it.actor.unwrap()))
                .collect::<Vec<_>>()
        };
        let (first, second) = (line(1, "publish"), line(2, "rollback"));
        assert_eq!(read(&format!("{first}\n{}", &second[..20])).len(), 1);
        let found = read(&format!("{first}\n{second}\n"));
        assert_eq!(found.len(), 2);
        assert_eq!(
            found[0],
            (
                What::Rollback,
                "Snapshot 2 was published, a rollback of 1".into(),
                "anna".into()
            )
        );
        let third = line(3, "refused");
        let found = read(&format!("{first}\n{second}\n{third}\n"));
        assert_eq!(found[0].1, "Snapshot 3 was refused: no key");
        assert_eq!(found.len(), 3);
        // The third is cut off: its sync failed. What comes in its place is one event more.
        assert_eq!(read(&format!("{first}\n{second}\n")).len(), 3);
        let found = read(&format!("{first}\n{second}\n{}\n", line(3, "publish")));
        assert_eq!(found[0].1, "Snapshot 3 was published");
        assert_eq!(found.len(), 4);
    }

    #[test]
    fn an_event_is_when_its_line_says() {
        let event = event(line(7, "publish").as_bytes()).unwrap();
        assert_eq!(event.t_ms, 1_796_126_407_000);
        let early = line(7, "publish").replace("2026", "1969");
        assert_eq!(super::event(early.as_bytes()), None);
    }

    #[test]
    fn a_start_begins_with_the_end_of_a_long_log() {
        let directory = tempfile::tempdir().unwrap();
        let text: String = (0..2000)
            .map(|at| line(at % 10, "publish") + "\n")
            .collect();
        std::fs::write(directory.path().join("audit.jsonl"), &text).unwrap();
        let mut files = files(directory.path());
        let journal = Journal::default();
        files.read_audit(&journal);
        let count = journal.newest().len();
        assert!((200..=400).contains(&count), "{count}");
        assert_eq!(files.read_upto, Some(text.len() as u64));
    }
}
