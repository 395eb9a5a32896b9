//! `flk backup prune`: removes old backups from a place, then the objects that no backup names which is left. Indexes go first, so
//! that what is left is whole at any moment; interrupted, the next one goes on.

use super::index::Index;
use super::mark::{self, Mark, Work};
use super::store::{Objects, Place};
use super::{BACKUPS, EndpointArgs, list, names, owner};
use crate::CommandResult;
use crate::exit::{BACKUP_PRUNE_CODES, Exit, Failure};
use crate::output::{Output, counted};
use crate::progress::Progress;
use crate::wal::show::time_text;
use clap::Args;
use flk_dataplane::driver::clock::now;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  $ flk backup prune --from ./backups --dry-run
  $ flk backup prune --from ./backups --keep-within 30d --keep-weekly 13

The newest backup always stays. Of all others those stay that are not older than --keep-within, and the newest one of each of the last \
--keep-weekly weeks (Monday to Sunday, UTC) that have a backup. Objects go when no backup names them that is left. A prune and a backup do \
not run in one place at the same time: the later one ends with 69. A restore from a backup that is pruned meanwhile ends with 65.";

/// Days from the Unix epoch, a Thursday, to the first Monday before it.
const DAYS_TO_MONDAY: u64 = 3;
const DAY_US: u64 = 86_400_000_000;
const ALWAYS: Duration = Duration::from_secs(3_153_600_000);

/// Options of `flk backup prune`.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n\n{BACKUP_PRUNE_CODES}"))]
pub(crate) struct PruneArgs {
    /// Where the backups are: a directory, or s3://BUCKET/PREFIX
    #[arg(long, value_name = "PLACE", value_parser = Place::parse)]
    from: Place,
    #[command(flatten)]
    endpoint: EndpointArgs,
    /// Keep backups that are not older than this
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = crate::args::time(Duration::ZERO..=ALWAYS))]
    keep_within: Duration,
    /// Keep the newest backup of each of so many weeks
    #[arg(long, value_name = "COUNT", default_value = "13", value_parser = crate::args::whole(0_usize..=10_000))]
    keep_weekly: usize,
    /// Take a backup or a prune for dead that began longer ago and has not ended
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = crate::args::time(Duration::from_secs(60)..=ALWAYS))]
    stale_after: Duration,
    /// Show what would go, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Which backups stay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    pub(crate) keep_within: Duration,
    pub(crate) keep_weekly: usize,
}

/// What a prune does, or did.
#[derive(Debug, Default)]
pub(crate) struct Pruned {
    pub(crate) kept: Vec<Index>,
    pub(crate) gone: Vec<Index>,
    /// Objects that no backup names which is kept, with their lengths.
    pub(crate) objects: BTreeMap<String, u64>,
}

/// Runs it.
pub(super) fn run(args: &PruneArgs) -> CommandResult {
    let store = args.endpoint.open(&args.from)?;
    if let Some(why) = owner::no_place(BACKUPS, &store, &args.from)? {
        return Err(Failure::usage(why));
    }
    let now_us = now().wall_us;
    let rule = Rule {
        keep_within: args.keep_within,
        keep_weekly: args.keep_weekly,
    };
    let pruned = match args.dry_run {
        true => plan(&store, &store.list()?, now_us, rule)?,
        false => prune(&store, now_us, rule, args.stale_after)?,
    };
    let mut output = Output::new();
    for index in &pruned.gone {
        let (number, moment) = (index.number, time_text(index.moment_us));
        output.line(format!(
            "backup {number} of {moment}, incarnation {}",
            index.incarnation
        ))?;
    }
    let bytes: u64 = pruned.objects.values().sum();
    output.line(format!(
        "{} {} and {} with {bytes} bytes; {} left",
        if args.dry_run {
            "would remove"
        } else {
            "removed"
        },
        counted(pruned.gone.len() as u64, "backup"),
        counted(pruned.objects.len() as u64, "object"),
        counted(pruned.kept.len() as u64, "backup"),
    ))?;
    output.flush()?;
    Ok(Exit::Yes)
}

/// What would go. A damaged index ends it: what it names cannot be known.
fn plan(
    objects: &dyn Objects,
    there: &BTreeMap<String, u64>,
    now_us: u64,
    rule: Rule,
) -> Result<Pruned, Failure> {
    let stored = list::all(there);
    let indexes: Result<Vec<_>, _> = stored.iter().map(|it| it.index(objects)).collect();
    let indexes = indexes.map_err(|failure| {
        let hint = "nothing was removed: what it names cannot be known. Remove that index if the backup is given up";
        Failure::with(failure.exit(), format!("{}; {hint}", failure.text()))
    })?;
    let (kept, gone) = divide(indexes, now_us, rule);
    let named: HashSet<&str> = kept
        .iter()
        .flat_map(Index::parts)
        .map(|part| part.object.as_str())
        .collect();
    let objects = there.iter().filter(|(name, _)| {
        let of_a_backup = name
            .split_once('/')
            .is_some_and(|(folder, _)| names::is_incarnation(folder));
        of_a_backup && names::read_index(name).is_none() && !named.contains(name.as_str())
    });
    let objects = objects
        .map(|(name, bytes)| (name.clone(), *bytes))
        .collect();
    Ok(Pruned {
        kept,
        gone,
        objects,
    })
}

/// Those that stay and those that go, each from the oldest on.
fn divide(mut indexes: Vec<Index>, now_us: u64, rule: Rule) -> (Vec<Index>, Vec<Index>) {
    indexes.sort_by_key(|it| it.moment_us);
    let newest = indexes.len().saturating_sub(1);
    let mut weeks = BTreeSet::new();
    let mut keep = vec![false; indexes.len()];
    for (at, index) in indexes.iter().enumerate().rev() {
        let age_us = u128::from(now_us.saturating_sub(index.moment_us));
        let is_young = age_us <= rule.keep_within.as_micros();
        let week = (index.moment_us / DAY_US + DAYS_TO_MONDAY) / 7;
        let is_first_of_week = !weeks.contains(&week) && weeks.len() < rule.keep_weekly;
        if is_first_of_week {
            weeks.insert(week);
        }
        keep[at] = at == newest || is_young || is_first_of_week;
    }
    let mut keep = keep.into_iter();
    indexes.into_iter().partition(|_| keep.next() == Some(true))
}

/// Removes what may go.
pub(crate) fn prune(
    objects: &dyn Objects,
    now_us: u64,
    rule: Rule,
    stale_after: Duration,
) -> Result<Pruned, Failure> {
    let own = Mark::make(objects, Work::Prune, now_us)?;
    let there = objects.list()?;
    let mut stale = Vec::new();
    for (work, what) in [(Work::Backup, "a backup"), (Work::Prune, "another prune")] {
        for mark in mark::seen(&there, work) {
            match mark.is_live(now_us, stale_after) {
                _ if mark.name == own.name => {}
                true => return Err(mark.refusal(what)),
                false => stale.push(mark.name),
            }
        }
    }
    let pruned = plan(objects, &there, now_us, rule)?;
    let mut progress = Progress::every_minute();
    for index in &pruned.gone {
        objects.remove(&index.object())?;
    }
    for (done, name) in pruned.objects.keys().enumerate() {
        objects.remove(name)?;
        progress.tick(|_| format!("{done} of {} objects removed", pruned.objects.len()));
    }
    stale.iter().try_for_each(|name| objects.remove(name))?;
    progress.clear();
    Ok(pruned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::tests::{Memory, golden, taken};

    /// A Monday.
    const NOW_DAY: u64 = 20_423 + 7 * 10;
    const ALL: Rule = Rule {
        keep_within: Duration::ZERO,
        keep_weekly: 0,
    };

    fn index_of_day(index: &Index, day: u64) -> Index {
        Index {
            moment_us: day * DAY_US + 3_600_000_000,
            number: day,
            ..index.clone()
        }
    }

    fn days(indexes: &[Index]) -> Vec<u64> {
        indexes.iter().map(|it| it.number).collect()
    }

    #[test]
    fn the_newest_stays_and_the_young_and_one_of_each_week() {
        let dir = golden("v2_sealed");
        let index = taken(dir.path(), &Memory::default()).unwrap();
        let now_us = NOW_DAY * DAY_US;
        let of = |days: &[u64]| days.iter().map(|day| index_of_day(&index, *day)).collect();
        let divided = |all: &[u64], within: u64, weekly: usize| {
            let rule = Rule {
                keep_within: Duration::from_secs(within * 86_400),
                keep_weekly: weekly,
            };
            let (kept, gone) = divide(of(all), now_us, rule);
            (days(&kept), days(&gone))
        };
        assert_eq!(divided(&[], 1, 1), (vec![], vec![]));
        assert_eq!(
            divided(&[NOW_DAY - 500], 0, 0),
            (vec![NOW_DAY - 500], vec![])
        );
        let monday = NOW_DAY - 7;
        assert_eq!((monday + DAYS_TO_MONDAY) % 7, 0);
        let all: Vec<u64> = (monday - 15..NOW_DAY).collect();
        let weeks = vec![monday - 8, monday - 1, monday + 6];
        assert_eq!(divided(&all, 0, 3).0, weeks);
        assert_eq!(divided(&all, 0, 2).0, weeks[1..]);
        let (kept, gone) = divided(&all, 3, 2);
        assert_eq!(kept, [monday - 1, monday + 4, monday + 5, monday + 6]);
        assert_eq!(kept.len() + gone.len(), all.len());
    }

    /// Two backups of a directory that lost a segment and a slice between them.
    fn two() -> (Memory, Index, Index) {
        let store = Memory::default();
        let first = taken(golden("v2_sealed").path(), &store).unwrap();
        let mut second = first.clone();
        second.files.remove(0);
        (second.number, second.moment_us) = (2, first.moment_us + 1);
        let bytes = second.encode().unwrap();
        store.objects.borrow_mut().insert(second.object(), bytes);
        (store, first, second)
    }

    #[test]
    fn objects_go_that_no_backup_names_and_what_is_left_is_whole() {
        let (store, first, second) = two();
        let foreign = ["notes.txt".to_owned(), "other/log-1".to_owned()];
        for name in &foreign {
            store.objects.borrow_mut().insert(name.clone(), vec![1]);
        }
        let before = store.list().unwrap();
        let planned = plan(&store, &before, u64::MAX, ALL).unwrap();
        assert_eq!(store.list().unwrap(), before);
        let pruned = prune(&store, u64::MAX, ALL, mark::STALE_AFTER).unwrap();
        assert_eq!(planned.objects, pruned.objects);
        let gone: BTreeSet<_> = first.files[0].parts.iter().map(|it| &it.object).collect();
        assert!(pruned.objects.keys().eq(gone));
        let left = store.list().unwrap();
        assert!(foreign.iter().all(|name| left.contains_key(name)));
        assert!(second.parts().all(|part| left.contains_key(&part.object)));
        assert_eq!(store.indexes(), [second.object()]);
        let again = prune(&store, u64::MAX, ALL, mark::STALE_AFTER).unwrap();
        assert_eq!((again.gone.len(), again.objects.len()), (0, 0));
    }

    #[test]
    fn interrupted_at_any_object_the_rest_is_whole_and_the_next_one_goes_on() {
        for steps in 0.. {
            let (store, _, second) = two();
            store.fails_in.set(Some(steps));
            let ended = prune(&store, u64::MAX, ALL, mark::STALE_AFTER);
            store.fails_in.set(None);
            let left = store.list().unwrap();
            assert!(
                second.parts().all(|part| left.contains_key(&part.object)),
                "{steps}"
            );
            for stored in list::all(&left) {
                let index = stored.index(&store).unwrap();
                assert!(
                    index.parts().all(|part| left.contains_key(&part.object)),
                    "{steps}"
                );
            }
            if ended.is_ok() {
                assert!(steps > 4);
                break;
            }
            // Its own mark may be there still; it is another prune for the next one.
            prune(&store, u64::MAX, ALL, Duration::ZERO).unwrap();
            assert_eq!(store.indexes(), [second.object()]);
            let named: BTreeSet<_> = second.parts().map(|part| &part.object).collect();
            let left = store.list().unwrap();
            let is_data = |name: &&String| name.contains('/') && names::read_index(name).is_none();
            assert!(left.keys().filter(is_data).eq(named), "{steps}");
        }
    }

    #[test]
    fn a_backup_and_a_prune_give_way_to_each_other_until_marks_are_stale() {
        let (store, ..) = two();
        let dir = golden("v2_sealed");
        let now_us = now().wall_us;
        let mark = Mark::make(&store, Work::Backup, now_us - 5).unwrap();
        let refused = prune(&store, now_us, ALL, mark::STALE_AFTER).unwrap_err();
        assert_eq!(refused.exit(), Exit::Unavailable);
        assert!(refused.text().contains(&mark.name), "{}", refused.text());
        assert_eq!(store.indexes().len(), 2);
        drop(mark);
        let mark = Mark::make(&store, Work::Prune, now_us).unwrap();
        let refused = taken(dir.path(), &store).unwrap_err();
        assert_eq!(refused.exit(), Exit::Unavailable);
        assert_eq!(store.indexes().len(), 2);
        std::mem::forget(mark);
        let much_later = now_us + 8 * DAY_US;
        prune(&store, much_later, ALL, mark::STALE_AFTER).unwrap();
        assert_eq!(store.indexes().len(), 1);
        let marks = store.list().unwrap();
        assert!(!marks.keys().any(|name| name.starts_with("running-")));
        taken(dir.path(), &store).unwrap();
        assert!(
            !store
                .list()
                .unwrap()
                .keys()
                .any(|name| name.starts_with("running-"))
        );
    }

    #[test]
    fn a_damaged_index_ends_it_before_anything_is_removed() {
        let (store, first, _) = two();
        store.objects.borrow_mut().get_mut(&first.object()).unwrap()[40] ^= 1;
        let before = store.list().unwrap();
        let refused = prune(&store, u64::MAX, ALL, mark::STALE_AFTER).unwrap_err();
        assert_eq!(refused.exit(), Exit::Damage);
        assert_eq!(store.list().unwrap(), before);
    }
}
