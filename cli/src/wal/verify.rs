//! `flk wal verify`: checks all checksums and chains of a directory, and reports what is whole, torn or damaged.

use crate::CommandResult;
use crate::exit::{Exit, Failure, WAL_READ_CODES};
use crate::fault::why_number;
use crate::output::{Output, counted};
use crate::wal::directory::{Directory, Snapshot, Unusable};
use crate::wal::state::State;
use crate::wal::survey::Survey;
use crate::wal::{DirArgs, show};
use clap::Args;
use flk_dataplane::dedup::slice::{ENTRIES_PER_BLOCK, SliceError, verify_whole};
use flk_dataplane::io::Errno;
use flk_dataplane::keeper::slice_file::is_as_named;
use flk_dataplane::keeper::strays::{Named, Refusal, Stray, judge_origin, judge_stray};
use flk_dataplane::wal::buffer::BLOCK_BYTES;
use flk_dataplane::wal::files::{LOCK, MANIFEST, MANIFEST_NEW, NumberedFile, SECRET};
use flk_dataplane::wal::manifest::{Manifest, SliceEntry};
use flk_dataplane::wal::name::{LogId, Sequence};
use flk_dataplane::wal::scan::{LogEnd, LogVerdict, MadeBytes, ReadAt, run_ready, stated_bytes};
use flk_dataplane::wal::secret::Secret;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

const EXAMPLES: &str = "\
Examples:
  $ flk wal verify --dir ./data/wal
  $ flk wal verify --json

whole: every byte that counts is as it was written. torn: the last write was cut off, as a crash leaves it; the next \
start cuts it, and nothing that was acknowledged is lost. damaged: acknowledged data cannot be read, and a gateway \
will not start; restore a backup, or see flk wal quarantine. Where only blocks of decisions in a slice are damaged it \
starts, and answers 503 for the ids that may be in them. It ends with 65 if anything is damaged.";

/// Options of `flk wal verify`.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n\n{WAL_READ_CODES}"))]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    dir: DirArgs,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

/// The text for a file that the next start removes.
const LEFT_OVER: &str = "left over from an interrupted start or deletion: the manifest does not name it, its content is not needed, and the next start removes it";

struct Finding {
    what: String,
    state: State,
    text: String,
}

/// Runs it.
pub(crate) fn run(args: &VerifyArgs) -> CommandResult {
    let directory = Directory::open(args.dir.path())?;
    let findings = match directory.snapshot() {
        Ok(snapshot) => findings(&directory, &snapshot)?,
        Err(Unusable::Manifest(fault)) => vec![damaged(MANIFEST, fault.to_string())],
        Err(Unusable::NoManifest(file)) => vec![damaged(
            MANIFEST,
            format!("it is not there, and {file} is: restore all of the directory from one backup"),
        )],
        Err(Unusable::Failure(failure)) => return Err(failure),
    };
    let mut output = Output::new();
    for finding in &findings {
        output.line(match args.json {
            true => {
                let state = finding.state.as_str().to_lowercase().replace(' ', "_");
                json!({"what": finding.what, "state": state, "text": finding.text}).to_string()
            }
            false => format!(
                "{:<9} {}: {}",
                finding.state.as_str(),
                finding.what,
                finding.text
            ),
        })?;
    }
    output.flush()?;
    Ok(conclude(&directory, &findings))
}

fn conclude(directory: &Directory, findings: &[Finding]) -> Exit {
    let count = |state| findings.iter().filter(|it| it.state == state).count();
    let by = match &directory.holder {
        Some(pid) => format!(" (process {pid} serves from it)"),
        None => String::new(),
    };
    match (count(State::Damaged), count(State::Torn)) {
        (0, _) if count(State::DamagedForSome) > 0 => {
            eprintln!(
                "{} with damaged blocks: a gateway starts from this and answers 503 for the ids that may be in them until they expire; nothing was changed; only a backup has what they held{by}",
                counted(count(State::DamagedForSome) as u64, "slice")
            );
            return Exit::Damage;
        }
        (0, _) if count(State::Newer) > 0 => {
            eprintln!(
                "nothing is damaged, but what is called newer was written by a newer flk: use that one{by}"
            );
            return Exit::Configuration;
        }
        (0, _) if count(State::Foreign) > 0 => {
            eprintln!(
                "nothing is damaged, but what is called foreign belongs to another installation or node, and a gateway will not start beside it: move it out{by}"
            );
            return Exit::Configuration;
        }
        (0, 0) => eprintln!("everything that counts is whole{by}"),
        (0, torn) => eprintln!(
            "{}, as a crash leaves it: the next start cuts it, and nothing acknowledged is lost{by}",
            counted(torn as u64, "torn tail")
        ),
        (damaged, _) => {
            let segment =
                |it: &&Finding| it.state == State::Damaged && it.what.contains("segment-");
            let way_out = match findings.iter().any(|it| segment(&it)) {
                true => {
                    ", or see with flk wal quarantine what giving up a damaged segment would cost"
                }
                false => "",
            };
            eprintln!(
                "{damaged} damaged: a gateway will not start from this; nothing was changed; restore a backup{way_out}{by}"
            );
            return Exit::Damage;
        }
    }
    Exit::Yes
}

fn findings(directory: &Directory, snapshot: &Snapshot<'_>) -> Result<Vec<Finding>, Failure> {
    let manifest = &snapshot.manifest;
    let mut all = vec![
        Finding {
            what: MANIFEST.to_owned(),
            state: State::Whole,
            text: format!(
                "generation {}, start {}, {}, {}{}",
                manifest.generation,
                manifest.start,
                counted(manifest.logs.len() as u64, "log"),
                counted(manifest.slices.len() as u64, "slice"),
                if manifest.clean_stop {
                    ", stopped cleanly"
                } else {
                    ""
                }
            ),
        },
        secret(directory, manifest),
    ];
    for name in snapshot.missing() {
        all.push(damaged(
            &name,
            "the manifest names it, and it is not there".to_owned(),
        ));
    }
    all.extend(short_segments(directory, snapshot));
    let mut ends = BTreeMap::new();
    for (log, from, files) in snapshot.logs() {
        let survey = Survey {
            directory,
            manifest,
            log,
            from,
            files,
        };
        let (findings, last) = log_findings(survey);
        all.extend(findings);
        if log.ended_at.is_none() {
            ends.insert(log.id, last);
        }
    }
    if directory.holder.is_none() {
        all.extend(misplaced(directory, manifest));
    }
    let slices = manifest.slices.iter();
    all.extend(slices.map(|slice| slice_finding(directory, manifest, slice)));
    all.extend(manifest.gaps.iter().map(|gap| Finding {
        what: format!("log {}", gap.log),
        state: State::GivenUp,
        text: format!(
            "batches {} to {} were given up by an operator",
            gap.from, gap.to
        ),
    }));
    all.extend(others(directory, manifest, &ends)?);
    Ok(all)
}

/// Segments that may be in use and are shorter than the others of their run were made. One whose own header states its length
/// is for the reader of its log to judge.
fn short_segments(directory: &Directory, snapshot: &Snapshot<'_>) -> Vec<Finding> {
    let manifest = &snapshot.manifest;
    if manifest.clean_stop {
        return Vec::new();
    }
    let length = |name: &String| Some(directory.open_file(name).ok()?.bytes());
    let named = |file: u64| NumberedFile::Segment(file).to_string();
    let unfinished = manifest
        .segments()
        .filter(|(_, entry)| entry.state.extent().is_none());
    let unfinished: Vec<(String, u64)> = unfinished
        .map(|(_, entry)| (named(entry.file), entry.salt))
        .collect();
    let preallocated = manifest
        .preallocated
        .iter()
        .map(|&preallocated| named(preallocated));
    let all = unfinished.iter().map(|(name, _)| name.clone());
    let all = all.chain(preallocated);
    let agreed = MadeBytes::agreed(all.filter_map(|name| length(&name)));
    let short = unfinished.iter().filter_map(|(name, salt)| {
        let file = directory.open_file(name).ok()?;
        // A file that cannot be read is found by the reader of its log too.
        let stated = run_ready(stated_bytes(&file, *salt))?.ok()?;
        let fault = agreed.fault(file.bytes()).filter(|_| stated.is_none())?;
        Some(damaged(name, fault.to_string()))
    });
    short.collect()
}

fn damaged(what: &str, text: String) -> Finding {
    Finding {
        what: what.to_owned(),
        state: State::Damaged,
        text,
    }
}

fn secret(directory: &Directory, manifest: &Manifest) -> Finding {
    let bytes = match directory.read_whole(SECRET) {
        Ok(bytes) => bytes,
        // Members of WAL_DIR_GROUP verify the rest.
        Err(Errno::EACCES) => {
            return Finding {
                what: SECRET.to_owned(),
                state: State::NotRead,
                text: "only the user of the gateway may read it; all else is verified without it"
                    .to_owned(),
            };
        }
        Err(error) => return damaged(SECRET, why_number(error)),
    };
    match Secret::decode(&bytes) {
        Ok(secret) if secret.id == manifest.secret => Finding {
            what: SECRET.to_owned(),
            state: State::Whole,
            text: "it belongs to this directory".to_owned(),
        },
        Ok(_) => damaged(
            SECRET,
            "it belongs to another directory: put back the right one".to_owned(),
        ),
        Err(fault) => damaged(SECRET, fault.to_string()),
    }
}

/// The finding of a log, further findings after damage that ended its reading, and where the log ends.
fn log_findings(mut survey: Survey<'_>) -> (Vec<Finding>, Sequence) {
    let end = survey.end();
    let last = end.last;
    let mut all = vec![log_finding(&survey, &end)];
    let mut damaged = damaged_at(&end.verdict);
    while let Some(behind) = damaged.and_then(|ordinal| survey.behind(ordinal)) {
        survey = behind;
        let end = survey.end();
        damaged = damaged_at(&end.verdict);
        if damaged.is_some() {
            all.push(log_finding(&survey, &end));
        }
    }
    (all, last)
}

/// The segment that a verdict calls damaged.
fn damaged_at(verdict: &LogVerdict) -> Option<u32> {
    match verdict {
        LogVerdict::Damage(damage) => Some(damage.ordinal),
        LogVerdict::Unreadable { ordinal, .. } => Some(*ordinal),
        _ => None,
    }
}

fn log_finding(survey: &Survey<'_>, end: &LogEnd) -> Finding {
    let state = match &end.verdict {
        LogVerdict::Unsupported { .. } => State::Newer,
        verdict if !verdict.is_sound() => State::Damaged,
        _ if survey.is_live() => State::InUse,
        LogVerdict::TornTail { .. } => State::Torn,
        _ => State::Whole,
    };
    let ordinal = match &end.verdict {
        LogVerdict::Damage(damage) => Some(damage.ordinal),
        LogVerdict::Unreadable { ordinal, .. }
        | LogVerdict::Unsupported { ordinal, .. }
        | LogVerdict::StaleManifest { ordinal, .. }
        | LogVerdict::TornTail { ordinal, .. } => Some(*ordinal),
        LogVerdict::Whole => None,
    };
    let segment = survey
        .log
        .segments
        .iter()
        .find(|it| Some(it.ordinal) == ordinal);
    let file = segment.map_or(String::new(), |it| format!(", {}", show::file_name(it)));
    Finding {
        what: format!("log {}{file}", survey.log.id),
        state,
        text: show::end_text(survey, end),
    }
}

fn slice_finding(directory: &Directory, manifest: &Manifest, slice: &SliceEntry) -> Finding {
    let name = NumberedFile::Slice(slice.file).to_string();
    let bytes = match directory.read_whole(&name) {
        Ok(bytes) => bytes,
        Err(error) => return damaged(&name, why_number(error)),
    };
    let mut unknown = None;
    let verified = verify_whole(&bytes, |entry| {
        unknown = unknown.or(entry.unknown_part());
    });
    let newer = |text: String| Finding {
        what: name.clone(),
        state: State::Newer,
        text,
    };
    if let (Ok(_), Some((part, number))) = (&verified, unknown) {
        return newer(SliceError::UnknownPart { part, number }.to_string());
    }
    match verified {
        Err(fault) if fault.is_newer() => newer(fault.to_string()),
        Ok((reader, _)) if is_as_named(&reader, &bytes, manifest, slice) => Finding {
            what: name,
            state: State::Whole,
            text: counted(slice.entries, "decision"),
        },
        Ok(_) => damaged(
            &name,
            "it is not the slice that the manifest names".to_owned(),
        ),
        // Everything that a start reads was checked before.
        Err(fault @ SliceError::Block(_)) => Finding {
            what: name,
            state: State::DamagedForSome,
            text: format!(
                "{fault}; ids that may be in this block, at most {ENTRIES_PER_BLOCK}, are answered 503"
            ),
        },
        Err(fault) => damaged(&name, fault.to_string()),
    }
}

/// Files that the manifest names and whose first block shows that they, or the manifest, are of another time.
fn misplaced(directory: &Directory, manifest: &Manifest) -> Vec<Finding> {
    let slices: BTreeSet<u64> = manifest.slices.iter().map(|slice| slice.file).collect();
    let files = manifest.files();
    let names = files
        .into_iter()
        .map(|number| match slices.contains(&number) {
            true => NumberedFile::Slice(number).to_string(),
            false => NumberedFile::Segment(number).to_string(),
        });
    let refused = names.filter_map(|name| {
        // A missing or unreadable file is reported elsewhere.
        let file = directory.open_file(&name).ok()?;
        let block = run_ready(file.read_at(0, BLOCK_BYTES))?.ok()?;
        let refusal = judge_origin(manifest, &name, &block, Named::Yes).err()?;
        Some(refused(&name, &refusal))
    });
    refused.collect()
}

/// A file that a start would refuse, with the reason that the start would give.
fn refused(name: &str, refusal: &Refusal) -> Finding {
    let state = match () {
        () if refusal.is_newer() => State::Newer,
        () if refusal.is_foreign() => State::Foreign,
        () => State::Damaged,
    };
    Finding {
        what: name.to_owned(),
        state,
        text: refusal.to_string(),
    }
}

/// A file with a name of this format that the manifest does not name, judged as the next start will judge it.
fn stray(
    directory: &Directory,
    manifest: &Manifest,
    ends: &BTreeMap<LogId, Sequence>,
    name: &str,
) -> Result<Stray, Finding> {
    let file = directory
        .open_file(name)
        .map_err(|error| damaged(name, why_number(error)))?;
    let block = run_ready(file.read_at(0, BLOCK_BYTES));
    let block = block.unwrap_or(Err(Errno::EIO));
    let block = block.map_err(|error| damaged(name, why_number(error)))?;
    let judged = judge_origin(manifest, name, &block, Named::No);
    judged.map_err(|refusal| refused(name, &refusal))?;
    let judged = run_ready(judge_stray(manifest, ends, name, &file));
    judged
        .unwrap_or(Ok(Stray::Orphan))
        .map_err(|refusal| refused(name, &refusal))
}

/// Files that the manifest does not name, and preallocated segments that are missing. `ends` has the last sequence of each
/// log that has not been ended.
fn others(
    directory: &Directory,
    manifest: &Manifest,
    ends: &BTreeMap<LogId, Sequence>,
) -> Result<Vec<Finding>, Failure> {
    let named = manifest.files();
    let mut all = Vec::new();
    let names = directory.names()?;
    for name in &names {
        let number = match NumberedFile::parse(name) {
            Some(NumberedFile::Segment(number) | NumberedFile::Slice(number)) => Some(number),
            None => None,
        };
        let known = matches!(name.as_str(), MANIFEST | SECRET | LOCK)
            || number.is_some_and(|number| named.contains(&number));
        if !known {
            let text = match () {
                () if name.starts_with("quarantine-") => "kept aside by a quarantine",
                () if number.is_some() && directory.holder.is_some() => {
                    "made ready by the gateway; the manifest does not name it yet"
                }
                () if number.is_some() => match stray(directory, manifest, ends, name) {
                    Ok(Stray::Orphan) => LEFT_OVER,
                    Ok(Stray::Kept(why)) => why,
                    Err(finding) => {
                        all.push(finding);
                        continue;
                    }
                },
                () if name == MANIFEST_NEW => LEFT_OVER,
                () => "not a file of a log directory",
            };
            all.push(Finding {
                what: name.clone(),
                state: State::Orphan,
                text: text.to_owned(),
            });
        }
    }
    for &preallocated in &manifest.preallocated {
        let name = NumberedFile::Segment(preallocated).to_string();
        if !names.contains(&name) && directory.holder.is_none() {
            all.push(damaged(
                &name,
                "the manifest names this preallocated segment, and it is not there".to_owned(),
            ));
        }
    }
    Ok(all)
}
