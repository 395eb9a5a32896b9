//! `flk keys rotate`: a new key from now on, and an end for those that are active. Comments in the file say which ends a
//! rotation set, so that it can be taken back.

use super::change::{Change, ChangeArgs};
use super::document::Key;
use super::source::SourceArgs;
use super::state::Times;
use super::undo;
use crate::CommandResult;
use crate::args::{time as duration, time_text};
use crate::exit::{Failure, KEYS_CHANGE_CODES};
use clap::Args;
use flk_dataplane::config::time;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  $ flk keys rotate acme --key-file next.key --config flk.toml --dry-run
  $ flk keys rotate acme --key-file next.key --config flk.toml
  $ SOPS_AGE_KEY_FILE=keys.txt flk keys rotate acme --key-file acme-2027.age --config flk.toml
  $ flk keys rotate acme --undo --config flk.toml";

const NOTES: &str = "\
Rotate first, wait until the gateway has the new key, then give it to the agents: both keys verify during the overlap. \
Delayed records carry the old signature, so the overlap should be as long as records may be late. --undo gives the file \
the lines back that it had before the tenant's last rotation.";

/// Options of `flk keys rotate`.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES, after_help = format!("{NOTES}\n\n{KEYS_CHANGE_CODES}"))]
pub(crate) struct RotateArgs {
    /// Tenant
    tenant: String,
    #[command(flatten)]
    source: SourceArgs,
    /// How long the old keys go on verifying [default: how long an outcome answers duplicates, 14d]
    #[arg(long, value_name = "TIME", value_parser = duration(Duration::ZERO..=Duration::from_secs(1_000 * 86_400)))]
    overlap: Option<Duration>,
    /// Take the last rotation back
    #[arg(long, conflicts_with_all = ["source", "overlap", "id", "scheme"])]
    undo: bool,
    #[command(flatten)]
    change: ChangeArgs,
}

pub(super) fn run(args: &RotateArgs) -> CommandResult {
    let mut change = Change::begin(&args.change)?;
    let tenant = args.tenant.as_str();
    match args.undo {
        true => undo::undo(&mut change, tenant)?,
        false => rotate(&mut change, args)?,
    }
    change.finish(&args.change, tenant)
}

fn rotate(change: &mut Change, args: &RotateArgs) -> Result<(), Failure> {
    let (tenant, now_s) = (args.tenant.as_str(), change.now_s);
    let keys = change.keys(tenant)?;
    let new = args.source.new_key(&keys, &change.age_keys())?;
    let ttl_s = change.dedup_ttl_s();
    let overlap_s = args.overlap.map_or(ttl_s, |overlap| overlap.as_secs());
    if overlap_s < ttl_s {
        let [overlap, ttl] = [overlap_s, ttl_s].map(|it| time_text(Duration::from_secs(it)));
        change.warnings.push(format!(
            "an overlap of {overlap} is shorter than the {ttl} within which a record may come again: a delayed record with the old signature gets 401 then"
        ));
    }
    change.look_at_place(&new.source);
    change.warnings.extend(new.warnings);
    let date = time::show(now_s);
    let id = args.source.id(&keys, &date[..date.len().min(10)]);
    for old in keys.iter().filter(|key| key.times.state(now_s).is_active()) {
        let end_s = now_s + overlap_s;
        // A key that ends earlier keeps its end.
        if old
            .times
            .ends_s()
            .is_some_and(|earlier_s| earlier_s <= end_s)
        {
            continue;
        }
        let before = change.document.typed_time(tenant, &old.id, "not_after");
        let note = undo::note(&id, before.as_deref());
        change.edit(tenant, |document| {
            document.set_time(tenant, &old.id, "not_after", end_s, &note)
        })?;
    }
    let key = Key {
        id,
        scheme: new.scheme.to_string(),
        source: Some(new.source),
        times: Times {
            not_before: Some(now_s),
            ..Times::default()
        },
    };
    change.edit(tenant, |document| document.add_key(tenant, &key, undo::NEW))
}
