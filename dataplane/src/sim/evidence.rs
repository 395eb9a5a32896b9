//! Damage of what a start takes as evidence beside the batches: the first block of a segment that was in use, its length,
//! and whose content lies under its name. Each is done only where what is left must end the next start. It spoils; what
//! follows is judged by the oracle.

use super::count::Count;
use super::disk::Inode;
use super::logbook;
use super::truth::{LogWrite, Undo};
use super::world::World;
use crate::sim_trace;
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::files::{MANIFEST, NumberedFile};
use crate::wal::manifest::{LogEntry, Manifest, SegmentEntry, SegmentState};

/// A segment that was not closed when the process ended, nor its log.
struct Unfinished {
    name: String,
    inode: Inode,
    salt: u64,
    log: String,
    /// The manifest knows that its first batch was durable.
    is_open: bool,
    /// The segments before it were deleted: nothing but the manifest and what is in it tells of it.
    after_deletion: bool,
    /// Its batches that are durable and will stay so.
    durable: Vec<usize>,
}

impl Unfinished {
    /// Whether the first block must be there: the manifest says so, or a batch that was written behind a durable first one.
    fn needs_head(&self) -> bool {
        self.is_open || self.durable.len() > 1
    }
}

/// What is to be done to a segment.
struct Harm<'a> {
    to: &'a Unfinished,
    bytes: Vec<u8>,
    what: String,
    count: Count,
    /// An operator may give the segment up.
    mendable: bool,
}

impl World {
    /// Sometimes damages the evidence of a segment that was in use. `false`: it does not, or there is none that must end a
    /// start.
    pub fn damage_evidence(&mut self) -> bool {
        let Some(manifest) = self.resolved_manifest() else {
            return false;
        };
        let unfinished = self.unfinished(&manifest);
        // Few logs have lost their beginning, so those that have are seldom spared.
        let is_bare = |it: &Unfinished| it.after_deletion && it.needs_head();
        let (chance, kinds) = match unfinished.iter().any(is_bare) {
            true => (9000, 8),
            false => (4000, 4),
        };
        if !self.rare.chance(chance) && !self.is_young() {
            return false;
        }
        let harm = match self.rare.below(kinds) {
            _ if self.is_young() => self.harm_of_length(&manifest, &unfinished),
            0 | 1 | 4.. => self.harm_of_head(&unfinished),
            2 => self.harm_of_length(&manifest, &unfinished),
            _ => self.harm_of_place(&unfinished),
        };
        let Some(harm) = harm else {
            return false;
        };
        let before = self.disk.seen(harm.to.inode).to_vec();
        if before == harm.bytes {
            return false;
        }
        let Harm { to, what, .. } = &harm;
        let name = to.name.clone();
        sim_trace!(self.now_us(), "{what} in {name} of log {}", to.log);
        self.disk.replace(&name, &harm.bytes);
        self.counts.one(Count::Damage);
        self.counts.one(harm.count);
        if to.after_deletion && harm.count == Count::HeadsDamaged {
            self.counts.one(Count::HeadsAfterDeletion);
        }
        self.truth.undo = Some(Undo {
            name,
            bytes: before,
            must_refuse: Some(format!("{what}, log {},", to.log)),
            passes: None,
            writes: match harm.mendable {
                true => to.durable.clone(),
                false => Vec::new(),
            },
        });
        true
    }

    /// The manifest, if no power cut can bring back another one and what was in use is not closed by it.
    fn resolved_manifest(&self) -> Option<Manifest> {
        let mut versions = self.disk.versions_of(MANIFEST);
        let manifest = Manifest::decode(versions.next()?).ok()?;
        let resolved = versions.next().is_none() && self.truth.keeper_lies.is_empty();
        (resolved && !manifest.clean_stop).then_some(manifest)
    }

    /// The segments in use of logs that no device has lied about.
    fn unfinished(&self, manifest: &Manifest) -> Vec<Unfinished> {
        let segments = manifest.segments();
        let in_use = segments.filter(|(log, entry)| {
            let id = (log.id.start, log.id.number);
            let mut writes = self.truth.writes.iter();
            let open = log.ended_at.is_none() && entry.state.extent().is_none();
            open && !writes.any(|it| it.log == id && (it.lied || it.lost || it.sick))
        });
        in_use
            .filter_map(|(log, entry)| self.looked_at(log, entry))
            .collect()
    }

    fn looked_at(&self, log: &LogEntry, entry: &SegmentEntry) -> Option<Unfinished> {
        let name = NumberedFile::Segment(entry.file).to_string();
        let inode = self.disk.find(&name)?;
        let durable = |write: &LogWrite| {
            let here = write.inode == inode && write.salt == entry.salt;
            here && write.confirmed && !write.gone
        };
        let writes = self.truth.writes.iter().enumerate();
        let first = log.segments.first().map(|it| it.ordinal);
        Some(Unfinished {
            name,
            inode,
            salt: entry.salt,
            log: log.id.to_string(),
            is_open: entry.state == SegmentState::Open,
            after_deletion: entry.ordinal > 0 && first == Some(entry.ordinal),
            durable: writes
                .filter(|(_, write)| durable(write))
                .map(|(at, _)| at)
                .collect(),
        })
    }

    /// The first block, and more where the manifest knows that there was more. Mostly of a log whose beginning was deleted.
    fn harm_of_head<'a>(&mut self, unfinished: &'a [Unfinished]) -> Option<Harm<'a>> {
        let all: Vec<&Unfinished> = unfinished.iter().filter(|it| it.needs_head()).collect();
        let bare = all.iter().filter(|it| it.after_deletion);
        let bare: Vec<&Unfinished> = bare.copied().collect();
        let to = self.one_of(if bare.is_empty() { &all } else { &bare })?;
        let mut bytes = self.disk.seen(to.inode).to_vec();
        let zeroed = match (self.rare.below(5), to.is_open) {
            (0, _) => {
                let at = self.rare.below(BLOCK_BYTES as u64) as usize;
                let bit = 1 << self.rare.below(8);
                *bytes.get_mut(at)? ^= bit;
                0
            }
            (1, true) => bytes.len(),
            (2, true) => 3 * BLOCK_BYTES,
            (3, _) => 2 * BLOCK_BYTES,
            _ => BLOCK_BYTES,
        };
        let zeroed = zeroed.min(bytes.len());
        bytes[..zeroed].fill(0);
        let what = match zeroed {
            0 => "a bit of the first block flipped".to_string(),
            _ => format!("the first {zeroed} bytes zeroed"),
        };
        Some(Harm {
            to,
            bytes,
            what,
            count: Count::HeadsDamaged,
            mendable: true,
        })
    }

    /// The file is shorter than it was made, and something is left that tells: its own header, or enough other files; or
    /// what is left is no length that a segment is made with.
    fn harm_of_length<'a>(
        &mut self,
        manifest: &Manifest,
        unfinished: &'a [Unfinished],
    ) -> Option<Harm<'a>> {
        let to = self.one_of(&unfinished.iter().collect::<Vec<_>>())?;
        let made_bytes = self.disk.seen(to.inode).len();
        let segments = manifest.segments();
        let open = segments.filter(|(_, entry)| entry.state.extent().is_none());
        let files = open.map(|(_, entry)| entry.file);
        let names = files
            .chain(manifest.preallocated.iter().copied())
            .map(|file| NumberedFile::Segment(file).to_string())
            .filter(|name| *name != to.name);
        let lengths = names.map(|name| self.disk.find(&name).map(|it| self.disk.seen(it).len()));
        let lengths: Vec<Option<usize>> = lengths.collect();
        let agree = lengths.len() > 1 && lengths.iter().all(|it| *it == Some(made_bytes));
        let blocks = (made_bytes / BLOCK_BYTES) as u64;
        let wanted = match self.rare.below(6) {
            0 => self.rare.pick(&[0, 512, 4_096, 6_000]),
            1 => self.rare.below(made_bytes as u64) as usize,
            _ => self.rare.below(blocks) as usize * BLOCK_BYTES,
        };
        if wanted >= made_bytes {
            return None;
        }
        let bytes = self.disk.seen(to.inode)[..wanted].to_vec();
        let own = logbook::read(&bytes).header.filter(|it| it.salt == to.salt);
        let stated = own.is_some_and(|it| it.made_bytes == made_bytes as u64);
        let impossible = wanted < 2 * BLOCK_BYTES || wanted % BLOCK_BYTES != 0;
        if !agree && !stated && !impossible {
            return None;
        }
        if !agree && !impossible {
            self.counts.one(Count::ShortAlone);
        }
        Some(Harm {
            to,
            bytes,
            what: format!("only {wanted} of {made_bytes} bytes left"),
            count: Count::ShortSegments,
            mendable: !to.durable.is_empty(),
        })
    }

    /// The content, or the header, of another segment in use.
    fn harm_of_place<'a>(&mut self, unfinished: &'a [Unfinished]) -> Option<Harm<'a>> {
        let holds_itself = |it: &&Unfinished| {
            let header = logbook::read(self.disk.seen(it.inode)).header;
            header.is_some_and(|header| header.salt == it.salt)
        };
        let sources: Vec<&Unfinished> = unfinished
            .iter()
            .filter(|it| !it.durable.is_empty())
            .filter(holds_itself)
            .collect();
        let source = self.one_of(&sources)?;
        let others = unfinished.iter().filter(|it| it.inode != source.inode);
        let to = self.one_of(&others.collect::<Vec<_>>())?;
        let content = self.disk.seen(source.inode).to_vec();
        let bytes = match self.rare.chance(5000) {
            true => content,
            false => {
                let mut bytes = self.disk.seen(to.inode).to_vec();
                bytes
                    .get_mut(..BLOCK_BYTES)?
                    .copy_from_slice(content.get(..BLOCK_BYTES)?);
                bytes
            }
        };
        Some(Harm {
            to,
            bytes,
            what: format!("content of {}", source.name),
            count: Count::MisplacedSegments,
            mendable: false,
        })
    }

    fn one_of<'a>(&mut self, all: &[&'a Unfinished]) -> Option<&'a Unfinished> {
        (!all.is_empty()).then(|| self.rare.pick(all))
    }
}
