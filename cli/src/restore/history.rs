//! A point in time, from all backups of an incarnation: slices of one that is old enough, and logs as the later ones continue them.

use super::kept::Backup;
use super::point::{Point, Uncut};
use crate::backup::index::{FileKept, Holds, Index};
use crate::backup::{Stored, all};
use crate::exit::Failure;
use crate::wal::show::time_text;
use flk_dataplane::wal::copy::join;
use flk_dataplane::wal::manifest::{MANIFEST_BYTES_MAX, Manifest};
use std::collections::HashSet;

/// A backup at a point in time, and its manifest there.
pub(super) fn at<'a>(backup: Backup<'a>, point: &Point) -> Result<(Backup<'a>, Manifest), Failure> {
    if point.is_end() {
        let manifest = backup.manifest.clone();
        return Ok((backup, manifest));
    }
    if point
        .time_us
        .is_some_and(|time| time > backup.index.moment_us)
    {
        eprintln!(
            "flk: backup {} was taken before that time, at {}: nothing later is in it",
            backup.index.number,
            time_text(backup.index.moment_us)
        );
    }
    let mut why = match point.cut(&backup) {
        Ok(manifest) => return Ok((backup, manifest)),
        Err(Uncut::Failure(failure)) => return Err(failure),
        Err(Uncut::Sealed(why)) => why.to_string(),
    };
    let mut later = vec![backup.manifest.clone()];
    let mut index = backup.index;
    for stored in earlier(backup.objects.list().map(|there| all(&there))?, &index) {
        let base = Backup::read(backup.objects, stored.index(backup.objects)?)?;
        let joined = later
            .iter()
            .rev()
            .try_fold(base.manifest.clone(), |joined, it| join(&joined, it));
        let number = base.index.number;
        later.push(base.manifest);
        add_files(&mut index, base.index);
        let manifest = match joined {
            Ok(joined) if joined.encode_within(MANIFEST_BYTES_MAX).is_ok() => joined,
            Ok(_) => continue,
            Err(hole) => {
                why = hole.to_string();
                continue;
            }
        };
        let joined = Backup::new(backup.objects, index.clone(), manifest);
        match point.cut(&joined) {
            Ok(manifest) => {
                eprintln!("flk: with the slices of backup {number}, and logs of the later ones");
                return Ok((joined, manifest));
            }
            Err(Uncut::Failure(failure)) => return Err(failure),
            Err(Uncut::Sealed(sealed)) => why = sealed.to_string(),
        }
    }
    Err(Failure::usage(format!(
        "the backups cannot be cut there: {why}; flk backup list shows the moments that can be restored whole"
    )))
}

/// The backups of the same incarnation before one, the newest first.
fn earlier(stored: Vec<Stored>, index: &Index) -> Vec<Stored> {
    let is_earlier = |it: &Stored| it.incarnation == index.incarnation && it.number < index.number;
    let mut earlier: Vec<Stored> = stored.into_iter().filter(is_earlier).collect();
    earlier.sort_by_key(|it| std::cmp::Reverse(it.number));
    earlier
}

/// Adds the files of an earlier backup that later ones do not have. Of a segment the later ones have more.
fn add_files(index: &mut Index, earlier: Index) {
    let known: HashSet<String> = index.files.iter().map(|it| it.name.clone()).collect();
    let is_missing = |it: &FileKept| it.holds != Holds::Snapshot && !known.contains(&it.name);
    index
        .files
        .extend(earlier.files.into_iter().filter(is_missing));
}
