//! Writes down what a keeper does, line by line: every operation on a file, every manifest that comes into force, every
//! message to a shard, every line for the operator, every time that it wants to be woken. It judges nothing.

use crate::dedup::Decided;
use crate::io::{FileId, Now};
use crate::keeper::port::{FileOp, FileResult, FileValue, KeeperOp, OpenHow};
use crate::keeper::tests::disk::TestDisk;
use crate::keeper::tests::world::BEGIN;
use crate::mesh::keeper::ToShard;
use crate::stats::Stats;
use crate::stats::exposition::{Format, render};
use crate::wal::files::{MANIFEST, NumberedFile};
use crate::wal::manifest::{LogEntry, Manifest, SegmentEntry, SegmentState, SliceEntry};

/// How much is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Everything.
    All,
    /// What others see: manifests, messages, lines, answers, the end.
    Seen,
    /// What shards and operators are told: messages, lines, answers, the end.
    Told,
    /// What operators are told: lines, answers, the end.
    Said,
}

/// What a keeper did.
#[derive(Clone)]
pub(crate) struct Transcript {
    detail: Detail,
    at_us: u64,
    /// Records that a shard is being given, partition by partition: one line for all.
    loaded: Option<(u16, Vec<u32>)>,
    lines: flk_testkit::Transcript,
}

impl Transcript {
    pub(crate) fn of(detail: Detail) -> Transcript {
        Transcript {
            detail,
            at_us: 0,
            loaded: None,
            lines: flk_testkit::Transcript::default(),
        }
    }

    pub(crate) fn text(&self) -> String {
        self.lines.text()
    }

    /// A heading of the test's own.
    pub(crate) fn head(&mut self, text: &str) {
        self.say(format!("## {text}"));
    }

    /// All of another one behind it.
    pub(crate) fn append(&mut self, other: &Transcript) {
        self.lines.append(&other.lines);
    }

    fn say(&mut self, text: String) {
        if let Some((shard, records)) = self.loaded.take() {
            let loaded = format!("shard {shard} <- load {records:?}");
            self.lines.line(self.at_us, loaded);
        }
        self.lines.line(self.at_us, text);
    }

    /// A shard is given these.
    fn load(&mut self, shard: u16, decisions: &[Decided]) {
        let records = decisions.iter().map(|it| it.numbers[3] as u32);
        match &mut self.loaded {
            Some((same, all)) if *same == shard => all.extend(records),
            other => {
                let before = other.replace((shard, records.collect()));
                if let Some((shard, all)) = before {
                    let loaded = format!("shard {shard} <- load {all:?}");
                    self.lines.line(self.at_us, loaded);
                }
            }
        }
    }

    /// The metrics of keeper and process that are not 0.
    pub(crate) fn metrics(&mut self, stats: &Stats) {
        let mut page = String::new();
        render(&stats.parts(), Format::Prometheus, &mut page);
        let samples = page
            .lines()
            .filter(|line| !line.starts_with('#') && !line.contains("_info{"));
        for line in samples.filter(|line| !line.ends_with(" 0")) {
            self.say(line.to_string());
        }
    }

    /// The keeper asks for something.
    pub(crate) fn note(&mut self, now: Now, disk: &TestDisk, op: &KeeperOp) {
        self.at_us = now.mono_us - BEGIN.mono_us;
        match op {
            KeeperOp::File(op) if self.detail == Detail::All => self.say(file_op(disk, op)),
            KeeperOp::File(_) => {}
            KeeperOp::ToShard(..) if self.detail == Detail::Said => {}
            KeeperOp::ToShard(shard, ToShard::Load(decisions)) => self.load(shard.0, decisions),
            KeeperOp::ToShard(shard, message) => {
                self.say(format!("shard {} <- {}", shard.0, to_shard(message)));
            }
            KeeperOp::Reply { id, text } => self.say(format!("answer {}: {text}", id.0)),
            KeeperOp::Notify(notice) => self.say(format!("says: {notice}")),
            KeeperOp::Wake(at_us) if self.detail == Detail::All => {
                let in_us = at_us.saturating_sub(now.mono_us);
                self.say(format!("wake in {in_us} us"));
            }
            KeeperOp::Wake(_) => {}
            KeeperOp::Exit { code, reason } => self.say(format!("ends with {code}: {reason}")),
        }
    }

    /// A file operation ended.
    pub(crate) fn note_end(&mut self, disk: &TestDisk, op: &FileOp, result: &FileResult) {
        match (op, result) {
            (_, Err(errno)) => self.say(format!("    failed: {errno}")),
            (FileOp::Rename { to, .. }, Ok(_))
                if to == MANIFEST && [Detail::All, Detail::Seen].contains(&self.detail) =>
            {
                let bytes = disk.bytes(MANIFEST).expect("it was just renamed");
                let manifest = Manifest::decode(bytes).expect("a whole manifest");
                self.manifest(&manifest, bytes.len());
            }
            (
                FileOp::Space,
                Ok(FileValue::Space {
                    total_bytes,
                    free_bytes,
                }),
            ) if self.detail == Detail::All => {
                let used_bytes = total_bytes - free_bytes;
                self.say(format!("    {used_bytes} of {total_bytes} used"));
            }
            _ => {}
        }
    }

    fn manifest(&mut self, manifest: &Manifest, bytes: usize) {
        let Manifest {
            generation,
            start,
            clean_stop,
            clock,
            withheld_s,
            next_file,
            logs,
            gaps,
            preallocated,
            slices,
            ..
        } = manifest;
        let wall_s = (clock.wall_us - BEGIN.wall_us) / 1_000_000;
        let stop = if *clean_stop { ", clean stop" } else { "" };
        self.say(format!(
            "manifest {generation}, {bytes} bytes: start {start}{stop}, clock {} s at wall {wall_s} s, withheld {withheld_s} s, \
             next file {next_file}, preallocated {preallocated:?}",
            clock.expiry_s
        ));
        logs.iter().for_each(|log| self.say(log_line(log)));
        for gap in gaps {
            self.say(format!("    gap {} {} to {}", gap.log, gap.from, gap.to));
        }
        slices.iter().for_each(|slice| self.say(slice_line(slice)));
    }
}

fn log_line(log: &LogEntry) -> String {
    let ended = log.ended_at.map_or(String::new(), |end| {
        format!("ended after {}, ", end.sequence)
    });
    let segments: Vec<String> = log.segments.iter().map(segment).collect();
    let (id, resolved, segments) = (log.id, log.resolved_upto, segments.join("; "));
    format!("    log {id}: {ended}resolved {resolved}; {segments}")
}

fn segment(entry: &SegmentEntry) -> String {
    let state = match entry.state {
        SegmentState::Next => "next".to_string(),
        SegmentState::Open => "open".to_string(),
        SegmentState::Closed(it) => format!("closed {}–{} {} bytes", it.first, it.last, it.bytes),
        SegmentState::Packed(it, file) => format!(
            "packed {}–{} {} bytes of {}",
            it.first, it.last, file.bytes, it.bytes
        ),
        SegmentState::Last(it) => format!("last {}–{} {} bytes", it.first, it.last, it.bytes),
    };
    format!(
        "{} in file {} of {} {state}",
        entry.ordinal, entry.file, entry.generation
    )
}

fn slice_line(slice: &SliceEntry) -> String {
    let covers: Vec<String> = slice
        .covers
        .iter()
        .map(|cover| format!("{} up to {}", cover.log, cover.upto))
        .collect();
    format!(
        "    slice {}: {} entries decided {}–{}, until {}, {} bytes, covers {}",
        slice.file,
        slice.entries,
        slice.decided_first,
        slice.decided_last,
        slice.expiry_max,
        slice.bytes,
        covers.join(", ")
    )
}

/// A file's name, short.
fn short(name: &str) -> String {
    match NumberedFile::parse(name) {
        Some(NumberedFile::Segment(number)) => format!("segment {number}"),
        Some(NumberedFile::Slice(number)) => format!("slice {number}"),
        None => name.to_string(),
    }
}

fn file_op(disk: &TestDisk, op: &FileOp) -> String {
    let of = |file: &FileId| short(&disk.name_of(*file));
    match op {
        FileOp::List => "list".to_string(),
        FileOp::Open { name, how } => format!("open {}{}", short(name), opened(how)),
        FileOp::Close(file) => format!("close {}", of(file)),
        FileOp::Read {
            file,
            offset,
            bytes,
        } => format!("read {} at {offset}, {bytes} bytes", of(file)),
        FileOp::Write {
            file,
            offset,
            bytes,
        } => format!("write {} at {offset}, {} bytes", of(file), bytes.len()),
        FileOp::Zero {
            file,
            offset,
            bytes,
        } => format!("zero {} at {offset}, {bytes} bytes", of(file)),
        FileOp::Truncate(file, bytes) => format!("truncate {} to {bytes} bytes", of(file)),
        FileOp::Sync(file) => format!("sync {}", of(file)),
        FileOp::SyncDir => "sync directory".to_string(),
        FileOp::Rename { from, to } => format!("rename {from} to {to}"),
        FileOp::Unlink(name) => format!("unlink {}", short(name)),
        FileOp::Len(file) => format!("length of {}", of(file)),
        FileOp::Links(file) => format!("links of {}", of(file)),
        FileOp::LockExclusive(file) => format!("lock {}", of(file)),
        FileOp::LockShared(file) => format!("lock {} shared", of(file)),
        FileOp::Unlock(file) => format!("unlock {}", of(file)),
        FileOp::Space => "measure the file system".to_string(),
        FileOp::Random(count) => format!("{count} random bytes"),
    }
}

fn opened(how: &OpenHow) -> String {
    let flags = [
        (how.write, " for writing"),
        (how.create, ", make"),
        (how.exclusive, ", new"),
        (how.direct, ", direct"),
        (how.dsync, ", dsync"),
    ];
    let set = flags.iter().filter(|(is, _)| *is);
    set.map(|(_, name)| *name).collect()
}

fn to_shard(message: &ToShard) -> String {
    match message {
        ToShard::Begin(begin) => format!(
            "begin log {}, clock {} s, segment {}, {:?}, {} sets of parameters, tables {:?}{}",
            begin.log,
            begin.clock.base_s,
            begin.first.ordinal,
            begin.sync,
            begin.params.len(),
            begin.dedup_bytes_max,
            match begin.slices.slices.len() {
                0 => String::new(),
                count => format!(", {count} slices"),
            }
        ),
        ToShard::Segment(named) => format!(
            "segment {} of {}, {} bytes",
            named.ordinal, named.generation, named.bytes
        ),
        ToShard::Clock(clock) => format!("clock {} s", clock.base_s),
        ToShard::Slices(set) => format!(
            "slices: set {}, {} of them, sealed {:?}",
            set.version,
            set.slices.len(),
            set.sealed_epoch
        ),
        other => format!("{other:?}"),
    }
}
