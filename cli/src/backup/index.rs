//! The index of a backup: the object whose existence makes a backup whole. It names every other object with its length and SHA-256,
//! and states what is in them. It carries a checksum of itself.

use crate::backup::names;
use crate::exit::{Exit, Failure};
use crate::wal::show::hex;
use flk_dataplane::wal::copy::SegmentContent;
use flk_dataplane::wal::files::{NumberedFile, SNAPSHOTS};
use flk_dataplane::wal::manifest::{Extent, SliceEntry};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The version of the layout of backups.
pub(crate) const FORMAT: u32 = 1;

/// An object, or a part of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) object: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

/// A file of the directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileKept {
    /// Its name in the directory.
    pub(crate) name: String,
    /// Bytes of it that are kept.
    pub(crate) bytes: u64,
    /// The objects that it consists of, in order.
    pub(crate) parts: Vec<Part>,
    pub(crate) holds: Holds,
}

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Holds {
    Segment(SegmentKept),
    Slice(SliceKept),
    Snapshot,
}

/// A segment: what names it, and what was counted in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SegmentKept {
    pub(crate) log: String,
    pub(crate) ordinal: u32,
    pub(crate) salt: u64,
    pub(crate) first: String,
    pub(crate) last: String,
    pub(crate) last_checksum: u32,
    /// SHA-256 over what its records state, the name of the range for others.
    pub(crate) content: String,
    pub(crate) batches: u64,
    pub(crate) records: u64,
    pub(crate) bodies: u64,
    pub(crate) decisions: u64,
    /// Wall clock of its newest batch, microseconds since the Unix epoch.
    pub(crate) newest_us: u64,
}

/// A slice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SliceKept {
    pub(crate) id: u64,
    pub(crate) checksum: u32,
    pub(crate) entries: u64,
}

/// What became of the secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SecretKept {
    /// It is not in the backup and must be kept apart.
    LeftOut,
    /// It is there as it is.
    InClear(Part),
    /// It is there as an age file.
    Encrypted(Part),
}

/// A backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Index {
    pub(crate) format: u32,
    /// Version of the flk that made it.
    pub(crate) flk: String,
    pub(crate) installation: String,
    pub(crate) node: String,
    pub(crate) incarnation: String,
    /// Number of the backup within the incarnation, from 1.
    pub(crate) number: u64,
    /// Wall clock when the manifest was read: everything acknowledged before is in the backup.
    pub(crate) moment_us: u64,
    /// Generation of that manifest.
    pub(crate) generation: u64,
    /// Whether a gateway served from the directory.
    pub(crate) is_served: bool,
    /// The manifest of the copy, in which all logs have ended.
    pub(crate) manifest: Part,
    pub(crate) secret: SecretKept,
    pub(crate) files: Vec<FileKept>,
}

/// What is in a backup, in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) bytes: u64,
    pub(crate) segments: u64,
    pub(crate) slices: u64,
    pub(crate) bodies: u64,
    pub(crate) decisions: u64,
    pub(crate) entries: u64,
}

impl SegmentKept {
    pub(crate) fn new(
        log: flk_dataplane::wal::name::LogId,
        entry: &flk_dataplane::wal::manifest::SegmentEntry,
        extent: &Extent,
        content: &SegmentContent,
    ) -> Self {
        Self {
            log: log.to_string(),
            ordinal: entry.ordinal,
            salt: entry.salt,
            first: extent.first.to_string(),
            last: extent.last.to_string(),
            last_checksum: extent.last_checksum,
            content: hex(&content.digest),
            batches: content.batches,
            records: content.records,
            bodies: content.bodies,
            decisions: content.decisions,
            newest_us: content.wall_us,
        }
    }

    /// Whether this is that segment with that extent.
    pub(crate) fn is(&self, salt: u64, extent: &Extent) -> bool {
        self.salt == salt
            && self.first == extent.first.to_string()
            && self.last == extent.last.to_string()
            && self.last_checksum == extent.last_checksum
    }

    /// What was counted otherwise, if anything was.
    pub(crate) fn differs(&self, content: &SegmentContent) -> Option<String> {
        let same = self.content == hex(&content.digest)
            && self.batches == content.batches
            && self.records == content.records
            && self.bodies == content.bodies
            && self.decisions == content.decisions;
        (!same).then(|| {
            format!(
                "it holds {} batches, {} records, {} bodies and {} decisions; the index states {}, {}, {} and {}, or other content",
                content.batches,
                content.records,
                content.bodies,
                content.decisions,
                self.batches,
                self.records,
                self.bodies,
                self.decisions
            )
        })
    }
}

impl FileKept {
    /// Whether a backup can have this file. Its name becomes a path in the directory that is restored, and never leads out of it.
    fn is_possible(&self) -> bool {
        let of_its_kind = match &self.holds {
            Holds::Segment(_) => NumberedFile::is_segment(&self.name),
            Holds::Slice(_) => {
                matches!(
                    NumberedFile::parse(&self.name),
                    Some(NumberedFile::Slice(_))
                )
            }
            Holds::Snapshot => {
                let rest = self.name.strip_prefix(SNAPSHOTS);
                let name = rest.and_then(|it| it.strip_prefix('/'));
                name.is_some_and(|it| it.ends_with(".json") && !it.contains(['/', '\0']))
            }
        };
        let mut lengths = self.parts.iter().map(|part| part.bytes);
        of_its_kind && lengths.try_fold(0, u64::checked_add) == Some(self.bytes)
    }
}

impl SliceKept {
    pub(crate) fn new(slice: &SliceEntry) -> Self {
        Self {
            id: slice.id,
            checksum: slice.checksum,
            entries: slice.entries,
        }
    }
}

impl Index {
    /// The bytes of the object: one line of JSON, and one with its checksum.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, Failure> {
        let json = serde_json::to_vec(self);
        let json =
            json.map_err(|error| Failure::with(Exit::File, format!("the index: {error}")))?;
        Ok(with_sum(json))
    }

    /// Reads the bytes of the object of this name.
    pub(crate) fn decode(name: &str, bytes: &[u8]) -> Result<Self, Failure> {
        let damaged = |why: &str| Failure::with(Exit::Damage, format!("the index {name}: {why}"));
        let json = without_sum(bytes).map_err(damaged)?;
        let value: serde_json::Value =
            serde_json::from_slice(json).map_err(|error| damaged(&error.to_string()))?;
        match value.get("format").and_then(serde_json::Value::as_u64) {
            Some(format) if format == u64::from(FORMAT) => {}
            _ => {
                return Err(Failure::with(
                    Exit::Configuration,
                    format!("the index {name} was written by a newer flk: use that one"),
                ));
            }
        }
        let index: Self =
            serde_json::from_value(value).map_err(|error| damaged(&error.to_string()))?;
        match index.files.iter().find(|file| !file.is_possible()) {
            None => Ok(index),
            Some(file) => Err(damaged(&format!(
                "it holds an impossible file {:?}",
                file.name
            ))),
        }
    }

    /// Its name in the store.
    pub(crate) fn object(&self) -> String {
        names::index(&self.incarnation, self.number)
    }

    /// All objects that it names.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Part> {
        let secret = match &self.secret {
            SecretKept::LeftOut => None,
            SecretKept::InClear(part) | SecretKept::Encrypted(part) => Some(part),
        };
        let files = self.files.iter().flat_map(|file| &file.parts);
        files.chain([&self.manifest]).chain(secret)
    }

    /// What is in it, in all.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for file in &self.files {
            totals.bytes += file.bytes;
            match &file.holds {
                Holds::Segment(segment) => {
                    totals.segments += 1;
                    totals.bodies += segment.bodies;
                    totals.decisions += segment.decisions;
                }
                Holds::Slice(slice) => {
                    totals.slices += 1;
                    totals.entries += slice.entries;
                }
                Holds::Snapshot => {}
            }
        }
        totals
    }
}

/// A line of JSON with its SHA-256 as a second line.
pub(crate) fn with_sum(mut json: Vec<u8>) -> Vec<u8> {
    let sum = sha256(&json);
    json.push(b'\n');
    json.extend(sum.as_bytes());
    json.push(b'\n');
    json
}

/// The JSON of such lines, or why they are damaged.
pub(crate) fn without_sum(bytes: &[u8]) -> Result<&[u8], &'static str> {
    let lines = bytes.strip_suffix(b"\n").and_then(|it| {
        let at = it.iter().rposition(|&byte| byte == b'\n')?;
        Some((&it[..at], &it[at + 1..]))
    });
    let (json, sum) = lines.ok_or("it is cut off")?;
    match sha256(json).as_bytes() == sum {
        true => Ok(json),
        false => Err("its checksum does not match"),
    }
}

/// SHA-256 in hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
