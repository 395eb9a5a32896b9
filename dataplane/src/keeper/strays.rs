//! Files that stand where they do not belong: not named by the manifest, or under the name of another segment. Each is
//! looked at before a start changes anything. It never lets a file be removed that was not understood.

use crate::dedup::slice::frame::{Header, SLICE_MAGIC};
use crate::event::Errno;
use crate::keeper::files::READ;
use crate::keeper::halt::Halt;
use crate::keeper::ledger::Ledger;
use crate::keeper::notice::Notice;
use crate::keeper::reading::Readable;
use crate::keeper::recover::LogFound;
use crate::planted::{Bug, planted};
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::files::NumberedFile;
use crate::wal::name::{LogId, Sequence};
use crate::wal::scan::{ReadAt, salvage_where};
use crate::wal::segment::{SEGMENT_MAGIC, SegmentFault, SegmentHeader};
use std::collections::BTreeMap;

/// Who wrote the first block of a file: the installation, the generation of its manifest then, and of a segment the salt.
type Origin = ([u8; 16], u64, Option<u64>);

/// What the first block of a segment or slice says of the directory as a whole. A file written under a later manifest
/// proves that ours is not the latest; one that no manifest names and that another installation wrote is not ours to
/// remove. In a file that our manifest names, a foreign header is damage, which reading the log will say.
pub(crate) async fn refuse_newer(ledger: &Ledger, name: &str, named: bool) -> Result<(), Halt> {
    let block = first_block(ledger, name).await?;
    let Some((installation, generation, salt)) = origin(name, &block, named)? else {
        return Ok(());
    };
    if installation != ledger.manifest.installation {
        if named {
            return Ok(());
        }
        return Err(Halt::Refused(format!(
            "{name} belongs to another installation: move it out of WAL_DIR"
        )));
    }
    if generation > ledger.manifest.generation && !planted(Bug::StaleManifestAccepted) {
        return Err(Halt::StaleManifest {
            file: name.to_string(),
            file_generation: generation,
            manifest_generation: ledger.manifest.generation,
        });
    }
    match salt.filter(|_| named) {
        Some(salt) => refuse_misplaced(ledger, name, salt),
        None => Ok(()),
    }
}

async fn first_block(ledger: &Ledger, name: &str) -> Result<Vec<u8>, Halt> {
    let file = ledger.files.open(name, ledger.segment_how()).await?;
    let block = ledger.files.read(&file, 0, BLOCK_BYTES).await;
    ledger.files.close(&file).await;
    block.map_err(|error| Halt::Io {
        doing: "reading",
        file: name.to_string(),
        error,
    })
}

/// Where a file comes from, if its first block says so. A later version of the format is no damage.
fn origin(name: &str, block: &[u8], named: bool) -> Result<Option<Origin>, Halt> {
    let newer = |what: String| Err(Halt::Refused(format!("{name}: {what}")));
    match NumberedFile::parse(name) {
        Some(NumberedFile::Segment(_)) => match SegmentHeader::decode(block) {
            Ok((header, _)) => Ok(Some((
                header.installation,
                header.generation,
                Some(header.salt),
            ))),
            Err(fault @ SegmentFault::Version(_)) => newer(fault.to_string()),
            Err(_) => Ok(None),
        },
        _ => match Header::decode(block) {
            Ok(header) => Ok(Some((header.installation, header.generation, None))),
            // One that is named is opened as a whole later.
            Err(fault) if fault.is_newer() && !named => newer(fault.to_string()),
            Err(_) => Ok(None),
        },
    }
}

/// A file may hold an earlier life of itself under its name, but no segment that the manifest names under another one.
fn refuse_misplaced(ledger: &Ledger, name: &str, salt: u64) -> Result<(), Halt> {
    let mut segments = ledger.manifest.segments();
    let Some((_, belongs)) = segments.find(|(_, entry)| entry.salt == salt) else {
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

/// The logs that have not ended, as they were read: where each ends, and whose the salts of their segments are.
struct Live<'a> {
    ledger: &'a Ledger,
    ends: BTreeMap<LogId, Sequence>,
    salts: BTreeMap<u64, LogId>,
}

/// Looks at all files that the manifest does not name, and says which a start may remove. A file with durable batches
/// that the logs as they were read do not have ends the start. One that neither segment nor slice left is kept.
pub(crate) async fn removable(
    ledger: &mut Ledger,
    found: &[LogFound],
    void: Vec<String>,
) -> Result<Vec<String>, Halt> {
    let mut removable = Vec::new();
    for name in void {
        let readable = Readable::open(&ledger.files, &name, READ).await?;
        let looked = look_at(&Live::of(ledger, found), &name, &readable).await;
        readable.close().await;
        match looked? {
            Ok(()) => removable.push(name),
            Err(why) => {
                ledger.leave_out(&name);
                ledger.port.say(Notice::StrayKept { file: name, why });
            }
        }
    }
    Ok(removable)
}

/// Whether nothing in a file counts, or why that cannot be said.
async fn look_at(
    live: &Live<'_>,
    name: &str,
    file: &Readable,
) -> Result<Result<(), &'static str>, Halt> {
    const UNREADABLE: &str = "the device does not give out all of it";
    let Ok(first) = file.read_at(0, BLOCK_BYTES).await else {
        return Ok(Err(UNREADABLE));
    };
    let is_segment = NumberedFile::is_segment(name);
    let magic = match is_segment {
        true => &SEGMENT_MAGIC,
        false => &SLICE_MAGIC,
    };
    let begins = &first[..first.len().min(magic.len())];
    // A write that was cut short may have left out the sector that begins it.
    if !magic.starts_with(begins) && begins.iter().any(|&byte| byte != 0) {
        return Ok(Err("flk did not write it although it has such a name"));
    }
    if !is_segment || live.ends.is_empty() {
        return Ok(Ok(()));
    }
    match live.lost_in(file, &first).await {
        Err(_) => Ok(Err(UNREADABLE)),
        Ok(None) => Ok(Ok(())),
        Ok(Some((log, upto))) => Err(Halt::Unaccounted {
            file: name.to_string(),
            log,
            upto,
        }),
    }
}

impl Live<'_> {
    fn of<'a>(ledger: &'a Ledger, found: &[LogFound]) -> Live<'a> {
        let ends: BTreeMap<LogId, Sequence> = found.iter().map(|it| (it.log, it.last)).collect();
        let segments = ledger.manifest.segments();
        let named = segments.filter(|(log, _)| ends.contains_key(&log.id));
        Live {
            ledger,
            salts: named.map(|(log, entry)| (entry.salt, log.id)).collect(),
            ends,
        }
    }

    /// Whether the log ends before a sequence that was not given up.
    fn lacks(&self, log: LogId, sequence: Sequence) -> bool {
        let ends_before = self.ends.get(&log).is_some_and(|last| *last < sequence);
        ends_before && self.ledger.manifest.gap(log, sequence).is_none()
    }

    /// What a file proves to have been durable and its log does not have. A batch under the salt of a segment that the
    /// manifest names was written there. One under another salt was written again by a start that was cut short: of it
    /// only counts what it says was durable before it.
    async fn lost_in(
        &self,
        file: &Readable,
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
