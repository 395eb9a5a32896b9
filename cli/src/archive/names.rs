//! Names in an archive. The name of an object says which log it is of and with which batch it begins, and nothing else: so two runs never
//! make two objects of the same bodies. What is in it stands in the name of its *entry*, which is made after it: sequences, times,
//! counts and a digest, so that a search reads names first, and only objects that can hold what is wanted.

use crate::wal::show::{hex, time_text};
use flk_contract::hash;
use flk_dataplane::wal::name::{LogId, Sequence};
use std::fmt;

/// The object that says whose archive is in a place.
pub(super) const OWNER: &str = "flk-archive.json";

/// The folder of the objects that hold bodies.
pub(super) const BODIES: &str = "bodies";

/// The folder of entries, in which each day has one.
pub(super) const ENTRIES: &str = "entries";

/// The folder of marks of runs, in which each day has one.
pub(super) const RUNS: &str = "runs";

/// The last moment whose day has four digits of year, in microseconds since the Unix epoch.
const MOMENT_MAX_US: u64 = 253_402_300_799_999_999;

/// The most bytes that an object has. A body that is alone in it may be large.
pub(super) const OBJECT_BYTES_MAX: u64 = 1 << 30;

/// The most bytes of the end of an object: filters and footer.
pub(super) const TAIL_BYTES_MAX: u64 = 16 << 20;

/// A log, wherever it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LogName {
    /// Incarnation of the directory that wrote it.
    pub(super) incarnation: [u8; 16],
    pub(super) id: LogId,
}

impl LogName {
    /// The sequence of a counter in it.
    pub(super) fn sequence(&self, counter: u64) -> Sequence {
        Sequence(Sequence::before_first(self.id.start).0 | counter)
    }

    /// The folder of its objects.
    pub(super) fn folder(&self) -> String {
        format!("{BODIES}/{}/{}", hex(&self.incarnation), self.id)
    }

    /// The object that begins with this batch.
    pub(super) fn object(&self, first: u64) -> String {
        format!("{}/{first:013}.parquet", self.folder())
    }

    /// The first batch of the object of this name, if it is one of this log.
    pub(super) fn first_of(&self, object: &str) -> Option<u64> {
        let digits = object.rsplit('/').next()?.strip_suffix(".parquet")?;
        let first = counter(digits.trim_start_matches('0'))?;
        (self.object(first) == object).then_some(first)
    }

    /// The log whose folder has this name.
    pub(super) fn of_folder(folder: &str) -> Option<Self> {
        let (incarnation, id) = folder
            .strip_prefix(BODIES)?
            .strip_prefix('/')?
            .split_once('/')?;
        let name = Self {
            incarnation: bytes_of_hex(incarnation)?,
            id: log_id(id)?,
        };
        (name.folder() == folder).then_some(name)
    }
}

impl fmt::Display for LogName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "log {} of {}", self.id, hex(&self.incarnation))
    }
}

/// What is stated of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) log: LogName,
    /// The first batch, as a counter in its log.
    pub(super) first: u64,
    /// The last one. The next object of the log begins behind it.
    pub(super) last: u64,
    /// When the first of its bodies came, in microseconds since the Unix epoch; when it was made, if it has none.
    pub(super) from_us: u64,
    /// When the last one came. Both are of one day.
    pub(super) to_us: u64,
    /// Number of its rows.
    pub(super) rows: u64,
    /// How many of its sequences nothing could be read of.
    pub(super) missing: u64,
    /// Length of the object.
    pub(super) bytes: u64,
    /// Length of its end: filters and footer.
    pub(super) tail: u64,
    /// The first half of the SHA-256 of that end, which itself has digests of everything before it.
    pub(super) digest: [u8; 16],
}

impl Entry {
    /// The object that it is about.
    pub(super) fn object(&self) -> String {
        self.log.object(self.first)
    }

    /// Its name.
    pub(super) fn name(&self) -> String {
        let Self {
            log,
            first,
            last,
            from_us,
            to_us,
            rows,
            missing,
            bytes,
            tail,
            digest,
        } = self;
        let (day, incarnation) = (day(*from_us), hex(&log.incarnation));
        let (id, digest) = (log.id, hex(digest));
        format!(
            "{ENTRIES}/{day}/{incarnation}-{id}-{first}-{last}-{from_us}-{to_us}-{rows}-{missing}-{bytes}-{tail}-{digest}"
        )
    }

    /// Reads a name; none if no entry has it.
    pub(super) fn read(name: &str) -> Option<Self> {
        let mut fields = name.rsplit('/').next()?.split('-');
        let incarnation = bytes_of_hex(fields.next()?)?;
        let id = log_id(fields.next()?)?;
        let mut number = || fields.next()?.parse::<u64>().ok();
        let entry = Self {
            log: LogName { incarnation, id },
            first: number()?,
            last: number()?,
            from_us: number()?,
            to_us: number()?,
            rows: number()?,
            missing: number()?,
            bytes: number()?,
            tail: number()?,
            digest: bytes_of_hex(fields.next()?)?,
        };
        (entry.is_possible() && entry.name() == name).then_some(entry)
    }

    fn is_possible(&self) -> bool {
        let counters = 1..1 << Sequence::COUNTER_BITS;
        counters.contains(&self.first)
            && counters.contains(&self.last)
            && self.first <= self.last
            && self.missing <= self.last - self.first + 1
            && self.from_us <= self.to_us
            && self.bytes <= OBJECT_BYTES_MAX
            && self.tail <= self.bytes.min(TAIL_BYTES_MAX)
    }
}

/// The day of a moment.
pub(super) fn day(moment_us: u64) -> String {
    let mut text = shown(moment_us);
    text.truncate(10);
    text
}

/// A moment as text, whatever number it is.
pub(super) fn shown(moment_us: u64) -> String {
    time_text(moment_us.min(MOMENT_MAX_US))
}

/// The mark of a run at this moment.
pub(super) fn run(moment_us: u64, incarnation: &str) -> String {
    format!(
        "{RUNS}/{}/{moment_us:018}-{incarnation}.json",
        day(moment_us)
    )
}

/// The moment of the run whose mark has this name.
pub(super) fn moment_of(name: &str) -> Option<u64> {
    let own = name.rsplit('/').next()?.strip_suffix(".json")?;
    let (digits, incarnation) = own.split_once('-')?;
    let moment_us = digits.parse().ok()?;
    let is_hex = bytes_of_hex(incarnation).is_some();
    (is_hex && run(moment_us, incarnation) == name).then_some(moment_us)
}

/// Reads 32 digits.
pub(super) fn bytes_of_hex(text: &str) -> Option<[u8; 16]> {
    hash::bytes_of_hex(text.as_bytes())
}

/// Reads `3.0`.
pub(super) fn log_id(text: &str) -> Option<LogId> {
    // As a name it has one form only.
    LogId::parse(text).filter(|id| id.to_string() == text)
}

fn counter(digits: &str) -> Option<u64> {
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            log: LogName {
                incarnation: [0xab; 16],
                id: LogId {
                    start: 3,
                    number: 1,
                },
            },
            first: 121,
            last: 5310,
            from_us: 1_795_957_200_000_000,
            to_us: 1_795_957_260_000_001,
            rows: 12_000,
            missing: 7,
            bytes: 4_000_000,
            tail: 90_000,
            digest: [0x5c; 16],
        }
    }

    #[test]
    fn the_name_of_an_entry_reads_back_and_no_other_does() {
        let entry = entry();
        let name = entry.name();
        assert!(name.starts_with("entries/2026-11-29/abab"), "{name}");
        assert_eq!(Entry::read(&name).as_ref(), Some(&entry));
        for other in [
            name.replace("2026-11-29", "2026-11-30"),
            name.replace("-121-", "-0-"),
            name.replace("-121-", "-9999-"),
            name.replace("-121-", "-+121-"),
            name.replace("-121-", "-0121-"),
            name.replace("-90000-", "-9000000-"),
            name.replace("-4000000-", "-18446744073709551615-"),
            name.replace("abab", "ABAB"),
            name.replace("-3.1-", "-3-"),
            name.replace("-3.1-", "-99999999.1-"),
            format!("{name}-1"),
            format!("{name}/x"),
            name.replace("entries", "entries/.."),
            "entries/2026-11-29/".to_owned(),
            "entries/2026-11-29/é-ü".to_owned(),
            String::new(),
        ] {
            assert_eq!(Entry::read(&other), None, "{other}");
        }
    }

    #[test]
    fn the_name_of_an_object_says_its_log_and_its_first_batch_only() {
        let entry = entry();
        let name = entry.object();
        assert!(name.ends_with("/3.1/0000000000121.parquet"), "{name}");
        assert_eq!(entry.log.first_of(&name), Some(121));
        let folder = entry.log.folder();
        assert_eq!(LogName::of_folder(&folder), Some(entry.log));
        for other in ["/121.parquet", "/0000000000121", "/x.parquet", "/é.parquet"] {
            assert_eq!(entry.log.first_of(&format!("{folder}{other}")), None);
        }
        for other in ["bodies/ab/3.1", "bodies", "bodies/", "entries/x/3.1"] {
            assert_eq!(LogName::of_folder(other), None, "{other}");
        }
    }

    #[test]
    fn every_number_is_a_moment_with_a_day() {
        assert_eq!(day(0), "1970-01-01");
        assert_eq!(day(u64::MAX), "9999-12-31");
        let name = run(1_795_957_200_000_001, &"0a".repeat(16));
        assert_eq!(moment_of(&name), Some(1_795_957_200_000_001), "{name}");
        for other in ["runs/x/1-a.json", &name.replace("-11-", "-12-"), "runs", ""] {
            assert_eq!(moment_of(other), None, "{other}");
        }
    }
}
