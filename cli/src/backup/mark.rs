//! Marks in a place: small objects that say what is under way there. A prune removes objects that no backup names; a backup that is
//! being taken relies on objects that it found, and nothing names them for it yet. Each makes its mark first and looks for the other's
//! then, so that of two that begin together at least one gives way.

use super::store::Objects;
use crate::exit::Failure;
use crate::wal::random;
use crate::wal::show::{hex, time_text};
use std::collections::BTreeMap;
use std::time::Duration;

/// A mark that is older was left by a process that was killed.
pub(super) const STALE_AFTER: Duration = Duration::from_secs(7 * 86_400);

/// What is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    Backup,
    Prune,
}

impl Work {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Backup => "running-backup-",
            Self::Prune => "running-prune-",
        }
    }
}

/// A mark that is in a place until this is dropped.
pub(super) struct Mark<'a> {
    objects: &'a dyn Objects,
    pub(super) name: String,
}

impl<'a> Mark<'a> {
    /// Makes one.
    pub(super) fn make(objects: &'a dyn Objects, work: Work, now_us: u64) -> Result<Self, Failure> {
        let unique = random().map_err(|error| {
            let why = crate::fault::why(&error);
            Failure::unavailable(format!("the system gave no random bytes: {why}"))
        })?;
        let (prefix, unique) = (work.prefix(), hex(&unique[..8]));
        let name = format!("{prefix}{now_us:016}-{unique}");
        // Where it is there already, a request was repeated whose answer was lost: no other run draws that name.
        objects.put_new(&name, Vec::new())?;
        Ok(Self { objects, name })
    }
}

impl Drop for Mark<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.objects.remove(&self.name) {
            eprintln!(
                "flk: warning: {error}: remove it, or flk backup prune waits for what it stands for"
            );
        }
    }
}

/// A mark of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) name: String,
    pub(super) since_us: u64,
}

/// The marks among these objects that stand for such work.
pub(super) fn seen(there: &BTreeMap<String, u64>, work: Work) -> Vec<Seen> {
    let read = |name: &String| {
        let (since, unique) = name.strip_prefix(work.prefix())?.split_once('-')?;
        let is_hex = |it: &str| it.bytes().all(|it| it.is_ascii_hexdigit());
        let since_us = since.parse().ok().filter(|_| is_hex(unique))?;
        Some(Seen {
            name: name.clone(),
            since_us,
        })
    };
    there.keys().filter_map(read).collect()
}

impl Seen {
    /// Whether what it stands for may still be under way. A mark of the future is.
    pub(super) fn is_live(&self, now_us: u64, stale_after: Duration) -> bool {
        u128::from(now_us.saturating_sub(self.since_us)) < stale_after.as_micros()
    }

    /// Says that something else is under way.
    pub(super) fn refusal(&self, what: &str) -> Failure {
        let (since, name) = (time_text(self.since_us), &self.name);
        Failure::unavailable(format!(
            "{what} has been under way in this place since {since}: try again when it has ended. If it was killed, remove the object {name}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::tests::Memory;

    #[test]
    fn a_mark_is_there_until_it_is_dropped_and_reads_back() {
        let store = Memory::default();
        let mark = Mark::make(&store, Work::Backup, 1_700_000_000_000_000).unwrap();
        let there = store.list().unwrap();
        let marks = seen(&there, Work::Backup);
        assert_eq!(marks.len(), 1);
        assert_eq!(
            (&marks[0].name, marks[0].since_us),
            (&mark.name, 1_700_000_000_000_000)
        );
        assert_eq!(seen(&there, Work::Prune), []);
        drop(mark);
        assert!(store.list().unwrap().is_empty());
    }

    #[test]
    fn a_mark_lives_until_it_is_stale() {
        let mark = Seen {
            name: String::new(),
            since_us: 5_000_000,
        };
        let hour = Duration::from_secs(3600);
        assert!(mark.is_live(0, hour) && mark.is_live(3_604_999_999, hour));
        assert!(!mark.is_live(3_605_000_000, hour));
    }

    #[test]
    fn other_names_are_no_marks() {
        for name in [
            "running-backup-",
            "running-backup-12-xyz",
            "running-backup-x-00",
            "flk-backup.json",
        ] {
            assert_eq!(
                seen(&BTreeMap::from([(name.to_owned(), 0)]), Work::Backup),
                [],
                "{name}"
            );
        }
    }
}
