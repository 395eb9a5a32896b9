//! Files that stand where they do not belong: not named by the manifest, or under the name of another segment. Each is
//! looked at before a start changes anything. It never lets a file be removed that was not understood.

use crate::dedup::slice::frame::{Header, SLICE_MAGIC};
use crate::io::Errno;
use crate::keeper::files::READ;
use crate::keeper::halt::Halt;
use crate::keeper::notice::Notice;
use crate::keeper::read_logs::LogFound;
use crate::keeper::reading::Readable;
use crate::keeper::store::ManifestStore;
use crate::planted::{Bug, planted};
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::files::NumberedFile;
use crate::wal::manifest::{Manifest, SegmentEntry, SegmentState};
use crate::wal::name::{LogId, Sequence};
use crate::wal::packed::{PACKED_MAGIC, PackedFault, PackedHeader};
use crate::wal::scan::{ReadAt, salvage_where};
use crate::wal::segment::{SEGMENT_MAGIC, SegmentFault, SegmentHeader};
use std::collections::BTreeMap;
use std::fmt;

/// Whether the manifest names a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// It does.
    Yes,
    /// It does not.
    No,
}

/// Why a start refuses a directory for one of its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(Halt);

impl Refusal {
    /// The file was written by a newer flk: nothing is wrong with it.
    pub fn is_newer(&self) -> bool {
        matches!(self.0, Halt::Refused(_))
    }

    /// The file belongs to another installation, or to another node of this one.
    pub fn is_foreign(&self) -> bool {
        matches!(self.0, Halt::Foreign { .. })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// What a file is to a start that the manifest does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stray {
    /// Nothing in it counts: a start removes it.
    Orphan,
    /// A start keeps it, for this reason.
    Kept(&'static str),
}

/// What a start refuses for by the first block of a segment or slice that the manifest names, or does not.
///
/// # Errors
/// The refusal.
pub fn judge_origin(
    manifest: &Manifest,
    name: &str,
    block: &[u8],
    named: Named,
) -> Result<(), Refusal> {
    refuse_origin(manifest, name, block, named).map_err(Refusal)
}

/// What a start does with a file that the manifest does not name, where the logs that have not ended end at `ends`.
///
/// # Errors
/// The refusal.
pub async fn judge_stray<R: ReadAt>(
    manifest: &Manifest,
    ends: &BTreeMap<LogId, Sequence>,
    name: &str,
    file: &R,
) -> Result<Stray, Refusal> {
    let live = Live::of(manifest, ends);
    look_at(&live, name, file).await.map_err(Refusal)
}

/// Which directory and manifest a file was written under, as its first block states it.
struct Origin {
    installation: [u8; 16],
    /// The directory, where it says it: those of one installation share its id.
    node: Option<[u8; 16]>,
    /// The incarnation of that directory.
    incarnation: [u8; 16],
    /// Generation of its manifest then.
    generation: u64,
    /// Of a segment, packed or not.
    segment: Option<SegmentOrigin>,
}

/// What the first block of a segment's file says of it.
#[derive(Clone, Copy)]
struct SegmentOrigin {
    /// Its salt; of a packed one that of the file.
    salt: u64,
    /// The start of its log.
    start: u32,
    is_packed: bool,
}

impl Origin {
    /// Whether this directory wrote the file. One that names no node is known by its incarnation, which no other directory has.
    fn is_of(&self, manifest: &Manifest) -> bool {
        let is_this = match self.node {
            Some(node) => node == manifest.node,
            None => {
                let restored = manifest.sections.restored_from.as_ref();
                let before = restored.map(|it| it.incarnation);
                let logs = manifest.logs.iter().map(|log| log.incarnation);
                let mut known = logs.chain(before).chain([manifest.incarnation]);
                known.any(|it| it == self.incarnation)
            }
        };
        is_this && self.installation == manifest.installation
    }
}

/// What the first block of a segment or slice proves of the directory as a whole. A file written under a later manifest
/// proves that ours is not the latest; one that no manifest names and that another directory wrote is not ours to
/// remove. In a file that our manifest names, a foreign header is damage, which reading the log finds.
pub(crate) async fn refuse_newer(
    store: &ManifestStore,
    name: &str,
    named: Named,
) -> Result<(), Halt> {
    let block = first_block(store, name).await?;
    refuse_origin(&store.manifest, name, &block, named)
}

fn refuse_origin(manifest: &Manifest, name: &str, block: &[u8], named: Named) -> Result<(), Halt> {
    let Some(origin) = origin(name, block, named)? else {
        return Ok(());
    };
    if !origin.is_of(manifest) {
        return match named {
            Named::Yes => Ok(()),
            Named::No => Err(Halt::Foreign {
                file: name.to_string(),
            }),
        };
    }
    if !planted(Bug::StaleManifestAccepted) {
        refuse_stale(manifest, name, &origin)?;
    }
    match origin.segment {
        Some(segment) if named == Named::Yes => refuse_misplaced(manifest, name, segment),
        _ => Ok(()),
    }
}

/// A file that a later manifest named, or that a later start wrote, proves that ours is not the latest.
fn refuse_stale(manifest: &Manifest, name: &str, origin: &Origin) -> Result<(), Halt> {
    if origin.generation > manifest.generation {
        return Err(Halt::StaleManifest {
            file: name.to_string(),
            file_generation: origin.generation,
            manifest_generation: manifest.generation,
        });
    }
    match origin.segment {
        // Logs of a start are written only once the manifest that began it was durable.
        Some(segment) if segment.start > manifest.start => Err(Halt::StaleStart {
            file: name.to_string(),
            file_start: segment.start,
            manifest_start: manifest.start,
        }),
        _ => Ok(()),
    }
}

async fn first_block(store: &ManifestStore, name: &str) -> Result<Vec<u8>, Halt> {
    let file = store.files.open(name, store.segment_how()).await?;
    let block = store.files.read(&file, 0, BLOCK_BYTES).await;
    store.files.close(&file).await;
    block.map_err(|error| Halt::Io {
        doing: "reading",
        file: name.to_string(),
        error,
    })
}

/// Where a file comes from, if its first block states it. A later version of the format is no damage.
fn origin(name: &str, block: &[u8], named: Named) -> Result<Option<Origin>, Halt> {
    let newer = |what: String| Err(Halt::Refused(format!("{name}: {what}")));
    match NumberedFile::parse(name) {
        Some(NumberedFile::Segment(_)) if block.starts_with(&PACKED_MAGIC) => {
            match PackedHeader::decode(block) {
                Ok(header) => Ok(Some(Origin {
                    installation: header.installation,
                    node: Some(header.node),
                    incarnation: header.incarnation,
                    generation: header.generation,
                    segment: Some(SegmentOrigin {
                        salt: header.salt,
                        start: header.log.start,
                        is_packed: true,
                    }),
                })),
                Err(fault @ PackedFault::Version(_)) => newer(fault.to_string()),
                Err(_) => Ok(None),
            }
        }
        Some(NumberedFile::Segment(_)) => match SegmentHeader::decode(block) {
            Ok((header, _)) => Ok(Some(Origin {
                installation: header.installation,
                node: header.labels.node,
                incarnation: header.incarnation,
                generation: header.generation,
                segment: Some(SegmentOrigin {
                    salt: header.salt,
                    start: header.log.start,
                    is_packed: false,
                }),
            })),
            Err(fault @ SegmentFault::Version(_)) => newer(fault.to_string()),
            Err(_) => Ok(None),
        },
        _ => match Header::decode(block) {
            Ok(header) => Ok(Some(Origin {
                installation: header.installation,
                node: None,
                incarnation: header.incarnation,
                generation: header.generation,
                segment: None,
            })),
            // One that is named is opened as a whole later.
            Err(fault) if fault.is_newer() && named == Named::No => newer(fault.to_string()),
            Err(_) => Ok(None),
        },
    }
}

/// A file may hold an earlier life of itself under its name, but no segment that the manifest names under another one.
fn refuse_misplaced(manifest: &Manifest, name: &str, found: SegmentOrigin) -> Result<(), Halt> {
    let is_its = |entry: &SegmentEntry| match (entry.state, found.is_packed) {
        (SegmentState::Packed(_, packed), true) => packed.salt == found.salt,
        (SegmentState::Packed(..), false) | (_, true) => false,
        (_, false) => entry.salt == found.salt,
    };
    let mut segments = manifest.segments();
    let Some((_, belongs)) = segments.find(|(_, entry)| is_its(entry)) else {
        return Ok(());
    };
    let belongs = NumberedFile::Segment(belongs.file).to_string();
    if belongs == name || planted(Bug::MisplacedSegmentRead) {
        return Ok(());
    }
    Err(Halt::Misplaced {
        file: name.to_string(),
        belongs,
    })
}

/// The logs that have not ended, as they were read: where each ends, and to which of them the salts of their segments belong.
struct Live<'a> {
    manifest: &'a Manifest,
    ends: &'a BTreeMap<LogId, Sequence>,
    salts: BTreeMap<u64, LogId>,
}

/// Looks at all files that the manifest does not name, and returns those that a start may remove. A file with durable batches
/// that the logs as they were read do not have ends the start. One that neither segment nor slice left is kept.
pub(crate) async fn removable(
    store: &mut ManifestStore,
    found: &[LogFound],
    orphans: Vec<String>,
) -> Result<Vec<String>, Halt> {
    let mut removable = Vec::new();
    let ends = found.iter().map(|it| (it.log, it.last)).collect();
    for name in orphans {
        let readable = Readable::open(&store.files, &name, READ).await?;
        let live = Live::of(&store.manifest, &ends);
        let looked = look_at(&live, &name, &readable).await;
        readable.close().await;
        match looked? {
            Stray::Orphan => removable.push(name),
            Stray::Kept(why) => {
                store.leave_out(&name);
                store.port.notify(Notice::StrayKept { file: name, why });
            }
        }
    }
    Ok(removable)
}

/// Whether nothing in a file counts, or why that cannot be known.
async fn look_at<R: ReadAt>(live: &Live<'_>, name: &str, file: &R) -> Result<Stray, Halt> {
    const UNREADABLE: &str = "the device does not give out all of it";
    let Ok(first) = file.read_at(0, BLOCK_BYTES).await else {
        return Ok(Stray::Kept(UNREADABLE));
    };
    let is_segment = NumberedFile::is_segment(name);
    let magics: &[[u8; 8]] = match is_segment {
        true => &[SEGMENT_MAGIC, PACKED_MAGIC],
        false => &[SLICE_MAGIC],
    };
    let begins = &first[..first.len().min(SEGMENT_MAGIC.len())];
    let is_ours = magics.iter().any(|magic| magic.starts_with(begins));
    // A write that was cut short may have left out the sector that begins it.
    if !is_ours && begins.iter().any(|&byte| byte != 0) {
        return Ok(Stray::Kept(
            "flk did not write it although it has such a name",
        ));
    }
    if !is_segment || live.ends.is_empty() {
        return Ok(Stray::Orphan);
    }
    let lost = match first.starts_with(&PACKED_MAGIC) {
        true => Ok(live.lost_in_packed(&first)),
        false => live.lost_in(file, &first).await,
    };
    match lost {
        Err(_) => Ok(Stray::Kept(UNREADABLE)),
        Ok(None) => Ok(Stray::Orphan),
        Ok(Some((log, upto))) => Err(Halt::Unaccounted {
            file: name.to_string(),
            log,
            upto,
        }),
    }
}

impl Live<'_> {
    fn of<'a>(manifest: &'a Manifest, ends: &'a BTreeMap<LogId, Sequence>) -> Live<'a> {
        let segments = manifest.segments();
        let named = segments.filter(|(log, _)| ends.contains_key(&log.id));
        Live {
            manifest,
            ends,
            salts: named.map(|(log, entry)| (entry.salt, log.id)).collect(),
        }
    }

    /// Whether the log ends before a sequence that was not given up.
    fn lacks(&self, log: LogId, sequence: Sequence) -> bool {
        let ends_before = self.ends.get(&log).is_some_and(|last| *last < sequence);
        ends_before && self.manifest.gap(log, sequence).is_none()
    }

    /// The same of a packed file, by its header alone: all that it stands for was durable before it was made.
    fn lost_in_packed(&self, first: &[u8]) -> Option<(LogId, Sequence)> {
        let header = PackedHeader::decode(first).ok()?;
        let lacking = self.lacks(header.log, header.last);
        lacking.then_some((header.log, header.last))
    }

    /// What a file proves to have been durable and its log does not have. A batch under the salt of a segment that the
    /// manifest names was written there. One under another salt was written again by a start that was cut short: of it
    /// only counts what it states as durable before it.
    async fn lost_in<R: ReadAt>(
        &self,
        file: &R,
        first: &[u8],
    ) -> Result<Option<(LogId, Sequence)>, Errno> {
        let mut salts = self.salts.clone();
        let mut lost = None;
        let lead = SegmentHeader::decode(first).ok().map(|(header, _)| header);
        if let Some(lead) = lead.filter(|lead| self.ends.contains_key(&lead.log)) {
            salts.insert(lead.salt, lead.log);
            let before = lead.predecessor.map(|before| before.ends_after);
            let lacking = before.filter(|before| self.lacks(lead.log, *before));
            lost = lacking.map(|before| (lead.log, before));
        }
        let wanted = |salt| salts.contains_key(&salt);
        salvage_where(file, wanted, |_, header, batch| {
            let fields = &header.fields;
            let written_there = batch.is_ok() && self.salts.contains_key(&fields.salt);
            let durable = match written_there {
                true => fields.sequence,
                false => fields.durable_upto,
            };
            let log = salts.get(&fields.salt).copied();
            if let Some(log) = log.filter(|log| self.lacks(*log, durable)) {
                lost = lost.max(Some((log, durable)));
            }
        })
        .await?;
        Ok(lost)
    }
}
